"""Judges a scan: one policy's verdicts as values, or counted however many keys there are."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from birthright.errors import QueryError
from birthright.facts.schema import TABLES
from birthright.policies.engine import Engine
from birthright.policies.page import Page, Value
from birthright.policies.rule import Rule, zoneless
from birthright.policies.scope import AccountRange, Scope, aware

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

Verdict = Literal["pass", "fail", "unknown"]
_VERDICTS: dict[bool | None, Verdict] = {True: "pass", False: "fail", None: "unknown"}

# Rows of keys and principals that one go is about. A rule that groups holds all the groups of a tally's go;
# a batch's findings that are not given yet take some 300 bytes each.
_TALLY_ROWS = 8_000_000
_BATCH_ROWS = 250_000
STREAM_ROWS = 10_000  # for findings that are gone through once: a batch of them is small
# More of them, and reading the facts again and again would cost more than what is made of them.
_MOST_BATCHES = 16


class Row(msgspec.Struct, frozen=True, gc=False):
    """One judged subject. Fields that its kind of subject lacks are None; times are aware, UTC.

    `subject_id` is the id of what has one and is no access key.
    """

    verdict: Verdict
    reason: str | None
    account_id: str
    user_name: str | None = None
    user_arn: str | None = None
    is_root: bool | None = None
    console_password: bool | None = None
    access_key_id: str | None = None
    slot: int | None = None
    status: str | None = None
    created_at: datetime | None = None
    created_source: str | None = None
    user_created_at: datetime | None = None
    ever_used: bool | None = None
    last_used_at: datetime | None = None
    last_used_region: str | None = None
    last_used_service: str | None = None
    last_used_source: str | None = None
    subject_id: str | None = None


class Judgement(msgspec.Struct, frozen=True):
    """What one policy says of one scan.

    `rows` are the failures and unknowns, and the passes if they were asked for. `unread` gives, for each
    account that answered nothing this policy could be judged by, the reason; it counts as one unknown.
    """

    page: Page
    parameters: dict[str, Value]
    passed: int
    failed: int
    unknown: int
    rows: tuple[Row, ...]
    unread: dict[str, str]


class VerdictCounts(NamedTuple):
    """How many subjects of each verdict there are."""

    failed: int
    unknown: int
    passed: int


class Tally(msgspec.Struct, frozen=True):
    """How often one policy says what.

    `accounts` has the columns account_id, fail, unknown and pass. `unread` is as in a Judgement, and not in
    `accounts`; `total` adds up all, an unread one is one unknown.
    """

    page: Page
    parameters: dict[str, Value]
    accounts: "pa.Table"
    unread: dict[str, str]
    total: VerdictCounts


class Evaluator:
    """Judges one scan: its folder of Parquet files, or tables in memory.

    batch_rows: how many keys and principals, at least, make a batch of accounts. as_of_earliest: the facts
    are of some time from there to `as_of`; None if they are of `as_of`.
    """

    def __init__(
        self,
        facts: "Path | Mapping[str, pa.Table]",
        as_of: datetime,
        batch_rows: int = _BATCH_ROWS,
        *,
        as_of_earliest: datetime | None = None,
    ) -> None:
        self._batch_rows = batch_rows
        self.instants = {"as_of": zoneless(as_of)}
        if as_of_earliest is not None:
            self.instants["as_of_earliest"] = zoneless(as_of_earliest)
        self.engine = Engine(facts)
        self.scope = Scope(self.engine)

    def rule(self, page: Page, overrides: Mapping[str, str] | None = None) -> Rule:
        """Get a page's rule ready. Raises PageError if it is not acceptable, UsageError for the overrides."""
        parameters = page.values(overrides or {})
        return Rule(self.engine, page, parameters, self.instants, self.scope.unread(*self.needs(page)))

    def needs(self, page: Page) -> list[tuple[str, ...]]:
        """Return groups of AWS reads, of each of which an account must have answered one to be judged.

        Beside the page's needs they are those that fill the tables of its rule, unless it names its needs.
        """
        filled = {table.name: table.sources for table in TABLES.values() if table.sources}
        groups = [page.needs]
        if filled and not page.front.needs:
            with suppress(QueryError):  # Whoever gets the rule ready says what is wrong with it.
                tables = self.engine.mentions(page.rule).tables
                groups += [filled[name] for name in sorted(tables & filled.keys())]
        return groups

    def judge(
        self, page: Page, overrides: Mapping[str, str] | None = None, *, passes: bool = False
    ) -> Judgement:
        """Run a page's rule, all its rows at a time. Raises PageError if it is not acceptable or fails."""
        rule = self.rule(page, overrides)
        rows = tuple(map(_row, rule.rows(passes=passes)))
        total = len(rows) if passes else rule.size()
        verdicts = Counter(row.verdict for row in rows)
        return Judgement(
            page,
            rule.parameters,
            passed=total - verdicts["fail"] - verdicts["unknown"],
            failed=verdicts["fail"],
            unknown=verdicts["unknown"] + len(rule.unread),
            rows=rows,
            unread=rule.unread,
        )

    def tally(self, page: "Page | Rule", overrides: Mapping[str, str] | None = None) -> Tally:
        """Count the verdicts of a page, or of its rule if that was got ready, whatever the number of keys.

        Raises PageError like `judge`.
        """
        rule = page if isinstance(page, Rule) else self.rule(page, overrides)
        counts = rule.counts(self.scope.spans(_TALLY_ROWS))
        failed, unknown, passed = (sum(counts[name].to_pylist()) for name in ("fail", "unknown", "pass"))
        total = VerdictCounts(failed, unknown + len(rule.unread), passed)
        return Tally(rule.page, rule.parameters, counts, rule.unread, total)

    def batches(self) -> list[AccountRange]:
        """Cut the accounts into batches whose rows fit into memory; one, of all, for most scans."""
        rows = sum(one.rows for one in self.scope.holdings)
        return self.scope.spans(max(self._batch_rows, rows // _MOST_BATCHES))


def _row(cells: tuple[Any, ...]) -> Row:
    compliant, *rest = map(aware, cells)
    return Row(_VERDICTS[compliant], *rest)
