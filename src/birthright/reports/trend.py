"""How the findings went, scan by scan: a line and a bar for each."""

import csv
from collections.abc import Sequence
from typing import TextIO

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from birthright.findings.model import PastScan
from birthright.history.series import Series
from birthright.tables import GAP, add_row, fixed, number, table
from birthright.text import cell, printable, write_console
from birthright.times import format_instant

SCHEMA = "birthright.history/1"
_COLUMNS = ("series", "as_of", "scan", "accounts", "fail", "new", "fixed", "unknown", "complete")
_NAMED = 3
# What the columns of numbers take, the scan's id, the time.
_NUMBERS, _ID, _TIME = 40, 24, 18
_WIDEST = 40
_INCOMPLETE = "incomplete"


def render_json(series: Sequence[Series], out: TextIO) -> None:
    """Write all of it as one JSON document; failures by policy."""
    document = {"schema": SCHEMA, "series": series}
    out.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def render_csv(series: Sequence[Series], out: TextIO) -> None:
    """Write a line for each scan; `series` numbers those that belong together."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for place, one in enumerate(series, 1):
        for scan in one.scans:
            counts = (scan.accounts, scan.fail, scan.new, scan.fixed, scan.unknown, scan.complete)
            writer.writerow([cell(value) for value in (place, scan.as_of, scan.id, *counts)])


def render_terminal(series: Sequence[Series], out: TextIO) -> None:
    """Write a table for each series; the bars are blocks on a terminal that has them, else `#` and `?`."""
    blocks = ("█", "░") if out.isatty() and _has_blocks(out) else ("#", "?")
    write_console(out, lambda console: _draw(console, series, blocks))


def _has_blocks(out: TextIO) -> bool:
    return (out.encoding or "").lower().replace("-", "") == "utf8"


def _draw(console: Console, series: Sequence[Series], blocks: tuple[str, str]) -> None:
    for one in series:
        console.print(Text(_title(one), "bold"))
        console.print(_table(one.scans, console.width, blocks))
        console.print()
    console.print(Text(f"{blocks[0]} fails  {blocks[1]} unknown", "dim"))


def _title(series: Series) -> str:
    names = [printable(account) for account in series.accounts]
    if len(names) == 1:
        return f"Account {names[0]}"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} accounts: {', '.join(names[:_NAMED])}{more}"


def _table(scans: Sequence[PastScan], width: int, blocks: tuple[str, str]) -> Table:
    # The id has the time in it, too.
    named = width >= _NUMBERS + _ID
    timed = not named or width >= _NUMBERS + _ID + _TIME + _WIDEST // 2
    room = width - _NUMBERS - named * _ID - timed * _TIME
    room -= 1 + len(_INCOMPLETE) if not all(scan.complete for scan in scans) else 0
    names = [*(["as of (UTC)"] if timed else []), *(["scan"] if named else [])]
    counted = ("accounts", "fail", "new", "fixed", "unknown")
    made = table(*map(fixed, names), *map(number, counted), fixed())
    most = max(scan.fail + scan.unknown for scan in scans)
    for scan in scans:
        counts = (scan.accounts, scan.fail, scan.new, scan.fixed, scan.unknown)
        bar = _bar(scan, most, min(room, _WIDEST), blocks)
        if not scan.complete:
            bar.append(f"{' ' if bar else ''}{_INCOMPLETE}", "yellow")
        when = [f"{format_instant(scan.as_of)[:16].replace('T', ' ')}"] if timed else []
        add_row(made, *when, *([scan.id] if named else []), *map(str, counts), bar)
    return made


def _bar(scan: PastScan, most: int, room: int, blocks: tuple[str, str]) -> Text:
    """Draw failures and unknowns on one scale; what is there at all is seen."""
    bar = Text()
    if room >= GAP:
        for count, block, style in ((scan.fail, blocks[0], "red"), (scan.unknown, blocks[1], "yellow")):
            bar.append(block * (max(1, round(count * (room - 1) / most)) if count else 0), style)
    return bar
