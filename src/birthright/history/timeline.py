"""Several scans' ledgers side by side: what stands, what went, and when it was noticed.

What a scan found stands until a later scan that could see it (`visibility.py`) no longer finds it.

A finding is stale if an earlier scan had newer facts in which it was gone: a credential report that is hours
old still has keys that a listing saw disabled since. A stale finding ends no gap: it has not reappeared.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from birthright.findings.model import PastScan, State
from birthright.history.ledger import Ledger
from birthright.history.visibility import COULD_SEE, KNOWN_AT, scan_tables, table_of

if TYPE_CHECKING:
    import pyarrow as pa

STATES: tuple[State, ...] = ("new", "persisting", "reappeared")
_BATCH = 65_536

# Most findings are in the very next scan that read their account (`later`): these rows are no gaps. `next` is
# the next scan that has the finding again.
_LOOKS = f"""
create table looks as
select *, (select min(later.scan) from sights as later
           where later.whole and later.account = sights.account and later.scan > sights.scan) as later
from sights;

create table stale (scan integer, fingerprint integer);

create view fresh as from rows anti join stale using (scan, fingerprint);

create view spells as
select found.* exclude (first), {KNOWN_AT} as seen_at, r.later
from fresh as found join looks as r using (scan, account);
"""  # noqa: S608
_CLOSINGS = f"""
create or replace table lost as
select * from spells as found where later is not null and not exists
    (select 1 from fresh as again where again.scan = found.later and again.fingerprint = found.fingerprint);

create or replace table gaps as
select lost.*, (select min(scan) from fresh as again
                where again.fingerprint = lost.fingerprint and again.scan > lost.scan) as next
from lost;

create or replace table closings as
select found.scan, found.fingerprint, found.account, found.failing, found.next, min(r.scan) as closed,
       max({KNOWN_AT}) as known_at
from gaps as found join sights as r
    on r.account = found.account and r.scan > found.scan and (found.next is null or r.scan < found.next)
where {COULD_SEE}
group by all;
"""  # noqa: S608
_STALE = """
insert into stale
select distinct spells.scan, spells.fingerprint from spells join closings using (fingerprint)
where closings.next <= spells.scan and closings.known_at > spells.seen_at
"""
_BEFORE = """
create table before as
select fingerprint, max(scan) as scan, arg_max(failing, scan) as failing, bool_or(failing) as failed
from fresh where scan <= $upto group by 1;
create table firsts as
select fingerprint, min(coalesce(first, head.as_of)) as first from rows join head using (scan) group by 1;
"""
_STATES = """
select case when before.scan is null or (rows.failing and not before.failed) then 0
            when closings.closed is null or closings.closed > $upto or stale.scan is not null then 1
            else 2 end as state,
       epoch(firsts.first)::bigint as first
from rows left join before using (fingerprint)
     left join closings on closings.fingerprint = before.fingerprint and closings.scan = before.scan
     left join stale on stale.scan = rows.scan and stale.fingerprint = rows.fingerprint
     join firsts on firsts.fingerprint = rows.fingerprint
where rows.scan = $last order by rows.rowid
"""
_GONE = f"""
select found.scan, found.fingerprint, epoch(firsts.first)::bigint, coalesce({COULD_SEE}, false)
from before join spells as found using (fingerprint, scan)
     join firsts using (fingerprint)
     join sights as r on r.scan = $last and r.account = found.account
     left join closings using (fingerprint, scan)
where before.scan < $last and before.failing and (closings.closed is null or closings.closed > $upto)
  and not exists (select 1 from rows as now where now.scan = $last and now.fingerprint = found.fingerprint)
  and exists (select 1 from runs where runs.scan = $last and runs.policy = found.policy)
order by found.scan, found.fingerprint
"""  # noqa: S608


class VanishedFinding(NamedTuple):
    """A failure that this scan does not find; `scan` is the place of the last one that did.

    `fixed` is False where this scan could not see its subject.
    """

    scan: int
    fingerprint: str
    first: datetime
    fixed: bool


class Timeline:
    """Ledgers, oldest first, the last one being the scan that is looked at.

    `upto` is the place of the newest scan that it is compared with, -1 if there is none.
    """

    def __init__(self, ledgers: Sequence[Ledger], upto: int) -> None:
        import duckdb

        self._ledgers = ledgers
        self._values = {"upto": upto, "last": len(ledgers) - 1}
        self._connection = duckdb.connect()
        # DuckDB would allow itself the working directory's .tmp.
        self._connection.execute("set temp_directory = ''")
        # Ninety scans of a large organization are ten million rows, most of which say the same.
        self._connection.execute("attach ':memory:' as scans (compress); use scans")
        self._policies = sorted({policy for ledger in ledgers for policy in ledger.head.policies})
        # What other scans found elsewhere makes no difference.
        accounts = sorted(ledgers[-1].head.accounts)
        for name, table in _tables(ledgers, self._policies, accounts).items():
            self._take(name, table)
        self._fingerprints = _fingerprints(ledgers)
        for scan, ledger in enumerate(ledgers):
            rows = _placed(scan, ledger.rows, self._fingerprints, self._policies, accounts)
            # Each of the last scan's rows is asked for, whatever account a document says it is of.
            self._take("rows", rows if ledger is ledgers[-1] else rows.filter(rows["account"].is_valid()))
        self._connection.execute(_LOOKS)
        self._connection.execute(_CLOSINGS)
        if self._connection.execute(_STALE).fetchall()[0][0]:
            self._connection.execute(_CLOSINGS)

    def _take(self, name: str, table: "pa.Table") -> None:
        """Add rows to one of the engine's tables, which is made if it is not there."""
        self._connection.register("given", table)
        self._connection.execute(f"create table if not exists {name} as from given limit 0")
        self._connection.execute(f"insert into {name} from given")
        self._connection.unregister("given")

    def states(self) -> Iterator[tuple[State, int]]:
        """Give each of the last scan's rows, in their order, its state and since when, in seconds of 1970."""
        self._look_back()
        result = self._select(_STATES)
        while batch := result.fetchmany(_BATCH):
            yield from ((STATES[state], first) for state, first in batch)

    def gone(self) -> list[VanishedFinding]:
        """Return what failed before, and is not among the last scan's rows."""
        self._look_back()
        return [
            VanishedFinding(
                scan, self._fingerprints[fingerprint].as_py().hex(), datetime.fromtimestamp(first, UTC), fixed
            )
            for scan, fingerprint, first, fixed in self._select(_GONE).fetchall()
        ]

    def history(self, *, cut: bool) -> tuple[PastScan, ...]:
        """Say what each scan said of the last one's accounts, those left out that asked for less than half.

        With `cut` there are scans from before the first: what was new in the first is then not known.
        """
        shown = [place for place, asked in enumerate(self._asked) if 2 * len(asked) >= len(self._asked[-1])]
        new, fixed = self._noticed(shown)
        if cut and shown:
            new[shown[0]] = fixed[shown[0]] = 0
        return tuple(self._past_scan(place, new[place], fixed[place]) for place in shown)

    def _past_scan(self, place: int, new: int, fixed: int) -> PastScan:
        head = self._ledgers[place].head
        failing = {policy: self._failing[place].get(policy, 0) for policy in head.policies}
        asked = len(self._asked[place])
        return PastScan(head.id, head.as_of, head.complete, asked, failing, self._unknown[place], new, fixed)

    def _noticed(self, shown: Sequence[int]) -> tuple[Counter[int], Counter[int]]:
        """Count the failures that came and went, at the first scan shown that could see it."""
        after = {place: min(other for other in shown if other >= place) for place in range(shown[-1] + 1)}
        came = f"""
            select scan, count(*) from
                (select fingerprint, min(scan) as scan from rows as found where failing and {_OURS} group by 1
                 union
                 select fingerprint, found.scan from closings join rows as found using (fingerprint)
                 where found.scan = closings.next and found.failing and {_OURS})
            group by 1"""  # noqa: S608
        went = f"select closed, count(*) from closings as found where failing and {_OURS} group by 1"  # noqa: S608
        new, fixed = Counter[int](), Counter[int]()
        for counter, sql in ((new, came), (fixed, went)):
            for place, count in self._select(sql).fetchall():
                counter[after[place]] += count
        return new, fixed

    def _select(self, sql: str) -> Any:  # noqa: ANN401 - the engine's connection, which is not typed here
        values = {name: value for name, value in self._values.items() if f"${name}" in sql}
        return self._connection.execute(sql, values)

    def _look_back(self) -> None:
        self._connection.execute("drop table if exists before")
        self._connection.execute("drop table if exists firsts")
        before, firsts = _BEFORE.strip().split(";\n")
        self._connection.execute(before, {"upto": self._values["upto"]})
        self._connection.execute(firsts)

    @cached_property
    def _asked(self) -> list[set[str]]:
        """The last scan's accounts that each scan asked for."""
        ours = self._ledgers[-1].head.accounts.keys()
        return [ours & ledger.head.accounts.keys() for ledger in self._ledgers]

    @cached_property
    def _failing(self) -> dict[int, dict[str, int]]:
        sql = f"""select scan, policy, count(*) from rows as found
                  where failing and policy is not null and {_OURS} group by all"""  # noqa: S608
        counts: dict[int, dict[str, int]] = defaultdict(dict)
        for place, policy, count in self._select(sql).fetchall():
            counts[place][self._policies[policy]] = count
        return counts

    @cached_property
    def _unknown(self) -> Counter[int]:
        sql = f"select scan, count(*) from rows as found where not failing and {_OURS} group by 1"  # noqa: S608
        return Counter(dict(self._select(sql).fetchall()))


_OURS = "found.account is not null"


def _tables(
    ledgers: Sequence[Ledger], policies: Sequence[str], accounts: Sequence[str]
) -> "dict[str, pa.Table]":
    """Put the ledgers into tables in which policies and accounts are their places in these lists."""
    policy_at = {policy: place for place, policy in enumerate(policies)}
    account_at = {account: place for place, account in enumerate(accounts)}
    scans = [
        (
            {account_at[name]: sight for name, sight in ledger.head.accounts.items() if name in account_at},
            [policy_at[name] for name in ledger.head.policies],
        )
        for ledger in ledgers
    ]
    heads = [(scan, ledger.head.as_of) for scan, ledger in enumerate(ledgers)]
    head = table_of(heads, {"scan": "int32", "as_of": "timestamp[us]"})
    return {"head": head, **scan_tables(scans, "int32")}


def _fingerprints(ledgers: Sequence[Ledger]) -> "pa.Array":
    """Return every fingerprint once: as places in this list they take less memory, and are joined faster."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = ledgers[-1].rows["fingerprint"].unique()
    for ledger in ledgers[:-1]:
        names = ledger.rows["fingerprint"]
        fresh = names.filter(pc.is_null(pc.index_in(names, value_set=known)))
        if len(fresh):
            known = pa.concat_arrays([known, fresh.unique()])
    return known


def _placed(
    scan: int, rows: "pa.Table", fingerprints: "pa.Array", policies: Sequence[str], accounts: Sequence[str]
) -> "pa.Table":
    """Add to a ledger's rows which scan they are of; put numbers for names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = {"fingerprint": fingerprints, "policy": pa.array(policies, pa.string()),
             "account": pa.array(accounts, pa.string())}  # fmt: skip
    for name, values in known.items():
        names = rows[name].combine_chunks().dictionary_encode()
        numbers = pc.take(pc.index_in(names.dictionary, value_set=values), names.indices)
        rows = rows.set_column(rows.schema.get_field_index(name), name, numbers)
    return rows.append_column("scan", pa.repeat(pa.scalar(scan, pa.int32()), rows.num_rows))
