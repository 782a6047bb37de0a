"""Markdown, ready to be pasted into a change request. Names are shown as they are and never as markup."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TextIO

from birthright.retirement.planning import aws_cli
from birthright.retirement.planning.plan import Item, Plan
from birthright.retirement.show.words import last_use, place
from birthright.text import counted, printable
from birthright.times import format_duration, format_instant

_MARKUP = re.compile(r"([\\`*_\[\]<>|~&#!$])")
_LINKS = re.compile(r"(?<=\w):(?=//)|(?<=\bwww)\.", re.IGNORECASE)


def render(plan: Plan, out: TextIO) -> None:
    """Write the whole change request."""
    out.writelines(f"{line}\n" for line in _lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    retire, rotate, refuse = plan.of("retire"), plan.of("rotate"), plan.of("refuse")
    yield f"# Access keys: {len(retire)} to retire, {len(rotate)} to rotate, {len(refuse)} refused"
    yield ""
    yield from _summary(plan)
    for title, items in (("Keys to retire", retire), ("Keys to rotate", rotate)):
        if items:
            yield from _keys(plan, title, items)
    if retire or rotate:
        yield from ("", "## Steps")
        for item in (*retire, *rotate):
            yield from _steps(item)
        yield from _rollback()
    if refuse:
        yield from _refusals(refuse)


def _summary(plan: Plan) -> Iterator[str]:
    terms, accounts = plan.terms, sorted({item.account_id for item in plan.items})
    rows = [
        ("Plan", code(plan.id)),
        ("SHA-256", code(plan.digest)),
        ("Accounts", ", ".join(map(code, accounts)) or "none"),
        ("Facts", f"scan {code(plan.scan_id)}, as of {format_instant(plan.scan_as_of)}"),
        ("Valid", f"from {format_instant(plan.created_at)} until {format_instant(plan.expires_at)}"),
        ("In use means", f"used within {format_duration(terms.in_use)}"),
        ("Disabled before it is deleted", format_duration(terms.quarantine)),
        ("Old key quiet before it is disabled", format_duration(terms.quiet)),
        ("Rotation overdue after", f"{format_duration(terms.deadline)}; never forced"),
        ("Apply with", code("birthright apply plan.json")),
    ]
    yield from ("|   |   |", "|---|---|")
    yield from (f"| {name} | {value} |" for name, value in rows)
    if not plan.items:
        yield from ("", "There is nothing to plan: no failing finding asks to retire a key.")


def _keys(plan: Plan, title: str, items: Sequence[Item]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield "| account | user | access key | status | created | last used | for | known as of | why |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for item in items:
        facts = item.facts
        used = f"{_instant(facts.last_used_at)} ({last_use(facts, plan.scan_as_of)})"
        cells = (
            code(item.account_id),
            code(item.user_name),
            code(item.access_key_id or ""),
            text(facts.status or "not known"),
            _instant(facts.created_at),
            used if facts.last_used_at else last_use(facts, plan.scan_as_of),
            text(place(facts)),
            _instant(facts.as_of),
            text("; ".join(dict.fromkeys(f"{ref.reason} ({ref.policy})" for ref in item.findings))),
        )
        yield f"| {' | '.join(cells)} |"


def _steps(item: Item) -> Iterator[str]:
    account = f"account {code(item.account_id, table=False)}"
    key, user = code(item.access_key_id or "", table=False), code(item.user_name, table=False)
    yield from ("", f"### {item.action.capitalize()} {key} of {user}, {account}", "")
    yield f"Why: {text(item.why)}."
    yield ""
    for number, step in enumerate(item.steps, 1):
        wait = f"**{text(step.after)}:** " if step.after else ""
        yield f"{number}. {wait}{text(step.what)}"
        if step.cli:
            yield from _block(step.cli)
    undo = code(f"birthright undo {item.access_key_id}", table=False)
    yield from ("", f"Rollback until it is deleted: {undo}")


def _block(command: str) -> Iterator[str]:
    """Write a command as a part of a list's item; what is in it cannot end it."""
    fence = "`" * max(3, _longest_run(command) + 1)
    yield ""
    yield f"   {fence}sh"
    yield from (f"   {printable(line)}" for line in command.splitlines())
    yield f"   {fence}"
    yield ""


def _rollback() -> Iterator[str]:
    yield from ("", "## Rollback", "")
    yield "A disabled key can be switched on again at any time before it is deleted; deletion is final."
    yield ""
    yield from ("'birthright undo' does that and keeps the journal right. By hand:", "")
    yield from ("```sh", aws_cli.enable("USER_NAME", "ACCESS_KEY_ID"), "```")


def _refusals(items: Sequence[Item]) -> Iterator[str]:
    verb = "is" if len(items) == 1 else "are"
    yield from (
        "",
        "## Refused",
        "",
        f"{counted(len(items), 'key')} {verb} left alone; a person has to look.",
        "",
    )
    yield "| account | user | access key | why | what to do |"
    yield "|---|---|---|---|---|"
    for item in items:
        key = code(item.access_key_id) if item.access_key_id else "id not read"
        words = (code(item.account_id), code(item.user_name), key, text(item.why), text(item.advice))
        yield f"| {' | '.join(words)} |"


def _instant(moment: datetime | None) -> str:
    return format_instant(moment) if moment else "not known"


def text(words: str) -> str:
    """Escape words so that none of them is markup, a link or a line of its own."""
    return _LINKS.sub(lambda found: f"\\{found[0]}", _MARKUP.sub(r"\\\1", printable(words)))


def code(words: str, *, table: bool = True) -> str:
    """Write words as code, whatever backticks are in them; in a table a bar is escaped."""
    shown = printable(words)
    if not shown.strip():
        return ""
    fence = "`" * (_longest_run(shown) + 1)
    padded = f" {shown} " if shown[0] in "` " or shown[-1] in "` " else shown
    return f"{fence}{padded.replace('|', chr(92) + '|') if table else padded}{fence}"


def _longest_run(words: str) -> int:
    return max(map(len, re.findall("`+", words)), default=0)
