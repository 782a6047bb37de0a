"""One page's rule over one scan: its verdicts as rows of the engine's, counted or all of them.

SQL's three-valued logic is the verdict: `compliant` true passes, false fails, NULL is unknown; a row that
the rule does not select is not in scope. A scan has one instant, `$as_of`, and rules see no other clock,
so that saved facts give the same verdicts again. Facts that may be older than that instant, because their
files do not say when they were made, are judged at both ends: what differs is unknown.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from birthright.errors import PageError, QueryError
from birthright.policies.checks import accepted_columns
from birthright.policies.engine import Engine
from birthright.policies.page import Page, Value
from birthright.policies.scope import EVERYTHING, AccountRange, Accounts

if TYPE_CHECKING:
    import pyarrow as pa

# The columns of a verdict, whatever its subject is; those that it lacks are NULL.
VERDICT: Mapping[str, str] = {
    "compliant": "boolean",
    "reason": "varchar",
    "account_id": "varchar",
    "user_name": "varchar",
    "user_arn": "varchar",
    "is_root": "boolean",
    "console_password": "boolean",
    "access_key_id": "varchar",
    "slot": "bigint",
    "status": "varchar",
    "created_at": "timestamp",
    "created_source": "varchar",
    "user_created_at": "timestamp",
    "ever_used": "boolean",
    "last_used_at": "timestamp",
    "last_used_region": "varchar",
    "last_used_service": "varchar",
    "last_used_source": "varchar",
    "subject_id": "varchar",
}

# Those that tell what is to be done about how many subjects; of reasons only those of unknowns.
BRIEF = tuple(
    """compliant reason account_id user_name is_root access_key_id status created_at ever_used
    last_used_at""".split()
)

_AS_OF = re.compile(r"\$as_of\b")
_DEPENDS = "depends on when the files were made, which is not known: say it with --report-time"


class Rule:
    """One page's rule, accepted, with its parameters.

    `instants` are the values of `$as_of` and, where the facts are of some time before it, of
    `$as_of_earliest`. `unread` gives, for each account that answered nothing this rule could judge, the
    reason. Raises PageError if the rule is not acceptable.
    """

    def __init__(
        self,
        engine: Engine,
        page: Page,
        parameters: dict[str, Value],
        instants: Mapping[str, datetime],
        unread: dict[str, str],
    ) -> None:
        self.page = page
        self.parameters = parameters
        self.unread = unread
        self._engine = engine
        self._values = {**parameters, **instants, "unread_accounts": list(unread)}
        with self._named():
            columns = accepted_columns(engine, page, self._values)
        both = "as_of_earliest" in instants and _AS_OF.search(page.rule)
        self._sql = _at_both_ends(page, columns) if both else page.rule
        self._places = {**page.subject.places, "compliant": "compliant"}
        if both or "reason" in columns:
            self._places["reason"] = "reason"
        # The reasons of failures are most of what a rule costs.
        self._brief_reason = f"(case when compliant is null then {self._places.get('reason', 'null')} end)"

    def rows(self, *, passes: bool = False) -> Iterator[tuple[Any, ...]]:
        """Give the verdicts that do not pass, or all, by account: cells in the order of VERDICT.

        Times are UTC without a zone; accounts that were not read have none. Raises PageError.
        """
        with self._named():
            sql = f"{self._select(EVERYTHING, passes=passes)} order by account_id"
            yield from self._engine.rows(self._engine.select(sql, self._values, "the rule"), "the rule")

    def verdicts(
        self, within: AccountRange | Accounts, place: int, *, passes: bool = False, brief: bool = False
    ) -> "pa.Table":
        """Return the verdicts that do not pass, or all, in no order; of unread accounts, too.

        Their columns are those of VERDICT, or BRIEF, and `place`, as it was given. Raises PageError.
        """
        import pyarrow as pa

        said = f"{place}::tinyint as place"
        with self._named():
            sql = self._select(within, said, passes=passes, brief=brief)
            read = self._engine.table(sql, {**self._values, **within.values()}, "the rule")
        silent = {account: reason for account, reason in self.unread.items() if within.holds(account)}
        return pa.concat_tables([read, self._silence(silent, read.column_names, said)]) if silent else read

    def counts(self, spans: Iterable[AccountRange] = (EVERYTHING,)) -> "pa.Table":
        """Count the verdicts by account, in so many goes: account_id, fail, unknown, pass.

        Raises PageError.
        """
        import pyarrow as pa

        cells = """account_id, count(*) filter (not compliant) as fail,
                   count(*) filter (compliant is null) as unknown, count(*) filter (compliant) as pass"""
        with self._named():
            found = pa.concat_tables(
                self._engine.table(
                    f"select {cells} {self._from(span)} group by account_id",
                    {**self._values, **span.values()},
                    "the rule",
                )
                for span in spans
            )
            if found["account_id"].null_count:
                raise QueryError("the rule gives a row without account_id")
        return found

    def size(self) -> int:
        """Count all subjects in scope; the engine need not judge them for that. Raises PageError."""
        with self._named():
            result = self._engine.select(f"select count(*) {self._from()}", self._values, "the rule")
            return sum(number for (number,) in self._engine.rows(result, "the rule"))

    def _select(self, within: AccountRange | Accounts, *more: str, passes: bool, brief: bool = False) -> str:
        kinds = {name: VERDICT[name] for name in BRIEF} if brief else VERDICT
        places = {**self._places, **({"reason": self._brief_reason} if brief else {})}
        cells = (f"{_cast(places.get(name, 'null'), kind)} as {name}" for name, kind in kinds.items())
        wanted = "true" if passes else "compliant is not true"
        return f"select {', '.join([*cells, *more])} {self._from(within)} and {wanted}"

    def _from(self, within: AccountRange | Accounts = EVERYTHING) -> str:
        """Return what the rule gives as a FROM clause: a rule may look at all accounts to judge one."""
        unread = "account_id not in (select unnest($unread_accounts))" if self.unread else "true"
        return f"from (\n{self._sql}\n) where {unread} and {within.condition()}"

    def _silence(self, silent: Mapping[str, str], names: Iterable[str], *more: str) -> "pa.Table":
        cells = {"reason": "'could not be judged: ' || said", "account_id": "account"}
        written = (
            f"{cells.get(name, 'null')}::{VERDICT[name]} as {name}" for name in names if name in VERDICT
        )
        told = "select unnest($accounts) as account, unnest($reasons) as said"
        sql = f"select {', '.join([*written, *more])} from ({told})"  # noqa: S608
        return self._engine.table(sql, {"accounts": list(silent), "reasons": list(silent.values())})

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say whose rule it is that fails."""
        try:
            yield
        except QueryError as error:
            raise PageError(f"{self.page.origin}: {error.message}", error.hint) from error


def _cast(column: str, kind: str) -> str:
    if kind != "timestamp" or column == "null":
        return f"{column}::{kind}"
    fits = f"{column} is null or year({column}) between 1 and 9999"
    second = f"date_trunc('second', {column})"
    return f"case when {fits} then {second} else error('a time beyond the years 1 to 9999') end"


def zoneless(moment: datetime) -> datetime:
    """Write an instant as the engine holds it: UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _at_both_ends(page: Page, has: frozenset[str]) -> str:
    """Write a SELECT of the page's subjects; unknown is what is not judged alike at both ends."""
    columns = ", ".join(page.subject.columns)
    wanted = f"{columns}, compliant, {'reason' if 'reason' in has else 'null'}::varchar as reason"
    agree = "count(*) = 2 * count(*) filter (late) and count(distinct coalesce(compliant::int, 2)) = 1"
    return f"""
        select {columns}, case when {agree} then bool_and(compliant) end as compliant,
               case when {agree} then max(reason) filter (late) else '{_DEPENDS}' end as reason
        from (select {wanted}, true as late from (\n{page.rule}\n)
              union all
              select {wanted}, false from (\n{_AS_OF.sub("$as_of_earliest", page.rule)}\n))
        group by {columns}"""  # noqa: S608
