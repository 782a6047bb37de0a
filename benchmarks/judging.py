"""The evaluator: five million keys against a loop in Python, ten million in files against a promise."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from birthright.facts.model import Coverage
from birthright.facts.schema import TABLES, tables_of, to_tables
from birthright.findings.document import build_document
from birthright.policies.evaluator import Evaluator
from birthright.policies.pack import choose, load_pack
from birthright.scans.record import ScanInfo
from birthright.scans.request import Judging
from measure import Row, run

KEYS = 5_000_000
SAMPLE = 200_000
WANTED = 5_000_000
ACCOUNTS, USERS, PARTS = 2_000, 6_378, 40  # of the ten million: some 5,000 keys an account
SECONDS, MEGABYTES = 30, 2_048
AS_OF = datetime(2026, 11, 22, 10, tzinfo=UTC)
_SQL = """
select (100000000000 + i % 1000)::varchar as account_id,
       'arn:aws:iam::' || (100000000000 + i % 1000) || ':user/user-' || i as user_arn,
       'user-' || i as user_name, false as is_root, i % 5 = 0 as console_password,
       timestamp '2020-01-01' + to_seconds(i) as user_created_at,
       'AKIA' || lpad(i::varchar, 16, '0') as access_key_id, (1 + i % 2)::tinyint as slot,
       case when i % 10 < 8 then 'Active' else 'Inactive' end as status,
       timestamp '2020-01-01' + to_seconds(i)
           + to_seconds(case when i % 100 = 0 then 3 else 86400 end) as created_at,
       'listing' as created_source, true as ever_used, timestamp '2026-01-01' as last_used_at,
       'us-east-1' as last_used_region, 's3' as last_used_service, 'report' as last_used_source
from range($count) as numbers(i)
"""
# The shares of the sandbox's crowd: a quarter has a password, 70% have a key, 8% one born with its user.
_PEOPLE = """
create or replace table people as
select account_id, 'arn:aws:iam::' || account_id || ':user/' || user_name as user_arn, user_name, user_id,
       '/' as path, false as is_root, made as created_at, console as console_password,
       case when console then chance(h, 10) < 0.75 end as password_ever_used,
       case when console and chance(h, 10) < 0.75
            then $as_of - to_seconds((86400 + chance(h, 20) * 5e6)::bigint) end as password_last_used_at,
       case when console then made end as password_last_changed_at,
       console and chance(h, 30) < 0.6 as mfa_active, 0 as active_certificates, true as in_report,
       true as in_listing, h, age
from (select *, chance(h, 0) < 0.25 as console, $as_of - to_seconds(age) as made
      from (select (100000000000 + account)::varchar as account_id,
                   'user-' || lpad(number::varchar, 6, '0') as user_name,
                   'AIDA' || lpad((account * 100000 + number)::varchar, 16, '0') as user_id,
                   (hash(account, number) >> 1)::bigint as h, 432000 + (h >> 8) % 120000000 as age
            from (select unnest($accounts) as account), range($users) as users(number)))
"""
_KEYS = """
select account_id, user_arn, user_name, is_root, console_password, created_at as user_created_at,
       'AKIA' || lpad((hash(user_id, slot) % 10000000000000000)::varchar, 16, '0') as access_key_id,
       slot, case when chance(k, 0) < 0.1 then 'Inactive' else 'Active' end as status,
       created_at + to_seconds(gap) as created_at, 'listing' as created_source, used as ever_used,
       case when used
            then $as_of - to_seconds(least(age - gap - 1, 43200 + (chance(k, 30) * 4e6)::bigint))
       end as last_used_at,
       case when used then 'us-east-1' end as last_used_region,
       case when used then 's3' end as last_used_service,
       'report' as last_used_source
from (select *, chance(k, 40) < 0.75 as used,
             case when slot = 1 and chance(k, 10) < 0.114 then (k >> 20) % 4
                  else 60 + (k >> 20) % (age - 86460) end as gap
      from (select *, (hash(h, slot) >> 1)::bigint as k from people, (select unnest([1, 2]) as slot)
            where chance(h, 45) < 0.7 and (slot = 1 or chance(h, 35) < 0.12)))
"""
_COVERAGE = """
select (100000000000 + account)::varchar as account_id, source, 'ok' as status, '' as detail,
       null as account_name, 'aws' as partition, 1 as "rows", 1 as calls, 0 as throttled, 0.1 as seconds,
       $as_of as as_of, case source when 'GetCredentialReport' then $as_of end as report_generated_at,
       null::varchar as sha256
from (select unnest($accounts) as account),
     (select unnest(['AssumeRole', 'GetCredentialReport', 'ListUsers', 'ListAccessKeys',
                     'GetAccessKeyLastUsed']) as source)
"""


def rows() -> Iterator[Row]:
    """Judge, and compare what it takes with what was promised and with a loop."""
    yield from _loop_rows()
    yield from _file_rows()


def _file_rows() -> Iterator[Row]:
    """Judge ten million keys in Parquet by all policies, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        keys = write_scan(Path(folder), ACCOUNTS, USERS, PARTS)
        judged = run([sys.executable, __file__, folder])
    what = f"judging: {keys / 1e6:.1f} million keys in files, 13 policies"
    yield Row(f"{what}: time", f"{judged.wall:.1f} s", f"{SECONDS} s", judged.wall / SECONDS, 1.0)
    yield Row(f"{what}: memory", f"{judged.peak:.0f} MB", "2 GB", judged.peak / MEGABYTES, 1.0)


def write_scan(folder: Path, accounts: int, users: int, parts: int) -> int:
    """Write a scan's tables as a fleet would, accounts in no order; return how many keys it holds."""
    import pyarrow.parquet as pq

    engine = duckdb.connect()
    engine.execute("create macro chance(h, place) as ((h >> place) & 1023) / 1024")
    order = sorted(range(accounts), key=lambda number: number * 7919 % accounts)
    keys = 0
    for part in range(parts):
        values = {"as_of": AS_OF.replace(tzinfo=None), "accounts": order[part::parts], "users": users}
        engine.execute(_PEOPLE, values)
        found = {
            "principals": engine.sql("select * exclude (h, age) from people"),
            "access_keys": engine.sql(_KEYS, params={"as_of": values["as_of"]}),
            "coverage": engine.sql(
                _COVERAGE, params={"as_of": values["as_of"], "accounts": values["accounts"]}
            ),
        }
        for table in tables_of(1):
            (folder / table.name).mkdir(exist_ok=True)
            rows = found[table.name].to_arrow_table().cast(table.schema)
            keys += rows.num_rows if table.name == "access_keys" else 0
            pq.write_table(
                rows, folder / table.name / f"{part:05}.parquet", compression="zstd", version="2.6"
            )
    return keys


def _judge(folder: Path) -> None:
    """Be the process that is measured: it makes the document, all but the text of each finding."""
    info = ScanInfo(id="20261122T100000Z-000000", as_of=AS_OF, tool_version="0", depth="keys", complete=True)
    evaluator = Evaluator(folder, AS_OF)
    document = build_document(info, evaluator, load_pack(), Judging(), evidence=False)
    assert document.summary.fail == len(document.findings)


def _loop_rows() -> Iterator[Row]:
    """Judge five million keys in memory by one policy."""
    generated = duckdb.sql(_SQL, params={"count": KEYS})
    assert generated is not None
    keys = generated.to_arrow_table().cast(TABLES["access_keys"].schema)
    coverage = [Coverage(f"{100000000000 + i}", "ListAccessKeys", "ok") for i in range(1000)]
    tables = {"access_keys": keys, **to_tables({"coverage": coverage})}
    evaluator = Evaluator(tables, datetime.now(UTC))
    (page,) = choose(load_pack(), ["access-key-created-with-user"])
    best = min(_seconds(lambda: evaluator.judge(page)) for _ in range(3))
    speed = KEYS / best
    yield Row(
        "judging: 5 million keys a second to the speed",
        f"{speed / 1e6:.1f} M/s",
        "5 M/s",
        WANTED / speed,
        1.0,
    )
    plain = SAMPLE / _seconds(lambda: _loop(keys.slice(0, SAMPLE).to_pylist()))
    yield Row(
        "judging: a loop in Python to the speed",
        f"{speed / 1e6:.1f} M/s",
        f"{plain / 1e6:.1f} M/s",
        plain / speed,
        1.0,
    )


def _loop(keys: list[dict[str, Any]]) -> int:
    window = timedelta(seconds=7)
    failed = 0
    for key in keys:
        gap = key["created_at"] - key["user_created_at"]
        failed += key["status"] == "Active" and timedelta() <= gap < window
    return failed


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    _judge(Path(sys.argv[1]))
