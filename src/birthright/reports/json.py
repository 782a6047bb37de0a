"""JSON: the contract that other things build on (`birthright.findings/1`)."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TextIO

import msgspec

from birthright.findings.model import Finding
from birthright.reports.interface import Report

_NONE = '\n  "findings": []'
_AT_A_TIME = 256


def render(report: Report, out: TextIO) -> None:
    """Write the whole document, indented, with a final newline; findings as they come."""
    document = report.document
    # No text within JSON holds a line end: the place is found once.
    before, none, after = _indented(msgspec.structs.replace(document, findings=())).partition(_NONE)
    out.write(before)
    out.write(none[:-1])
    end = ""
    for text in _written(document.findings):
        out.write(f"{end}{text}")
        end = ","
    out.write("\n  ]" if end else "]")
    out.write(f"{after}\n")


def _written(findings: Iterable[Finding]) -> Iterator[str]:
    """Give the items of the list of findings, several at a time, as they stand in the document."""
    rest = iter(findings)
    while some := list(islice(rest, _AT_A_TIME)):
        yield _indented(some).removeprefix("[").removesuffix("\n]").replace("\n", "\n  ")


def _indented(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
