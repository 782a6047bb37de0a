"""The output formats of plans; a new one is its file and a line here."""

from typing import TYPE_CHECKING

from birthright.formats import Format, Formats

if TYPE_CHECKING:
    from birthright.retirement.planning.plan import Plan

_FORMATS = {
    "terminal": Format("birthright.retirement.show.plan_terminal", ".txt"),
    "json": Format("birthright.retirement.show.plan_json", ".json"),
    "markdown": Format("birthright.retirement.show.plan_markdown", ".md"),
}
FORMATS: "Formats[Plan]" = Formats(_FORMATS, " of a plan")
renderer, format_of = FORMATS.renderer, FORMATS.format_of
