"""CSV for spreadsheets: a finding a row, without evidence; cells that would run as formulas are defused."""

import csv
from datetime import datetime
from typing import TextIO

from birthright.findings.model import Document, Finding
from birthright.times import format_instant

COLUMNS = tuple(name for name in Finding.__struct_fields__ if name != "evidence")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


def render(document: Document, out: TextIO) -> None:
    """Write the header and the rows (RFC 4180, but lines end with LF)."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for finding in document.findings:
        writer.writerow([cell(getattr(finding, name)) for name in COLUMNS])


def cell(value: object) -> str | int:
    """Write one value; text that begins like a formula gets an apostrophe (OWASP, CSV injection)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return value
    text = format_instant(value) if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text
