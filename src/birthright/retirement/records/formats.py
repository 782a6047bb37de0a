"""The output formats of change records; a new one is its file and a line here."""

from typing import TYPE_CHECKING

from birthright.formats import Format, Formats

if TYPE_CHECKING:
    from birthright.retirement.records.interface import ChangeRecord

FORMATS: "Formats[ChangeRecord]" = Formats(
    {
        "markdown": Format("birthright.retirement.records.markdown", ".md"),
        "json": Format("birthright.retirement.records.json", ".json"),
        "csv": Format("birthright.retirement.records.csv", ".csv"),
    }
)
renderer, format_of = FORMATS.renderer, FORMATS.format_of
