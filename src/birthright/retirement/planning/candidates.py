"""The keys that failing findings ask to retire, with all that the findings say of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from birthright.aws.identifiers import parse_user_arn
from birthright.facts.answers import ROOT_NAME
from birthright.findings.ranking import rank
from birthright.retirement.model import FindingRef, KeyFacts

if TYPE_CHECKING:
    from birthright.findings.model import Document, Evidence, Finding, Waiver

# What a plan says first of a key with several findings.
_LAST_USE = ("last_used_at", "ever_used")


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wants planned, and how.

    policies: whose findings count; none named: all. accounts, users: patterns, of which one must match;
    keys: access key ids. handover: where new secrets go, as in `[retirement]`. protected: patterns of
    user names and user ARNs. own_key_ids: the keys that birthright itself runs with, as far as known.
    """

    handover: str | dict[str, str]
    policies: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    own_key_ids: frozenset[str] = frozenset()
    max_keys: int = 50
    max_share: float = 0.25
    allow_ses: bool = False
    annotate: bool = False
    expires: timedelta = timedelta(hours=24)


class Sibling(msgspec.Struct, frozen=True):
    """Another key of the same user, where the findings know it."""

    access_key_id: str
    status: str | None
    created_at: datetime | None
    ever_used: bool | None
    last_used_at: datetime | None


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One key that failing findings ask to retire.

    remedies: what the findings ask for. agreed: whether they say the same of the key. proper: whether
    account, user and ARN are such as AWS writes and fit each other. user_keys: how many keys the user
    has; None is not known. waiver: why a failure of the key, by whatever policy, is accepted, if one is.
    """

    account_id: str
    partition: str
    user_name: str
    user_arn: str
    access_key_id: str | None
    findings: tuple[FindingRef, ...]
    remedies: frozenset[str]
    facts: KeyFacts
    agreed: bool
    proper: bool
    user_keys: int | None
    siblings: tuple[Sibling, ...]
    waiver: "Waiver | None" = None

    @property
    def is_root(self) -> bool:
        """Whether it is the root user's key."""
        return self.user_name == ROOT_NAME or self.user_arn.endswith(":root")


def candidates_of(document: "Document", choices: PlanRequest) -> Iterator[list[Candidate]]:
    """Gather what the failing findings ask for, by account, user and key; the filters are applied.

    Candidates of one account come together. Findings that are made as they come are gone through once, and
    held an account at a time: no key is in two accounts. Those that are all there may come from a file, which
    can say anything, and are looked at together.
    """
    findings = document.findings
    unread = _unread_waivers(document)
    by_account = groupby(findings, attrgetter("account_id"))
    portions = [findings] if isinstance(findings, tuple) else (list(some) for _, some in by_account)
    for portion in portions:
        siblings, waivers = _keys_by_user(portion), _waivers(portion, unread)
        groups = [group for group in _by_key(asking(portion, choices)) if _wanted(group[0], choices)]
        yield sorted(
            (_candidate(group, document.scan.as_of, siblings, waivers) for group in groups), key=_order
        )


def asking(findings: "Iterable[Finding]", choices: PlanRequest) -> "Iterator[Finding]":
    """Give the failing findings, of the policies that were chosen, that ask to retire a key."""
    for finding in findings:
        if finding.verdict == "fail" and finding.remedy != "none":
            if choices.policies and finding.policy not in choices.policies:
                continue
            yield finding


def _wanted(finding: "Finding", choices: PlanRequest) -> bool:
    user = finding.user_name or ""
    return (
        (not choices.accounts or any(fnmatchcase(finding.account_id, p) for p in choices.accounts))
        and (not choices.users or any(fnmatchcase(user, p) for p in choices.users))
        and (not choices.keys or finding.access_key_id in choices.keys)
    )


def _by_key(findings: "Iterable[Finding]") -> "list[list[Finding]]":
    """Group findings of one key. A key id is grouped by alone: a file may say anything beside it."""
    from birthright.findings.document import by_subject

    named: dict[tuple[str, str], list[Finding]] = {}
    nameless: list[Finding] = []
    for finding in findings:
        if finding.access_key_id:
            named.setdefault((finding.account_id, finding.access_key_id), []).append(finding)
        else:
            nameless.append(finding)
    return [*named.values(), *by_subject(nameless)]


def _keys_by_user(findings: "Iterable[Finding]") -> dict[tuple[str, str | None], dict[str, Sibling]]:
    """Gather the keys that the findings name, passing ones too, by account and user."""
    found: dict[tuple[str, str | None], dict[str, Sibling]] = {}
    for f in findings:
        if f.access_key_id:
            keys = found.setdefault((f.account_id, f.user_name), {})
            other = Sibling(f.access_key_id, f.status, f.created_at, f.ever_used, f.last_used_at)
            keys.setdefault(f.access_key_id, other)
    return found


def _unread_waivers(document: "Document") -> "list[tuple[str | None, Waiver]]":
    """Gather the waivers of what was not judged, by key id: no one has said that it is fixed."""
    from birthright.findings.model import Waiver

    return [
        (line.access_key_id, Waiver(line.reason, line.owner, line.ticket, line.created, line.expires))
        for line in document.waivers
        if line.state == "unread"
    ]


def _waivers(findings: "Iterable[Finding]", unread: "list[tuple[str | None, Waiver]]") -> "dict[str, Waiver]":
    """Gather the keys with an accepted failure, by id; of several waivers the longest counts."""
    found = [(f.access_key_id, f.waiver) for f in findings if f.waiver and f.verdict == "fail"]
    return {name: waiver for name, waiver in sorted([*found, *unread], key=_lasting) if name}


def _lasting(one: "tuple[str | None, Waiver]") -> date:
    return one[1].expires


def _candidate(
    group: "list[Finding]",
    as_of: datetime,
    known: Mapping[tuple[str, str | None], dict[str, Sibling]],
    waivers: "Mapping[str, Waiver]",
) -> Candidate:
    group = sorted(group, key=_weight)
    first = group[0]
    beside = known.get((first.account_id, first.user_name), {})
    arn = parse_user_arn(first.user_arn or "")
    return Candidate(
        account_id=first.account_id,
        partition=arn.partition if arn else "aws",
        user_name=first.user_name or "",
        user_arn=first.user_arn or "",
        access_key_id=first.access_key_id,
        findings=tuple(FindingRef(f.policy, f.fingerprint, f.reason) for f in group),
        remedies=frozenset(f.remedy for f in group),
        facts=_facts(group, as_of),
        agreed=len({_said(finding) for finding in group}) == 1,
        proper=arn is not None and (arn.account_id, arn.user_name) == (first.account_id, first.user_name),
        user_keys=None if first.user_keys is None else max(first.user_keys, len(beside)),
        siblings=tuple(beside[i] for i in sorted(beside) if i != first.access_key_id),
        waiver=waivers.get(first.access_key_id or ""),
    )


def _weight(finding: "Finding") -> tuple[bool, int, str, str]:
    return *rank(finding.policy, finding.risk), finding.fingerprint


def _said(f: "Finding") -> tuple[object, ...]:
    """Return what every finding of one key must say alike."""
    used = f.ever_used, f.last_used_at
    return f.user_name, f.user_arn, f.status, f.created_at, f.user_created_at, *used, f.user_keys


def _facts(group: "Sequence[Finding]", as_of: datetime) -> KeyFacts:
    evidence: dict[str, Evidence] = {}
    for item in (item for finding in group for item in finding.evidence):
        evidence.setdefault(item.fact, item)
    spoke = next((evidence[name].as_of for name in _LAST_USE if name in evidence), None)
    first = group[0]
    return KeyFacts(
        status=first.status,
        created_at=first.created_at,
        user_created_at=first.user_created_at,
        ever_used=first.ever_used,
        last_used_at=first.last_used_at,
        last_used_region=_text(evidence.get("last_used_region")),
        last_used_service=_text(evidence.get("last_used_service")),
        as_of=spoke or as_of,
    )


def _text(evidence: "Evidence | None") -> str | None:
    return evidence.value if evidence and isinstance(evidence.value, str) else None


def _order(one: Candidate) -> tuple[str, str, str, tuple[str, ...]]:
    prints = tuple(finding.fingerprint for finding in one.findings)
    return one.account_id, one.user_name, one.access_key_id or "", prints
