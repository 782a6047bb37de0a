"""JSON: the contract that other things build on (`birthright.findings/1`)."""

from typing import TextIO

import msgspec

from birthright.findings.model import Document


def render(document: Document, out: TextIO) -> None:
    """Write the whole document, indented, with a final newline."""
    out.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    out.write("\n")
