"""Turns a scan into the one document that says all of it."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from birthright.errors import StoreError
from birthright.findings.model import SCHEMA, Document, DocumentScan, Finding
from birthright.findings.stream import FindingOptions, Findings
from birthright.findings.summaries import account_lines, coverage_lines, ou_lines, policy_line, summary_of
from birthright.policies.evaluator import Evaluator, Tally
from birthright.policies.page import Page
from birthright.policies.scope import Scope
from birthright.scans.record import ScanInfo
from birthright.scans.request import Judging


def build_document(
    info: ScanInfo,
    evaluator: Evaluator,
    pages: Sequence[Page],
    selection: Judging,
    *,
    passes: bool | Collection[str] = False,
    evidence: bool = True,
) -> Document:
    """Judge a scan by the pages. Findings are failures and unknowns, with `passes` everything.

    `passes` may also name the policies whose passes are given.

    Without `evidence` the findings leave it out: most of the work, for reports that do not show it.
    Of a scan of one batch they are a tuple; of a larger one they are made whenever they are asked for.

    Raises PageError for a rule that is not acceptable, StoreError if the facts cannot be read.
    """
    scope = evaluator.scope
    if not scope.coverage:
        # Nothing read and nothing refused: without this it would look like an account in order.
        raise StoreError(f"scan {info.id} does not say what was read", "scan again")
    rules = [evaluator.rule(page, selection.overrides.get(page.id)) for page in pages]
    tallies = [evaluator.tally(rule) for rule in rules]
    named = {page.id for page in pages} if passes is True else passes or ()
    how = FindingOptions(selection.in_use, frozenset(named), evidence)
    count = sum(_given(tally, passes=tally.page.id in how.passes) for tally in tallies)
    findings = Findings(evaluator, rules, how, count)
    accounts = account_lines(scope, tallies)
    return Document(
        schema=SCHEMA,
        scan=_scan(info, scope),
        summary=summary_of(scope, tallies),
        coverage=coverage_lines(scope),
        policies=tuple(map(policy_line, tallies)),
        findings=findings if findings.is_large else tuple(findings),
        accounts=accounts,
        ous=ou_lines(scope, accounts),
    )


def _given(tally: Tally, *, passes: bool) -> int:
    total = tally.total
    return total.failed + total.unknown + (total.passed if passes else 0)


def _scan(info: ScanInfo, scope: Scope) -> DocumentScan:
    # The list of accounts is written once it is whole.
    listed = info.finished or bool(scope.accounts)
    note = info.extra.get("note")
    notes = (str(note),) if note else ()
    return DocumentScan(
        info.id, info.as_of, info.tool_version, info.depth, info.finished, info.complete, listed, notes
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
    return f.account_id, f.user_name, f.subject, f.created_at, f.status, f.ever_used, f.last_used_at


def overrides_of(settings: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, str]]:
    """Gather (policy, parameter, value) into one mapping; later ones win."""
    overrides: dict[str, dict[str, str]] = {}
    for policy, parameter, value in settings:
        overrides.setdefault(policy, {})[parameter] = value
    return overrides
