"""CSV for spreadsheets: a finding a row, without evidence; cells that would run as formulas are defused."""

import csv
from collections.abc import Iterator
from typing import TextIO

from birthright.findings.model import Finding
from birthright.reports.interface import Report
from birthright.text import cell

_PLAIN = tuple(name for name in Finding.__struct_fields__ if name not in {"evidence", "waiver", "subject"})
_WAIVER = ("owner", "reason", "ticket", "expires")
COLUMNS = (*_PLAIN, *(f"waiver_{name}" for name in _WAIVER))


def render(report: Report, out: TextIO) -> None:
    """Write the header and the rows (RFC 4180, but lines end with LF)."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for finding in report.document.findings:
        writer.writerow(map(cell, _values(finding)))


def _values(finding: Finding) -> Iterator[object]:
    yield from (getattr(finding, name) for name in _PLAIN)
    yield from (getattr(finding.waiver, name, None) for name in _WAIVER)
