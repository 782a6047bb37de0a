"""The list of a plan's formats; a new one is its file and a line here."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from birthright.errors import UsageError
from birthright.retirement.planning.plan import Plan

Renderer = Callable[[Plan, TextIO], None]

# format -> module, file ending. A module is imported when it is asked for.
FORMATS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "terminal": ("birthright.retirement.show.plan_terminal", ".txt"),
    "json": ("birthright.retirement.show.plan_json", ".json"),
    "markdown": ("birthright.retirement.show.plan_markdown", ".md"),
})  # fmt: skip


def renderer(name: str) -> Renderer:
    """Return the function that writes a format."""
    render: Renderer = import_module(FORMATS[name][0]).render
    return render


def format_of(path: Path) -> str:
    """Choose the format by a file's ending. Raises UsageError."""
    for name, (_, ending) in FORMATS.items():
        if path.name.endswith(ending):
            return name
    endings = ", ".join(ending for _, ending in FORMATS.values())
    raise UsageError(f"no format of a plan is known for {path.name!r}", f"name it {endings}, or say --format")
