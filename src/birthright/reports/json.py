"""JSON: the contract that other things build on (`birthright.findings/1`)."""

from typing import TextIO

from birthright.findings.stream import lines_of
from birthright.longjson import indented
from birthright.reports.interface import Report


def render(report: Report, out: TextIO) -> None:
    """Write the whole document, indented, with a final newline; findings as they come."""
    out.writelines(indented(report.document, "findings", lines_of(report.document.findings)))
