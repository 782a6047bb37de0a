"""The table's rows as JSON within the page: short, because what repeats stands in tables of its own."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from birthright.findings.model import Document, Evidence, Finding, Remedy, Waiver
from birthright.policies.page import Page
from birthright.reports.html.statuses import WORDS, standing_of
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
_UNSAFE = {c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
_NO_PAGE = "# no commands: the page of this policy is not here"


def safe_json(value: object) -> str:
    """Write JSON that can stand within a script element: nothing in it ends the element."""
    text = msgspec.json.encode(value).decode()
    for character, escape in _UNSAFE.items():
        text = text.replace(character, escape)
    return text


class _Table:
    """Values that repeat, each once, by number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Hashable, int] = {}

    def place(self, key: Hashable, make: Callable[[], object]) -> int:
        """Return the number of a value, made when it is first seen; `key` identifies it."""
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(self.values)
            self.values.append(make())
        return place


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
        self._found: dict[tuple[str, Remedy], list[tuple[str, str, Template]]] = {}

    def of(self, finding: Finding) -> Iterable[tuple[str, str, Template | str, Sequence[str]]]:
        """Give, for a failure, each section's key, name, template (or why there is none) and values."""
        if finding.verdict != "fail" or finding.state == "fixed":
            return
        page = self._pages.get(finding.policy)
        if page is None:
            yield f"{finding.policy} none", AWS_CLI, _NO_PAGE, ()
            return
        key = (finding.policy, finding.remedy)
        if key not in self._found:
            self._found[key] = _templates(page, finding.remedy)
        for name, section, template in self._found[key]:
            reason = why_not(template, finding)
            if reason:
                yield f"{section} {reason}", section, reason, ()
            else:
                yield name, section, template, values_of(template, finding)


def _templates(page: Page, remedy: Remedy) -> list[tuple[str, str, Template]]:
    """Return the sections that have commands for a remedy: a key of its own, the name, the commands."""
    sections = [(name, template_of(page, remedy, name)) for name in (BIRTHRIGHT, AWS_CLI)]
    return [(f"{page.id} {remedy} {name}", name, each) for name, each in sections if not each.blank]


def data_of(document: Document, pages: Mapping[str, Page], rows: Iterable[Finding]) -> Iterator[str]:
    """Give all that the page's script needs, row by row, as JSON that is safe within the page."""
    given = _Given(*(_Table() for _ in _Given._fields))
    names = {line.account_id: line.account_name for line in document.accounts}
    commands = Commands(pages)
    yield safe_json({"asOf": _seconds(document.scan.as_of), "fields": FIELDS, "rows": ()}).removesuffix("]}")
    for number, finding in enumerate(rows):
        yield "," * (number > 0) + safe_json(_row(finding, given, names, commands))
    # What the rows name by number is known now.
    tables = {name: table.values for name, table in given._asdict().items()}
    yield "]," + safe_json({"words": WORDS, "next": NEXT, **tables}).removeprefix("{")


def _row(f: Finding, given: _Given, names: Mapping[str, str | None], commands: Commands) -> list[object]:
    name = names.get(f.account_id) or ""
    return [
        f.fingerprint, standing_of(f), f.risk, f.policy,
        given.accounts.place(f.account_id, lambda: (printable(f.account_id), printable(name))),
        _shown(f.user_name), _shown(f.user_arn), _shown(f.access_key_id), _shown(f.status),
        _seconds(f.created_at), _seconds(f.user_created_at), f.gap_seconds, f.ever_used,
        _seconds(f.last_used_at), f.remedy, f.state, _seconds(f.first_seen),
        given.reasons.place(f.reason, lambda: printable(f.reason)), _waiver(f.waiver, given.waivers),
        [value for item in f.evidence for value in _evidence(item, given.evidence)],
        [_command(key, name, template, values, given.commands)
         for key, name, template, values in commands.of(f)],
    ]  # fmt: skip


def _command(
    key: str, name: str, template: Template | str, values: Sequence[str], table: _Table
) -> list[object]:
    parts = (template,) if isinstance(template, str) else template.parts
    return [table.place(key, lambda: (name, parts)), *values]


def _evidence(item: Evidence, table: _Table) -> tuple[int, object]:
    """Return the number of what was asked, when and of whom, and the answer."""
    value = printable(item.value) if isinstance(item.value, str) else item.value
    return table.place((item.fact, item.source, item.as_of), lambda: _asked(item)), value


def _asked(item: Evidence) -> tuple[str, str, int | None]:
    return printable(item.fact), printable(item.source), _seconds(item.as_of)


def _waiver(waiver: Waiver | None, table: _Table) -> int | None:
    if waiver is None:
        return None
    fields = msgspec.structs.asdict(waiver)
    return table.place(
        waiver,
        lambda: {name: printable(str(value)) for name, value in fields.items() if value is not None},
    )


def _shown(text: str | None) -> str | None:
    return None if text is None else printable(text)


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
