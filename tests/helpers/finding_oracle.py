"""Findings made in plain Python, one after another: what the engine's SQL must give, in its order."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from birthright.findings.finding import order
from birthright.findings.model import Evidence, Finding, Remedy
from birthright.policies.evaluator import Judgement, Row
from birthright.policies.page import Page
from birthright.times import format_instant

if TYPE_CHECKING:
    from birthright.facts.model import AccessKey, Coverage, Principal

_VERDICTS = ("fail", "unknown", "pass")
_LAST = "9999-12-31T23:59:59.999999"
_REPORT = "GetCredentialReport"


class Oracle:
    """Knows the facts of a scan, and makes findings of verdicts on them."""

    def __init__(
        self, facts: Mapping[str, Sequence[Any]], instants: Iterable[datetime], in_use: timedelta
    ) -> None:
        keys: Sequence[AccessKey] = facts["access_keys"]
        people: Sequence[Principal] = facts["principals"]
        coverage: Sequence[Coverage] = facts["coverage"]
        self._instants, self._in_use = tuple(instants), in_use
        self._keys = Counter((key.account_id, key.user_name) for key in keys)
        self._named = Counter(
            (key.account_id, key.user_name) for key in keys if key.access_key_id is not None
        )
        self._people = {(one.account_id, one.user_name): one for one in people}
        self._spoke = {(row.account_id, row.source): row.report_generated_at or row.as_of for row in coverage}
        self._listed = {
            row.account_id
            for row in coverage
            if row.source == "ListUsers" and row.status in {"ok", "partial"}
        }

    def findings(self, judgements: Iterable[Judgement]) -> list[Finding]:
        """Make the findings of judgements, in order."""
        found = []
        for one in judgements:
            silent = (Row("unknown", f"could not be judged: {why}", who) for who, why in one.unread.items())
            found += [self._finding(one.page, row, identity) for row, identity in _numbered(one.rows)]
            found += [self._finding(one.page, row, identity) for row, identity in _numbered(silent)]
        return sorted(found, key=order)

    def _finding(self, page: Page, row: Row, identity: tuple[str | int, ...]) -> Finding:
        gap = row.created_at - row.user_created_at if row.created_at and row.user_created_at else None
        parts = msgspec.json.encode([page.id, *identity])
        return Finding(
            fingerprint=hashlib.sha256(parts).hexdigest()[:32],
            policy=page.id,
            verdict=row.verdict,
            risk=page.front.risk,
            account_id=row.account_id,
            user_name=row.user_name,
            user_arn=row.user_arn,
            access_key_id=row.access_key_id,
            status=row.status,
            created_at=row.created_at,
            user_created_at=row.user_created_at,
            gap_seconds=None if gap is None else int(gap.total_seconds()),
            ever_used=row.ever_used,
            last_used_at=row.last_used_at,
            console_password=row.console_password,
            remedy=self._remedy(page, row),
            reason=row.reason or page.front.title,
            evidence=tuple(self._evidence(page, row)),
            user_keys=self._keys_beside(row),
        )

    def _keys_beside(self, row: Row) -> int | None:
        user = (row.account_id, row.user_name or "")
        if row.access_key_id is None or self._keys[user] != self._named[user]:
            return None
        return max(self._keys[user], 1)

    def _remedy(self, page: Page, row: Row) -> Remedy:
        if row.verdict != "fail" or page.front.remedy == "none":
            return "none"
        answers = {self._in_use_at(row, at) for at in self._instants}
        in_use = None if row.is_root or len(answers) > 1 else answers.pop()
        return "review" if in_use is None else "rotate" if in_use else "retire"

    def _in_use_at(self, row: Row, at: datetime) -> bool | None:
        if row.status == "Inactive":
            return False
        if row.last_used_at is not None:
            return at - row.last_used_at < self._in_use
        if row.ever_used is False and row.created_at is not None:
            return False if at - row.created_at >= timedelta(days=1) else None
        return None

    def _evidence(self, page: Page, row: Row) -> Iterator[Evidence]:
        if row.user_name is None:
            return
        if page.front.subject == "access-key":
            yield from self._of_key(row)
        person = self._people.get((row.account_id, row.user_name))
        listed = row.account_id in self._listed and (person is None or person.in_listing is True)
        yield self._fact(row, "user_created_at", "ListUsers" if listed else _REPORT)
        yield self._fact(row, "console_password", _REPORT)
        for name in ("password_last_changed_at", "password_last_used_at"):
            if person and person.console_password and getattr(person, name):
                at = self._spoke.get((row.account_id, _REPORT))
                yield Evidence(name, format_instant(getattr(person, name)), _REPORT, at)

    def _of_key(self, row: Row) -> Iterator[Evidence]:
        source = "ListAccessKeys" if row.created_source == "listing" else _REPORT
        used = "GetAccessKeyLastUsed" if row.last_used_source == "lookup" else _REPORT
        if row.access_key_id is None and row.slot is not None:
            yield self._fact(row, "slot", _REPORT)
        yield self._fact(row, "status", source)
        yield self._fact(row, "created_at", source)
        yield self._fact(row, "ever_used", used)
        if row.ever_used:
            for name in ("last_used_at", "last_used_region", "last_used_service"):
                yield self._fact(row, name, used)

    def _fact(self, row: Row, name: str, source: str) -> Evidence:
        value = getattr(row, name)
        shown = format_instant(value) if isinstance(value, datetime) else value
        return Evidence(name, shown, source, self._spoke.get((row.account_id, source)))


def _numbered(rows: Iterable[Row]) -> Iterator[tuple[Row, tuple[str | int, ...]]]:
    """Give each row its identity, with its number among the keys of one user made in the same second."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for row in sorted(rows, key=_rank):
        made = format_instant(row.created_at) if row.created_at else f"slot {row.slot}" if row.slot else ""
        identity = row.account_id, row.user_name or "", made
        yield row, (*identity, counted[identity])
        counted[identity] += 1


def _rank(row: Row) -> tuple[int, str, int, str, str, str]:
    used = row.last_used_at.replace(tzinfo=None).isoformat() if row.last_used_at else _LAST
    place = _VERDICTS.index(row.verdict), row.access_key_id or "", row.slot or 0
    return *place, row.status or "", used, row.reason or ""
