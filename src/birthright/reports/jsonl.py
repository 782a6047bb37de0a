"""JSON lines: the scan first, then its coverage, then a finding a line; each line says its `kind`."""

from collections.abc import Iterator
from typing import TextIO

import msgspec

from birthright.findings.model import Document
from birthright.reports.interface import Report


def render(report: Report, out: TextIO) -> None:
    """Write the lines."""
    encoder = msgspec.json.Encoder()
    for kind, value in _lines(report.document):
        fields = msgspec.to_builtins(value, builtin_types=())
        out.write(encoder.encode({"kind": kind, **fields}).decode())
        out.write("\n")


def _lines(document: Document) -> Iterator[tuple[str, msgspec.Struct]]:
    head = _Head(document.schema, document.scan, document.summary)
    yield "scan", head
    for line in document.coverage:
        yield "coverage", line
    for finding in document.findings:
        yield "finding", finding


class _Head(msgspec.Struct):
    schema: str
    scan: msgspec.Struct
    summary: msgspec.Struct
