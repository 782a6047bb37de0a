"""Where retirements stand, for people: what a person has to look at first."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from birthright.retirement.model import Retirement, State
from birthright.tables import add_row, keys_table
from birthright.text import write_console
from birthright.times import format_duration

_GROUPS: tuple[tuple[str, str, tuple[State, ...]], ...] = (
    ("Stopped: a person has to look", "bold red", ("stopped",)),
    ("Reclaimed: somebody switched the key on again", "bold red", ("reclaimed",)),
    ("Not begun", "bold", ("open",)),
    ("Interrupted: the next run goes on", "bold yellow", ("created",)),
    ("Replaced: waiting until the new key is in use and the old one quiet", "bold yellow",
     ("handed-over", "proven", "moved")),
    ("Disabled: in quarantine", "bold yellow", ("disabled",)),
    ("Deleted", "bold green", ("deleted", "gone")),
    ("Undone", "bold cyan", ("undone",)),
)  # fmt: skip
_GRAINS = (timedelta(hours=1), timedelta(minutes=1))


def render(retirements: Sequence[Retirement], now: datetime, out: TextIO) -> None:
    """Write a table for each state; `now` is the present, UTC, for what is due."""
    write_console(out, lambda console: _draw(console, retirements, now))


def _draw(console: Console, retirements: Sequence[Retirement], now: datetime) -> None:
    several = len({r.account_id for r in retirements}) > 1
    for title, style, states in _GROUPS:
        group = sorted((r for r in retirements if r.state in states), key=_order)
        if group:
            console.print(Text(f"{title} ({len(group)})", style))
            console.print(_table(group, now, several=several))
    console.print(_summary(retirements))


def _table(group: Sequence[Retirement], now: datetime, *, several: bool) -> Table:
    account = ["account"] if several else []
    made = keys_table(*account, "user", "access key", "next", "where it stands")
    for r in group:
        whose = [r.account_id] if several else []
        add_row(made, *whose, r.user_name, r.access_key_id, when(r, now), note(r))
    return made


def _order(r: Retirement) -> tuple[str, str, datetime]:
    return r.account_id, r.user_name, r.opened_at


def when(r: Retirement, now: datetime) -> str:
    """Say when there is something to do next."""
    if not r.is_open:
        return "-"
    # A disabled key is looked at meanwhile; what people ask for is when it goes.
    due = r.disabled_at + r.terms.quarantine if r.disabled_at else r.due_at
    if due is None or due <= now:
        return "now"
    return f"in {format_duration(_rounded_up(due - now))}"


def _rounded_up(wait: timedelta) -> timedelta:
    """Leave out what nobody waits for: seconds of hours, minutes of days."""
    grain = next((grain for grain in _GRAINS if wait > grain), timedelta(seconds=1))
    return -(-wait // grain) * grain


def note(r: Retirement) -> str:
    """Say where it stands; a replacement is named."""
    said = r.note or ("to be disabled" if r.action == "retire" else "to be replaced")
    key = r.replacement.access_key_id if r.replacement else ""
    new = f" (new key {key})" if key and key not in said else ""
    unknown = f"; '{r.intent.call}' was interrupted" if r.intent else ""
    return f"{said}{new}{unknown}"


def _summary(retirements: Sequence[Retirement]) -> Text:
    if not retirements:
        return Text("No retirement.", "dim")
    still = sum(r.is_open for r in retirements)
    word = "retirement" if len(retirements) == 1 else "retirements"
    return Text(f"{len(retirements)} {word}, {still} still open", "dim")
