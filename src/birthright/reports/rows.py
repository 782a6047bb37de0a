"""Rows of a query, for people, spreadsheets and programs."""

import csv
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TextIO

from birthright.reports.csv import cell

_MOST_SHOWN = 1000


def render_rows(names: Sequence[str], rows: Iterable[Sequence[Any]], form: str, out: TextIO) -> None:
    """Write rows in `terminal`, `csv` or `jsonl` form; times are UTC."""
    {"terminal": _terminal, "csv": _csv, "jsonl": _jsonl}[form](names, rows, out)


def _csv(names: Sequence[str], rows: Iterable[Sequence[Any]], out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([cell(name) for name in names])
    for row in rows:
        writer.writerow([cell(_plain(value)) for value in row])


def _jsonl(names: Sequence[str], rows: Iterable[Sequence[Any]], out: TextIO) -> None:
    out.writelines(json.dumps(dict(zip(names, map(_plain, row), strict=True)), default=str) + "\n" for row in rows)


def _terminal(names: Sequence[str], rows: Iterable[Sequence[Any]], out: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(Text(name), overflow="fold")
    count = 0
    for count, row in enumerate(rows, start=1):
        if count <= _MOST_SHOWN:
            table.add_row(*(Text("" if value is None else str(_plain(value))) for value in row))
    console = Console(file=out, highlight=False, width=None if out.isatty() else 160)
    console.print(table)
    more = f", {_MOST_SHOWN} shown; --format csv has all" if count > _MOST_SHOWN else ""
    console.print(Text(f"{count} row{'' if count == 1 else 's'}{more}", "dim"))


def _plain(value: Any) -> Any:  # noqa: ANN401  whatever the engine returns
    """Write the engine's zoneless UTC instants as AWS writes them."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value
