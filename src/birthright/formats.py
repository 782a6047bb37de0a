"""A list of output formats, by name: a new format is its file, and a line in its list.

Reports, plans and change records have one each: `reports/formats.py`, `retirement/show/formats.py` and
`retirement/records/formats.py`.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Generic, NamedTuple, TextIO, TypeVar

from birthright.errors import UsageError

T = TypeVar("T")


class Format(NamedTuple):
    """Its module, whose `render` writes it and which is imported when it is asked for; its files' extension.

    evidence: it shows evidence. draws: it draws every key, those that pass as well.
    """

    module: str
    ending: str
    evidence: bool = False
    draws: bool = False


class Formats(Mapping[str, Format], Generic[T]):
    """The formats of things of one type. `what` is what they are formats of, as messages say it."""

    def __init__(self, formats: Mapping[str, Format], what: str = "") -> None:
        self._formats = formats
        self._what = what

    def __getitem__(self, name: str) -> Format:
        return self._formats[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._formats)

    def __len__(self) -> int:
        return len(self._formats)

    def renderer(self, name: str) -> Callable[[T, TextIO], None]:
        """Return the function that writes a format."""
        render: Callable[[T, TextIO], None] = import_module(self[name].module).render
        return render

    def format_of(self, path: Path) -> str:
        """Choose the format by a file's extension; the longest that fits. Raises UsageError."""
        fitting = [(len(form.ending), name) for name, form in self.items() if path.name.endswith(form.ending)]
        if fitting:
            return max(fitting)[1]
        endings = ", ".join(form.ending for form in self.values())
        raise UsageError(
            f"no format{self._what} is known for {path.name!r}", f"name it {endings}, or say --format"
        )
