"""The output formats of reports; a new one is its file and a line here."""

from typing import TYPE_CHECKING

from birthright.formats import Format, Formats

if TYPE_CHECKING:
    from birthright.reports.interface import Report

FORMATS: "Formats[Report]" = Formats({
    "terminal": Format("birthright.reports.terminal", ".txt"),
    "json": Format("birthright.reports.json", ".json", evidence=True),
    "jsonl": Format("birthright.reports.jsonl", ".jsonl", evidence=True),
    "html": Format("birthright.reports.html.page", ".html", evidence=True, draws=True),
    "csv": Format("birthright.reports.csv", ".csv"),
    "markdown": Format("birthright.reports.markdown", ".md"),
    "sarif": Format("birthright.reports.sarif", ".sarif"),
    "ocsf": Format("birthright.reports.ocsf", ".ocsf.json", evidence=True),
    "ocsf-1.6": Format("birthright.reports.ocsf_1_6", ".ocsf-1.6.json", evidence=True),
    "asff": Format("birthright.reports.asff", ".asff.json"),
    "junit": Format("birthright.reports.junit", ".xml", evidence=True),
})  # fmt: skip
renderer, format_of = FORMATS.renderer, FORMATS.format_of
