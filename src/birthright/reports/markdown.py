"""Markdown for people: short enough for an issue, a pull request or the summary of a CI job."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TextIO

from birthright.facts.coverage import WHOLE
from birthright.findings.model import Document, Finding, Remedy, WaiverState, WaiverSummary
from birthright.findings.ranking import SHOWN, rank
from birthright.reports.headline import headline
from birthright.reports.interface import Report
from birthright.reports.organization import AccountsOverview
from birthright.reports.subjects import clip, is_root
from birthright.reports.survey import Sample, Survey, survey
from birthright.text import printable

_GROUPS: tuple[tuple[Remedy, str], ...] = (
    ("retire", "Not in use: verify, disable, wait, delete"),
    ("rotate", "In use: make a new key, move over, then retire this one"),
    ("review", "Needs review: root's, or its use is not known"),
    ("none", "Other findings: manual remediation"),
)
_WAIVERS: tuple[tuple[WaiverState, str], ...] = (
    ("expired", "over: what was covered fails again"),
    ("expiring", "soon over"),
    ("unmatched", "nothing is covered any more"),
    ("unread", "about what was not read"),
)
_LONGEST = 200
# Words that are the same in Markdown, and that no viewer makes a link or a mention of.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,;:()'./%+-]*")
_LINKS = re.compile(r"://|www\.|\bgh-\d|:[a-z0-9+-]+:", re.IGNORECASE)


def render(report: Report, out: TextIO) -> None:
    """Write it; at most a few rows of each kind, however many findings there are."""
    document = report.document
    accounts = AccountsOverview(document)
    found = survey(document, several=accounts.several)
    out.writelines(f"{part}\n" for part in _parts(document, accounts, found))


def code(text: str) -> str:
    """Write what strangers chose as code, in which nothing is a link, a mention, HTML or another cell.

    What would end the code or the cell becomes an escape, as does what cannot be seen.
    """
    safe = clip(printable(text), _LONGEST).replace("`", "\\x60").replace("|", "\\x7c")
    return f"`{safe}`" if safe.strip() else "(blank)"


def words(text: str) -> str:
    """Write a sentence: as it is where that is safe, else as code."""
    short = clip(printable(text), _LONGEST)
    safe = _PLAIN.fullmatch(short) and not _LINKS.search(short) and short.strip() == short
    return short if safe else code(text)


def _parts(document: Document, accounts: AccountsOverview, found: Survey) -> Iterator[str]:
    yield f"# birthright: {_headline(document)}"
    yield ""
    yield f"{_asked(accounts)}, {document.scan.as_of:%Y-%m-%d %H:%M} UTC, scan {code(document.scan.id)}."
    yield ""
    yield from _unread(document, accounts)
    yield from _born(document, found)
    yield from _changes(document)
    yield from _counts(document)
    if document.changes and document.changes.since and found.fresh.count:
        yield from _group("New since then", found.fresh, several=accounts.several)
    for remedy, title in _GROUPS:
        if found.failing[remedy].count:
            yield from _group(title, found.failing[remedy], several=accounts.several)
    yield from _unknown(found)
    yield from _waivers(document)


def _headline(document: Document) -> str:
    summary = document.summary
    counts = [_counted(summary.fail, "failure"), f"{summary.unknown} unknown", f"{summary.passed} passed"]
    counts += [f"{summary.waived} waived"] if summary.waived else []
    if not document.read:
        return "no account was read"
    return ", ".join(counts) + ("" if document.complete else ", and not everything was read")


def _asked(accounts: AccountsOverview) -> str:
    """Say what the scan is about; ids may be anything in a document from elsewhere."""
    if len(accounts.all) == 1:
        return f"Account {code(accounts.all[0])}"
    text = accounts.title()
    return f"{text[:1].upper()}{text[1:]}"


def _unread(document: Document, accounts: AccountsOverview) -> Iterator[str]:
    gaps = [line for line in document.coverage if line.status not in WHOLE]
    if document.complete and not document.scan.notes:
        return
    yield "## Not everything was read"
    yield ""
    if not document.read:
        yield "- **No account was read.** Nothing below says that anything is in order."
    if not document.scan.finished:
        yield f"- **The scan did not finish**: {accounts.count('unread')} accounts were not read."
    if not document.scan.listed:
        yield "- **The scan was cut short before all accounts were listed**: there are more than it says."
    for note in document.scan.notes[:SHOWN]:
        yield f"- {words(note)}"
    yield from _more(len(document.scan.notes), "notes")
    for line in gaps[:SHOWN]:
        name = f" ({code(line.account_name)})" if line.account_name else ""
        what = f"{code(line.source)} {line.status}: {words(line.detail)}"
        yield f"- account {code(line.account_id)}{name}: {what}"
    yield from _more(len(gaps), "reads that were not answered")
    yield ""


def _more(count: int, what: str) -> Iterator[str]:
    if count > SHOWN:
        yield f"- and {count - SHOWN} more {what}"


def _born(document: Document, found: Survey) -> Iterator[str]:
    """Answer the question birthright is asked first."""
    answer = headline(document, found.born)
    if answer is None:
        return
    detail = f": {answer.detail}" if answer.detail else ""
    yield f"**{answer.text}**{detail}." if answer.tone == "bad" else f"{answer.text}{detail}."
    yield ""


def _changes(document: Document) -> Iterator[str]:
    changes = document.changes
    if changes is None:
        return
    if changes.since is None or changes.since_as_of is None:
        yield "There is no earlier scan to compare with: everything is new."
        yield ""
        return
    since = f"{code(changes.since)} ({changes.since_as_of:%Y-%m-%d %H:%M} UTC)"
    counts = [(changes.new, "new"), (changes.reappeared, "reappeared"), (changes.fixed, "fixed")]
    counts += [(changes.persisting, "unchanged")]
    counts += [(changes.unread, "not read this time")] if changes.unread else []
    yield f"Since scan {since}: {', '.join(f'{count} {what}' for count, what in counts)}."
    yield ""


def _counts(document: Document) -> Iterator[str]:
    yield "| policy | risk | fail | waived | unknown | pass |"
    yield "|---|---|---:|---:|---:|---:|"
    for line in sorted(document.policies, key=lambda line: rank(line.id, line.risk)):
        numbers = (line.fail, line.waived, line.unknown, line.passed)
        yield f"| {code(line.id)} {words(line.title)} | {line.risk} | {' | '.join(map(str, numbers))} |"
    yield ""


def _group(title: str, group: Sample, *, several: bool) -> Iterator[str]:
    yield f"## {title} ({group.count})"
    yield ""
    names = [*(["account"] if several else []), "whose", "access key", "created", "last used", "why"]
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for findings in group.shown:
        cells = list(_cells(findings))
        yield f"| {' | '.join(cells if several else cells[1:])} |"
    if group.count > SHOWN:
        yield ""
        yield f"and {group.count - SHOWN} more; the JSON and CSV reports have all."
    yield ""


def _cells(findings: Sequence[Finding]) -> Iterator[str]:
    first = findings[0]
    state = {"new": "**new**: ", "reappeared": "**reappeared**: "}.get(first.state or "", "")
    more = len(findings) - 1
    yield code(first.account_id)
    yield _name(first)
    yield code(first.access_key_id) if first.access_key_id else "id not read" if first.created_at else ""
    yield _day(first.created_at)
    yield _day(first.last_used_at) or ("never" if first.ever_used is False else "")
    yield f"{state}{words(first.reason)}" + (f" (+{more})" if more else "")


def _name(finding: Finding) -> str:
    """Name the user as code; root and the account in words."""
    if finding.user_name is None:
        return "the account"
    return "root" if is_root(finding) else code(finding.user_name)


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""


def _unknown(found: Survey) -> Iterator[str]:
    reasons = sorted(found.unknown.items(), key=lambda item: -item[1].count)
    if not reasons:
        return
    yield f"## Could not be judged ({sum(one.count for _, one in reasons)})"
    yield ""
    for reason, one in reasons[:SHOWN]:
        others = one.subjects - len(one.names)
        names = ", ".join(map(code, one.names)) + (f" and {others} more" if others > 0 else "")
        yield f"- {one.count}: {words(reason)} ({names})"
    yield from _more(len(reasons), "reasons")
    yield ""


def _waivers(document: Document) -> Iterator[str]:
    listed = [(state, text, _of(document.waivers, state)) for state, text in _WAIVERS]
    if not any(lines for *_, lines in listed):
        return
    yield "## Waivers to review"
    yield ""
    for state, text, lines in listed:
        if lines:
            yield f"{_counted(len(lines), 'waiver')} {state} ({text}):"
            yield ""
            yield from map(_waiver, lines[:SHOWN])
            yield from _more(len(lines), "of them")
            yield ""


def _of(lines: Sequence[WaiverSummary], state: WaiverState) -> list[WaiverSummary]:
    return [line for line in lines if line.state == state]


def _waiver(line: WaiverSummary) -> str:
    key = f" {code(line.access_key_id)}" if line.access_key_id else ""
    about = f"{code(line.policy)}, account {code(line.account)}, user {code(line.user)}{key}"
    ticket = f", {code(line.ticket)}" if line.ticket else ""
    return f"- {about}: until {line.expires}, owner {code(line.owner)}{ticket}: {words(line.reason)}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
