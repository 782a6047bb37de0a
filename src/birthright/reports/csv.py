"""CSV for spreadsheets: a finding a row, without evidence; cells that would run as formulas are defused."""

import csv
from functools import lru_cache
from operator import attrgetter
from typing import TextIO

from birthright.findings.model import Finding
from birthright.reports.interface import Report
from birthright.text import cell

_PLAIN = tuple(name for name in Finding.__struct_fields__ if name not in {"evidence", "waiver"})
_WAIVER = ("owner", "reason", "ticket", "expires")
COLUMNS = (*_PLAIN, *(f"waiver_{name}" for name in _WAIVER))
_REMEMBERED = 65_536


def render(report: Report, out: TextIO) -> None:
    """Write the header and the rows (RFC 4180, but lines end with LF)."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    # Most values stand in several rows. True is 1, but is written otherwise.
    known = lru_cache(_REMEMBERED, typed=True)(cell)
    values, not_waived = attrgetter(*_PLAIN), [""] * len(_WAIVER)
    for finding in report.document.findings:
        waiver = finding.waiver
        waived = [cell(getattr(waiver, name)) for name in _WAIVER] if waiver else not_waived
        writer.writerow([*map(known, values(finding)), *waived])
