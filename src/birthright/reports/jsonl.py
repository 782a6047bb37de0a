"""JSON lines: the scan first, then its coverage, then a finding a line; each line says its `kind`."""

from typing import TextIO

import msgspec

from birthright.findings.stream import lines_of
from birthright.reports.interface import Report


def render(report: Report, out: TextIO) -> None:
    """Write the lines."""
    document = report.document
    encoder = msgspec.json.Encoder()
    head = {"schema": document.schema, "scan": document.scan, "summary": document.summary}
    out.write(_of_kind("scan", encoder.encode(head) + b"\n"))
    if document.coverage:
        out.write(_of_kind("coverage", encoder.encode_lines(document.coverage)))
    out.writelines(_of_kind("finding", lines) for lines in lines_of(document.findings))


def _of_kind(kind: str, lines: bytes) -> str:
    """Begin each line, an object, with its kind; no text within JSON holds a line end."""
    start = f'{{"kind":"{kind}",'.encode()
    return (start + lines[1:-1].replace(b"\n{", b"\n" + start) + b"\n").decode()
