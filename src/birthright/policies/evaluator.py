"""Judges a scan: runs pages' rules over its facts.

SQL's three-valued logic is the verdict: `compliant` true passes, false fails, NULL is unknown; a row that
the rule does not select is not in scope. A scan has one instant, `$as_of`, and rules see no other clock,
so that saved facts give the same verdicts again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from birthright.errors import PageError, QueryError
from birthright.facts.model import Coverage
from birthright.policies.engine import Engine
from birthright.policies.page import Page, Subject, Value

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb
    import pyarrow as pa

Verdict = Literal["pass", "fail", "unknown"]
_VERDICTS: dict[bool | None, Verdict] = {True: "pass", False: "fail", None: "unknown"}

_TIME = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})
_INTEGER = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"})
_BOOLEAN = frozenset({"BOOLEAN"})
_TEXT = frozenset({"VARCHAR"})
_PERSON = {
    "account_id": _TEXT,
    "user_name": _TEXT,
    "user_arn": _TEXT,
    "is_root": _BOOLEAN,
    "console_password": _BOOLEAN,
}
_KEY = {
    "access_key_id": _TEXT,
    "slot": _INTEGER,
    "status": _TEXT,
    "created_at": _TIME,
    "created_source": _TEXT,
    "user_created_at": _TIME,
    "ever_used": _BOOLEAN,
    "last_used_at": _TIME,
    "last_used_region": _TEXT,
    "last_used_service": _TEXT,
    "last_used_source": _TEXT,
}
# The columns that a rule must have beside `compliant`, with the types that fit their place in a Row.
_COLUMNS: Mapping[Subject, Mapping[str, frozenset[str]]] = {
    "access-key": _PERSON | _KEY,
    "principal": _PERSON | {"created_at": _TIME},
    "account": {"account_id": _TEXT},
}
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


class Row(msgspec.Struct, frozen=True, gc=False):
    """One judged subject. Fields that its kind of subject lacks are None; times are aware, UTC."""

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


class Evaluator:
    """Judges one scan: its folder of Parquet files, or tables in memory."""

    def __init__(self, facts: "Path | Mapping[str, pa.Table]", as_of: datetime) -> None:
        self._as_of = as_of.astimezone(UTC).replace(tzinfo=None)
        self.engine = Engine(facts)

    def judge(
        self, page: Page, overrides: Mapping[str, str] | None = None, *, passes: bool = False
    ) -> Judgement:
        """Run a page's rule. Raises PageError if the rule is not acceptable or does not run."""
        parameters = page.values(overrides or {})
        unread = self._unread(page.needs)
        values = {**parameters, "as_of": self._as_of, "unread_accounts": list(unread)}
        try:
            self._accept(page)
            rows = self._rows(page, values, passes=passes)
            total = len(rows) if passes else self._total(page, values)
        except QueryError as error:
            raise PageError(f"{page.origin}: {error.message}", error.hint) from error
        verdicts = Counter(row.verdict for row in rows)
        return Judgement(
            page,
            parameters,
            passed=total - verdicts["fail"] - verdicts["unknown"],
            failed=verdicts["fail"],
            unknown=verdicts["unknown"] + len(unread),
            rows=rows,
            unread=unread,
        )

    @cached_property
    def coverage(self) -> tuple[Coverage, ...]:
        """The coverage table, by account and source."""
        result = self.engine.select("select * from coverage order by account_id, source")
        names = [column[0] for column in result.description or ()]
        rows = (dict(zip(names, map(_aware, row), strict=True)) for row in result.fetchall())
        return tuple(msgspec.convert(row, Coverage) for row in rows)

    def counts(self) -> dict[str, int]:
        """Count accounts, principals and access keys; a row that stands for unread keys is no key."""
        sql = """select (select count(distinct account_id) from coverage) as accounts,
                        (select count(*) from principals) as principals,
                        (select count(coalesce(access_key_id, status, slot::varchar)) from access_keys)"""
        accounts, principals, keys = self.engine.select(sql).fetchall()[0]
        return {"accounts": accounts, "principals": principals, "access_keys": keys}

    def accounts(self) -> list[tuple[str, int, int, int]]:
        """Count, by account: principals, access keys, and those of them that are known to be active."""
        sql = """with asked as (select distinct account_id from coverage),
                      people as (select account_id, count(*) as principals from principals group by 1),
                      keys as (select account_id,
                                      count(coalesce(access_key_id, status, slot::varchar)) as access_keys,
                                      count(*) filter (status = 'Active') as active
                               from access_keys group by 1)
                 select account_id, coalesce(principals, 0), coalesce(access_keys, 0), coalesce(active, 0)
                 from asked left join people using (account_id) left join keys using (account_id)
                 order by account_id"""
        return self.engine.select(sql).fetchall()

    def several_keys(self) -> dict[tuple[str, str], int | None]:
        """Count the keys of users, by account and name, that have more than one row of them.

        None where some of a user's keys were not listed.
        """
        sql = """select account_id, user_name,
                        case when count(*) = count(access_key_id) then count(*) end as keys
                 from access_keys group by all having count(access_key_id) > 0 and count(*) > 1"""
        rows = self.engine.rows(self.engine.select(sql))
        return {(account, name): keys for account, name, keys in rows}

    def _unread(self, needs: Sequence[str]) -> dict[str, str]:
        """Say which accounts answered none of the reads in `needs`, and why."""
        asked: dict[str, list[Coverage]] = {}
        for row in self.coverage:
            asked.setdefault(row.account_id, []).extend([row] if row.source in needs else [])
        return {
            account: _why_unread(rows, needs)
            for account, rows in asked.items()
            if not any(row.status in {"ok", "partial"} for row in rows)
        }

    def _accept(self, page: Page) -> None:
        """Check that the rule is one that this evaluator runs."""
        self._check_parameters(page)
        mentions = self.engine.mentions(page.rule, "the rule")
        changing = mentions.names & _CHANGING | mentions.table_functions - _TABLE_FUNCTIONS
        if changing:
            raise QueryError(
                f"the rule asks for {min(changing).partition('/')[0]}",
                "the same facts must give the same verdict: use $as_of and the fact tables",
            )

    def _check_parameters(self, page: Page) -> None:
        used = self.engine.named_parameters(page.rule, "the rule") - {"as_of"}
        declared = page.front.parameters.keys()
        for name in sorted(used - declared):
            raise QueryError(f"the rule uses ${name}, which the page does not declare")
        for name in sorted(declared - used):
            raise QueryError(f"the rule does not use the parameter {name}")

    def _total(self, page: Page, values: Mapping[str, Any]) -> int:
        """Count all subjects in scope; the engine need not judge them for that."""
        result = self.engine.select(f"select count(*) {_from(page, values)}", values, "the rule")
        return sum(number for (number,) in self.engine.rows(result, "the rule"))

    def _rows(self, page: Page, values: Mapping[str, Any], *, passes: bool) -> tuple[Row, ...]:
        sql = f"select * {_from(page, values)}"
        if not passes:
            sql += " and compliant is not true"
        try:
            result = self.engine.select(sql, values, "the rule")
        except QueryError:
            # A missing column `compliant` stops the filter above; said plainly it is easier to mend.
            bare = self.engine.select(f"select * from (\n{page.rule}\n) limit 0", values, "the rule")  # noqa: S608
            _check_columns(page, _types(bare))
            raise
        types = _types(result)
        _check_columns(page, types)
        reader = _RowReader(page, list(types))
        return tuple(map(reader.read, self.engine.rows(result, "the rule")))


def _types(result: "duckdb.DuckDBPyConnection") -> dict[str, str]:
    return {name: str(kind) for name, kind, *_ in result.description or ()}


class _RowReader:
    """Puts the columns of a result into their places in a Row."""

    def __init__(self, page: Page, columns: Sequence[str]) -> None:
        place = {name: columns.index(name) for name in _COLUMNS[page.front.subject]}
        if page.front.subject == "principal":
            place["user_created_at"] = place.pop("created_at")
        # A field without a column takes the None that `read` puts behind the columns.
        fields = Row.__struct_fields__[2:]
        self._pick = itemgetter(*(place.get(field, len(columns)) for field in fields))
        self._times = [fields.index(field) for field in fields if field.endswith("_at")]
        self._compliant = columns.index("compliant")
        self._reason = columns.index("reason") if "reason" in columns else len(columns)

    def read(self, cells: tuple[Any, ...]) -> Row:
        """Make one row; the engine's zoneless instants get their zone, UTC."""
        cells = (*cells, None)
        values = list(self._pick(cells))
        for i in self._times:
            if values[i] is not None:
                values[i] = values[i].replace(tzinfo=UTC)
        reason = cells[self._reason]
        return Row(_VERDICTS[cells[self._compliant]], None if reason is None else str(reason), *values)


def _from(page: Page, values: Mapping[str, Any]) -> str:
    """Return the rule as a FROM clause; it was accepted as one SELECT, so it stays in its parentheses."""
    readable = "account_id not in (select unnest($unread_accounts))" if values["unread_accounts"] else "true"
    return f"from (\n{page.rule}\n) where {readable}"


def _check_columns(page: Page, types: Mapping[str, str]) -> None:
    if "compliant" not in types:
        raise QueryError("the rule has no column compliant", "true passes, false fails, null is unknown")
    for column, wanted in {**_COLUMNS[page.front.subject], "compliant": _BOOLEAN}.items():
        if column not in types:
            raise QueryError(f"the rule has no column {column}", f"subject {page.front.subject} needs it")
        if types[column].strip('"') not in {*wanted, "NULL"}:
            raise QueryError(f"the rule's column {column} is {types[column]}", f"it should be {min(wanted)}")


def _why_unread(asked: Sequence[Coverage], needs: Sequence[str]) -> str:
    """Say in one line what stood in the way of reading an account."""
    reasons = [
        f"{row.source} {row.status}: {row.detail}" if row.detail else f"{row.source} {row.status}"
        for row in asked
    ]
    return "; ".join(reasons) or f"{' or '.join(needs)} was not asked"


def _aware(value: Any) -> Any:  # noqa: ANN401
    """Give the engine's zoneless instants their zone, UTC; leave everything else."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
