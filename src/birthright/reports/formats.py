"""The list of output formats; a new one is its file and a line here."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from birthright.errors import UsageError

if TYPE_CHECKING:
    from birthright.reports.interface import Renderer


class Format(NamedTuple):
    """Its module, imported when it is asked for; the ending of its files; whether it shows evidence.

    `draws`: it draws every key, those that pass as well.
    """

    module: str
    ending: str
    evidence: bool
    draws: bool = False


FORMATS: Mapping[str, Format] = MappingProxyType({
    "terminal": Format("birthright.reports.terminal", ".txt", evidence=False),
    "json": Format("birthright.reports.json", ".json", evidence=True),
    "jsonl": Format("birthright.reports.jsonl", ".jsonl", evidence=True),
    "html": Format("birthright.reports.html.page", ".html", evidence=True, draws=True),
    "csv": Format("birthright.reports.csv", ".csv", evidence=False),
    "markdown": Format("birthright.reports.markdown", ".md", evidence=False),
    "sarif": Format("birthright.reports.sarif", ".sarif", evidence=False),
    "ocsf": Format("birthright.reports.ocsf", ".ocsf.json", evidence=True),
    "ocsf-1.6": Format("birthright.reports.ocsf_1_6", ".ocsf-1.6.json", evidence=True),
    "asff": Format("birthright.reports.asff", ".asff.json", evidence=False),
    "junit": Format("birthright.reports.junit", ".xml", evidence=True),
})  # fmt: skip


def renderer(name: str) -> "Renderer":
    """Return the function that writes a format."""
    render: Renderer = import_module(FORMATS[name].module).render
    return render


def format_of(path: Path) -> str:
    """Choose the format by a file's ending; the longest that fits. Raises UsageError."""
    fitting = [(len(form.ending), name) for name, form in FORMATS.items() if path.name.endswith(form.ending)]
    if fitting:
        return max(fitting)[1]
    endings = ", ".join(form.ending for form in FORMATS.values())
    raise UsageError(f"no format is known for {path.name!r}", f"name it {endings}, or say --format")
