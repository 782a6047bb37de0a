"""Judges a scan: runs pages' rules over its facts.

SQL's three-valued logic is the verdict: `compliant` true passes, false fails, NULL is unknown; a row that
the rule does not select is not in scope. A scan has one instant, `$as_of`, and rules see no other clock,
so that saved facts give the same verdicts again. Facts that may be older than that instant, because their
files do not say when they were made, are judged at both ends: what differs is unknown.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from birthright.errors import PageError, QueryError
from birthright.facts.schema import TABLES
from birthright.policies.engine import Engine
from birthright.policies.page import Page, Value
from birthright.policies.scope import EVERYTHING, AccountRange, Scope
from birthright.policies.subjects import BOOLEAN

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

Verdict = Literal["pass", "fail", "unknown"]
_VERDICTS: dict[bool | None, Verdict] = {True: "pass", False: "fail", None: "unknown"}

# The answer to these would differ when the same facts are judged again, or they wait, or tell of the machine.
_CHANGING = frozenset(
    """now today random setseed uuid uuidv4 uuidv7 gen_random_uuid nextval currval setval version ago age/1
    get_current_timestamp get_current_time current_timestamp current_date current_time current_localtime
    current_localtimestamp localtime localtimestamp transaction_timestamp current_setting getvariable
    current_query current_query_id current_connection_id current_transaction_id txid_current read_text
    read_blob pg_postmaster_start_time pg_conf_load_time pg_sleep sleep_ms write_log stats vector_type
    tablesample current_database current_schema current_schemas current_catalog current_user
    session_user current_role in_search_path user/0""".split()
)
# A function that rows are read from can run text as SQL, look at the machine, or follow a pointer.
_TABLE_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"})

# Rows of keys and principals that one go is about. A rule that groups holds all the groups of a tally's go;
# a batch's findings that are not given yet take some 200 bytes each.
_TALLY_ROWS = 8_000_000
_BATCH_ROWS = 250_000
STREAM_ROWS = 10_000  # for findings that are gone through once: a batch of them is small
# More of them, and reading the facts again and again would cost more than what is made of them.
_MOST_BATCHES = 16
_SLICE = 1024  # rows that are Python's at a time

_AS_OF = re.compile(r"\$as_of\b")
_DEPENDS = "depends on when the files were made, which is not known: say it with --report-time"


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
    """How often one policy says what, by account. `unread` is as in a Judgement, and not in `accounts`.

    `total` adds up all accounts; an unread one is one unknown.
    """

    page: Page
    parameters: dict[str, Value]
    accounts: dict[str, VerdictCounts]
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
        self._instants = {"as_of": _zoneless(as_of)}
        if as_of_earliest is not None:
            self._instants["as_of_earliest"] = _zoneless(as_of_earliest)
        self.instants = frozenset({as_of, as_of_earliest or as_of})
        self.engine = Engine(facts)
        self.scope = Scope(self.engine)

    def rule(self, page: Page, overrides: Mapping[str, str] | None = None) -> "Rule":
        """Get a page's rule ready. Raises PageError if it is not acceptable, UsageError for the overrides."""
        parameters = page.values(overrides or {})
        rule = Rule(self.engine, page, parameters, self.scope.unread(*self.needs(page)))
        rule.bind({**parameters, **self._instants, "unread_accounts": list(rule.unread)})
        return rule

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
        rows = tuple(rule.rows(passes=passes))
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
        return rule.tally(self.scope.spans(_TALLY_ROWS))

    def batches(self) -> list[AccountRange]:
        """Cut the accounts into batches whose rows fit into memory; one, of all, for most scans."""
        rows = sum(one.rows for one in self.scope.holdings)
        return self.scope.spans(max(self._batch_rows, rows // _MOST_BATCHES))

    def several_keys(self, within: AccountRange = EVERYTHING) -> dict[tuple[str, str], int | None]:
        """Count the keys of users, by account and name, that have more than one row of them.

        None where some of a user's keys were not listed.
        """
        sql = f"""select account_id, user_name,
                         case when count(*) = count(access_key_id) then count(*) end as keys
                  from access_keys where {within.condition()}
                  group by all having count(access_key_id) > 0 and count(*) > 1"""  # noqa: S608
        rows = self.engine.rows(self.engine.select(sql, within.values()))
        return {(account, name): keys for account, name, keys in rows}

    def unlisted(self, within: AccountRange = EVERYTHING) -> frozenset[tuple[str, str]]:
        """Name the principals that ListUsers, where it was answered, did not tell of, root among them."""
        sql = f"""select account_id, user_name from principals
                  where {within.condition()} and in_listing is not true
                  and account_id in (select account_id from coverage
                                     where source = 'ListUsers' and status in ('ok', 'partial'))"""  # noqa: S608
        return frozenset(self.engine.rows(self.engine.select(sql, within.values())))

    def passwords(
        self, within: AccountRange = EVERYTHING
    ) -> dict[tuple[str, str], tuple[datetime | None, ...]]:
        """Tell, by account and name of users with a console password, when it was set and last used; UTC."""
        sql = f"""select account_id, user_name, password_last_changed_at, password_last_used_at
                  from principals where {within.condition()} and console_password"""  # noqa: S608
        rows = self.engine.rows(self.engine.select(sql, within.values()))
        return {
            (account, name): tuple(moment and moment.replace(tzinfo=UTC) for moment in moments)
            for account, name, *moments in rows
        }


class Rule:
    """One page's rule over one scan, accepted, with its parameters; `unread` is as in a Judgement."""

    def __init__(
        self, engine: Engine, page: Page, parameters: dict[str, Value], unread: dict[str, str]
    ) -> None:
        self.page = page
        self.parameters = parameters
        self.unread = unread
        self._engine = engine
        self._sql = page.rule
        self._values: Mapping[str, Any] = {}
        self._types: dict[str, str] = {}

    def bind(self, values: Mapping[str, Any]) -> None:
        """Take the values and check the rule against them. Raises PageError."""
        self._values = values
        with self._named():
            self._check_parameters()
            mentions = self._engine.mentions(self.page.rule, "the rule")
            changing = mentions.names & _CHANGING | mentions.table_functions - _TABLE_FUNCTIONS
            if changing:
                raise QueryError(
                    f"the rule asks for {min(changing).partition('/')[0]}",
                    "the same facts must give the same verdict: use $as_of and the fact tables",
                )
            # It was accepted as one SELECT, so it stays in its parentheses.
            self._types = self._engine.types(f"select * from (\n{self.page.rule}\n)", values, "the rule")  # noqa: S608
            _check_columns(self.page, self._types)
            if "as_of_earliest" in values and _AS_OF.search(self.page.rule):
                self._sql = _at_both_ends(self.page, "reason" in self._types)
                self._types = self._engine.types(self._sql, values, "the rule")

    def rows(self, within: AccountRange = EVERYTHING, *, passes: bool = False) -> Iterator[Row]:
        """Give the failures and unknowns, or everything, by account. Raises PageError."""
        wanted = "true" if passes else "compliant is not true"
        with self._named():
            sql = f"select * {self._from(within)} and {wanted} order by account_id"
            table = self._engine.table(sql, {**self._values, **within.values()}, "the rule")
            yield from _Reader(self.page, self._types).read(table)

    def tally(self, spans: Iterable[AccountRange] = (EVERYTHING,)) -> Tally:
        """Count the verdicts, in so many goes. Raises PageError."""
        accounts: dict[str, VerdictCounts] = {}
        sql = "select account_id, count(*) filter (not compliant), count(*) filter (compliant is null)"
        with self._named():
            for span in spans:
                counting = f"{sql}, count(*) filter (compliant) {self._from(span)} group by account_id"
                values = {**self._values, **span.values()}
                result = self._engine.select(counting, values, "the rule")
                for account, *counts in self._engine.rows(result, "the rule"):
                    accounts[account] = VerdictCounts(*counts)
            if None in accounts:
                raise QueryError("the rule gives a row without account_id")
        failed, unknown, passed = map(sum, zip(*accounts.values(), (0, 0, 0), strict=True))
        total = VerdictCounts(failed, unknown + len(self.unread), passed)
        return Tally(self.page, self.parameters, accounts, self.unread, total)

    def size(self) -> int:
        """Count all subjects in scope; the engine need not judge them for that. Raises PageError."""
        with self._named():
            result = self._engine.select(f"select count(*) {self._from()}", self._values, "the rule")
            return sum(number for (number,) in self._engine.rows(result, "the rule"))

    def _from(self, within: AccountRange = EVERYTHING) -> str:
        """Return what the rule gives as a FROM clause: a rule may look at all accounts to judge one."""
        unread = "account_id not in (select unnest($unread_accounts))" if self.unread else "true"
        return f"from (\n{self._sql}\n) where {unread} and {within.condition()}"

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say whose rule it is that fails."""
        try:
            yield
        except QueryError as error:
            raise PageError(f"{self.page.origin}: {error.message}", error.hint) from error

    def _check_parameters(self) -> None:
        used = self._engine.named_parameters(self.page.rule, "the rule") - {"as_of"}
        declared = self.page.front.parameters.keys()
        for name in sorted(used - declared):
            raise QueryError(f"the rule uses ${name}, which the page does not declare")
        for name in sorted(declared - used):
            raise QueryError(f"the rule does not use the parameter {name}")


def _zoneless(moment: datetime) -> datetime:
    """Write an instant as the engine holds it: UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _at_both_ends(page: Page, has_reason: bool) -> str:  # noqa: FBT001
    """Write a SELECT of the page's subjects; unknown is what is not judged alike at both ends."""
    columns = ", ".join(page.subject.columns)
    wanted = f"{columns}, compliant, {'reason' if has_reason else 'null'}::varchar as reason"
    agree = "count(*) = 2 * count(*) filter (late) and count(distinct coalesce(compliant::int, 2)) = 1"
    return f"""
        select {columns}, case when {agree} then bool_and(compliant) end as compliant,
               case when {agree} then max(reason) filter (late) else '{_DEPENDS}' end as reason
        from (select {wanted}, true as late from (\n{page.rule}\n)
              union all
              select {wanted}, false from (\n{_AS_OF.sub("$as_of_earliest", page.rule)}\n))
        group by {columns}"""  # noqa: S608


class _Reader:
    """Puts the columns of a result into their places in a Row."""

    def __init__(self, page: Page, types: Mapping[str, str]) -> None:
        self._types = types
        self._place = page.subject.places

    def read(self, table: "pa.Table") -> Iterator[Row]:
        """Give the rows, a slice of the table at a time: as Python's they are ten times as large."""
        wanted = {*self._place.values(), "compliant", "reason"}
        places = {name: place for place, name in enumerate(self._types) if name in wanted}
        for start in range(0, table.num_rows, _SLICE):
            piece = table.slice(start, _SLICE)
            try:
                cells = {name: piece.column(place).to_pylist() for name, place in places.items()}
            except (ValueError, OverflowError) as error:
                raise QueryError(f"the rule does not run: {error}") from error
            yield from self._rows(cells)

    def _rows(self, cells: Mapping[str, list[Any]]) -> Iterator[Row]:
        columns = [self._column(cells, field) for field in Row.__struct_fields__[2:]]
        verdicts = map(_VERDICTS.__getitem__, cells["compliant"])
        reasons = (None if reason is None else str(reason) for reason in cells.get("reason", repeat(None)))
        return map(Row, verdicts, reasons, *columns)

    def _column(self, cells: Mapping[str, list[Any]], field: str) -> Iterable[Any]:
        """Return a field's cells; the engine's zoneless instants get their zone, UTC."""
        name = self._place.get(field)
        if name is None:
            return repeat(None)
        if field.endswith("_at"):
            return [at and at.replace(tzinfo=UTC) for at in cells[name]]
        return cells[name]


def _check_columns(page: Page, types: Mapping[str, str]) -> None:
    if "compliant" not in types:
        raise QueryError("the rule has no column compliant", "true passes, false fails, null is unknown")
    for column, wanted in {**page.subject.columns, "compliant": BOOLEAN}.items():
        if column not in types:
            raise QueryError(f"the rule has no column {column}", f"subject {page.front.subject} needs it")
        if types[column].strip('"') not in {*wanted, "NULL"}:
            raise QueryError(f"the rule's column {column} is {types[column]}", f"it should be {min(wanted)}")
