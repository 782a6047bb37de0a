"""The engine is closed: a rule or a query from a stranger reads this scan's facts and nothing else."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from birthright.errors import PageError, QueryError, StoreError
from birthright.facts.schema import TABLES
from birthright.policies.checks import _CHANGING
from birthright.policies.engine import Engine
from birthright.policies.evaluator import Evaluator
from birthright.policies.page import parse_page

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)

# What would write, configure, load or reach out. {out} is a file beside the scan, {scan} the scan.
NOT_SELECTS = [
    "copy access_keys to '{out}'",
    "copy (select 1) to '{scan}/access_keys/evil.parquet' (format parquet)",
    "copy access_keys from '{out}'",
    "attach '{out}' as other",
    "detach memory",
    "install httpfs",
    "load httpfs",
    "set enable_external_access = true",
    "reset lock_configuration",
    "pragma version",
    "pragma enable_profiling",
    "call enable_logging()",
    "export database '{out}'",
    "import database '{out}'",
    "create table t as select 1",
    "create macro now2() as now()",
    "create secret (type s3, key_id 'a', secret 'b')",
    "drop view access_keys",
    "insert into access_keys select * from access_keys",
    "delete from access_keys",
    "begin transaction",
    "checkpoint",
    "vacuum",
    "prepare p as select 1",
    "execute p",
    "explain select 1",
    "explain analyze copy (select 1) to '{out}'",
    "use memory",
    "pivot access_keys on status using count(*)",
    "select 1; select 2",
    "select 1; copy (select 1) to '{out}'",
    "select 1) ; copy (select 1) to '{out}' ; --",
    "with x as (delete from access_keys returning *) select * from x",
    "",
    "-- nothing",
    ";",
    "select",
    "select /* never closed",
]
# SELECTs that try to leave the facts. {beside} is a file that exists beside the scan.
OUTSIDE = [
    "select * from read_text('{beside}')",
    "select * from read_blob('{beside}')",
    "select * from read_csv('{beside}')",
    "select * from sniff_csv('{beside}')",
    "select * from read_json('{beside}')",
    "select * from read_parquet('{beside}')",
    "select * from parquet_schema('{beside}')",
    "select * from read_duckdb('{beside}')",
    "select * from glob('{folder}/*')",
    "select * from '{beside}'",
    'select * from "{beside}"',
    "select * from '{scan}/../beside.parquet'",
    "select * from read_parquet('{scan}/../beside.parquet')",
    "select * from read_text('{scan}/access_keys/../../beside.parquet')",
    "select * from read_text('file://{beside}')",
    "select * from read_text('/proc/self/environ')",
    "select * from read_csv('http://127.0.0.1:9/a.csv')",
    "select * from 'https://127.0.0.1:9/a.parquet'",
    "select * from read_parquet('s3://bucket/key')",
    "select * from query('select * from read_text(''{beside}'')')",
    "select * from query('copy (select 1) to ''{out}''')",
    "select * from query_table('{beside}')",
    "select * from json_execute_serialized_sql(json_serialize_sql('select * from read_text(''{beside}'')'))",
    "select getenv('HOME')",
    "select * from secret_table",
    "select * from os",
    "select * from enable_logging(storage = 'file', storage_path = '{out}')",
    "select * from enable_profiling(format := 'json', save_location := '{out}')",
    "select * from arrow_scan(1::pointer, 1::pointer, 1::pointer)",
    "select * from python_map_function()",
]


@pytest.fixture(params=["memory", "files"])
def engine(request: pytest.FixtureRequest, scan: Path, tables: dict[str, pa.Table]) -> Engine:
    return Engine(tables if request.param == "memory" else scan)


def fill(sql: str, scan: Path) -> str:
    beside = scan.parent / "beside.parquet"
    pq.write_table(pa.table({"word": ["outside"]}), beside)
    names = {"out": scan.parent / "out", "scan": scan, "beside": beside, "folder": scan.parent}
    for name, value in names.items():
        sql = sql.replace(f"{{{name}}}", str(value))
    return sql


@pytest.mark.parametrize("sql", NOT_SELECTS)
def test_only_one_select_is_run(engine: Engine, scan: Path, sql: str) -> None:
    """Whatever is not exactly one SELECT is refused before it runs, and leaves no file behind."""
    before = sorted(scan.rglob("*"))
    with pytest.raises(QueryError):
        engine.select(fill(sql, scan))
    assert not (scan.parent / "out").exists()
    assert sorted(scan.rglob("*")) == before


@pytest.mark.parametrize("sql", OUTSIDE)
def test_nothing_outside_is_read(engine: Engine, scan: Path, sql: str) -> None:
    """Files beside the scan, the network, the environment and Python's variables are out of reach."""
    secret_table = pa.table({"a": [1]})
    assert secret_table.num_rows
    with pytest.raises((QueryError, StoreError)):
        list(engine.rows(engine.select(fill(sql, scan))))
    assert not (scan.parent / "out").exists()


def test_python_variables_do_not_shadow_the_facts(tables: dict[str, pa.Table]) -> None:
    """A variable named like a fact table, in scope where the query runs, changes nothing."""
    engine = Engine(tables)
    access_keys = pa.table({"a": [1]})
    assert engine.select("select count(*) from access_keys").fetchall() == [(3,)]
    assert access_keys.num_rows == 1


@pytest.mark.parametrize("function", ["read_text", "read_blob"])
def test_links_out_of_the_scan_are_not_followed(scan: Path, function: str) -> None:
    """A link in the scan's folder does not open the file outside that it points to."""
    outside = scan.parent / "beside.txt"
    outside.write_text("outside")
    (scan / "access_keys" / "link.txt").symlink_to(outside)
    engine = Engine(scan)
    for path in (outside, scan / "access_keys" / "link.txt"):
        with pytest.raises((QueryError, StoreError)):
            engine.select(f"select * from {function}('{path}')").fetchall()  # noqa: S608


def test_a_rule_cannot_read_files_even_inside_the_scan(scan: Path, with_rule: Callable[[str], str]) -> None:
    """Rules read rows from the fact tables only; no function that opens a file is accepted in one."""
    rule = f"select *, exists (from read_text('{scan}/scan.json')) as compliant from access_keys"  # noqa: S608
    with pytest.raises(PageError, match="read_text"):
        Evaluator(scan, AS_OF).judge(parse_page(with_rule(rule), "tiny"))


@pytest.mark.parametrize(
    "expression",
    [
        "now()",
        "NOW()",
        '"now"()',
        "system.main.now()",
        "current_timestamp",
        "CURRENT_TIMESTAMP",
        "current_date",
        "current_time",
        "localtime",
        "localtimestamp",
        "get_current_timestamp()",
        "transaction_timestamp()",
        "today()",
        "random()",
        "uuid()",
        "age(created_at)",
        "ago(interval 1 day)",
        "current_setting('threads')",
        "(select now())",
        "(with a as (select now() as n) select n from a)",
        "list_transform([1], x -> now())",
        "(select n from (values (now())) t(n))",
        "(select n from query('select now() as n'))",
        "(select count(*) from json_execute_serialized_sql('{}'))",
        "(select count(*) from duckdb_settings())",
        "(select count(*) from access_keys using sample 50%)",
        "(select count(*) from access_keys tablesample 50%)",
        "pg_postmaster_start_time()",
        "sleep_ms(100)",
    ],
)
def test_rules_have_no_clock_and_no_dice(
    tables: dict[str, pa.Table], with_rule: Callable[[str], str], expression: str
) -> None:
    """What would answer differently tomorrow is refused wherever it stands, and the message names it."""
    rule = f"select *, ({expression}) is null as compliant from access_keys"  # noqa: S608
    with pytest.raises(PageError, match="the rule asks for"):
        Evaluator(tables, AS_OF).judge(parse_page(with_rule(rule), "tiny"))


def test_every_changing_function_of_the_engine_is_known() -> None:
    """DuckDB names the functions whose answers may change; none is missing from the refused ones."""
    sql = "select distinct function_name from duckdb_functions() where stability <> 'CONSISTENT'"
    changing = {name for (name,) in duckdb.connect().execute(sql).fetchall()} - {"error"}
    assert changing <= _CHANGING


@pytest.mark.parametrize(
    "sql",
    [
        "with recursive a as (select 1 as n union all select n + 1 from a) select max(n) from a",
        "select sum(a.range * b.range) from range(1000000) a, range(1000000) b",
    ],
)
def test_an_endless_query_can_be_interrupted(tables: dict[str, pa.Table], sql: str) -> None:
    """A query without end runs until it is interrupted, and then ends as a QueryError, within a second."""
    engine = Engine(tables)
    timer = threading.Timer(0.2, engine._connection.interrupt)
    timer.start()
    start = time.monotonic()
    with pytest.raises(QueryError, match=r"(?i)interrupt"):
        list(engine.rows(engine.select(sql)))
    assert time.monotonic() - start < 5


def test_ctrl_c_ends_an_endless_query() -> None:
    """SIGINT reaches Python while the engine is busy: the process ends by KeyboardInterrupt."""
    code = (
        # A process started in the background may have been told to ignore it.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from birthright.policies.engine import Engine\n"
        "e = Engine({})\nprint('ready', flush=True)\n"
        "e.select('select sum(a.range * b.range) from range(1000000) a, range(1000000) b').fetchall()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=10)
        finally:
            process.kill()
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_values_are_bound_not_pasted(tables: dict[str, pa.Table]) -> None:
    """A value with quotes in it is a value."""
    sql = "select count(*) from access_keys where user_name = $name"
    assert Engine(tables).select(sql, {"name": "ann' or '1'='1"}).fetchall() == [(0,)]


def test_a_scan_without_accounts_is_empty_not_broken(tmp_path: Path) -> None:
    """Folders without files are tables without rows."""
    for name in TABLES:
        (tmp_path / name).mkdir()
    assert Engine(tmp_path).select("select count(*) from access_keys").fetchall() == [(0,)]


def test_a_damaged_scan_is_a_store_error(scan: Path) -> None:
    """A file that is no Parquet is told as what it is: birthright's own files cannot be read."""
    (scan / "access_keys" / "111111111111.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(StoreError, match="cannot be read"):
        Engine(scan).select("select * from access_keys").fetchall()


@pytest.mark.parametrize("name", ["a'b", "a b", "ü", "a*b", "a[b]"])
def test_scan_folders_may_have_any_name(tmp_path: Path, scan: Path, name: str) -> None:
    """Quotes, spaces and pattern characters in the path do not open or break the engine."""
    moved = scan.rename(tmp_path / name)
    assert Engine(moved).select("select count(*) from access_keys").fetchall() == [(3,)]


def test_times_beyond_python_are_a_query_error(tables: dict[str, pa.Table]) -> None:
    """A result that Python cannot hold is one clear error, not a traceback."""
    engine = Engine(tables)
    result = engine.select("select timestamptz '2020-01-01' as moment")
    with pytest.raises(QueryError):
        list(engine.rows(result))


def test_a_rule_nested_beyond_all_bounds_is_refused() -> None:
    """Somebody else's page must not end in a traceback."""
    sql = "select * from (" * 3000 + "select 1" + ")" * 3000
    with pytest.raises(QueryError):
        Engine({}).mentions(sql)
