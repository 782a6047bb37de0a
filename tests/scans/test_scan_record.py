"""Scans on disk: what is saved is loaded, and a scan is there whole or not at all."""

import hashlib
import re
import stat
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birthright.errors import StoreError, UsageError
from birthright.facts.model import AccessKey, AccountFacts, Coverage, Principal
from birthright.facts.schema import TABLES, tables_of, to_table
from birthright.scans.record import (
    ScanInfo,
    find_scan,
    list_scans,
    load_info,
    load_tables,
    new_scan_id,
    scan_dir,
)
from birthright.scans.store import FolderStore, Stored
from birthright.scans.writer import save_scan

READ = [table.name for table in tables_of(1)]
AS_OF = datetime(2026, 11, 22, 22, 3, 12, tzinfo=UTC)


def info(scan_id: str = "20261122T220312Z-00aa11") -> ScanInfo:
    return ScanInfo(
        id=scan_id, as_of=AS_OF, tool_version="0.1.0", depth="keys", complete=True, extra={"x": [1]}
    )


def save(store: Path, about: ScanInfo, accounts: Iterable[AccountFacts]) -> Path:
    """Save a scan in a folder; return its own."""
    save_scan(FolderStore(store), about, accounts)
    return store / "scans" / about.id


def account(account_id: str = "111122223333") -> AccountFacts:
    return AccountFacts(
        (Principal(account_id, None, "ann", created_at=AS_OF),),
        (AccessKey(account_id, None, "ann", slot=2, created_at=AS_OF, ever_used=False),),
        (Coverage(account_id, "ListUsers", "ok", rows=1, seconds=0.5, as_of=AS_OF),),
    )


instants = st.none() | st.datetimes(timezones=st.just(UTC)).map(lambda t: t.replace(microsecond=0))
texts = st.none() | st.text(max_size=8)


def rows(kind: type[msgspec.Struct]) -> st.SearchStrategy[list[msgspec.Struct]]:
    """Any rows of a table, of one account."""
    by_type = {bool: st.booleans(), int: st.integers(0, 127), float: st.floats(allow_nan=False)}
    fields = {}
    for field in msgspec.structs.fields(kind):
        kinds = [t for t in by_type if field.type in (t, t | None)]
        is_time = field.name.endswith("_at") or field.name == "as_of"
        plain = by_type[kinds[0]] if kinds else instants if is_time else texts
        fields[field.name] = plain
    return st.lists(st.builds(kind, **fields | {"account_id": st.just("1" * 12)}), max_size=3)


facts = st.builds(
    AccountFacts,
    rows(Principal).map(tuple),
    rows(AccessKey).map(tuple),
    rows(Coverage).filter(len).map(tuple),
)


@given(facts)
def test_saved_facts_are_loaded(tmp_path_factory: pytest.TempPathFactory, one: AccountFacts) -> None:
    """Whatever the facts are, the tables on disk equal the tables in memory."""
    directory = save(tmp_path_factory.mktemp("store"), info(), [one])
    for name, table in TABLES.items():
        assert load_tables(directory)[name].equals(to_table(one.rows(name), table.schema))


def test_a_scan_has_one_file_per_account_and_table(tmp_path: Path) -> None:
    """The layout on disk is the one other programs may rely on, and it is private."""
    top = save(tmp_path / "store", info(), [account(), account("4" * 12)])
    assert top == tmp_path / "store" / "scans" / info().id
    found = {
        re.sub(r"-[0-9a-f]{12}\.", ".", str(p.relative_to(top))): stat.S_IMODE(p.stat().st_mode)
        for p in top.rglob("*")
    }
    files = {f"{t}/{a}.parquet" for t in READ for a in ("111122223333", "4" * 12)}
    assert found == {
        **dict.fromkeys(READ, 0o700),
        **dict.fromkeys(files | {"scan.json"}, 0o600),
    }
    assert stat.S_IMODE(top.stat().st_mode) == 0o700
    assert load_tables(top)["principals"]["account_id"].to_pylist() == ["111122223333", "4" * 12]


def test_a_scan_names_its_files_with_their_digests(tmp_path: Path) -> None:
    """Whoever keeps scan.json can tell later whether the facts are still those."""
    top = save(tmp_path, info(), [account()])
    (part,) = load_info(FolderStore(tmp_path)).parts
    for table, file in part.files.items():
        data = (top / table / file.name).read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert file.rows == load_tables(top)[table].num_rows


def test_the_same_facts_are_the_same_bytes(tmp_path: Path) -> None:
    """Saving twice gives identical files."""
    first, second = (save(tmp_path / name, info(), [account()]) for name in "ab")
    for path in (p for p in first.rglob("*") if p.is_file()):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_info_is_found_by_id_and_as_latest(tmp_path: Path) -> None:
    """The latest scan is the one of the latest instant, in whatever order they were written."""
    later = info("20261122T220313Z-000000")
    for one in (later, info()):
        save(tmp_path, one, [account()])
    assert without_parts(load_info(FolderStore(tmp_path))) == later
    assert without_parts(load_info(FolderStore(tmp_path), info().id)) == info()
    assert list_scans(FolderStore(tmp_path)) == [info().id, later.id]
    assert scan_dir(FolderStore(tmp_path), "latest").name == later.id


def without_parts(found: ScanInfo) -> ScanInfo:
    return msgspec.structs.replace(found, parts=())


def test_new_ids_sort_by_time() -> None:
    """Ids carry UTC to the second and differ within it."""
    zone = AS_OF.astimezone()
    ids = [new_scan_id(zone + timedelta(seconds=n)) for n in range(3)]
    assert ids == sorted(ids)
    assert re.fullmatch(r"20261122T220312Z-[0-9a-f]{6}", ids[0])
    assert new_scan_id(AS_OF) != new_scan_id(AS_OF)


@pytest.mark.parametrize(
    "scan_id",
    [
        "",
        "..",
        "../../etc",
        "/etc",
        ".",
        "20261122T220312Z-00aa11/..",
        "20261122T220312Z-00aa11\n",
        "20261122T220312Z-00AA11",
        "*",
        "x" * 5000,
    ],
)
def test_what_is_no_id_is_refused(tmp_path: Path, scan_id: str) -> None:
    """An id becomes a path only if it is exactly an id."""
    save(tmp_path, info(), [account()])
    with pytest.raises(UsageError, match="is not the id of a scan"):
        scan_dir(FolderStore(tmp_path), scan_id)
    with pytest.raises(UsageError, match="is not the id of a scan"):
        save(tmp_path, info(scan_id), [])


def test_an_unknown_id_names_those_that_exist(tmp_path: Path) -> None:
    """A mistyped id is answered with the newest ones."""
    with pytest.raises(UsageError, match="there is no scan in"):
        load_info(FolderStore(tmp_path))
    for second in range(5):
        save(tmp_path, info(f"20261122T22031{second}Z-000000"), [account()])
    with pytest.raises(UsageError) as caught:
        load_info(FolderStore(tmp_path), "20200101T000000Z-000000")
    assert re.findall(r"T22031(\d)Z", caught.value.hint) == ["4", "3", "2"]


def test_an_interrupted_scan_is_not_there(tmp_path: Path) -> None:
    """If the collection dies halfway no scan is visible and nothing is left."""

    def broken() -> Iterator[AccountFacts]:
        yield account()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, info(), broken())
    assert list_scans(FolderStore(tmp_path)) == []
    assert list((tmp_path / "scans").iterdir()) == []


def test_a_killed_scan_is_not_listed(tmp_path: Path) -> None:
    """What a killed process leaves has a hidden name, and no reader takes it for a scan."""
    left = save(tmp_path, info(), [account()])
    left.rename(left.parent / ".birthright-0123456789abcdef")
    assert list_scans(FolderStore(tmp_path)) == []


def test_a_scan_is_never_replaced(tmp_path: Path) -> None:
    """A second scan of the same id is refused, and the first stays."""
    save(tmp_path, info(), [account()])
    with pytest.raises(StoreError, match="exists already"):
        save(tmp_path, info(), [account("4" * 12)])
    tables = load_tables(scan_dir(FolderStore(tmp_path), "latest"))
    assert tables["principals"]["account_id"].to_pylist() == ["111122223333"]


@pytest.mark.parametrize("account_id", ["../../../x", "", "123", "1" * 11 + "\u0661", "unknown\n"])
def test_an_account_id_that_is_none_is_refused(tmp_path: Path, account_id: str) -> None:
    """Account ids become file names only if they are account ids."""
    with pytest.raises(StoreError, match="cannot be kept"):
        save(tmp_path, info(), [account(account_id)])
    assert list_scans(FolderStore(tmp_path)) == []


def test_accounts_come_once_unless_unknown(tmp_path: Path) -> None:
    """A repeated account would count twice; several whose id could not be read are kept apart."""
    with pytest.raises(UsageError, match="collected twice"):
        save(tmp_path, info(), [account(), account()])
    directory = save(tmp_path, info(), [account("unknown"), account("unknown")])
    assert load_tables(directory)["coverage"].num_rows == 2


def test_damage_is_told(tmp_path: Path) -> None:
    """Files that were cut, lost or exchanged are damage, named, and never half an answer."""
    directory = save(tmp_path, info(), [account()])
    (keys,) = (directory / "access_keys").iterdir()
    (principals,) = (directory / "principals").iterdir()
    whole = keys.read_bytes()
    same_size = b"x" * len(whole), whole[:-9] + b"x" * 9
    for damaged in (b"", whole[:-9], b"PAR1", principals.read_bytes(), whole[:99] + bytes(60), *same_size):
        keys.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"damaged.*111122223333|111122223333.*damaged"):
            load_tables(directory)
    keys.unlink()
    with pytest.raises(StoreError, match="is missing"):
        load_tables(directory)


def test_scans_of_the_first_version_are_read(tmp_path: Path) -> None:
    """A scan whose scan.json names no files holds those that are there, the same in each table."""
    directory = save(tmp_path, info(), [account()])
    for table in READ:
        (file,) = (directory / table).iterdir()
        file.rename(file.with_name("111122223333.parquet"))
    old = msgspec.structs.replace(info(), schema="birthright.scan/1")
    (directory / "scan.json").write_bytes(msgspec.json.encode(old))
    assert load_tables(directory)["principals"].num_rows == 1
    assert load_tables(directory)["accounts"].num_rows == 0
    (directory / "access_keys" / "111122223333.parquet").unlink()
    with pytest.raises(StoreError, match="files of facts are missing"):
        load_tables(directory)


@pytest.mark.parametrize("text", ["", "{}", "[" * 99999, '{"schema": "birthright.scan/1"}', "\x80"])
def test_a_damaged_info_is_told(tmp_path: Path, text: str) -> None:
    """A scan.json that is none is damage."""
    directory = save(tmp_path, info(), [account()])
    (directory / "scan.json").write_text(text, "latin-1")
    with pytest.raises(StoreError, match="damaged"):
        load_info(FolderStore(tmp_path))


def test_a_newer_scan_is_refused(tmp_path: Path) -> None:
    """A scan of a later schema is not guessed at."""
    directory = save(tmp_path, info(), [account()])
    (directory / "scan.json").write_text('{"schema": "birthright.scan/3"}')
    with pytest.raises(UsageError, match="newer birthright"):
        load_info(FolderStore(tmp_path))


def test_the_latest_is_found_without_a_look_at_all(tmp_path: Path) -> None:
    """In a bucket with a year of scans every look is a request; the newest ones are enough."""
    looks: list[str] = []

    class Counting(FolderStore):
        def stat(self, path: str) -> Stored | None:
            looks.append(path)
            return super().stat(path)

    for day in range(10, 30):
        save(tmp_path, info(f"202611{day}T220312Z-00aa11"), [account()])
    (tmp_path / "scans" / "20261130T220312Z-00aa11").mkdir()
    assert find_scan(Counting(tmp_path), "latest") == "20261129T220312Z-00aa11"
    assert len(looks) == 2
