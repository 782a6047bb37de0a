"""Writes a scan: part by part as accounts are read, then what it says of itself.

A part is written under names that hold its digest, and counts once its commit is there: one small file,
put there whole. So whoever is killed has written nothing, and who writes the same part twice counts once.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from birthright.aws.identifiers import is_account_id
from birthright.errors import StoreError, UsageError
from birthright.facts.coverage import WHOLE, is_whole
from birthright.facts.model import UNKNOWN, Account, AccountFacts
from birthright.facts.schema import TABLES, scan_version, tables_of, to_table, to_tables
from birthright.scans.record import (
    ACCOUNTS,
    ASKED,
    INFO,
    PARTS,
    REPORTS,
    Commit,
    File,
    Part,
    ScanInfo,
    find_scan,
    read_asked,
    read_commits,
    read_info,
    scan_folder,
)
from birthright.scans.store import Store
from birthright.times import format_instant, now

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN_IDS = 3
_RESUMABLE = timedelta(days=1)


def save_scan(store: Store, info: ScanInfo, accounts: Iterable[AccountFacts]) -> ScanInfo:
    """Write a scan that appears whole or not at all.

    Raises StoreError if the place refuses, UsageError if an account comes twice; whatever `accounts` raises
    passes through. In each of these cases nothing is left behind.
    """
    folder = scan_folder(info.id)
    if store.stat(f"{folder}/{INFO}") or store.stat(f"{folder}/{ASKED}"):
        raise StoreError(f"cannot write {store.name}/{folder}: it exists already", "choose another id")
    with store.publishing(folder) as place:
        writer = ScanWriter(place, info)
        seen: set[str] = set()
        for facts in accounts:
            writer.add(_own_part(_account_id(facts), seen), [facts])
        return writer.finish()


def _own_part(account_id: str, seen: set[str]) -> str:
    """Name a part by its one account; several may be unknown, a known one comes once."""
    name = account_id
    if account_id == UNKNOWN:
        name = f"unknown-{sum(other.startswith('unknown') for other in seen) + 1}"
    elif account_id in seen:
        raise UsageError(f"account {account_id} was collected twice", "name each account once")
    seen.add(name)
    return name


class ScanWriter:
    """One scan as it grows; `place` is its own folder."""

    def __init__(self, place: Store, info: ScanInfo) -> None:
        self._place = place
        self.info = info

    @classmethod
    def begin(cls, store: Store, info: ScanInfo) -> "ScanWriter":
        """Note down what is asked, so that it can be gone on with. Raises StoreError."""
        place = store.below(scan_folder(info.id))
        asked = msgspec.structs.replace(info, finished=False, complete=False)
        place.put(ASKED, _json(asked))
        return cls(place, asked)

    @classmethod
    def resume(cls, store: Store, scan_id: str) -> "ScanWriter":
        """Go on with a scan. Raises UsageError if there is none, or it is finished; StoreError."""
        place = store.below(scan_folder(find_scan(store, scan_id)))
        info = read_info(place)
        if info.finished:
            raise UsageError(f"scan {info.id} is finished", "'birthright scan --from' judges it again")
        if now() - info.as_of > _RESUMABLE:
            # What is read now would be judged by the instant at which the scan began.
            hint = "a scan can be gone on with for a day; scan again"
            raise UsageError(f"scan {info.id} is of {format_instant(info.as_of)}", hint)
        writer = cls(place, msgspec.structs.replace(info, parts=()))
        writer._forget_broken()
        return writer

    @classmethod
    def join(cls, store: Store, scan_id: str) -> "ScanWriter":
        """Add to a scan that somebody else has begun and will finish. Raises UsageError, StoreError."""
        place = store.below(scan_folder(scan_id))
        info = read_asked(place)
        if info is None:
            hint = "every machine that takes part needs that same store"
            raise UsageError(f"{store.name} holds no unfinished scan {scan_id}", hint)
        return cls(place, info)

    def asked_for(self) -> tuple[Account, ...] | None:
        """Return the accounts that were listed, or None while that list is not whole. Raises StoreError."""
        names = self._place.names(ACCOUNTS)
        if not names:
            return None
        rows = self._get(ACCOUNTS, names[0]).to_pylist()
        try:
            return tuple(msgspec.convert(row, Account) for row in rows)
        except msgspec.ValidationError as error:
            raise _damaged(f"{self._place.name}/{ACCOUNTS}/{names[0]}", error) from error

    def read_so_far(self) -> set[str]:
        """Name the accounts that need not be read again. Raises StoreError."""
        return {account for commit in read_commits(self._place).values() for account in commit.accounts}

    def ask_for(self, accounts: Sequence[Account], note: str = "") -> None:
        """Write down which accounts the scan is about, and what that list lacks. Raises StoreError."""
        if note:
            self.info = msgspec.structs.replace(self.info, extra={**self.info.extra, "note": note})
            self._place.put(ASKED, _json(self.info))
        ordered = sorted(accounts, key=lambda account: account.account_id)
        file = self._put(ACCOUNTS, "all", to_table(ordered, TABLES[ACCOUNTS].schema))
        for name in self._place.names(ACCOUNTS):
            if name != file.name:
                self._place.remove(f"{ACCOUNTS}/{name}")
        self.info = msgspec.structs.replace(self.info, accounts=file)

    def add(self, name: str, accounts: Sequence[AccountFacts]) -> Part:
        """Write the facts of some accounts, and commit them. Raises StoreError."""
        ids = tuple(_account_id(facts) for facts in accounts)
        # A scan that is resumed keeps to the tables it was begun with.
        names = [table.name for table in tables_of(self.info.version)]
        tables = to_tables({name: [row for facts in accounts for row in facts.rows(name)] for name in names})
        complete = all(is_whole(facts.coverage) for facts in accounts)
        kept = [(account, facts.report) for account, facts in zip(ids, accounts, strict=True) if facts.report]
        reports = {account: self._put_report(account, report) for account, report in kept}
        part = Part(name, self._put_all(name, tables), complete, reports)
        return self._commit(Commit(part, ids))

    def finish(self) -> ScanInfo:
        """Say which parts count, each account once, and that the scan is finished. Raises StoreError.

        An account that was listed and not read leaves the scan incomplete. If somebody else has finished it
        meanwhile, what they say holds.
        """
        if self._place.stat(INFO):
            return read_info(self._place)
        commits = self._each_once()
        read = {account for commit in commits for account in commit.accounts}
        missing = {account.account_id for account in self.asked_for() or ()} - read
        parts = tuple(commit.part for commit in commits)
        complete = not missing and all(part.complete for part in parts)
        self.info = msgspec.structs.replace(
            self.info, parts=parts, complete=complete, finished=True, accounts=self._accounts_file()
        )
        if not self._place.put_new(INFO, _json(self.info)):
            return read_info(self._place)
        self._tidy()
        return self.info

    def _each_once(self) -> list[Commit]:
        """Return the commits, no account in two of them: a worker that was given up may wake late."""
        seen: set[str] = set()
        commits = []
        for commit in read_commits(self._place).values():
            again = seen.intersection(commit.accounts)
            one = self._without(commit, again) if again else commit
            seen.update(account for account in one.accounts if account != UNKNOWN)
            commits.append(one)
        return commits

    def _without(self, commit: Commit, again: set[str]) -> Commit:
        """Write a part once more, without some of its accounts."""
        import pyarrow as pa
        import pyarrow.compute as pc

        tables = {}
        for table, file in commit.part.files.items():
            rows = self._get(table, file.name)
            tables[table] = rows.filter(pc.invert(pc.is_in(rows["account_id"], pa.array(sorted(again)))))
        left = tuple(account for account in commit.accounts if account not in again)
        complete = WHOLE.issuperset(tables["coverage"]["status"].to_pylist())
        reports = {account: file for account, file in commit.part.reports.items() if account in left}
        part = Part(commit.part.name, self._put_all(commit.part.name, tables), complete, reports)
        return Commit(self._commit(Commit(part, left)), left)

    def _forget_broken(self) -> None:
        """Take back commits whose files are missing or were cut, so that their accounts are read again."""
        for name, commit in read_commits(self._place).items():
            found = [(self._place.stat(f"{table}/{file.name}"), file) for table, file in _files(commit.part)]
            if any(there is None or there.size != file.size for there, file in found):
                self._place.remove(f"{PARTS}/{name}")

    def _get(self, table: str, name: str) -> "pa.Table":
        """Read one of the scan's own files. Raises StoreError."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        data = self._place.get(f"{table}/{name}")
        try:
            return pq.read_table(pa.BufferReader(data or b""))
        except (OSError, pa.ArrowException) as error:
            raise _damaged(f"{self._place.name}/{table}/{name}", error) from error

    def _commit(self, commit: Commit) -> Part:
        self._place.put(f"{PARTS}/{commit.part.name}.json", _json(commit))
        return commit.part

    def _put_all(self, name: str, tables: "dict[str, pa.Table]") -> dict[str, File]:
        return {table: self._put(table, name, rows) for table, rows in tables.items()}

    def _put_report(self, account: str, data: bytes) -> File:
        digest = hashlib.sha256(data).hexdigest()
        file = File(f"{account}-{digest[:12]}.csv", len(data.splitlines()), len(data), digest)
        self._place.put(f"{REPORTS}/{file.name}", data)
        return file

    def _put(self, table: str, name: str, rows: "pa.Table") -> File:
        data = parquet_of(rows)
        digest = hashlib.sha256(data).hexdigest()
        file = File(f"{name}-{digest[:12]}.parquet", rows.num_rows, len(data), digest)
        self._place.put(f"{table}/{file.name}", data)
        return file

    def _accounts_file(self) -> File | None:
        """Describe the list of accounts, also one that an earlier run wrote."""
        listed = self.asked_for()
        if self.info.accounts is None and listed is not None:
            self.ask_for(listed)
        return self.info.accounts

    def _tidy(self) -> None:
        """Remove what the finished scan does not name: commits, and files of writers that got lost."""
        named = {(table, file.name) for part in self.info.parts for table, file in _files(part)}
        for table in (*(table.name for table in tables_of(scan_version())), REPORTS):
            for name in self._place.names(table):
                if (table, name) not in named:
                    self._place.remove(f"{table}/{name}")
        self._place.remove(PARTS)
        self._place.remove(ASKED)


def _files(part: Part) -> Iterator[tuple[str, File]]:
    """Give all files of a part, each with the folder it is in."""
    yield from part.files.items()
    for file in part.reports.values():
        yield REPORTS, file


def _damaged(path: str, error: Exception) -> StoreError:
    return StoreError(f"{path} is damaged: {error}", "scan again")


def _account_id(facts: AccountFacts) -> str:
    """Return whose facts these are. Raises StoreError if they are nobody's, or several accounts'."""
    ids = {row.account_id for table in TABLES for row in facts.rows(table)}
    account_id: str = next(iter(ids), "")
    if len(ids) != 1 or not (is_account_id(account_id) or account_id == UNKNOWN):
        shown = ", ".join(sorted(repr(i[:40]) for i in ids)[:_SHOWN_IDS]) or "no account id"
        raise StoreError(f"facts of {shown} cannot be kept", "an account id has twelve digits")
    return account_id


def _json(value: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def parquet_of(table: "pa.Table") -> bytes:
    """Encode a table; the same rows give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", version="2.6")
    data: bytes = sink.getvalue().to_pybytes()
    return data
