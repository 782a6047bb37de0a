"""The accounts of a scan: which were asked for, which answered, and what they hold."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from birthright.facts.coverage import ANSWERED, ENTRIES, ENTRY, Reach, reach_of
from birthright.facts.model import Account, Coverage
from birthright.policies.engine import Engine

NOT_REACHED = "not read: the scan did not finish"


class AccountRange(NamedTuple):
    """Neighbouring accounts in the order of their ids: those above `after`, up to and with `upto`.

    None is no limit.
    """

    after: str | None = None
    upto: str | None = None

    def holds(self, account_id: str) -> bool:
        """Whether an account is one of them."""
        return (self.after is None or account_id > self.after) and (
            self.upto is None or account_id <= self.upto
        )

    def condition(self) -> str:
        """Write it as an SQL condition; `values` are its parameters."""
        low = "true" if self.after is None else "account_id > $after_account"
        high = "true" if self.upto is None else "account_id <= $last_account"
        return f"{low} and {high}"

    def values(self) -> dict[str, str]:
        """Return the parameters of `condition`."""
        limits = {"after_account": self.after, "last_account": self.upto}
        return {name: value for name, value in limits.items() if value is not None}


EVERYTHING = AccountRange()


class Accounts(NamedTuple):
    """Some accounts, by id, in order."""

    ids: tuple[str, ...]

    def holds(self, account_id: str) -> bool:
        """Whether an account is one of them."""
        return account_id in self.ids

    def condition(self) -> str:
        """Write it as an SQL condition; `values` are its parameters."""
        near = "account_id between $first_account and $last_account"
        return f"{near} and list_contains($only_accounts, account_id)" if self.ids else "false"

    def values(self) -> dict[str, str | list[str]]:
        """Return the parameters of `condition`."""
        if not self.ids:
            return {}
        first, last = self.ids[0], self.ids[-1]
        return {"first_account": first, "last_account": last, "only_accounts": list(self.ids)}


class AccountTotals(NamedTuple):
    """What an account holds; `active` counts the keys that are known to be active.

    rows: of the tables of principals and keys.
    """

    account_id: str
    principals: int
    access_keys: int
    active: int
    rows: int


class Scope:
    """The accounts of the scan that an engine sees."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._unread: dict[tuple[str, ...], dict[str, str]] = {}

    @cached_property
    def accounts(self) -> dict[str, Account]:
        """The accounts that were asked for, by id; none in scans of a time when nobody wrote them down."""
        rows = self._records("select * from accounts order by account_id")
        return {row["account_id"]: msgspec.convert(row, Account) for row in rows}

    @cached_property
    def coverage(self) -> tuple[Coverage, ...]:
        """The coverage table, by account and source; an account that was not reached has a row, too."""
        rows = self._records("select * from coverage order by account_id, source")
        found = [msgspec.convert(row, Coverage) for row in rows]
        missing = self.accounts.keys() - {row.account_id for row in found}
        found += [Coverage(account, ENTRY, "failed", NOT_REACHED) for account in missing]
        return tuple(sorted(found, key=lambda row: row.account_id) if missing else found)

    @cached_property
    def reach(self) -> dict[str, Reach]:
        """How far each account was read."""
        return reach_of(self.coverage)

    @cached_property
    def holdings(self) -> tuple[AccountTotals, ...]:
        """What the accounts hold that somebody was to ask, by id; a row for unread keys is no key."""
        sql = """with people as (select account_id, count(*) as principals from principals group by 1),
                      keys as (select account_id, count(*) as found,
                                      count(coalesce(access_key_id, status, slot::varchar)) as access_keys,
                                      count(*) filter (status = 'Active') as active
                               from access_keys group by 1)
                 select account_id, coalesce(principals, 0), coalesce(access_keys, 0), coalesce(active, 0),
                        coalesce(principals, 0) + coalesce(found, 0)
                 from people full join keys using (account_id)"""
        held = {row[0]: AccountTotals(*row) for row in self._engine.rows(self._engine.select(sql))}
        inside = {account for account, reach in self.reach.items() if reach != "skipped"}
        return tuple(held.get(i, AccountTotals(i, 0, 0, 0, 0)) for i in sorted(inside | held.keys()))

    def spans(self, rows: int) -> list[AccountRange]:
        """Cut the accounts so that each span has about so many rows, or one account that has more."""
        cuts: list[str] = []
        held, last = 0, ""
        for one in self.holdings:
            if held and held + one.rows > rows:
                cuts.append(last)
                held = 0
            held += one.rows
            last = one.account_id
        return [AccountRange(*limits) for limits in zip([None, *cuts], [*cuts, None], strict=True)]

    def unread(self, *needs: tuple[str, ...]) -> dict[str, str]:
        """Say, by id, which accounts answered none of the reads in one of `needs`, and why."""
        for reads in needs:
            if reads not in self._unread:
                self._unread[reads] = dict(self._silent(reads))
        return {account: why for reads in reversed(needs) for account, why in self._unread[reads].items()}

    def _silent(self, needs: tuple[str, ...]) -> Iterable[tuple[str, str]]:
        for account, rows in self._asked.items():
            told = any(row.source in needs and row.status in ANSWERED for row in rows)
            if not told and self.reach[account] != "skipped":
                yield account, _why_unread(rows, needs)

    @cached_property
    def _asked(self) -> Mapping[str, Sequence[Coverage]]:
        asked: dict[str, list[Coverage]] = {}
        for row in self.coverage:
            asked.setdefault(row.account_id, []).append(row)
        return asked

    def _records(self, sql: str) -> list[dict[str, Any]]:
        result = self._engine.select(sql)
        columns = [(column[0], str(column[1])) for column in result.description or ()]
        names = [name for name, _ in columns]
        times = [name for name, kind in columns if kind == "TIMESTAMP"]
        records = [dict(zip(names, row, strict=True)) for row in self._engine.rows(result)]
        for record in records:
            record.update((name, aware(record[name])) for name in times)
        return records


def _why_unread(asked: Sequence[Coverage], needs: Sequence[str]) -> str:
    """Say in one line what stood in the way of reading an account."""
    refused = [row for row in asked if row.source in ENTRIES and row.status not in ANSWERED]
    if any(row.detail == NOT_REACHED for row in refused):
        return NOT_REACHED
    reasons = [
        f"{row.source} {row.status}: {row.detail}" if row.detail else f"{row.source} {row.status}"
        for row in refused or [row for row in asked if row.source in needs]
    ]
    return "; ".join(reasons) or f"{' or '.join(needs)} was not asked"


def aware(value: Any) -> Any:  # noqa: ANN401 - whatever the engine returns
    """Give the engine's zoneless instants their zone, UTC; leave everything else."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
