"""JSON: the contract that other things build on (`birthright.changes/1`)."""

from typing import TextIO

import msgspec

from birthright.retirement.records.interface import ChangeRecord


def render(record: ChangeRecord, out: TextIO) -> None:
    """Write the whole record, indented, with a final newline. Durations are ISO 8601, like `P14D`."""
    document = {"schema": "birthright.changes/1", **msgspec.structs.asdict(record)}
    out.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    out.write("\n")
