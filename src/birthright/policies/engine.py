"""A DuckDB that sees one scan's facts and nothing else.

A rule or a query may come from a file somebody else wrote, so the engine is closed before any of them
runs: no file, network or extension, no Python variables, configuration locked, only single SELECTs,
values bound. An allowed directory could also be written by COPY: the statement's type is checked first.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import duckdb
import msgspec

from birthright.errors import QueryError, StoreError
from birthright.facts.schema import TABLES
from birthright.scans.record import facts_files

if TYPE_CHECKING:
    import pyarrow as pa

# temp_directory is emptied because DuckDB would allow itself the working directory's .tmp.
_CLOSE = (
    "set temp_directory = ''",
    "set python_enable_replacements = false",
    "set autoinstall_known_extensions = false",
    "set autoload_known_extensions = false",
    "set allow_persistent_secrets = false",
)

_BATCH = 4096
# Facts in fewer bytes of Parquet than these are read once and held, some five times as large; of more, each
# rule reads what it needs.
_HELD_BYTES = 16 * 2**20

T = TypeVar("T")


class Mentions(NamedTuple):
    """What a SELECT speaks of, in lower case.

    `names` are functions (also as `name/number of arguments`) and columns, and `tablesample`;
    `tables` and `table_functions` are what it reads rows from.
    """

    names: frozenset[str]
    tables: frozenset[str]
    table_functions: frozenset[str]


class Engine:
    """One closed connection. `facts` is a scan's folder of Parquet files, or tables in memory."""

    def __init__(self, facts: "Path | Mapping[str, pa.Table]") -> None:
        self._connection = duckdb.connect()
        self._worker = ThreadPoolExecutor(1, "engine")
        for setting in _CLOSE:
            self._connection.execute(setting)
        if isinstance(facts, Path):
            self._view_files(facts.resolve())
        else:
            self._view_tables(facts)
        self._connection.execute("set lock_configuration = true")

    def select(
        self, sql: str, values: Mapping[str, Any] | None = None, what: str = "the query"
    ) -> duckdb.DuckDBPyConnection:
        """Run one SELECT, binding those of the values that it names. Raises QueryError."""
        statement = self._only_select(sql, what)
        bound = _bound(statement, values)
        with _as_query_error(what):
            return self._run(lambda: self._connection.execute(statement, bound))

    def types(
        self, sql: str, values: Mapping[str, Any] | None = None, what: str = "the query"
    ) -> dict[str, str]:
        """Return the columns of one SELECT and their types, without running it. Raises QueryError."""
        return self._relation(
            sql, values, what, lambda found: dict(zip(found.columns, map(str, found.types), strict=True))
        )

    def table(self, sql: str, values: Mapping[str, Any] | None = None, what: str = "the query") -> "pa.Table":
        """Run one SELECT and return all its rows, much smaller than as Python's. Raises QueryError."""
        return self._relation(sql, values, what, lambda found: found.to_arrow_table())

    @contextmanager
    def holding(self, table: "pa.Table") -> Iterator[str]:
        """Let SELECTs read another table for the length of a block; its name is one that no page can know."""
        name = f"held_{token_hex(16)}"
        self._connection.register(name, table)
        try:
            yield name
        finally:
            self._connection.unregister(name)

    def rows(self, result: duckdb.DuckDBPyConnection, what: str = "the query") -> Iterator[tuple[Any, ...]]:
        """Give the rows of what `select` returned. Raises QueryError, also for what Python cannot hold."""
        try:
            while batch := self._run(lambda: result.fetchmany(_BATCH)):
                yield from batch
        except (duckdb.Error, ValueError, OverflowError) as error:
            raise QueryError(f"{what} does not run: {_first_line(error)}") from error

    def named_parameters(self, sql: str, what: str = "the query") -> frozenset[str]:
        """Return the names of a statement's `$parameters`. Raises QueryError unless it is one SELECT."""
        return frozenset(self._only_select(sql, what).named_parameters)

    def mentions(self, sql: str, what: str = "the query") -> "Mentions":
        """Look through a SELECT without running it."""
        serialised = self._connection.execute("select json_serialize_sql($sql)", {"sql": sql})
        try:
            tree = msgspec.json.decode(serialised.fetchall()[0][0])
        except RecursionError:
            raise QueryError(f"{what} is nested too deeply") from None
        if tree.get("error"):
            # What cannot be looked through could hide anything.
            raise QueryError(f"{what} is not a plain SELECT", str(tree.get("error_message", "")))
        return _mentions(tree)

    def _run(self, work: Callable[[], T]) -> T:
        """Do the engine's work on its own thread: it does not look up when the main one gets a Ctrl-C."""
        future = self._worker.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            self._connection.interrupt()
            raise

    def _relation(
        self,
        sql: str,
        values: Mapping[str, Any] | None,
        what: str,
        use: Callable[[duckdb.DuckDBPyRelation], T],
    ) -> T:
        statement = self._only_select(sql, what)
        bound = _bound(statement, values)
        with _as_query_error(what):
            return self._run(lambda: use(self._connection.sql(statement, params=bound)))

    def _only_select(self, sql: str, what: str) -> duckdb.Statement:
        try:
            statements = self._connection.extract_statements(sql)
        except duckdb.Error as error:
            raise QueryError(f"{what} is not SQL: {_first_line(error)}") from error
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QueryError(f"{what} is not one SELECT", "only a single SELECT is ever run")
        return statements[0]

    def _view_files(self, folder: Path) -> None:
        self._connection.execute(f"set allowed_directories = [{_quote(f'{folder}/')}]")
        self._connection.execute("set enable_external_access = false")
        files = facts_files(folder)
        held = sum(path.stat().st_size for paths in files.values() for path in paths) < _HELD_BYTES
        try:
            for name, table in TABLES.items():
                if files.get(name):
                    rows = self._rows_of(files[name], table.later)
                    # Not as a table of the engine's: a SELECT may begin with a DELETE.
                    self._connection.register(name, rows.to_arrow_table()) if held else rows.create_view(name)
                else:
                    self._connection.register(name, table.schema.empty_table())
        except duckdb.Error as error:
            raise StoreError(f"the facts in {folder} cannot be read: {_first_line(error)}") from error

    def _rows_of(self, paths: Sequence[Path], later: Sequence[str]) -> duckdb.DuckDBPyRelation:
        """Read files of which some, or all, may be older than the columns `later`: NULL, then."""
        rows = self._connection.read_parquet([str(path) for path in paths], union_by_name=bool(later))
        missing = [f"null::varchar as {column}" for column in later if column not in rows.columns]
        return rows.project(", ".join(["*", *missing])) if missing else rows

    def _view_tables(self, tables: "Mapping[str, pa.Table]") -> None:
        self._connection.execute("set enable_external_access = false")
        for name, table in TABLES.items():
            self._connection.register(name, tables[name] if name in tables else table.schema.empty_table())


def _mentions(tree: object) -> Mentions:
    """Walk DuckDB's serialised syntax tree."""
    names: set[str] = set()
    tables: set[str] = set()
    functions: set[str] = set()
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            names.update(_own_names(item))
            if item.get("type") == "TABLE_FUNCTION":
                functions.add(str(item["function"]["function_name"]).lower())
            if item.get("type") == "BASE_TABLE":
                tables.add(str(item["table_name"]).lower())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return Mentions(frozenset(names), frozenset(tables), frozenset(functions))


def _own_names(item: Mapping[str, Any]) -> Iterator[str]:
    """Give what one node names; current_timestamp and its like stand in the tree as columns."""
    name = str(item.get("function_name", "")).lower()
    if name:
        yield name
        yield f"{name}/{len(item.get('arguments', item.get('children', ())))}"
    if isinstance(item.get("sample"), dict):
        yield "tablesample"
    yield from (str(column).lower() for column in item.get("column_names", ()))


def _bound(statement: duckdb.Statement, values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Choose the values that a statement names: it takes no others."""
    return {name: value for name, value in (values or {}).items() if name in statement.named_parameters}


@contextmanager
def _as_query_error(what: str) -> Iterator[None]:
    try:
        yield
    except duckdb.IOException as error:
        raise StoreError(f"the facts cannot be read: {_first_line(error)}") from error
    except duckdb.Error as error:
        raise QueryError(f"{what} does not run: {_first_line(error)}") from error


def _quote(text: str) -> str:
    """Quote a text for SET, which takes no bound values."""
    return "'" + text.replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
