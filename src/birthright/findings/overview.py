"""What a report for people says of all findings, counted by the engine.

It also names the accounts among whose findings are those that a report shows, so that findings are made of
few accounts only; which of theirs come first, the report says.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import nsmallest
from typing import Any, NamedTuple

from birthright.findings.finding import remedy
from birthright.findings.model import Remedy
from birthright.findings.ranking import EACH, FIRST, NAMED, REMEDIES, RISKS, SHOWN
from birthright.policies.engine import Engine
from birthright.policies.rule import Rule

_MOST_REASONS = 10_000


class UnknownCount(NamedTuple):
    """How many findings, of how many subjects, are unknown for a reason; their first names and account."""

    reason: str
    findings: int
    subjects: int
    names: list[str]
    account: str


class Counted(NamedTuple):
    """What the engine counts of a batch of accounts.

    `failing`: by remedy, weight (`ranks`) and account, how many subjects. `born`: by remedy, the failures of
    FIRST.
    """

    failing: list[tuple[Remedy, int, str, int]]
    born: list[tuple[Remedy, int]]
    unknown: list[UnknownCount]


class Overview(NamedTuple):
    """The counts of all batches, and the accounts that hold the subjects and reasons shown first."""

    failing: Mapping[Remedy, int]
    born: Mapping[Remedy, int]
    unknown: Mapping[str, UnknownCount]
    accounts: frozenset[str]


def ranks(rules: Sequence[Rule]) -> dict[str, list[Any]]:
    """Return the weight of each rule's failures, 0 the weightiest, and which of them is FIRST."""
    fronts = [rule.page.front for rule in rules]
    return {
        "ranks": [(front.id != FIRST) * len(RISKS) + RISKS[front.risk] for front in fronts],
        "first": [front.id == FIRST for front in fronts],
    }


def count(engine: Engine, verdicts: str, values: Mapping[str, Any], *, several: bool) -> Counted:
    """Count the failures and unknowns in a table of brief verdicts."""
    instants = [name for name in ("as_of", "as_of_earliest") if name in values]

    def rows(sql: str) -> list[tuple[Any, ...]]:
        return list(engine.rows(engine.select(sql, {"remedies": REMEDIES, **values})))

    asked = remedy(instants)
    failing = rows(_failing(verdicts, f"list_position($remedies, {asked})"))
    born = rows(f"select {asked}, count(*) from {verdicts} where not compliant and $first[place] group by 1")  # noqa: S608
    unknown = rows(_unknown(verdicts, several=several))
    return Counted(
        [(REMEDIES[place - 1], *rest) for place, *rest in failing],
        [(one, number) for one, number in born],
        [UnknownCount(*row) for row in unknown],
    )


def _failing(verdicts: str, remedies: str) -> str:
    """Write the SELECT that counts subjects by remedy, weight and account.

    A subject is a key's id, or all that is known of it. What is judged twice alike by one policy is two.
    """
    named = "nullif(access_key_id, '')"
    known = ("user_name", "created_at", "status", "ever_used", "last_used_at")
    facts = ", ".join(f"case when {named} is null then {name} end as {name}" for name in known)
    return f"""
        with failing as (
            select account_id, {named} as key, {facts}, place, {remedies} as remedy, $ranks[place] as weight
            from {verdicts} where not compliant),
        judged as (
            select account_id, key, {", ".join(known)}, place, count(*) as copies, min(remedy) as remedy,
                   min(weight) as weight
            from failing group by all),
        subjects as (
            select min(remedy) as remedy, min(weight) as weight, account_id
            from (select *, unnest(range(copies)) as copy from judged)
            group by account_id, key, {", ".join(known)}, copy)
        select remedy, weight, account_id, count(*) from subjects group by all"""  # noqa: S608


def _unknown(verdicts: str, *, several: bool) -> str:
    """Write the SELECT that counts unknowns by reason."""
    reason = "coalesce(nullif(reason, ''), $titles[place])"
    common = f"replace({reason}, account_id, 'ACCOUNT')" if several else reason
    return f"""
        with unknown as (
            select {common} as said, account_id, coalesce(nullif(user_name, ''), account_id) as name,
                   count(*) as findings
            from {verdicts} where compliant is null group by all)
        select said, sum(findings)::bigint, count(*), list_sort(list(distinct name))[:{NAMED}],
               min(account_id)
        from unknown group by said limit {_MOST_REASONS + 1}"""  # noqa: S608


def overview_of(batches: Iterable[Counted]) -> Overview | None:
    """Add batches up, which come in the order of their accounts; None if there are too many reasons."""
    failing: dict[Remedy, list[tuple[int, str, int]]] = defaultdict(list)
    born: dict[Remedy, int] = defaultdict(int)
    unknown: dict[str, UnknownCount] = {}
    for batch in batches:
        for one, weight, account, number in batch.failing:
            failing[one].append((weight, account, number))
        for one, number in batch.born:
            born[one] += number
        for reason in batch.unknown:
            unknown[reason.reason] = _added(unknown.get(reason.reason), reason)
        if len(unknown) > _MOST_REASONS:
            return None
    counts = {one: sum(number for *_, number in rows) for one, rows in failing.items()}
    first = {account for rows in failing.values() for account in _first(rows)}
    return Overview(counts, born, unknown, frozenset({*first, *_first_unknown(unknown.values())}))


def _added(before: UnknownCount | None, more: UnknownCount) -> UnknownCount:
    if before is None:
        return more
    names = sorted({*before.names, *more.names})[:NAMED]
    return before._replace(
        findings=before.findings + more.findings, subjects=before.subjects + more.subjects, names=names
    )


def _first(rows: Iterable[tuple[int, str, int]]) -> set[str]:
    """Name the accounts of the first subjects."""
    places = (
        (weight, number > EACH, account, number)
        for weight, account, subjects in rows
        for number in range(1, min(subjects, SHOWN + EACH) + 1)
    )
    return {account for *_, account, _ in nsmallest(SHOWN, places)}


def _first_unknown(reasons: Iterable[UnknownCount]) -> set[str]:
    """Name the accounts in which the commonest reasons come first; of equal ones all that may be shown."""
    ordered = sorted((-one.findings, one.account) for one in reasons)
    return {account for number, account in ordered if (number, account) <= ordered[:SHOWN][-1]}
