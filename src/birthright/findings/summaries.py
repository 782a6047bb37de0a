"""What a document says beside its findings: coverage, and counts by policy, account and unit."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain

from birthright.facts.coverage import accounts_in
from birthright.facts.model import UNKNOWN
from birthright.findings.model import AccountSummary, CoverageSummary, OuSummary, PolicySummary, Summary
from birthright.policies.evaluator import Tally, VerdictCounts
from birthright.policies.page import show_value
from birthright.policies.scope import Scope

_NOTHING = VerdictCounts(0, 0, 0)


def summary_of(scope: Scope, tallies: Iterable[Tally]) -> Summary:
    """Count what the accounts hold that somebody was to ask, and what all policies say."""
    failed, unjudged, passed = _sum(tally.total for tally in tallies)
    unknown = _unknown(scope)
    return Summary(
        accounts=sum(len(unknown) if one.account_id == UNKNOWN else 1 for one in scope.holdings),
        principals=sum(one.principals for one in scope.holdings),
        access_keys=sum(one.access_keys for one in scope.holdings),
        fail=failed,
        unknown=unjudged,
        passed=passed,
    )


def coverage_lines(scope: Scope) -> tuple[CoverageSummary, ...]:
    """Say what was asked and answered."""
    names = CoverageSummary.__struct_fields__
    return tuple(CoverageSummary(*(getattr(row, name) for name in names)) for row in scope.coverage)


def policy_line(tally: Tally) -> PolicySummary:
    """Say how a policy was run, and what it found."""
    front, total = tally.page.front, tally.total
    return PolicySummary(
        id=front.id,
        title=front.title,
        risk=front.risk,
        effort=front.effort,
        parameters={name: show_value(value) for name, value in tally.parameters.items()},
        fail=total.failed,
        unknown=total.unknown,
        passed=total.passed,
        sha256=tally.page.sha256,
    )


def account_lines(scope: Scope, tallies: Sequence[Tally]) -> tuple[AccountSummary, ...]:
    """Count by account; the accounts that nobody was to ask are left out."""
    counts = _by_account(tallies)
    names = {row.account_id: row.account_name for row in scope.coverage if row.account_name}
    names |= {row.account_id: row.account_name for row in scope.accounts.values() if row.account_name}
    names |= {UNKNOWN: ", ".join(filter(None, _unknown(scope)))} if UNKNOWN in names else {}
    paths = {row.account_id: row.ou_path for row in scope.accounts.values()}
    return tuple(
        AccountSummary(i, principals, keys, active, names.get(i), paths.get(i), *counts.get(i, _NOTHING))
        for i, principals, keys, active, _ in scope.holdings
    )


def _by_account(tallies: Sequence[Tally]) -> dict[str, VerdictCounts]:
    import pyarrow as pa

    names = ("fail", "unknown", "pass")
    tables = [tally.accounts for tally in tallies]
    added = pa.concat_tables(tables).group_by("account_id").aggregate([(name, "sum") for name in names])
    columns = [added[name].to_pylist() for name in ("account_id", *(f"{name}_sum" for name in names))]
    counts = {account: VerdictCounts(*of_account) for account, *of_account in zip(*columns, strict=True)}
    for account in chain.from_iterable(tally.unread for tally in tallies):
        counts[account] = _sum((counts.get(account, _NOTHING), VerdictCounts(0, 1, 0)))
    return counts


def ou_lines(scope: Scope, accounts: Iterable[AccountSummary]) -> tuple[OuSummary, ...]:
    """Add the accounts of each organizational unit up, by path; none where no unit is known."""
    units: dict[str, list[AccountSummary]] = defaultdict(list)
    for line in accounts:
        if line.ou_path is not None:
            units[line.ou_path].append(line)
    return tuple(
        OuSummary(
            path,
            len(lines),
            sum(line.principals for line in lines),
            sum(line.access_keys for line in lines),
            sum(line.fail for line in lines),
            sum(line.unknown for line in lines),
            sum(scope.reach.get(line.account_id) != "read" for line in lines),
        )
        for path, lines in sorted(units.items())
    )


def _unknown(scope: Scope) -> list[str | None]:
    """Name the accounts whose ids nobody said."""
    return [name for account, name in accounts_in(scope.coverage) if account == UNKNOWN]


def _sum(counts: Iterable[VerdictCounts]) -> VerdictCounts:
    return VerdictCounts(*map(sum, zip(*counts, (0, 0, 0), strict=True)))
