"""The evaluator: the first policy over five million keys, against a plain-Python loop over the same facts."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from birthright.facts.model import Coverage
from birthright.facts.schema import ACCESS_KEYS, COVERAGE, PRINCIPALS, to_table
from birthright.policies.evaluator import Evaluator
from birthright.policies.pack import choose, load_pack
from measure import Row

KEYS = 5_000_000
SAMPLE = 200_000
WANTED = 5_000_000
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


def rows() -> Iterator[Row]:
    """Judge, and compare the speed with what was promised and with a loop."""
    generated = duckdb.sql(_SQL, params={"count": KEYS})
    assert generated is not None
    keys = generated.to_arrow_table().cast(ACCESS_KEYS)
    coverage = to_table(
        [Coverage(f"{100000000000 + i}", "ListAccessKeys", "ok") for i in range(1000)], COVERAGE
    )
    tables = {"access_keys": keys, "principals": PRINCIPALS.empty_table(), "coverage": coverage}
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
