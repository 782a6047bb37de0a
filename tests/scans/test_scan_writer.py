"""Scans that grow part by part: what counts, and what is left of writers that were killed or late."""

import hashlib
import os
import stat
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.errors import StoreError, UsageError
from birthright.facts.model import Account
from birthright.scans.record import ScanInfo, facts_files, load_info, load_tables
from birthright.scans.request import ManyAccounts
from birthright.scans.store import FolderStore
from birthright.scans.writer import ScanWriter
from birthright.times import now
from fleet_helpers import AS_OF, ORG, begin, facts, ids, names_in

ACCOUNTS = ids(range(1, 7))

FULL_DISK = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from birthright.times import now
from fleet_helpers import ORG, begin, facts
from birthright.errors import StoreError
from birthright.scans.store import FolderStore
from birthright.scans.request import ManyAccounts
import birthright.facts.schema, pyarrow.parquet

writer = begin(FolderStore(Path(sys.argv[1])), ManyAccounts(ORG))
writer.add("good", [facts("000000000001")])
print(writer.info.id)
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
try:
    writer.add("large", [facts("000000000002", users=20_000)])
except StoreError as error:
    print(error)
"""


def started(folder: Path, listed: list[str] | None = None) -> ScanWriter:
    writer = begin(FolderStore(folder), ManyAccounts(ORG), AS_OF)
    if listed is not None:
        writer.ask_for([Account(account) for account in listed])
    return writer


def top_of(folder: Path, info: ScanInfo) -> Path:
    return folder / "scans" / info.id


def read(folder: Path, info: ScanInfo) -> Counter[str]:
    """Count the rows of principals by account."""
    return Counter(load_tables(top_of(folder, info))["principals"]["account_id"].to_pylist())


def test_a_finished_scan_names_every_file_and_holds_no_other(tmp_path: Path) -> None:
    """scan.json has each file's size and digest; commits and what was asked are gone; all is private."""
    writer = started(tmp_path, ACCOUNTS)
    for number, account in enumerate(ACCOUNTS):
        writer.add(f"part{number}", [facts(account)])
    (top_of(tmp_path, writer.info) / "coverage" / "lost-000000000000.parquet").write_bytes(b"half")
    info = writer.finish()
    top = top_of(tmp_path, info)
    files = {f"{table}/{file.name}": file for part in info.parts for table, file in part.files.items()}
    assert info.accounts
    files[f"accounts/{info.accounts.name}"] = info.accounts
    assert names_in(top) == sorted([*files, "scan.json"])
    for path, file in files.items():
        data = (top / path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size, file.sha256)
        assert stat.S_IMODE((top / path).stat().st_mode) == 0o600
    assert {stat.S_IMODE(p.stat().st_mode) for p in top.rglob("*") if p.is_dir()} == {0o700}
    saved = load_info(FolderStore(tmp_path))
    assert (saved.parts, saved.accounts, saved.finished) == (info.parts, info.accounts, True)
    assert info.complete


@settings(max_examples=15)
@given(st.lists(st.lists(st.sampled_from(ACCOUNTS), min_size=1, max_size=4, unique=True), max_size=6))
def test_each_account_counts_once(tmp_path_factory: pytest.TempPathFactory, batches: list[list[str]]) -> None:
    """Whatever batches were written by whatever workers, also late ones, each account is there once."""
    folder = tmp_path_factory.mktemp("store")
    writer = started(folder, ACCOUNTS)
    for number, batch in enumerate(batches):
        zombie = ScanWriter.join(FolderStore(folder), writer.info.id)
        zombie.add(f"p{number % 4}", [facts(account, users=2, note=str(number)) for account in batch])
    # What a commit replaced is gone with it: the last of each name counts.
    last = {number % 4: batch for number, batch in enumerate(batches)}
    expected = {account for batch in last.values() for account in batch}
    info = writer.finish()
    assert read(folder, info) == Counter(dict.fromkeys(expected, 2))
    tables = load_tables(top_of(folder, info))
    assert sorted(tables["coverage"]["account_id"].to_pylist()) == sorted(expected)
    assert info.complete is (expected == set(ACCOUNTS))


def test_a_part_written_twice_counts_once(tmp_path: Path) -> None:
    """The same accounts by the same name are one part, whoever writes them and however often."""
    writer = started(tmp_path, ACCOUNTS[:2])
    for _ in range(2):
        writer.add("same", [facts(account) for account in ACCOUNTS[:2]])
    other = ScanWriter.join(FolderStore(tmp_path), writer.info.id)
    other.add("same", [facts(account, users=3) for account in ACCOUNTS[:2]])
    info = writer.finish()
    assert len(info.parts) == 1
    assert read(tmp_path, info) == Counter(dict.fromkeys(ACCOUNTS[:2], 3))


def test_the_copy_that_counts_says_whether_it_is_complete(tmp_path: Path) -> None:
    """Where a late worker's failed account is taken out of its part, the rest of that part is complete."""
    writer = started(tmp_path, ACCOUNTS[:2])
    writer.add("a", [facts(ACCOUNTS[0])])
    writer.add("b", [facts(ACCOUNTS[0], status="failed"), facts(ACCOUNTS[1])])
    assert writer.finish().complete


def test_an_account_that_was_not_read_leaves_the_scan_incomplete(tmp_path: Path) -> None:
    """Neither a missing account nor one that was denied is overlooked."""
    writer = started(tmp_path, ACCOUNTS[:2])
    writer.add("a", [facts(ACCOUNTS[0])])
    assert not writer.finish().complete
    denied = started(tmp_path, ACCOUNTS[:1])
    denied.add("a", [facts(ACCOUNTS[0], status="denied")])
    assert not denied.finish().complete


def test_unknown_accounts_are_all_kept(tmp_path: Path) -> None:
    """Profiles whose account nobody knows do not replace each other."""
    writer = started(tmp_path, [])
    writer.add(
        "a", [facts("unknown", note="1", status="failed"), facts("unknown", note="2", status="failed")]
    )
    writer.add("b", [facts("unknown", note="3", status="failed")])
    info = writer.finish()
    assert read(tmp_path, info) == Counter({"unknown": 3})


def test_a_part_that_was_not_committed_does_not_count(tmp_path: Path) -> None:
    """Files of a writer that was killed before its commit are no facts, and are gone at the end."""
    writer = started(tmp_path, ACCOUNTS[:2])
    writer.add("a", [facts(ACCOUNTS[0])])
    writer.add("b", [facts(ACCOUNTS[1])])
    (top_of(tmp_path, writer.info) / "parts" / "b.json").unlink()
    again = ScanWriter.resume(FolderStore(tmp_path), writer.info.id)
    assert again.read_so_far() == {ACCOUNTS[0]}
    again.add("b", [facts(ACCOUNTS[1], users=2)])
    info = again.finish()
    assert read(tmp_path, info) == Counter({ACCOUNTS[0]: 1, ACCOUNTS[1]: 2})


@pytest.mark.parametrize("table", ["principals", "access_keys", "coverage"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_commit_without_its_files_does_not_count(table: str, cut: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """A file that is missing or cut is told to whoever judges; gone on with, its accounts are read again."""
    writer = started(tmp_path, ACCOUNTS[:2])
    writer.add("a", [facts(ACCOUNTS[0])])
    part = writer.add("b", [facts(ACCOUNTS[1])])
    path = top_of(tmp_path, writer.info) / table / part.files[table].name
    if cut:
        path.write_bytes(path.read_bytes()[:-10])
    else:
        path.unlink()
    with pytest.raises(StoreError, match="the scan is damaged"):
        facts_files(top_of(tmp_path, writer.info))
    again = ScanWriter.resume(FolderStore(tmp_path), writer.info.id)
    assert again.read_so_far() == {ACCOUNTS[0]}
    assert facts_files(top_of(tmp_path, writer.info))


def test_damage_is_told_in_one_line(tmp_path: Path) -> None:
    """A file with other bytes, a list of accounts that is none, a part without a table: StoreError."""
    writer = started(tmp_path, ACCOUNTS[:2])
    writer.add("a", [facts(ACCOUNTS[0])])
    writer.add("b", [facts(ACCOUNTS[0]), facts(ACCOUNTS[1])])
    top = top_of(tmp_path, writer.info)
    for name in ("a", "b"):
        commit = msgspec.json.decode((top / "parts" / f"{name}.json").read_bytes())
        path = top / "coverage" / commit["part"]["files"]["coverage"]["name"]
        path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(StoreError, match="is damaged"):
        writer.finish()
    assert not (top / "scan.json").exists()
    (listed,) = (top / "accounts").iterdir()
    listed.write_bytes(b"none")
    with pytest.raises(StoreError, match="is damaged"):
        writer.asked_for()


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "/etc/passwd", "", ".", "a/b"])
def test_a_scan_names_files_of_its_own_only(name: str, tmp_path: Path) -> None:
    """A scan.json that somebody wrote leads to no other file of this machine."""
    writer = started(tmp_path, ACCOUNTS[:1])
    writer.add("a", [facts(ACCOUNTS[0])])
    info = writer.finish()
    path = top_of(tmp_path, info) / "scan.json"
    told = msgspec.json.decode(path.read_bytes())
    good = msgspec.json.encode(told)
    told["parts"][0]["files"]["coverage"]["name"] = name
    path.write_bytes(msgspec.json.encode(told))
    with pytest.raises(StoreError, match="the scan is damaged"):
        facts_files(path.parent)
    told = msgspec.json.decode(good)
    del told["parts"][0]["files"]["coverage"]
    path.write_bytes(msgspec.json.encode(told))
    with pytest.raises(StoreError, match="the scan is damaged"):
        facts_files(path.parent)


def test_two_that_go_on_with_one_scan(tmp_path: Path) -> None:
    """Who comes last finds the scan finished, and takes nothing from it."""
    writer = started(tmp_path, ACCOUNTS[:2])
    first, second = (ScanWriter.resume(FolderStore(tmp_path), writer.info.id) for _ in range(2))
    first.add("a", [facts(account) for account in ACCOUNTS[:2]])
    info = first.finish()
    second.add("b", [facts(ACCOUNTS[1], users=5)])
    assert second.finish() == info
    assert read(tmp_path, info) == Counter(dict.fromkeys(ACCOUNTS[:2], 1))
    with pytest.raises(UsageError, match="holds no unfinished scan"):
        ScanWriter.join(FolderStore(tmp_path), writer.info.id)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    """A part that the disk does not take is told, leaves nothing of itself, and costs no other part."""
    helpers = Path(__file__).parents[1] / "helpers"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path, helpers], capture_output=True, text=True, check=True
    )
    scan_id, error = done.stdout.splitlines()
    assert error.startswith(f"cannot write {tmp_path}/scans/{scan_id}/principals/large-")
    assert "File too large" in error
    writer = ScanWriter.resume(FolderStore(tmp_path), scan_id)
    assert writer.read_so_far() == {"000000000001"}
    assert not [name for name in names_in(tmp_path) if "large" in name or ".birthright-" in name]
    assert read(tmp_path, writer.finish()) == Counter({"000000000001": 1})


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else, which needs root")
def test_a_read_only_store_is_told(tmp_path: Path) -> None:
    """Who may not write there is told so in one line, before anything is read."""
    store = tmp_path / "store"
    store.mkdir(mode=0o755)
    with pytest.raises(StoreError, match="cannot write"):
        in_a_child(store)


def in_a_child(store: Path) -> None:
    """Begin a scan as somebody who may only read; raise what that says."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        text = "nothing"
        try:
            os.setuid(65534)
            begin(FolderStore(store), ManyAccounts(ORG), AS_OF)
        except StoreError as error:
            text = str(error)
        finally:
            os.write(writer, text.encode())
            os._exit(0)
    os.waitpid(child, 0)
    text = os.read(reader, 10_000).decode()
    os.close(reader)
    os.close(writer)
    if text != "nothing":
        raise StoreError(text)


def test_of_two_that_finish_together_one_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second, however little, leaves the first one's scan and its files alone."""
    store = FolderStore(tmp_path)
    first = begin(store, ManyAccounts(ORG))
    first.add("a", [facts("1" * 12)])
    second = ScanWriter.join(store, first.info.id)
    inside: list[ScanInfo] = []
    put_new = FolderStore.put_new

    def meanwhile(self: FolderStore, path: str, data: bytes) -> bool:
        monkeypatch.undo()
        second.add("b", [facts("2" * 12)])
        inside.append(second.finish())
        return put_new(self, path, data)

    monkeypatch.setattr(FolderStore, "put_new", meanwhile)
    assert first.finish() == inside[0]
    tables = load_tables(tmp_path / "scans" / first.info.id)
    assert sorted(tables["coverage"]["account_id"].to_pylist()) == ["1" * 12, "2" * 12]


def test_a_scan_is_gone_on_with_for_a_day(tmp_path: Path) -> None:
    """What is read today is not judged by the instant of a scan that was begun long ago."""
    store = FolderStore(tmp_path)
    old = begin(store, ManyAccounts(ORG), now() - timedelta(days=1, minutes=1))
    old.add("a", [facts("1" * 12)])
    with pytest.raises(UsageError, match="scan again"):
        ScanWriter.resume(store, old.info.id)
