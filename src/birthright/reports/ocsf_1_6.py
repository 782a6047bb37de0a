"""OCSF 1.6: the version that AWS Security Hub reads."""

from typing import TextIO

from birthright.reports.interface import Report
from birthright.reports.ocsf import render_version

VERSION = "1.6.0"


def render(report: Report, out: TextIO) -> None:
    """Write the array, an event a line, as the events come."""
    render_version(report, out, VERSION)
