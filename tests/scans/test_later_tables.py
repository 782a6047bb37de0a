"""A fact table that comes later: new scans have it, earlier ones are as readable as before."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from birthright.errors import StoreError
from birthright.facts.model import AccountFacts, Coverage, Principal
from birthright.facts.schema import TABLES, Table, add_table, remove_table, scan_version
from birthright.policies.engine import Engine
from birthright.scans.record import ScanInfo, facts_files, load_info, load_tables
from birthright.scans.store import FolderStore
from birthright.scans.writer import ScanWriter, save_scan
from birthright.times import now

ACCOUNT = "111122223333"
AS_OF = datetime(2026, 11, 22, 22, 3, 12, tzinfo=UTC)


class Owner(msgspec.Struct, frozen=True):
    """A row of a table that no scan has yet."""

    account_id: str
    user_name: str
    since: int | None = None
    noted_at: datetime | None = None


@pytest.fixture
def owners() -> Iterator[Table]:
    """Register a table that the next version of scans brings."""
    table = Table(name="owners", row=Owner, since=scan_version() + 1)
    add_table(table)
    yield table
    remove_table("owners")


def info(as_of: datetime = AS_OF) -> ScanInfo:
    name = f"{as_of:%Y%m%dT%H%M%SZ}-00aa11"
    return ScanInfo(id=name, as_of=as_of, tool_version="0", depth="keys", complete=True)


def facts() -> AccountFacts:
    return AccountFacts(
        (Principal(ACCOUNT, None, "ann"),),
        (),
        (Coverage(ACCOUNT, "ListUsers", "ok"),),
        others={"owners": (Owner(ACCOUNT, "ann", 7, AS_OF),)} if "owners" in TABLES else {},
    )


def saved(store: Path) -> Path:
    return store / "scans" / save_scan(FolderStore(store), info(), [facts()]).id


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Save a scan before the table comes."""
    return saved(tmp_path / "earlier")


def test_an_earlier_scan_lacks_the_table_and_is_not_damaged(earlier: Path, owners: Table) -> None:
    """Its files are all there, and the table has no rows."""
    assert owners.name not in facts_files(earlier)
    assert load_tables(earlier)["principals"].num_rows == 1
    engine = Engine(earlier)
    assert engine.select("select count(*) from owners").fetchall() == [(0,)]
    assert engine.select("select user_name from principals").fetchall() == [("ann",)]


def test_a_new_scan_has_the_table(tmp_path: Path, owners: Table) -> None:
    """It says its version, and rules see the rows under the types of their struct."""
    folder = saved(tmp_path)
    assert load_info(FolderStore(tmp_path)).schema == f"birthright.scan/{owners.since}"
    assert load_tables(folder)["owners"].to_pylist() == [
        {"account_id": ACCOUNT, "user_name": "ann", "since": 7, "noted_at": AS_OF.replace(tzinfo=None)}
    ]
    sql = "select typeof(since), typeof(noted_at) from owners"
    assert Engine(folder).select(sql).fetchall() == [("BIGINT", "TIMESTAMP")]


@pytest.mark.usefixtures("owners")
def test_a_new_scan_without_a_file_of_it_is_damaged(tmp_path: Path) -> None:
    """What a scan's version says it has must be there."""
    folder = saved(tmp_path)
    for file in (folder / "owners").iterdir():
        file.unlink()
    with pytest.raises(StoreError, match=r"owners.* is missing"):
        facts_files(folder)


def test_a_scan_that_is_resumed_keeps_to_its_tables(tmp_path: Path) -> None:
    """One begun before the table came does not get it for half of its accounts."""
    store = FolderStore(tmp_path)
    begun = ScanWriter.begin(store, info(now()))
    begun.add("one", [facts()])
    add_table(Table(name="owners", row=Owner, since=scan_version() + 1))
    try:
        resumed = ScanWriter.resume(store, begun.info.id)
        resumed.add("two", [facts()])
        resumed.finish()
        assert "owners" not in facts_files(tmp_path / "scans" / begun.info.id)
        assert not (tmp_path / "scans" / begun.info.id / "owners").exists()
    finally:
        remove_table("owners")


def test_a_name_is_registered_once() -> None:
    """A second table of one name would hide the first."""
    with pytest.raises(ValueError, match="principals"):
        add_table(Table(name="principals", row=Owner, since=1))
