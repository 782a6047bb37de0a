"""Markdown: to be read, and to be pasted into a change request. Nothing in it is taken as markup."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TextIO

import msgspec

from birthright.retirement.model import KeyFacts, Retirement, Step
from birthright.retirement.records.interface import ChangeRecord, RecordedChange
from birthright.text import printable
from birthright.times import format_duration, format_instant

# Entities for what HTML would read, as not every reader of Markdown knows `\<`; a backslash for the rest.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKUP = re.compile(r"[\\`*_\[\]{}#!|~^$]")
_DIGEST = 16


def render(record: ChangeRecord, out: TextIO) -> None:
    """Write the record: what was checked, then ticket by ticket and key by key."""
    out.writelines(f"{line}\n" for line in _lines(record))


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, on one line, also within a table."""
    shown = "".join(_ENTITIES.get(char, char) for char in printable(text))
    return _MARKUP.sub(lambda found: f"\\{found[0]}", shown)


def _lines(record: ChangeRecord) -> Iterator[str]:
    yield "# Change record"
    yield ""
    yield f"From the journal {escaped(record.journal)}, read {format_instant(record.as_of)}."
    checked = record.verification
    if checked.problem is None:
        yield f"All its {checked.steps} steps are whole; the last one's digest is {checked.head or 'none'}."
    else:
        yield f"**The journal is not whole:** {escaped(checked.problem)}."
    if not record.tickets:
        yield ""
        yield "Nothing was done that fits what was asked for."
    for group in record.tickets:
        yield ""
        yield f"## Ticket {escaped(group.ticket)}" if group.ticket else "## Without a ticket"
        for change in group.changes:
            yield from _change(change)


def _change(change: RecordedChange) -> Iterator[str]:
    retirement = change.retirement
    yield ""
    key, user = escaped(retirement.access_key_id), escaped(retirement.user_name)
    yield f"### Key {key} of {user}: {retirement.state}"
    yield ""
    yield from _table(("what", "value"), _summary(retirement))
    yield ""
    names = ("step", "when (UTC)", "who", "what", "call", "AWS request id", "detail", "changed", "digest")
    yield from _table(names, map(_step, change.steps))


def _summary(retirement: Retirement) -> Iterator[tuple[str, ...]]:
    """Give what an auditor asks first."""
    yield "account", f"{retirement.account_id} ({retirement.partition})"
    yield "user", retirement.user_arn
    yield "agreed", "disable, wait, delete" if retirement.action == "retire" else "rotate, then retire"
    yield "ticket", retirement.ticket or "none"
    yield "reason", retirement.reason or "none given"
    yield "asked for by", retirement.opened_by
    yield "opened", format_instant(retirement.opened_at)
    yield "plan", f"{retirement.plan.id}, digest {retirement.plan.digest}"
    for finding in retirement.findings:
        yield "finding", f"{finding.policy}: {finding.reason} ({finding.fingerprint})"
    yield "known when planned", "; ".join(_facts(retirement.planned))
    terms = msgspec.structs.asdict(retirement.terms)
    yield "terms", ", ".join(f"{name} {format_duration(length)}" for name, length in terms.items())
    yield from _replacement(retirement)
    yield "old key disabled", _instant(retirement.disabled_at)
    yield "ended", _instant(retirement.ended_at)
    yield "stands", f"{retirement.state}. {retirement.note}".strip()


def _replacement(retirement: Retirement) -> Iterator[tuple[str, ...]]:
    """Tell about the new key and where its secret went."""
    if retirement.handover:
        yield "hand-over agreed", retirement.handover
    new = retirement.replacement
    if new is None:
        return
    yield "new key", f"{new.access_key_id}, made {format_instant(new.created_at)}"
    yield "its secret went to", f"{new.destination or 'nowhere'}, {_instant(new.handed_over_at)}"
    yield "accepted by AWS", "yes" if new.proven else "not yet"
    yield "first used by somebody else", _instant(new.first_used_at)


def _facts(facts: KeyFacts) -> Iterator[str]:
    """Give every fact by its name, also those that are not known."""
    for name, value in msgspec.structs.asdict(facts).items():
        known = "not known" if value is None else _value(value)
        yield f"{name.replace('_', ' ')} {known}"


def _step(step: Step) -> tuple[str, ...]:
    changed = "the whole retirement" if step.kind == "opened" else _pairs(step.changes)
    when = format_instant(step.at)
    return (
        str(step.seq),
        when,
        step.actor,
        step.kind,
        step.call,
        step.request_id,
        _pairs(step.detail),
        changed,
        step.digest[:_DIGEST],
    )


def _pairs(values: Mapping[str, object]) -> str:
    return "; ".join(f"{name}: {_value(value)}" for name, value in values.items())


def _value(value: object) -> str:
    """Write one value: text as it is, anything with parts as JSON."""
    if isinstance(value, datetime):
        return format_instant(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _instant(moment: datetime | None) -> str:
    return format_instant(moment) if moment else "not yet"


def _table(names: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(map(escaped, row))} |"
