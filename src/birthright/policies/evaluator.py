"""Judges a scan: runs pages' rules over its facts.

SQL's three-valued logic is the verdict: `compliant` true passes, false fails, NULL is unknown; a row that
the rule does not select is not in scope. A scan has one instant, `$as_of`, and rules see no other clock,
so that saved facts give the same verdicts again.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from birthright.errors import PageError, QueryError
from birthright.facts.model import Coverage
from birthright.policies.engine import Engine
from birthright.policies.page import Page, Value

if TYPE_CHECKING:
    import pyarrow as pa

Verdict = Literal["pass", "fail", "unknown"]
_VERDICTS: dict[bool | None, Verdict] = {True: "pass", False: "fail", None: "unknown"}

_PERSON = ("account_id", "user_name", "user_arn", "is_root", "console_password")
_KEY = (
    "access_key_id",
    "slot",
    "status",
    "created_at",
    "created_source",
    "user_created_at",
    "ever_used",
    "last_used_at",
    "last_used_region",
    "last_used_service",
    "last_used_source",
)
_SUBJECT_COLUMNS: dict[str, tuple[str, ...]] = {
    "access-key": _PERSON + _KEY,
    "principal": (*_PERSON, "created_at as user_created_at"),
    "account": ("account_id",),
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
# Types that a column of the result must have for its place in a finding.
_TYPES = {
    "compliant": "BOOLEAN",
    "is_root": "BOOLEAN",
    "console_password": "BOOLEAN",
    "ever_used": "BOOLEAN",
    "slot": "TINYINT",
}
_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"})
_BATCH = 4096


class Row(msgspec.Struct, frozen=True):
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
            columns = self._accept(page, values)
            counts = self._counts(page, values)
            rows = self._rows(page, columns, values, passes=passes)
        except QueryError as error:
            raise PageError(f"{page.origin}: {error.message}", error.hint) from error
        return Judgement(
            page,
            parameters,
            passed=counts.get(True, 0),
            failed=counts.get(False, 0),
            unknown=counts.get(None, 0) + len(unread),
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

    def _unread(self, needs: Sequence[str]) -> dict[str, str]:
        """Say which accounts answered none of the reads in `needs`, and why."""
        asked = [row for row in self.coverage if row.source in needs]
        answered = {row.account_id for row in asked if row.status in {"ok", "partial"}}
        silent = {row.account_id for row in self.coverage} - answered
        return {account: _why_unread(asked, account, needs) for account in sorted(silent)}

    def _accept(self, page: Page, values: Mapping[str, Any]) -> frozenset[str]:
        """Check that the rule is one this evaluator runs; return the names of its columns."""
        self._check_parameters(page)
        changing = self.engine.names(page.rule) & _CHANGING
        if changing:
            raise QueryError(
                f"the rule asks for {min(changing)}",
                "the same facts must give the same verdict: use $as_of",
            )
        result = self.engine.select(f"select * from (\n{page.rule}\n) limit 0", values, "the rule")  # noqa: S608
        types = {column[0]: str(column[1]) for column in result.description or ()}
        _check_columns(page, types)
        return frozenset(types)

    def _check_parameters(self, page: Page) -> None:
        used = self.engine.named_parameters(page.rule, "the rule") - {"as_of"}
        declared = page.front.parameters.keys()
        for name in sorted(used - declared):
            raise QueryError(f"the rule uses ${name}, which the page does not declare")
        for name in sorted(declared - used):
            raise QueryError(f"the rule does not use the parameter {name}")

    def _counts(self, page: Page, values: Mapping[str, Any]) -> dict[bool | None, int]:
        sql = f"select compliant, count(*) {_from(page, values)} group by all"
        return dict(self.engine.select(sql, values, "the rule").fetchall())

    def _rows(
        self, page: Page, columns: frozenset[str], values: Mapping[str, Any], *, passes: bool
    ) -> tuple[Row, ...]:
        reason = "reason::varchar" if "reason" in columns else "null"
        wanted = _SUBJECT_COLUMNS[page.front.subject]
        sql = f"select compliant, {reason}, {', '.join(wanted)} {_from(page, values)}"
        if not passes:
            sql += " and compliant is not true"
        names = [column.rpartition(" ")[2] for column in wanted]
        return tuple(
            Row(_VERDICTS[compliant], reason, **dict(zip(names, map(_aware, rest), strict=True)))
            for compliant, reason, *rest in self.engine.select(sql, values, "the rule").fetchall()
        )


def _from(page: Page, values: Mapping[str, Any]) -> str:
    """Return the rule as a FROM clause; it was accepted as one SELECT, so it stays in its parentheses."""
    readable = (
        "account_id not in (select unnest($unread_accounts))"
        if values["unread_accounts"]
        else "true"
    )
    return f"from (\n{page.rule}\n) where {readable}"  # noqa: S608


def _check_columns(page: Page, types: Mapping[str, str]) -> None:
    if "compliant" not in types:
        raise QueryError(
            "the rule has no column compliant", "true passes, false fails, null is unknown"
        )
    if types["compliant"] not in {"BOOLEAN", "NULL", '"NULL"'}:
        raise QueryError(f"the rule's column compliant is {types['compliant']}, not a boolean")
    for column in _SUBJECT_COLUMNS[page.front.subject]:
        if column.partition(" ")[0] not in types:
            raise QueryError(
                f"the rule has no column {column.partition(' ')[0]}",
                f"subject {page.front.subject} needs it",
            )


def _why_unread(asked: Sequence[Coverage], account: str, needs: Sequence[str]) -> str:
    """Say in one line what stood in the way of reading an account."""
    reasons = [
        f"{row.source} {row.status}: {row.detail}" if row.detail else f"{row.source} {row.status}"
        for row in asked
        if row.account_id == account
    ]
    return "; ".join(reasons) or f"{' or '.join(needs)} was not asked"


def _aware(value: Any) -> Any:  # noqa: ANN401
    """Give the engine's zoneless instants their zone, UTC; leave everything else."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
