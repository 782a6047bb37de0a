"""Turns verdicts into findings, and a scan's findings into one document."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from birthright.errors import StoreError
from birthright.facts.model import Coverage
from birthright.facts.snapshot import ScanInfo
from birthright.findings.model import (
    SCHEMA,
    AccountLine,
    CoverageLine,
    Document,
    Evidence,
    Finding,
    PolicyLine,
    Remedy,
    Scan,
    Summary,
)
from birthright.policies.evaluator import Evaluator, Judgement, Row, Verdict
from birthright.policies.page import Page, show_value
from birthright.times import format_instant

IN_USE = timedelta(days=90)
# AWS shows `never used` for a key that was used a moment ago: a young key's disuse is not known.
_SETTLED = timedelta(days=1)
_FOREVER = datetime.max.replace(tzinfo=UTC)
_VERDICTS: tuple[Verdict, ...] = ("fail", "unknown", "pass")
_ANSWERED = frozenset({"ok", "partial"})


class Selection(msgspec.Struct, frozen=True):
    """Which policies judge a scan, and how; kept with the scan, so that it is judged the same again.

    `overrides` maps a policy's id to parameter values as a person wrote them; `in_use` is how recent a
    key's last use must be for it to count as in use.
    """

    policies: tuple[str, ...] = ()
    folder: str | None = None
    overrides: dict[str, dict[str, str]] = {}
    in_use: timedelta = IN_USE


def build_document(
    info: ScanInfo,
    evaluator: Evaluator,
    pages: Sequence[Page],
    selection: Selection,
    *,
    passes: bool = False,
    evidence: bool = True,
) -> Document:
    """Judge a scan by the pages. Findings are failures and unknowns, with `passes` everything.

    Without `evidence` the findings leave it out: most of the work, for reports that do not show it.

    Raises PageError for a rule that is not acceptable, StoreError if the facts cannot be read.
    """
    if not evaluator.coverage:
        # Nothing read and nothing refused: without this it would look like an account in order.
        raise StoreError(f"scan {info.id} does not say what was read", "scan again")
    judgements = [evaluator.judge(page, selection.overrides.get(page.id), passes=passes) for page in pages]
    context = _Context(info.as_of, selection.in_use, evaluator, evidence=evidence)
    findings = [finding for judgement in judgements for finding in _findings(judgement, context)]
    return Document(
        schema=SCHEMA,
        scan=Scan(info.id, info.as_of, info.tool_version, info.depth),
        summary=Summary(
            **evaluator.counts(),
            fail=sum(judgement.failed for judgement in judgements),
            unknown=sum(judgement.unknown for judgement in judgements),
            passed=sum(judgement.passed for judgement in judgements),
        ),
        coverage=tuple(_coverage_line(row) for row in evaluator.coverage),
        policies=tuple(_policy_line(judgement) for judgement in judgements),
        findings=tuple(sorted(findings, key=_order)),
        accounts=tuple(AccountLine(*counts) for counts in evaluator.accounts()),
    )


class _Context:
    """What all findings of a scan share: its instant, what in use means, and who said what when.

    Without an evaluator the findings carry no evidence.
    """

    def __init__(
        self, as_of: datetime, in_use: timedelta, evaluator: Evaluator | None = None, *, evidence: bool = True
    ) -> None:
        self.as_of = as_of
        self.in_use = in_use
        self.evidence = evidence and evaluator is not None
        self._several = evaluator.several_keys() if evaluator else {}
        coverage = evaluator.coverage if evaluator and evidence else ()
        self._spoke = {(row.account_id, row.source): row.report_generated_at or row.as_of for row in coverage}
        self._listed = {
            row.account_id for row in coverage if row.source == "ListUsers" and row.status in _ANSWERED
        }
        self._unlisted = _unlisted(evaluator) if evaluator and self._listed else frozenset()

    def keys_beside(self, row: Row) -> int | None:
        """Count the keys of the user whose key this is; None if they were not listed."""
        if row.access_key_id is None:
            return None
        return self._several.get((row.account_id, row.user_name or ""), 1)

    def spoke_at(self, account_id: str, source: str) -> datetime | None:
        return self._spoke.get((account_id, source))

    def lists(self, account_id: str, user_name: str | None) -> bool:
        """Whether ListUsers told of this user: then its word goes before the report's."""
        return account_id in self._listed and (account_id, user_name) not in self._unlisted


def _unlisted(evaluator: Evaluator) -> frozenset[tuple[str, str]]:
    """Name the principals that ListUsers did not tell of, root among them."""
    sql = "select account_id, user_name from principals where in_listing is not true"
    return frozenset(evaluator.engine.rows(evaluator.engine.select(sql)))


def _findings(judgement: Judgement, context: _Context) -> Iterator[Finding]:
    for row, ordinal in _numbered(judgement.rows):
        yield _finding(judgement.page, row, ordinal, context)
    for account, reason in judgement.unread.items():
        yield _unread_finding(judgement.page, account, reason)


def _finding(page: Page, row: Row, ordinal: int, context: _Context) -> Finding:
    gap = row.created_at - row.user_created_at if row.created_at and row.user_created_at else None
    return Finding(
        fingerprint=_fingerprint(page.id, *_identity(row), ordinal),
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


def _unread_finding(page: Page, account: str, reason: str) -> Finding:
    """Make the one finding of an account that answered nothing the policy could be judged by."""
    empty = Row(verdict="unknown", reason=f"could not be judged: {reason}", account_id=account)
    return _finding(page, empty, 0, _Context(_FOREVER, IN_USE))


def _identity(row: Row) -> tuple[str, str, str]:
    """Name the subject by what every depth knows of it: a key by its user and the second it was made.

    The key id is not known from the report alone; the path in the user's ARN can change.
    """
    made = format_instant(row.created_at) if row.created_at else f"slot {row.slot}" if row.slot else ""
    return row.account_id, row.user_name or "", made


def _numbered(rows: Iterable[Row]) -> Iterator[tuple[Row, int]]:
    """Give each row its number among the keys of one user that were made in the same second.

    Failures are counted first, passes last, so that a failure has the same number whether or not
    passes are asked for, and at the depth that knows the keys' slots as at the one that knows their ids.
    """
    counted: Counter[tuple[str, str, str]] = Counter()
    for row in sorted(rows, key=_rank):
        identity = _identity(row)
        yield row, counted[identity]
        counted[identity] += 1


def _rank(row: Row) -> tuple[int, str, int]:
    return _VERDICTS.index(row.verdict), row.access_key_id or "", row.slot or 0


def _fingerprint(*parts: str | int) -> str:
    """Hash the parts; 128 bits, written in hexadecimal."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def _remedy(page: Page, row: Row, context: _Context) -> Remedy:
    if row.verdict != "fail" or page.front.remedy == "none":
        return "none"
    in_use = None if row.is_root else _in_use(row, context)
    if in_use is None:
        return "review"
    return "rotate" if in_use else "retire"


def _in_use(row: Row, context: _Context) -> bool | None:
    """Whether a key is in use; None if that is not known, as for a young key that shows no use.

    An inactive key cannot be used, however lately it was.
    """
    if row.status == "Inactive":
        return False
    if row.last_used_at is not None:
        return context.as_of - row.last_used_at < context.in_use
    if row.ever_used is False and row.created_at is not None:
        return False if context.as_of - row.created_at >= _SETTLED else None
    return None


def _evidence(page: Page, row: Row, context: _Context) -> Iterator[Evidence]:
    if page.front.subject == "access-key" and row.user_name is not None:
        yield from _key_evidence(row, context)
    if row.user_name is not None:
        listed = context.lists(row.account_id, row.user_name)
        source = "ListUsers" if listed else "GetCredentialReport"
        yield _fact(row, "user_created_at", source, context)
        yield _fact(row, "console_password", "GetCredentialReport", context)


def _key_evidence(row: Row, context: _Context) -> Iterator[Evidence]:
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


def _fact(row: Row, name: str, source: str, context: _Context) -> Evidence:
    value = getattr(row, name)
    shown = format_instant(value) if isinstance(value, datetime) else value
    return Evidence(name, shown, source, context.spoke_at(row.account_id, source))


def _order(finding: Finding) -> tuple[str, str, str, datetime, str, str]:
    return (
        finding.account_id,
        finding.policy,
        finding.user_name or "",
        finding.created_at or _FOREVER,
        finding.access_key_id or "",
        finding.fingerprint,
    )


def _coverage_line(row: Coverage) -> CoverageLine:
    names = CoverageLine.__struct_fields__
    return CoverageLine(**{name: getattr(row, name) for name in names})


def _policy_line(judgement: Judgement) -> PolicyLine:
    front = judgement.page.front
    return PolicyLine(
        id=front.id,
        title=front.title,
        risk=front.risk,
        effort=front.effort,
        parameters={name: show_value(value) for name, value in judgement.parameters.items()},
        fail=judgement.failed,
        unknown=judgement.unknown,
        passed=judgement.passed,
    )


def by_subject(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Group findings by what they are about: an account, a user, a key.

    Two keys without ids that look the same in everything are still two: a policy judges each once.
    """
    groups: dict[tuple[object, ...], list[Finding]] = {}
    copies: Counter[tuple[object, ...]] = Counter()
    for finding in findings:
        subject = _subject(finding)
        copies[finding.policy, *subject] += 1
        groups.setdefault((copies[finding.policy, *subject], *subject), []).append(finding)
    return list(groups.values())


def _subject(finding: Finding) -> tuple[object, ...]:
    if finding.access_key_id:
        return finding.account_id, finding.access_key_id
    f = finding
    return f.account_id, f.user_name, f.created_at, f.status, f.ever_used, f.last_used_at


def exit_code(document: Document) -> int:
    """Grade a scan: 1 failures, 3 none but something unknown or unread, 0 everything read and in order."""
    if document.summary.fail:
        return 1
    return 3 if document.summary.unknown or not document.complete else 0


def overrides_of(settings: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    """Gather (policy, parameter, value) into one mapping; later ones win."""
    overrides: dict[str, dict[str, str]] = {}
    for policy, parameter, value in settings:
        overrides.setdefault(policy, {})[parameter] = value
    return overrides
