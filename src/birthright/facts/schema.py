"""The registry of fact tables, and the one way from rows to an Arrow table.

A new table is one entry: `add_table(Table(...))`. Scans written from then on have it; earlier ones lack it,
and are as readable as before.

Times are `timestamp[us]` without a zone and hold UTC: DuckDB's own TIMESTAMP, so that no rule needs
a zone database.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, get_args, get_type_hints

import msgspec

from birthright.facts.model import AccessKey, Account, Coverage, Principal

if TYPE_CHECKING:
    import pyarrow as pa

# The AWS reads that fill the tables every scan has.
READS = ("GetCredentialReport", "ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed")

_SMALL = frozenset({"active_certificates", "slot"})


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One fact table.

    row: the struct of its rows, whose fields are the columns. since: the version of `birthright.scan/N` that
    brought it. later: text columns that came after it; files of earlier scans lack them, which means NULL.
    sources: the AWS reads that fill it: a rule that reads it says `unknown` of an account that answered none
    of them, unless its page says what it needs. The first tables have none: a page's subject says it.
    by_account: its rows are read account by account, and are in the parts of a scan.
    """

    name: str
    row: type[msgspec.Struct]
    since: int
    later: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    by_account: bool = True

    @property
    def schema(self) -> "pa.Schema":
        """Its Arrow schema. Arrow takes a tenth of a second to import."""
        return _schema(self.row)


# All tables that rules and queries see, by name. `accounts` are those that a scan was to read.
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(name="principals", row=Principal, since=1),
        Table(name="access_keys", row=AccessKey, since=1),
        Table(name="coverage", row=Coverage, since=1, later=("sha256",)),
        Table(name="accounts", row=Account, since=2, by_account=False),
    )
}


def add_table(table: Table) -> None:
    """Register a table. Raises ValueError if there is one of that name."""
    if table.name in TABLES:
        raise ValueError(f"there is already a table {table.name}")
    TABLES[table.name] = table


def remove_table(name: str) -> None:
    """Take a table out of the registry."""
    del TABLES[name]


def scan_version() -> int:
    """Return the N of `birthright.scan/N` that scans are written with."""
    return max(table.since for table in TABLES.values())


def tables_of(version: int) -> Iterator[Table]:
    """Give the tables of a scan of that version that are read account by account."""
    return (table for table in TABLES.values() if table.by_account and table.since <= version)


def sources() -> tuple[str, ...]:
    """Name the AWS reads that facts come from."""
    return (*READS, *(source for table in TABLES.values() for source in table.sources))


def to_table(rows: Sequence[msgspec.Struct], schema: "pa.Schema") -> "pa.Table":
    """Turn rows into a table of that schema; no rows make an empty table."""
    import pyarrow as pa

    columns = zip(*map(msgspec.structs.astuple, rows), strict=True) if rows else ((),) * len(schema)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def to_tables(rows: Mapping[str, Sequence[msgspec.Struct]]) -> "dict[str, pa.Table]":
    """Turn rows by table into tables."""
    return {name: to_table(found, TABLES[name].schema) for name, found in rows.items()}


@cache
def _schema(row: type[msgspec.Struct]) -> "pa.Schema":
    """Derive a table's schema from the types of its row's fields."""
    import pyarrow as pa

    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), datetime: pa.timestamp("us")}
    fields = []
    for name, hint in get_type_hints(row).items():
        found = next((kind for kind in (hint, *get_args(hint)) if kind in types), None)
        fields.append((name, pa.int8() if name in _SMALL else types[found] if found else pa.string()))
    return pa.schema(fields)
