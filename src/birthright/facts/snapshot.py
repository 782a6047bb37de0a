"""A scan on disk: the facts of all its accounts, and what was asked for.

    STORE/scans/20261122T220312Z-5f0c1e/scan.json
                                        principals/111122223333.parquet
                                        access_keys/111122223333.parquet
                                        coverage/111122223333.parquet

A scan appears whole or not at all, and is never changed. Only the user can read it (0700, 0600).
"""

import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from birthright.atomic import make_directories, publish_directory, write_file
from birthright.errors import StoreError, UsageError
from birthright.facts.model import AccountFacts

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "birthright.scan/1"
LATEST = "latest"

_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_ACCOUNT = re.compile(r"[0-9]{12}|unknown")
_INFO = "scan.json"
_SHOWN_IDS = 3


class ScanInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What `scan.json` says. `as_of` is the scan's one instant, UTC, whole seconds.

    `complete` is whether every answer that was asked for came; `extra` holds the parameters.
    """

    schema: str = SCHEMA
    id: str
    as_of: datetime
    tool_version: str
    depth: str
    complete: bool
    extra: dict[str, object] = {}


def new_scan_id(as_of: datetime) -> str:
    """Make an id that sorts by time: `20261122T220312Z-5f0c1e`."""
    return f"{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def save_scan(store: Path, info: ScanInfo, accounts: Iterable[AccountFacts]) -> Path:
    """Write a scan, account by account as they come, and return its directory.

    Raises StoreError if the disk refuses, UsageError if an account comes twice; whatever `accounts`
    raises passes through. In each of these cases nothing is left behind.
    """
    _checked_id(info.id)
    target = store / "scans" / info.id
    with publish_directory(target) as directory:
        for table in _schemas():
            make_directories(directory / table)
        seen: set[str] = set()
        for facts in accounts:
            _write_account(directory, facts, seen)
        write_file(directory / _INFO, msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n")
    return target


def list_scans(store: Path) -> list[str]:
    """Return the ids of all scans, oldest first; none without a store. Raises StoreError."""
    try:
        infos = [p for p in (store / "scans").glob(f"*/{_INFO}") if _ID.fullmatch(p.parent.name)]
        # Within one second the id's random end says nothing; when it was written does.
        infos.sort(key=lambda info: (info.parent.name.partition("-")[0], info.stat().st_mtime_ns))
    except OSError as error:
        raise StoreError(f"cannot read {store}: {error.strerror}") from error
    return [info.parent.name for info in infos]


def scan_dir(store: Path, scan_id: str) -> Path:
    """Return the directory of a scan, by its id or `latest`.

    Raises UsageError if that is no id, or there is no such scan.
    """
    scans = list_scans(store)
    if scan_id != LATEST:
        _checked_id(scan_id)
    elif scans:
        scan_id = scans[-1]
    if scan_id in scans:
        return store / "scans" / scan_id
    if not scans:
        raise UsageError(f"there is no scan in {store}", "make one with `birthright scan`")
    newest = ", ".join(reversed(scans[-_SHOWN_IDS:]))
    raise UsageError(f"there is no scan {scan_id} in {store}", f"the newest are {newest}")


def load_info(store: Path, scan_id: str = LATEST) -> ScanInfo:
    """Read what a scan says of itself. Raises UsageError, or StoreError if it is damaged."""
    path = scan_dir(store, scan_id) / _INFO
    try:
        data = path.read_bytes()
        _check_version(msgspec.json.decode(data, type=_Versioned).schema, path)
        return msgspec.json.decode(data, type=ScanInfo)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: {error}", "scan again") from error


def load_tables(directory: Path) -> "dict[str, pa.Table]":
    """Read the fact tables of a scan's directory, all accounts together, in the order of their ids.

    Raises StoreError if a file is damaged, missing or not of the schema.
    """
    return {name: _load_table(directory / name, schema) for name, schema in _schemas().items()}


class _Versioned(msgspec.Struct):
    """The one field of `scan.json` that every version has."""

    schema: str


def _check_version(schema: str, path: Path) -> None:
    """Refuse a scan of another version of the schema."""
    kind, _, version = SCHEMA.partition("/")
    found_kind, _, found = schema.partition("/")
    if found_kind != kind or not re.fullmatch(r"[0-9]{1,9}", found):
        raise StoreError(f"{path} is damaged: its schema is not {kind}", "scan again")
    if int(found) > int(version):
        raise UsageError(f"{path} was written by a newer birthright", "upgrade birthright")


def _checked_id(scan_id: str) -> None:
    """Refuse what is not a scan's id: it becomes part of a path."""
    if not _ID.fullmatch(scan_id):
        hint = f"write it like 20261122T220312Z-5f0c1e, or {LATEST}"
        raise UsageError(f"{scan_id[:40]!r} is not the id of a scan", hint)


def _schemas() -> "dict[str, pa.Schema]":
    """Return the fact tables' schemas; Arrow takes a tenth of a second to import."""
    from birthright.facts.schema import TABLES

    return TABLES


def _write_account(directory: Path, facts: AccountFacts, seen: set[str]) -> None:
    """Write one account's three tables."""
    from birthright.facts.schema import to_table

    rows = (facts.principals, facts.access_keys, facts.coverage)
    stem = _stem({row.account_id for table in rows for row in table}, seen)
    for (name, schema), table in zip(_schemas().items(), rows, strict=True):
        write_file(directory / name / f"{stem}.parquet", _parquet(to_table(table, schema)))


def _stem(ids: set[str], seen: set[str]) -> str:
    """Name an account's files by its id; several may be unknown, a known one comes once."""
    if len(ids) != 1 or not _ACCOUNT.fullmatch(account_id := next(iter(ids))):
        shown = ", ".join(sorted(repr(i[:40]) for i in ids)[:_SHOWN_IDS]) or "no account id"
        raise StoreError(f"facts of {shown} cannot be kept", "an account id has twelve digits")
    stem = account_id
    if account_id == "unknown":
        stem = f"unknown-{sum(name.startswith('unknown') for name in seen) + 1}"
    elif account_id in seen:
        raise UsageError(f"account {account_id} was collected twice", "name each account once")
    seen.add(stem)
    return stem


def _parquet(table: "pa.Table") -> bytes:
    """Encode a table; the same rows give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", version="2.6")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _load_table(directory: Path, schema: "pa.Schema") -> "pa.Table":
    """Read all files of one table."""
    import pyarrow as pa

    if not directory.is_dir():
        raise StoreError(f"the scan is damaged: {directory} is missing", "scan again")
    tables = [_read_parquet(path, schema) for path in sorted(directory.glob("*.parquet"))]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _read_parquet(path: Path, schema: "pa.Schema") -> "pa.Table":
    """Read one file and hold it to the schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path} is damaged: {error}", "scan again") from error
    if not table.schema.equals(schema):
        raise StoreError(f"{path} is damaged: its columns are not the table's", "scan again")
    return table
