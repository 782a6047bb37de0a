"""Gathering facts into parts: what is put is written, in time, and what cannot be written is told."""

import asyncio
from pathlib import Path

import pytest

from birthright.errors import StoreError
from birthright.fleet import part_buffer as gathering
from birthright.fleet.part_buffer import PartBuffer, part_name
from birthright.scans.request import ManyAccounts
from birthright.scans.store import FolderStore
from birthright.scans.writer import ScanWriter
from fleet_helpers import ORG, begin, facts, go, ids


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write small parts, and soon."""
    monkeypatch.setattr(gathering, "_SECONDS", 0.05)
    monkeypatch.setattr(gathering, "_ACCOUNTS", 4)


def started(folder: Path) -> ScanWriter:
    return begin(FolderStore(folder), ManyAccounts(ORG))


def test_all_that_was_put_is_written(tmp_path: Path) -> None:
    """From many tasks at a time, each account once."""
    writer = started(tmp_path)
    accounts = ids(range(50))

    async def work() -> None:
        here = PartBuffer(writer)
        async with here.running(), asyncio.TaskGroup() as group:
            for account in accounts:
                group.create_task(here.put(facts(account)))

    go(work())
    assert writer.read_so_far() == set(accounts)
    assert sum(part.files["principals"].rows for part in writer.finish().parts) == len(accounts)


def test_what_waits_is_written_after_a_while(tmp_path: Path) -> None:
    """A crash costs the last seconds, however few accounts there are."""
    writer = started(tmp_path)

    async def work() -> None:
        here = PartBuffer(writer)
        async with here.running():
            await here.put(facts("1" * 12))
            async with asyncio.timeout(5):
                while not await asyncio.to_thread(writer.read_so_far):  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)

    go(work())


def test_what_is_left_is_written_however_it_ends(tmp_path: Path) -> None:
    """An error and a cancellation keep what was put before."""
    writer = started(tmp_path)

    async def fails() -> None:
        here = PartBuffer(writer)
        async with here.running():
            await here.put(facts("1" * 12))
            raise StoreError("a reason of its own")

    async def is_cancelled() -> None:
        here = PartBuffer(writer)
        async with here.running():
            await here.put(facts("2" * 12))
            await asyncio.sleep(60)

    async def cancels() -> None:
        task = asyncio.create_task(is_cancelled())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    with pytest.raises(StoreError, match="a reason of its own"):
        go(fails())
    go(cancels())
    assert writer.read_so_far() == {"1" * 12, "2" * 12}


@pytest.mark.parametrize("accounts", [1, 4])
def test_what_cannot_be_written_ends_the_scan(accounts: int, tmp_path: Path) -> None:
    """Whether a part is full or its time has come: a store that refuses is no silent loss."""
    writer = started(tmp_path)
    (tmp_path / "scans" / writer.info.id / "principals").write_text("a file where a folder is needed")

    async def work() -> None:
        here = PartBuffer(writer)
        async with here.running():
            for account in ids(range(accounts)):
                await here.put(facts(account))
            await asyncio.sleep(20)

    async def in_time() -> None:
        async with asyncio.timeout(5):
            await work()

    with pytest.raises(StoreError, match="cannot write"):
        go(in_time())


def test_a_part_is_named_after_its_accounts() -> None:
    """In whatever order they finished; other accounts have another name."""
    one, two = facts("1" * 12), facts("2" * 12)
    assert part_name([one, two]) == part_name([two, one]) != part_name([one])


@pytest.mark.parametrize(("users", "fewest"), [(0, 15), (2, 20)])
def test_a_slow_store_gets_parts_of_the_same_size(
    users: int, fewest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many accounts wait meanwhile, no part holds more than it may, in accounts or in rows."""
    monkeypatch.setattr(gathering, "_SECONDS", 60)
    monkeypatch.setattr(gathering, "_ROWS", 6)
    writer = started(tmp_path)

    async def work() -> None:
        here = PartBuffer(writer)
        async with here.running(), asyncio.TaskGroup() as group:
            for account in ids(range(60)):
                group.create_task(here.put(facts(account, users)))

    go(work())
    parts = writer.finish().parts
    assert sum(part.files["coverage"].rows for part in parts) == 60
    assert max(part.files["coverage"].rows for part in parts) <= 4
    assert max(part.files["principals"].rows for part in parts) <= 6
    assert len(parts) == fewest
