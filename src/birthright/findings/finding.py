"""Verdicts become findings: fingerprints, remedies, evidence."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from birthright.facts.model import INACTIVE
from birthright.findings.model import Evidence, Finding, Remedy
from birthright.policies.evaluator import Evaluator, Row, Verdict
from birthright.policies.page import Page
from birthright.policies.scope import AccountRange
from birthright.scans.request import IN_USE
from birthright.times import format_instant

# AWS shows `never used` for a key that was used a moment ago: a young key's disuse is not known.
_SETTLED = timedelta(days=1)
_FOREVER = datetime.max.replace(tzinfo=UTC)
_VERDICTS: tuple[Verdict, ...] = ("fail", "unknown", "pass")
_PASSWORD = ("password_last_changed_at", "password_last_used_at")
_ANSWERED = frozenset({"ok", "partial"})


class Context:
    """What the findings of some accounts share: the scan's instant, what in use means, who said what when.

    `instants` are the two ends of the time that the facts may be of, or the scan's one instant.
    Without an evaluator the findings carry no evidence.
    """

    def __init__(self, instants: frozenset[datetime], in_use: timedelta, *, evidence: bool = False) -> None:
        self.instants = instants
        self.in_use = in_use
        self.evidence = evidence
        self._several: Mapping[tuple[str, str], int | None] = {}
        self._spoke: Mapping[tuple[str, str], datetime | None] = {}
        self._passwords: Mapping[tuple[str, str], tuple[datetime | None, ...]] = {}
        self._listed: frozenset[str] = frozenset()
        self._unlisted: frozenset[tuple[str, str]] = frozenset()

    def look_up(self, evaluator: Evaluator, within: AccountRange) -> None:
        """Learn of some accounts what stands beside a key, and, for evidence, who said what when."""
        self._several = evaluator.several_keys(within)
        if not self.evidence:
            return
        rows = [row for row in evaluator.scope.coverage if within.holds(row.account_id)]
        self._spoke = {(row.account_id, row.source): row.report_generated_at or row.as_of for row in rows}
        self._passwords = evaluator.passwords(within)
        listed = (row for row in rows if row.source == "ListUsers" and row.status in _ANSWERED)
        self._listed = frozenset(row.account_id for row in listed)
        self._unlisted = evaluator.unlisted(within) if self._listed else frozenset()

    def keys_beside(self, row: Row) -> int | None:
        """Count the keys of the user whose key this is; None if they were not listed."""
        if row.access_key_id is None:
            return None
        return self._several.get((row.account_id, row.user_name or ""), 1)

    def spoke_at(self, account_id: str, source: str) -> datetime | None:
        """Return the instant of which a source spoke, if it was asked."""
        return self._spoke.get((account_id, source))

    def password_times(self, row: Row) -> tuple[datetime | None, ...]:
        """Return when the user's console password was set and last used; nothing without a password."""
        return self._passwords.get((row.account_id, row.user_name or ""), ())

    def lists(self, account_id: str, user_name: str | None) -> bool:
        """Whether ListUsers told of this user: then its word goes before the report's."""
        return account_id in self._listed and (account_id, user_name) not in self._unlisted


def findings_of(page: Page, rows: Iterable[Row], context: Context) -> list[Finding]:
    """Make the findings of whole accounts: keys of one second are told apart by their number."""
    return [_finding(page, row, identity, context) for row, identity in _numbered(rows)]


def _finding(page: Page, row: Row, identity: tuple[str | int, ...], context: Context) -> Finding:
    gap = row.created_at - row.user_created_at if row.created_at and row.user_created_at else None
    return Finding(
        fingerprint=_fingerprint(page.id, *identity),
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
        remedy=_remedy(page, row, context),
        reason=row.reason or page.front.title,
        evidence=tuple(_evidence(page, row, context)) if context.evidence else (),
        user_keys=context.keys_beside(row),
    )


def unread_finding(page: Page, account: str, reason: str) -> Finding:
    """Make the one finding of an account that answered nothing the policy could be judged by."""
    empty = Row(verdict="unknown", reason=f"could not be judged: {reason}", account_id=account)
    return findings_of(page, [empty], Context(frozenset({_FOREVER}), IN_USE))[0]


def _identity(row: Row) -> tuple[str, str, str]:
    """Name the subject by what every depth knows of it: a key by its user and the second it was made.

    The key id is not known from the report alone; the path in the user's ARN can change.
    """
    made = format_instant(row.created_at) if row.created_at else f"slot {row.slot}" if row.slot else ""
    return row.account_id, row.user_name or "", made


def _numbered(rows: Iterable[Row]) -> Iterator[tuple[Row, tuple[str | int, ...]]]:
    """Give each row its identity, with its number among the keys of one user made in the same second.

    Failures are counted first, passes last, so that a failure has the same number whether or not
    passes are asked for, and at the depth that knows the keys' slots as at the one that knows their ids.
    """
    counted: Counter[tuple[str, str, str]] = Counter()
    for row in sorted(rows, key=_rank):
        identity = _identity(row)
        yield row, (*identity, counted[identity])
        counted[identity] += 1


def _rank(row: Row) -> tuple[int, str, int, str, datetime, str]:
    """Put rows in order; what differs in none of these is the same to everyone who reads it."""
    place = _VERDICTS.index(row.verdict), row.access_key_id or "", row.slot or 0
    return *place, row.status or "", row.last_used_at or _FOREVER, row.reason or ""


def _fingerprint(*parts: str | int) -> str:
    """Hash the parts; 128 bits, written in hexadecimal."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def _remedy(page: Page, row: Row, context: Context) -> Remedy:
    if row.verdict != "fail" or page.front.remedy == "none":
        return "none"
    answers = {_in_use(row, context.in_use, at) for at in context.instants}
    in_use = None if row.is_root or len(answers) > 1 else answers.pop()
    if in_use is None:
        return "review"
    return "rotate" if in_use else "retire"


def _in_use(row: Row, in_use: timedelta, at: datetime) -> bool | None:
    """Whether a key is in use at an instant; None if that is not known, as for a young key that shows no use.

    An inactive key cannot be used, however lately it was.
    """
    if row.status == INACTIVE:
        return False
    if row.last_used_at is not None:
        return at - row.last_used_at < in_use
    if row.ever_used is False and row.created_at is not None:
        return False if at - row.created_at >= _SETTLED else None
    return None


def _evidence(page: Page, row: Row, context: Context) -> Iterator[Evidence]:
    if page.subject.is_key and row.user_name is not None:
        yield from _key_evidence(row, context)
    if row.user_name is not None:
        listed = context.lists(row.account_id, row.user_name)
        source = "ListUsers" if listed else "GetCredentialReport"
        yield _fact(row, "user_created_at", source, context)
        yield _fact(row, "console_password", "GetCredentialReport", context)
        for name, moment in zip(_PASSWORD, context.password_times(row), strict=False):
            if moment is not None:
                as_of = context.spoke_at(row.account_id, "GetCredentialReport")
                yield Evidence(name, format_instant(moment), "GetCredentialReport", as_of)


def _key_evidence(row: Row, context: Context) -> Iterator[Evidence]:
    source = "ListAccessKeys" if row.created_source == "listing" else "GetCredentialReport"
    if row.access_key_id is None and row.slot is not None:
        # All that tells a user's two keys apart where no id was read.
        yield _fact(row, "slot", "GetCredentialReport", context)
    yield _fact(row, "status", source, context)
    yield _fact(row, "created_at", source, context)
    used = "GetAccessKeyLastUsed" if row.last_used_source == "lookup" else "GetCredentialReport"
    yield _fact(row, "ever_used", used, context)
    if row.ever_used:
        yield _fact(row, "last_used_at", used, context)
        yield _fact(row, "last_used_region", used, context)
        yield _fact(row, "last_used_service", used, context)


def _fact(row: Row, name: str, source: str, context: Context) -> Evidence:
    value = getattr(row, name)
    shown = format_instant(value) if isinstance(value, datetime) else value
    return Evidence(name, shown, source, context.spoke_at(row.account_id, source))


def order(finding: Finding) -> tuple[str, str, str, datetime, str, str]:
    """Return what findings are sorted by."""
    return (
        finding.account_id,
        finding.policy,
        finding.user_name or "",
        finding.created_at or _FOREVER,
        finding.access_key_id or "",
        finding.fingerprint,
    )
