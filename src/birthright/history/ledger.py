"""What one scan leaves for later ones to be compared with: fingerprints, and what it could see.

    STORE/history/20261122T220312Z-5f0c1e-4bf09c1d7e52a8c0.ledger     one scan, judged by these pages

Ledgers are made from facts, may be deleted at any time, and are never believed blindly: one that is
damaged, or was made with other pages, parameters or facts, is made anew.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from birthright.errors import StoreError
from birthright.findings.model import Document, Finding
from birthright.history.visibility import Visibility, table_of, visibilities
from birthright.policies.page import Page, show_value
from birthright.scans.record import ScanInfo
from birthright.scans.store import Store
from birthright.scans.writer import parquet_of

if TYPE_CHECKING:
    import pyarrow as pa

# Another number wherever what a ledger says, or what is made of the same facts, becomes different.
_FORM = "birthright.ledger/2"
_HEADER = b"birthright.ledger"
_SUM = 32  # bytes
_BATCH = 50_000


class Header(msgspec.Struct, frozen=True):
    """What a ledger says beside its rows; `policies` are those that judged."""

    id: str
    as_of: datetime
    complete: bool
    accounts: dict[str, Visibility]
    policies: tuple[str, ...]
    digest: str = ""


class Ledger(msgspec.Struct, frozen=True):
    """One scan's failures and unknowns, in the findings' order.

    `rows` is a table: `fingerprint` (16 bytes), `policy`, `failing`, `account`, `subject` (8 bytes for the
    user; null for the account), `created` (when the key was) and `first` (when it was first seen; null unless
    the document says so). Times are UTC, without a zone.
    """

    head: Header
    rows: "pa.Table"

    @property
    def read(self) -> set[str]:
        """The accounts of which it saw all users."""
        return {account for account, sight in self.head.accounts.items() if sight.whole}


def ledger_of(document: Document) -> Ledger:
    """Go through a document's findings once. Raises what making them raises."""
    import pyarrow as pa

    schema = _schema()
    shown = (finding for finding in document.findings if finding.verdict != "pass")
    tables = [
        table_of(list(map(_row, some)), schema) for some in iter(lambda: list(islice(shown, _BATCH)), [])
    ]
    head = Header(
        id=document.scan.id,
        as_of=document.scan.as_of,
        complete=document.complete,
        accounts=visibilities(document),
        policies=tuple(line.id for line in document.policies),
    )
    return Ledger(head, pa.concat_tables(tables) if tables else schema.empty_table())


def digest_of(info: ScanInfo, pages: Iterable[Page], overrides: Mapping[str, Mapping[str, str]]) -> str:
    """Hash all that a ledger depends on: the facts, the pages, their parameters as bound, and its form."""
    files = [[file.sha256 for _, file in sorted(part.files.items())] for part in info.parts]
    rules = [
        [page.id, page.sha256, sorted((n, show_value(v)) for n, v in page.values(own).items())]
        for page in pages
        for own in [overrides.get(page.id, {})]
    ]
    asked = info.accounts.sha256 if info.accounts else None
    parts = [_FORM, info.id, info.as_of, info.finished, info.complete, asked, sorted(files), sorted(rules)]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def load_ledger(store: Store, scan_id: str, digest: str) -> Ledger | None:
    """Read a ledger that was kept; None if there is none that can be believed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        data = store.get(_path(scan_id, digest))
    except StoreError:
        return None
    if data is None or hashlib.sha256(data[_SUM:]).digest() != data[:_SUM]:
        return None
    try:
        table = pq.read_table(pa.BufferReader(data[_SUM:]))
        head = msgspec.json.decode((table.schema.metadata or {}).get(_HEADER, b""), type=Header)
    except (OSError, pa.ArrowException, msgspec.DecodeError, UnicodeDecodeError):
        return None
    schema = _schema()
    fits = table.schema.equals(schema) and head.id == scan_id and head.digest == digest
    return Ledger(head, _folded(table.replace_schema_metadata(None))) if fits else None


def _folded(rows: "pa.Table") -> "pa.Table":
    """Hold each name once: ninety ledgers are in memory at the same time."""
    for name in ("policy", "account"):
        rows = rows.set_column(rows.schema.get_field_index(name), name, rows[name].dictionary_encode())
    return rows


def keep_ledger(store: Store, ledger: Ledger, digest: str) -> None:
    """Keep a ledger, if the store takes it: it can always be made again."""
    head = msgspec.structs.replace(ledger.head, digest=digest)
    table = ledger.rows.replace_schema_metadata({_HEADER: msgspec.json.encode(head)})
    data = parquet_of(table)
    with suppress(StoreError):
        store.put(_path(head.id, digest), hashlib.sha256(data).digest() + data)


def _path(scan_id: str, digest: str) -> str:
    return f"history/{scan_id}-{digest[:16]}.ledger"


def _schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([
        ("fingerprint", pa.binary(16)),
        ("policy", pa.string()),
        ("failing", pa.bool_()),
        ("account", pa.string()),
        ("subject", pa.binary(8)),
        ("created", pa.timestamp("us")),
        ("first", pa.timestamp("us")),
    ])  # fmt: skip


def _row(finding: Finding) -> tuple[object, ...]:
    f = finding
    return (
        bytes.fromhex(f.fingerprint),
        f.policy,
        f.verdict == "fail",
        f.account_id,
        None if f.user_name is None else hashlib.sha256(f.user_name.encode()).digest()[:8],
        f.created_at,
        f.first_seen,
    )
