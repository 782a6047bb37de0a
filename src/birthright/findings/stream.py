"""Findings in their order, an account at a time, so that ten million need no more memory than a batch."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from heapq import merge
from itertools import chain, groupby
from operator import attrgetter, itemgetter

import msgspec

from birthright.findings.finding import Context, findings_of, order, unread_finding
from birthright.findings.model import Finding
from birthright.policies.evaluator import Evaluator, Rule
from birthright.policies.scope import AccountRange


class FindingOptions(msgspec.Struct, frozen=True):
    """How findings are made: what in use means, whether evidence is in.

    `passes`: the policies whose passes are in.
    """

    in_use: timedelta
    passes: frozenset[str]
    evidence: bool


class LazyFindings(Collection[Finding]):
    """Findings that come one after another each time they are gone through, and are never all there."""

    def __contains__(self, finding: object) -> bool:
        return any(finding == other for other in self)


class WithoutPasses(LazyFindings):
    """Findings but for those that pass; `count` is how many these are."""

    def __init__(self, findings: Collection[Finding], count: int) -> None:
        self._findings = findings
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Finding]:
        return (finding for finding in self._findings if finding.verdict != "pass")


class Findings(LazyFindings):
    """All findings of a scan, made anew each time they are gone through.

    Raises PageError, StoreError on the way: a rule may fail on rows that were not needed to count.
    """

    def __init__(self, evaluator: Evaluator, rules: Sequence[Rule], how: FindingOptions, count: int) -> None:
        self._evaluator = evaluator
        self._rules = rules
        self._how = how
        self._count = count
        self._batches = evaluator.batches()

    @property
    def is_large(self) -> bool:
        """Whether they are better not all there at the same time."""
        return len(self._batches) > 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Finding]:
        for batch in self._batches:
            yield from self._of(batch)

    def _of(self, batch: AccountRange) -> Iterator[Finding]:
        """Give the findings of some accounts. All rules run first; their rows wait in the engine's form."""
        context = Context(self._evaluator.instants, self._how.in_use, evidence=self._how.evidence)
        context.look_up(self._evaluator, batch)
        found = merge(*(self._by_account(rule, batch, context) for rule in self._rules), key=itemgetter(0))
        for _, of_account in groupby(found, itemgetter(0)):
            yield from sorted(chain.from_iterable(map(itemgetter(1), of_account)), key=order)

    def _by_account(
        self, rule: Rule, batch: AccountRange, context: Context
    ) -> Iterator[tuple[str, list[Finding]]]:
        """Give one policy's findings, account by account."""
        passes = rule.page.id in self._how.passes
        rows = groupby(rule.rows(batch, passes=passes), attrgetter("account_id"))
        judged = ((account, findings_of(rule.page, of_account, context)) for account, of_account in rows)
        silent = (
            (account, [unread_finding(rule.page, account, reason)])
            for account, reason in sorted(rule.unread.items())
            if batch.holds(account)
        )
        return merge(judged, silent, key=itemgetter(0))
