"""The list of formats of change records; a new one is its file and a line here."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from birthright.errors import UsageError

if TYPE_CHECKING:
    from birthright.retirement.records.interface import Renderer

# format -> module, file ending. A module is imported when it is asked for.
FORMATS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "markdown": ("birthright.retirement.records.markdown", ".md"),
    "json": ("birthright.retirement.records.json", ".json"),
    "csv": ("birthright.retirement.records.csv", ".csv"),
})  # fmt: skip


def renderer(name: str) -> "Renderer":
    """Return the function that writes a format."""
    render: Renderer = import_module(FORMATS[name][0]).render
    return render


def format_of(path: Path) -> str:
    """Choose the format by a file's ending. Raises UsageError."""
    for name, (_, ending) in FORMATS.items():
        if path.name.endswith(ending):
            return name
    endings = ", ".join(ending for _, ending in FORMATS.values())
    raise UsageError(f"no format is known for {path.name!r}", f"name it {endings}, or say --format")
