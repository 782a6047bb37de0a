"""The table's rows as JSON within the page: short, because what repeats stands in tables of its own."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from birthright.findings.model import Document, Evidence, Finding, Waiver
from birthright.policies.page import Page
from birthright.reports.html.standings import WORDS, standing_of
from birthright.reports.remedies import (
    AWS_CLI,
    BIRTHRIGHT,
    NEXT,
    Template,
    template_of,
    values_of,
    why_not,
)
from birthright.text import printable

FIELDS = (
    "fingerprint", "standing", "risk", "policy", "account", "user", "arn", "key", "status", "made",
    "userMade", "gap", "everUsed", "lastUsed", "remedy", "state", "firstSeen", "reason", "waiver", "evidence",
    "commands",
)  # fmt: skip
_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
_NO_PAGE = "# no commands: the page of this policy is not here"


def safe_json(value: object) -> str:
    """Write JSON that can stand within a script element: nothing in it ends the element."""
    return msgspec.json.encode(value).decode().translate(_UNSAFE)


class _Table:
    """Values that repeat, each once, by number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Hashable, int] = {}

    def place(self, key: Hashable, value: object) -> int:
        """Return the number of a value; `key` tells it from the others."""
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]

    def text(self, text: str) -> int:
        """Return the number of a text."""
        return self.place(text, printable(text))


class _Given(NamedTuple):
    commands: _Table
    evidence: _Table
    reasons: _Table
    accounts: _Table
    waivers: _Table


class Commands:
    """The templates of commands, each read from its page once."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages
        self._found: dict[tuple[str, str, str], Template] = {}

    def of(self, finding: Finding) -> Iterable[tuple[str, str, Template | str, Sequence[str]]]:
        """Give, for a failure, each section's key, name, template (or why there is none) and values."""
        if finding.verdict != "fail" or finding.state == "fixed":
            return
        page = self._pages.get(finding.policy)
        if page is None:
            yield f"{finding.policy} none", AWS_CLI, _NO_PAGE, ()
            return
        for section in (BIRTHRIGHT, AWS_CLI):
            key = (finding.policy, finding.remedy, section)
            if key not in self._found:
                self._found[key] = template_of(page, finding.remedy, section)
            template = self._found[key]
            reason = why_not(template, finding)
            if reason:
                yield f"{section} {reason}", section, reason, ()
            elif any(part for part in template.parts if isinstance(part, int) or part.strip()):
                yield " ".join((*key, section)), section, template, values_of(template, finding)


def data_of(document: Document, pages: Mapping[str, Page], rows: Iterable[Finding]) -> str:
    """Return all that the page's script needs, as JSON that is safe within the page."""
    given = _Given(*(_Table() for _ in _Given._fields))
    names = {line.account_id: line.account_name for line in document.accounts}
    commands = Commands(pages)
    encoded = [_row(finding, given, names, commands) for finding in rows]
    return safe_json(
        {
            "asOf": _seconds(document.scan.as_of),
            "fields": FIELDS,
            "rows": encoded,
            "words": WORDS,
            "next": NEXT,
            **{name: table.values for name, table in given._asdict().items()},
        }
    )


def _row(f: Finding, given: _Given, names: Mapping[str, str | None], commands: Commands) -> list[object]:
    account = (printable(f.account_id), printable(names.get(f.account_id) or ""))
    return [
        f.fingerprint, standing_of(f), f.risk, f.policy, given.accounts.place(account, account),
        _shown(f.user_name), _shown(f.user_arn), _shown(f.access_key_id), _shown(f.status),
        _seconds(f.created_at), _seconds(f.user_created_at), f.gap_seconds, f.ever_used,
        _seconds(f.last_used_at), f.remedy, f.state, _seconds(f.first_seen),
        given.reasons.text(f.reason), _waiver(f.waiver, given.waivers),
        [value for item in f.evidence for value in _evidence(item, given.evidence)],
        [_command(key, name, template, values, given.commands)
         for key, name, template, values in commands.of(f)],
    ]  # fmt: skip


def _command(
    key: str, name: str, template: Template | str, values: Sequence[str], table: _Table
) -> list[object]:
    parts = (template,) if isinstance(template, str) else template.parts
    return [table.place(key, (name, parts)), *values]


def _evidence(item: Evidence, table: _Table) -> tuple[int, object]:
    """Return the number of what was asked, when and of whom, and the answer."""
    asked = (item.fact, item.source, _seconds(item.as_of))
    value = printable(item.value) if isinstance(item.value, str) else item.value
    return table.place(
        asked, tuple(printable(part) if isinstance(part, str) else part for part in asked)
    ), value


def _waiver(waiver: Waiver | None, table: _Table) -> int | None:
    if waiver is None:
        return None
    fields = {name: str(value) for name, value in msgspec.structs.asdict(waiver).items() if value is not None}
    return table.place(waiver, {name: printable(text) for name, text in fields.items()})


def _shown(text: str | None) -> str | None:
    return None if text is None else printable(text)


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
