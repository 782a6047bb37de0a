"""A saved scan: what it says of itself, and which files hold its facts.

    STORE/scans/20261122T220312Z-5f0c1e/scan.json                         what was asked, and the parts
                                        principals/PART-DIGEST.parquet
                                        access_keys/PART-DIGEST.parquet
                                        coverage/PART-DIGEST.parquet
                                        accounts/all-DIGEST.parquet
                                        reports/ACCOUNT-DIGEST.csv            only if they are kept
                                        parts/PART.json                   while the scan goes on
                                        asked.json

A scan of one account appears whole or not at all. One of many accounts grows part by part; it is finished,
and never changed again, once it has its `scan.json`, which names every file that counts.
"""

import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from birthright.errors import StoreError, UsageError
from birthright.facts.schema import TABLES, Table, scan_version, tables_of
from birthright.scans.store import FolderStore, Store
from birthright.versioned import NOT_JSON, check_version, schema_in, version_of

if TYPE_CHECKING:
    import pyarrow as pa

LATEST = "latest"
INFO, ASKED, PARTS, ACCOUNTS, REPORTS = "scan.json", "asked.json", "parts", "accounts", "reports"

_KIND = "birthright.scan"
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_SHOWN_IDS = 3
T = TypeVar("T")

_FIRST = 1  # schema version: a file an account and table, none of them named in scan.json


def current_schema() -> str:
    """Name the form that scans are written in, `birthright.scan/N`."""
    return f"{_KIND}/{scan_version()}"


class File(msgspec.Struct, frozen=True):
    """One file of a scan, its size in bytes; `rows` of a credential report are its lines."""

    name: str
    rows: int
    size: int
    sha256: str


class Part(msgspec.Struct, frozen=True):
    """The files of some accounts, by table; `complete` is whether every answer of theirs came.

    `reports` are their credential reports as AWS gave them, by account, where they were kept.
    """

    name: str
    files: dict[str, File]
    complete: bool = True
    reports: dict[str, File] = {}


class Commit(msgspec.Struct, frozen=True):
    """`parts/PART.json`: a part counts once this is there, and holds these accounts."""

    part: Part
    accounts: tuple[str, ...]


class ScanInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What `scan.json` says. `as_of` is the scan's one instant, UTC, whole seconds.

    `as_of_earliest`: where files do not say when they were made, the facts are of some time from there to
    `as_of`, and a verdict that depends on it is unknown.
    `complete` is whether every answer that was asked for came; `extra` holds the parameters. A scan that
    goes on, or was cut short, is not `finished`: its parts are those that were committed so far.
    """

    schema: str = msgspec.field(default_factory=current_schema)
    id: str
    as_of: datetime
    tool_version: str
    depth: str
    complete: bool
    extra: dict[str, object] = {}
    finished: bool = True
    parts: tuple[Part, ...] = ()
    accounts: File | None = None
    as_of_earliest: datetime | None = None

    @property
    def version(self) -> int:
        """The N of the `birthright.scan/N` that it was begun as."""
        return version_of(self.schema, _KIND) or _FIRST


def new_scan_id(as_of: datetime) -> str:
    """Make an id that sorts by time: `20261122T220312Z-5f0c1e`."""
    return f"{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def scan_folder(scan_id: str) -> str:
    """Name a scan's folder in a store. Raises UsageError for what is no id: it becomes part of a path."""
    if not _ID.fullmatch(scan_id):
        hint = f"write it like 20261122T220312Z-5f0c1e, or {LATEST}"
        raise UsageError(f"{scan_id[:40]!r} is not the id of a scan", hint)
    return f"scans/{scan_id}"


def list_scans(store: Store) -> list[str]:
    """Return the ids of all finished scans, oldest first; none without a store. Raises StoreError."""
    found = [(name, store.stat(f"scans/{name}/{INFO}")) for name in _ids(store)]
    # Within one second the id's random end says nothing; when it was written does.
    dated = [(name.partition("-")[0], info.changed, name) for name, info in found if info]
    return [name for _, _, name in sorted(dated)]


def list_unfinished(store: Store) -> list[str]:
    """Return the ids of scans that were begun and not finished, oldest first. Raises StoreError."""
    begun = [name for name in _ids(store) if store.stat(f"scans/{name}/{ASKED}")]
    return [name for name in begun if not store.stat(f"scans/{name}/{INFO}")]


def find_scan(store: Store, scan_id: str) -> str:
    """Return the id itself, or the newest finished scan's for `latest`.

    Raises UsageError if that is no id, or there is no such scan.
    """
    if scan_id == LATEST:
        found = _newest(store)
        if found:
            return found
    else:
        folder = scan_folder(scan_id)
        if store.stat(f"{folder}/{INFO}") or store.stat(f"{folder}/{ASKED}"):
            return scan_id
    raise _no_scan(store, scan_id, list_scans(store))


def _newest(store: Store) -> str | None:
    """Find the newest finished scan, from the newest back: in a bucket every look is a request."""
    for _, names in groupby(reversed(_ids(store)), lambda name: name.partition("-")[0]):
        # Within one second the id's random end says nothing; when it was written does.
        infos = [(store.stat(f"scans/{name}/{INFO}"), name) for name in names]
        dated = [(info.changed, name) for info, name in infos if info]
        if dated:
            return max(dated)[1]
    return None


def find_unfinished(store: Store, scan_id: str) -> str:
    """Return the id itself; for `latest` that of the unfinished scan begun last. Raises UsageError."""
    if scan_id != LATEST:
        return find_scan(store, scan_id)
    begun = list_unfinished(store)
    if not begun:
        raise UsageError(f"there is no scan to go on with in {store.name}", "make one with `birthright scan`")
    return begun[-1]


def scan_dir(store: Store, scan_id: str) -> Path:
    """Return a folder on this machine that holds that scan. Raises UsageError, StoreError."""
    return store.local(scan_folder(find_scan(store, scan_id)))


def load_info(store: Store, scan_id: str = LATEST) -> ScanInfo:
    """Read what a scan says of itself. Raises UsageError, or StoreError if it is damaged."""
    return read_info(store.below(scan_folder(find_scan(store, scan_id))))


def read_info(place: Store) -> ScanInfo:
    """Read what the scan in a folder says; of one that is not finished, what is there. Raises StoreError."""
    data = place.get(INFO)
    if data is not None:
        return _decode(data, ScanInfo, f"{place.name}/{INFO}")
    asked = read_asked(place)
    if asked is None:
        raise StoreError(f"there is no scan in {place.name}", "make one with `birthright scan`")
    parts = tuple(commit.part for commit in read_commits(place).values())
    return msgspec.structs.replace(asked, parts=parts)


def read_asked(place: Store) -> ScanInfo | None:
    """Read what a scan that is not finished was asked; None if there is none. Raises StoreError."""
    data = place.get(ASKED)
    if data is None:
        return None
    asked = _decode(data, ScanInfo, f"{place.name}/{ASKED}")
    return msgspec.structs.replace(asked, finished=False, complete=False)


def read_commits(place: Store) -> dict[str, Commit]:
    """Read which parts count so far, by the names of their files. Raises StoreError."""
    found: dict[str, Commit] = {}
    for name in place.names(PARTS):
        data = place.get(f"{PARTS}/{name}")
        if data is not None:
            found[name] = _decode(data, Commit, f"{place.name}/{PARTS}/{name}")
    return found


def facts_files(folder: Path) -> dict[str, list[Path]]:
    """Name the files that hold a scan's facts, by table; a table that came after the scan is left out.

    Raises StoreError if a file is missing or was cut.
    """
    place = FolderStore(folder)
    if place.stat(INFO) is None and place.stat(ASKED) is None:
        return _files_in(folder)
    info = read_info(place)
    if info.version == _FIRST:
        return _files_in(folder)
    files = {
        table.name: [_checked(folder / table.name, part.files.get(table.name)) for part in info.parts]
        for table in tables_of(info.version)
    }
    files[ACCOUNTS] = []
    if info.accounts:
        files[ACCOUNTS].append(_checked(folder / ACCOUNTS, info.accounts))
    elif not info.finished:
        # Written once the list is whole; nothing else names it until the end.
        files[ACCOUNTS] += sorted((folder / ACCOUNTS).glob("*.parquet"))[:1]
    return files


def report_files(folder: Path) -> dict[str, Path]:
    """Name the credential reports that a scan kept, by account. Raises StoreError if one is damaged."""
    found: dict[str, Path] = {}
    for part in read_info(FolderStore(folder)).parts:
        found |= {account: _checked(folder / REPORTS, file) for account, file in part.reports.items()}
    return found


def load_tables(folder: Path) -> "dict[str, pa.Table]":
    """Read the fact tables of a scan's folder. Raises StoreError if a file is damaged or missing."""
    return {name: load_table(TABLES[name], paths) for name, paths in facts_files(folder).items()}


def _check_version(data: bytes, path: str) -> None:
    """Refuse what is not a scan's file, or a newer birthright's. Raises UsageError, StoreError."""
    damaged = StoreError(f"{path} is damaged: its schema is not {_KIND}", "scan again")
    newer = UsageError(f"{path} was written by a newer birthright", "upgrade birthright")
    check_version(schema_in(data), current_schema(), damaged, newer)


def _decode(data: bytes, kind: type[T], path: str) -> T:
    """Read a file of the scan's own."""
    try:
        if kind is ScanInfo:
            _check_version(data, path)
        return msgspec.json.decode(data, type=kind)
    except NOT_JSON as error:
        raise StoreError(f"{path} is damaged: {error}", "scan again") from error


def _ids(store: Store) -> list[str]:
    return [name for name in store.names("scans") if _ID.fullmatch(name)]


def _no_scan(store: Store, scan_id: str, scans: Iterable[str]) -> UsageError:
    newest = ", ".join([*scans][: -_SHOWN_IDS - 1 : -1])
    if newest:
        return UsageError(f"there is no scan {scan_id} in {store.name}", f"the newest are {newest}")
    begun = list_unfinished(store)
    if begun:
        hint = f"{begun[-1]} was not finished: 'birthright scan --resume {begun[-1]}' goes on with it"
        return UsageError(f"there is no finished scan in {store.name}", hint)
    return UsageError(f"there is no scan in {store.name}", "make one with `birthright scan`")


def _files_in(folder: Path) -> dict[str, list[Path]]:
    """Find the files of a folder that does not name them: a file an account, the same in each table."""
    files = {table.name: sorted((folder / table.name).glob("*.parquet")) for table in tables_of(_FIRST)}
    if len({tuple(path.name for path in paths) for paths in files.values()}) > 1:
        # Otherwise an account whose file of keys is gone would be one without keys.
        raise StoreError(f"scan {folder.name} is damaged: files of facts are missing", "scan again")
    return {**files, ACCOUNTS: []}


def _checked(folder: Path, file: File | None) -> Path:
    """Return the path of a file that is there and whole, as far as its size says."""
    if file is None or file.name != Path(file.name).name:
        raise StoreError(f"the scan is damaged: {folder} has no file of that part", "scan again")
    path, found = folder / file.name, FolderStore(folder).stat(file.name)
    if found is None or found.size != file.size:
        state = "missing" if found is None else f"of {found.size} bytes instead of {file.size}"
        raise StoreError(f"the scan is damaged: {path} is {state}", "scan again")
    return path


def load_table(table: Table, paths: Iterable[Path]) -> "pa.Table":
    """Read the files of one table. Raises StoreError if one is damaged."""
    import pyarrow as pa

    found = [_read_parquet(path, table) for path in paths]
    return pa.concat_tables(found) if found else table.schema.empty_table()


def _read_parquet(path: Path, table: Table) -> "pa.Table":
    """Read one file and hold it to the table's schema; columns that came later may be missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = table.schema
    try:
        rows = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path} is damaged: {error}", "scan again") from error
    for column in table.later:
        if column not in rows.schema.names:
            rows = rows.append_column(schema.field(column), pa.nulls(len(rows), schema.field(column).type))
    if not rows.schema.equals(schema):
        raise StoreError(f"{path} is damaged: its columns are not the table's", "scan again")
    return rows
