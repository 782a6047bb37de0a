"""CSV for spreadsheets: a finding a row, without evidence; cells that would run as formulas are defused."""

import csv
from typing import TextIO

from birthright.findings.model import Document, Finding
from birthright.text import cell

COLUMNS = tuple(name for name in Finding.__struct_fields__ if name != "evidence")


def render(document: Document, out: TextIO) -> None:
    """Write the header and the rows (RFC 4180, but lines end with LF)."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for finding in document.findings:
        writer.writerow([cell(getattr(finding, name)) for name in COLUMNS])
