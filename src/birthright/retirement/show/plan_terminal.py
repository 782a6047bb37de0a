"""The terminal: what will be retired and rotated, what was refused and why, and how long it holds."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from birthright.retirement.model import Terms
from birthright.retirement.planning.plan import Item, Plan
from birthright.retirement.show.words import last_use, named, place
from birthright.tables import add_row, grid, keys_table
from birthright.text import counted, printable, write_console
from birthright.times import format_duration

_NAMED = 3
_SHOWN = 10
_NARROW = 110  # columns: from there on there is room for the days keys were made


def render(plan: Plan, out: TextIO) -> None:
    """Write it for people; colours only where `out` is a terminal."""
    write_console(out, lambda console: _draw(console, plan))


def _draw(console: Console, plan: Plan) -> None:
    retire, rotate, refuse = plan.of("retire"), plan.of("rotate"), plan.of("refuse")
    console.print(_title(plan))
    console.print(_headline(len(retire), len(rotate), len(refuse)))
    if retire:
        _print_group(console, plan, Text("Retire", "bold red"), _retiring(plan.terms), retire)
    if rotate:
        _print_group(console, plan, Text("Rotate", "bold yellow"), _rotating(plan.terms), rotate)
    if refuse:
        _print_refused(console, plan, refuse)
    console.print()
    if retire or rotate:
        console.print(_validity(plan))
    console.print(Text(f"{plan.id}, from scan {plan.scan_id}", "dim"), soft_wrap=True)


def _title(plan: Plan) -> Text:
    accounts = sorted({item.account_id for item in plan.items})
    text = Text.assemble(("birthright plan", "bold"), "  ")
    if accounts:
        word = "account" if len(accounts) == 1 else "accounts"
        text.append(f"{word} {named(accounts, _NAMED)}  ")
    return text.append(f"facts as of {plan.scan_as_of:%Y-%m-%d %H:%M} UTC", "dim")


def _headline(retire: int, rotate: int, refuse: int) -> Text:
    if not (retire or rotate or refuse):
        return Text("There is nothing to plan: no failing finding asks to retire a key.", "green")
    parts = [
        (f"{counted(retire, 'key')} to retire", "bold red" if retire else "dim"),
        (", ", ""),
        (f"{rotate} to rotate", "bold yellow" if rotate else "dim"),
        (", ", ""),
        (f"{refuse} refused", "bold magenta" if refuse else "dim"),
        (". Nothing has been changed.", ""),
    ]
    return Text.assemble(*parts)


def _retiring(terms: Terms) -> str:
    return f"not in use: verify, disable, {format_duration(terms.quarantine)} later delete"


def _rotating(terms: Terms) -> str:
    quiet, quarantine = format_duration(terms.quiet), format_duration(terms.quarantine)
    return (
        "in use: make a new key, hand it over, prove it; when it is in use and the old one was quiet for "
        f"{quiet}, disable the old one; {quarantine} later delete it"
    )


def _print_group(console: Console, plan: Plan, title: Text, how: str, items: Sequence[Item]) -> None:
    console.print()
    console.print(title.append(f" ({len(items)})").append(f"  {how}", "not bold default"))
    places = {item.handover for item in items if item.handover}
    if len(places) == 1:
        console.print(Text(f"new secrets go to {printable(min(places))}", "dim"))
    several, dated = len({item.account_id for item in plan.items}) > 1, console.width >= _NARROW
    names = [
        ("account", several),
        ("user", True),
        ("access key", True),
        ("created", dated),
        ("last used", True),
    ]
    names += [
        ("for", dated and items[0].action == "rotate"),
        ("new secret goes to", len(places) > 1),
        ("why", True),
    ]
    made = keys_table(*(name for name, wanted in names if wanted))
    for item in items:
        cells = zip(names, _cells(item, plan), strict=True)
        add_row(made, *(cell for (_, wanted), cell in cells if wanted))
    console.print(made)


def _cells(item: Item, plan: Plan) -> tuple[str, ...]:
    facts = item.facts
    more = len(item.findings) - 1
    reason = printable(item.findings[0].reason) + (f" (+{more})" if more else "")
    used = last_use(facts, plan.scan_as_of)
    return (
        item.account_id,
        printable(item.user_name),
        item.access_key_id or "",
        f"{facts.created_at:%Y-%m-%d}" if facts.created_at else "",
        used,
        place(facts),
        printable(item.handover or ""),
        f"inactive; {reason}" if facts.is_inactive and "inactive" not in reason else reason,
    )


def _print_refused(console: Console, plan: Plan, items: Sequence[Item]) -> None:
    """Print each reason once, with whom it concerns and what to do."""
    console.print()
    title = Text(f"Refused ({len(items)})", "bold magenta")
    console.print(title.append("  a person has to look", "not bold default"))
    reasons: dict[str, list[Item]] = {}
    for item in items:
        reasons.setdefault(item.why, []).append(item)
    several = len({item.account_id for item in plan.items}) > 1
    for why, whom in sorted(reasons.items(), key=lambda entry: -len(entry[1])):
        line = grid("", "")
        add_row(line, Text(f"{len(whom):>4}", "magenta"), why)
        console.print(line)
        _print_whom(console, whom, several=several)


def _print_whom(console: Console, whom: Sequence[Item], *, several: bool) -> None:
    """Print the keys that are refused for one reason; what to do once, if it is the same for all."""
    advices = {item.advice for item in whom}
    if len(advices) == 1:
        console.print(_indented(_advice(min(advices))))
    for item in whom[:_SHOWN]:
        console.print(_indented(Text(_whose(item, several=several), "dim")))
        if len(advices) > 1:
            console.print(_indented(_advice(item.advice)))
    if len(whom) > _SHOWN:
        console.print(_indented(Text(f"and {len(whom) - _SHOWN} more: --format markdown has all", "dim")))


def _advice(advice: str) -> Text:
    return Text(f"-> {printable(advice)}", "cyan") if advice else Text()


def _whose(item: Item, *, several: bool) -> str:
    account = [item.account_id] if several else []
    words = [*account, item.user_name or "(no user)", item.access_key_id or "(id not read)"]
    return printable("  ".join(words))


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 6))


def _validity(plan: Plan) -> Text:
    length = format_duration(max(plan.expires_at - plan.created_at, timedelta()))
    until = f"It can be applied until {plan.expires_at:%Y-%m-%d %H:%M} UTC ({length})."
    return Text(
        f"{until} A disabled key can be switched on again with 'birthright undo KEY' until it is deleted."
    )
