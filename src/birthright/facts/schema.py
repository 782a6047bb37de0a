"""The Arrow schema of each fact table, and the one way from rows to a table.

Times are `timestamp[us]` without a zone and hold UTC: DuckDB's own TIMESTAMP, so that no rule needs
a zone database.
"""

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from birthright.facts.model import AccessKey, Account, Coverage, Principal

_TIME = pa.timestamp("us")
_ARROW = {
    "is_root": pa.bool_(),
    "console_password": pa.bool_(),
    "password_ever_used": pa.bool_(),
    "mfa_active": pa.bool_(),
    "ever_used": pa.bool_(),
    "in_report": pa.bool_(),
    "in_listing": pa.bool_(),
    "active_certificates": pa.int8(),
    "slot": pa.int8(),
    "rows": pa.int64(),
    "calls": pa.int64(),
    "throttled": pa.int64(),
    "seconds": pa.float64(),
    "as_of": _TIME,
}


def _schema(row: type[msgspec.Struct]) -> pa.Schema:
    """Derive a table's schema from its row: `*_at` and `as_of` are times, the rest text unless named."""
    names = row.__struct_fields__
    return pa.schema([(n, _TIME if n.endswith("_at") else _ARROW.get(n, pa.string())) for n in names])


PRINCIPALS = _schema(Principal)
ACCESS_KEYS = _schema(AccessKey)
COVERAGE = _schema(Coverage)
ACCOUNTS = _schema(Account)

# What is read in an account; a part of a scan holds these.
READ: dict[str, pa.Schema] = {
    "principals": PRINCIPALS,
    "access_keys": ACCESS_KEYS,
    "coverage": COVERAGE,
}
# Columns that were added later: files of earlier scans lack them, which means NULL.
LATER: dict[str, tuple[str, ...]] = {"coverage": ("sha256",)}
# All tables that rules and queries see. `accounts` are those that were asked for.
TABLES: dict[str, pa.Schema] = {**READ, "accounts": ACCOUNTS}


def to_table(rows: Sequence[msgspec.Struct], schema: pa.Schema) -> pa.Table:
    """Turn rows into a table of that schema; no rows make an empty table."""
    columns = zip(*map(msgspec.structs.astuple, rows), strict=True) if rows else ((),) * len(schema)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
