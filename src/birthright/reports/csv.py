"""CSV for spreadsheets: a finding a row, without evidence; cells that would run as formulas are defused."""

import csv
from datetime import datetime
from typing import TextIO

from birthright.findings.model import Document, Finding
from birthright.reports.text import printable
from birthright.times import format_instant

COLUMNS = tuple(name for name in Finding.__struct_fields__ if name != "evidence")
# The wide forms are what East Asian spreadsheets read as the narrow ones.
_FORMULAS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# A spreadsheet may take these away before it looks.
_SKIPPED = " \t\r\n'\"\u00a0\u3000\ufeff"


def render(document: Document, out: TextIO) -> None:
    """Write the header and the rows (RFC 4180, but lines end with LF)."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for finding in document.findings:
        writer.writerow([cell(getattr(finding, name)) for name in COLUMNS])


def cell(value: object) -> str | int | float:
    """Write one value; text that begins like a formula gets an apostrophe (OWASP, CSV injection).

    Numbers stay numbers, also negative ones. Control characters become escapes: within a cell they
    serve nobody, and a lone CR would break the row.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    text = format_instant(value) if isinstance(value, datetime) else str(value)
    return printable(f"'{text}" if text.lstrip(_SKIPPED).startswith(_FORMULAS) else text)
