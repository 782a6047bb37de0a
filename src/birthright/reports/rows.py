"""Rows of a query, for people, spreadsheets and programs."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TextIO

from birthright.errors import UsageError
from birthright.text import cell, printable, write_console

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_MOST_SHOWN = 1000
_PIPED_WIDTH = 160


def render_rows(names: Sequence[str], rows: Iterable[Sequence[Any]], form: str, out: TextIO) -> None:
    """Write rows in `terminal`, `csv` or `jsonl` form; times are UTC.

    Raises UsageError for two columns of one name in jsonl, whatever reading the rows raises.
    """
    {"terminal": _terminal, "csv": _csv, "jsonl": _jsonl}[form](names, rows, out)


def _csv(names: Sequence[str], rows: Iterable[Sequence[Any]], out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([cell(name) for name in names])
    for row in rows:
        writer.writerow([cell(_plain(value)) for value in row])


def _jsonl(names: Sequence[str], rows: Iterable[Sequence[Any]], out: TextIO) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(f"two columns are called {min(twice)!r}", "name one of them with AS")
    records = (dict(zip(names, map(_plain, row), strict=True)) for row in rows)
    out.writelines(json.dumps(record, default=str) + "\n" for record in records)


def _terminal(names: Sequence[str], rows: Iterable[Sequence[Any]], out: TextIO) -> None:
    rest = iter(rows)
    shown = [[_text(value) for value in row] for row in islice(rest, _MOST_SHOWN)]
    more = sum(1 for _ in rest)
    count = len(shown) + more
    foot = f"{count} row{'' if count == 1 else 's'}"
    foot += f", {_MOST_SHOWN} shown; --format csv has all" if more else ""

    def draw(console: "Console") -> None:
        from rich.text import Text

        for part in _table([printable(name) for name in names], shown, console.width):
            console.print(part)
        console.print(Text(foot, "dim"))

    write_console(out, draw, _PIPED_WIDTH)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> "Iterator[RenderableType]":
    """Give a table; or, where that would tear its cells, each row as lines of `name value`."""
    from rich.table import Column
    from rich.text import Text

    from birthright.tables import GAP, add_row, fixed, grid, table

    needed = sum(max(map(len, column)) + GAP for column in zip(names, *rows, strict=True))
    if needed - GAP <= width or len(names) == 1 or not rows:
        made = table(*(Column(Text(name), overflow="fold") for name in names), heading="bold")
        for row in rows:
            add_row(made, *row)
        yield made
        return
    for row in rows:
        record = grid(fixed(), "")
        for name, value in zip(names, row, strict=True):
            add_row(record, Text(name, "bold"), value)
        yield record
        yield ""


def _text(value: Any) -> str:  # noqa: ANN401 - whatever the engine returns
    plain = str(value).lower() if isinstance(value, bool) else str(_plain(value))
    return "" if value is None else printable(plain)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever the engine returns
    """Write the engine's zoneless UTC instants as AWS writes them, also inside lists and structs."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return value
