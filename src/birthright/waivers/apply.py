"""Marks accepted findings as waived, and counts them apart."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from fnmatch import translate
from typing import TypeVar

import msgspec

from birthright.facts.coverage import ANSWERED, Reach, reach_of
from birthright.facts.model import UNKNOWN
from birthright.findings.model import (
    AccountSummary,
    Document,
    Finding,
    OuSummary,
    PolicySummary,
    Summary,
    Waiver,
    WaiverState,
    WaiverSummary,
)
from birthright.findings.stream import LazyFindings
from birthright.policies.page import Page
from birthright.waivers.file import WaiverEntry

SOON = timedelta(days=30)

_WILD = re.compile(r"[*?]")
# A policy and an account.
_Place = tuple[str, str]
_Line = TypeVar("_Line", Summary, PolicySummary, AccountSummary, OuSummary)


def waive(document: Document, waivers: Sequence[WaiverEntry], today: date) -> Document:
    """Mark the failures that waivers cover on `today`, UTC, and count them apart from the others.

    What the document said of waivers before is replaced. The findings are gone through once, and not at all
    where no waiver in force is about any account of the document.
    """
    if not waivers and not document.waivers and not document.summary.waived:
        return document
    reach = reach_of(document.coverage)
    index = _Index([one for one in waivers if one.expires >= today], reach)
    seen = _Seen()
    findings: Collection[Finding] = document.findings
    if index.known or document.summary.waived:
        for finding in findings:
            seen.look(finding, index)
        waived = _Waived(findings, index)
        findings = tuple(waived) if isinstance(findings, tuple) else waived
    by_id = _reach_by_id(document, reach)
    lines = tuple(_line(one, document, by_id if one.access_key_id else reach, seen, today) for one in waivers)
    return _counted(msgspec.structs.replace(document, findings=findings, waivers=lines), seen)


def misfits(waivers: Iterable[WaiverEntry], pages: Mapping[str, Page]) -> tuple[str, ...]:
    """Describe, a line each, the entries that cannot cover anything: their policy has other subjects."""
    lines = []
    for number, one in enumerate(waivers, 1):
        page = pages.get(one.policy)
        if page is None or page.subject.is_key is (one.access_key_id is not None):
            continue
        wrong = "is not about keys: take access_key_id out" if one.access_key_id else "needs an access_key_id"
        lines.append(f"waiver {number} covers nothing: policy {one.policy} {wrong}")
    return tuple(lines)


class _Pattern:
    """A waiver, ready to be matched."""

    def __init__(self, waiving: WaiverEntry) -> None:
        self.waiving = waiving
        self.waiver = Waiver(waiving.reason, waiving.owner, waiving.ticket, waiving.created, waiving.expires)
        self._account = _regex(waiving.account)
        self._user = _regex(waiving.user)

    def is_near(self, finding: Finding) -> bool:
        """Whether account and user match; an unknown about a whole account is about each of its users."""
        if not self._account.match(finding.account_id):
            return False
        if finding.user_name is None and finding.verdict == "unknown":
            return True
        return self._user.match(finding.user_name or "") is not None

    def covers(self, finding: Finding) -> bool:
        """Whether a failure, if it is near, is accepted: of a key only by its own id."""
        if finding.verdict != "fail" or self.waiving.access_key_id != finding.access_key_id:
            return False
        return finding.access_key_id is not None or not is_of_key(finding)

    def may_cover(self, finding: Finding) -> bool:
        """Whether a finding, if it is near, could be covered if all about it had been read."""
        wanted = self.waiving.access_key_id
        if finding.verdict == "unknown":
            return wanted is None or finding.access_key_id in {None, wanted}
        return finding.verdict == "fail" and bool(wanted) and finding.access_key_id is None


class _Index:
    """The waivers in force, to be found by policy and place; the one that lasts longest is first."""

    def __init__(self, waivers: Iterable[WaiverEntry], reach: Mapping[str, Reach]) -> None:
        self._exact: defaultdict[tuple[str, str, str], list[_Pattern]] = defaultdict(list)
        self._wild: defaultdict[str, list[_Pattern]] = defaultdict(list)
        self._all: defaultdict[str, list[_Pattern]] = defaultdict(list)
        self.known = False
        for one in sorted(waivers, key=_lasting, reverse=True):
            pattern = _Pattern(one)
            self._all[one.policy].append(pattern)
            if _WILD.search(one.account + one.user):
                self._wild[one.policy].append(pattern)
            else:
                self._exact[one.policy, one.account, one.user].append(pattern)
            # A document without coverage says nothing of its accounts.
            self.known |= not reach or any(_accounts(one, reach))

    def covering(self, finding: Finding) -> list[_Pattern]:
        """Return the waivers that cover a finding."""
        if finding.verdict != "fail":
            return []
        return [one for one in self._about(finding) if one.covers(finding) and one.is_near(finding)]

    def waiting(self, finding: Finding) -> list[_Pattern]:
        """Return the waivers that might cover a finding if all about it had been read."""
        if finding.verdict == "fail" and finding.access_key_id is not None:
            return []
        return [one for one in self._about(finding) if one.may_cover(finding) and one.is_near(finding)]

    def _about(self, finding: Finding) -> list[_Pattern]:
        """Return the waivers that may be near a finding; patterns are matched last, as that takes longest."""
        policy, user = finding.policy, finding.user_name
        if user is None:
            return self._all.get(policy, [])
        wild = self._wild.get(policy, [])
        exact = self._exact.get((policy, finding.account_id, user))
        return sorted([*exact, *wild], key=_lasting_pattern, reverse=True) if exact else wild

    def waiver(self, finding: Finding) -> Waiver | None:
        """Return why a finding is accepted; None if it is not."""
        return next((one.waiver for one in self.covering(finding)), None)


class _Waived(LazyFindings):
    """The findings of a document, each with the waiver that covers it."""

    def __init__(self, findings: Collection[Finding], index: _Index) -> None:
        self._findings = findings
        self._index = index

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        for finding in self._findings:
            waiver = self._index.waiver(finding)
            yield finding if finding.waiver == waiver else msgspec.structs.replace(finding, waiver=waiver)


class _Seen:
    """What one pass over all findings shows."""

    def __init__(self) -> None:
        self.moved: Counter[_Place] = Counter()  # from fail to waived; less than none: back
        self.covered: Counter[tuple[str, str, str, str | None]] = Counter()
        self.unread: set[tuple[str, str, str, str | None]] = set()

    def look(self, finding: Finding, index: _Index) -> None:
        """Count one finding; every waiver that covers it counts it."""
        if finding.verdict == "pass":
            return
        covering = index.covering(finding)
        self.covered.update(one.waiving.subject for one in covering)
        self.unread.update(one.waiving.subject for one in index.waiting(finding))
        moved = bool(covering) - (finding.waiver is not None)
        if moved:
            self.moved[finding.policy, finding.account_id] += moved


def _line(
    one: WaiverEntry, document: Document, reach: Mapping[str, Reach], seen: _Seen, today: date
) -> WaiverSummary:
    count = seen.covered[one.subject]
    state: WaiverState = "unmatched"
    if one.expires < today:
        state = "expired"
    elif count:
        state = "expiring" if one.expires - today <= SOON else "active"
    elif one.subject in seen.unread or not _was_read(one, document, reach):
        state = "unread"
    return WaiverSummary(
        one.policy,
        one.account,
        one.user,
        one.access_key_id,
        one.reason,
        one.owner,
        one.ticket,
        one.created,
        one.expires,
        state,
        count,
    )


def _reach_by_id(document: Document, reach: Mapping[str, Reach]) -> dict[str, Reach]:
    """Return how far the keys of each account were read: a report has no ids, and no keys younger than it."""
    listed = {row.account_id for row in document.coverage
              if row.source == "ListAccessKeys" and row.status in ANSWERED}  # fmt: skip
    return {
        account: how if account in listed or how != "read" else "unread" for account, how in reach.items()
    }


def _was_read(one: WaiverEntry, document: Document, reach: Mapping[str, Reach]) -> bool:
    """Whether everything that a waiver is about was read: its policy, and every account that it may match."""
    if one.policy not in {line.id for line in document.policies}:
        return False
    if _WILD.search(one.account) and (UNKNOWN in reach or not document.scan.listed):
        return False
    accounts = list(_accounts(one, reach))
    return bool(accounts) and all(reach[account] == "read" for account in accounts)


def _accounts(one: WaiverEntry, reach: Mapping[str, Reach]) -> Iterator[str]:
    if not _WILD.search(one.account):
        return iter([one.account] if one.account in reach else [])
    return filter(_regex(one.account).match, reach)


def _counted(document: Document, seen: _Seen) -> Document:
    """Move what is waived from `fail` to `waived`, in every line."""
    if not seen.moved:
        return document
    by_policy, by_account, by_unit = Counter[str](), Counter[str](), Counter[str]()
    units = {line.account_id: line.ou_path for line in document.accounts}
    for (policy, account), number in seen.moved.items():
        by_policy[policy] += number
        by_account[account] += number
        by_unit[units.get(account) or ""] += number
    return msgspec.structs.replace(
        document,
        summary=_moved(document.summary, seen.moved.total()),
        policies=tuple(_moved(line, by_policy[line.id]) for line in document.policies),
        accounts=tuple(_moved(line, by_account[line.account_id]) for line in document.accounts),
        ous=tuple(_moved(line, by_unit[line.ou_path]) for line in document.ous),
    )


def _moved(line: _Line, number: int) -> _Line:
    return msgspec.structs.replace(line, fail=line.fail - number, waived=line.waived + number)


def is_of_key(finding: Finding) -> bool:
    """Whether it is about a key, also one whose id was not read."""
    read = (finding.access_key_id, finding.created_at, finding.status, finding.ever_used)
    if finding.subject:
        return False
    return any(value is not None for value in read) or any(item.fact == "slot" for item in finding.evidence)


def _lasting(one: WaiverEntry) -> date:
    return one.expires


def _lasting_pattern(one: _Pattern) -> date:
    return one.waiving.expires


def _regex(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in which only * and ? are special; its time grows with the text's length only."""
    return re.compile(translate(pattern.replace("[", "[[]")))
