"""Scans shared among processes by Dask: the same findings, whoever is lost on the way."""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped]
import pytest

from birthright.facts.model import Account
from birthright.fleet import dask_engine as spread
from birthright.fleet.account_access import AccountAccess
from birthright.fleet.counts import ScanProgress
from birthright.fleet.dask_engine import Task, _for_workers, read_batch, read_with, workers_at
from birthright.fleet.listing import Batch
from birthright.fleet.run import Fleet
from birthright.fleet.target import Target
from birthright.sandbox import Sandbox
from birthright.scans.record import load_info
from birthright.scans.request import AccountSelection, ConcurrencyLimits, ManyAccounts
from birthright.scans.store import FolderStore
from birthright.scans.writer import ScanWriter
from birthright.times import now
from cli_helpers import Ran, in_process
from fleet_helpers import (
    ORG,
    begin,
    entered,
    environment_of,
    facts_in,
    fleet_of,
    go,
    ids,
    names_in,
    steady,
)

AS_OF = now()
SMALL = "import birthright.fleet.dask_engine as s; s._BATCH, s._CONNECT_SECONDS = 3, 5\n"
# Workers are processes that begin by reading the main module again.
GUARDED = f"{SMALL}if __name__ == '__main__':\n    from birthright.cli.main import main; main()\n"
JSON = ("--format", "json", "--all", "--quiet")


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """Serve an organization of 30 accounts whose answers take a while."""
    with Sandbox.create(users=4, accounts=30, latency_ms=60).running() as running:
        yield running


def start(box: Sandbox, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    script = folder.parent / "spread.py"
    script.write_text(GUARDED)
    return subprocess.Popen(
        [sys.executable, script, *arguments],
        env=environment_of(box, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def begun(folder: Path) -> str:
    return begin(FolderStore(folder), ManyAccounts(ORG), AS_OF).info.id


@pytest.fixture(scope="module")
def whole(box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the findings of a scan in one process."""
    folder = tmp_path_factory.mktemp("whole") / "store"
    child = start(box, folder, "scan", "--resume", begun(folder), *JSON)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (1, "")
    return steady(out)


def parts(folder: Path, scan_id: str) -> int:
    return len(list((folder / "scans" / scan_id / "parts").glob("*.json")))


def wait_for_parts(folder: Path, scan_id: str, wanted: int) -> None:
    deadline = time.monotonic() + 40
    while parts(folder, scan_id) < wanted:
        assert time.monotonic() < deadline, "the scan does not come on"
        time.sleep(0.02)


def workers_of(child: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Find the processes that read: spawned, and not the one that tracks what they share."""
    found = psutil.Process(child.pid).children(recursive=True)
    return [one for one in found if "spawn_main" in " ".join(one.cmdline())]


@pytest.mark.slow
def test_a_lost_worker_changes_nothing(box: Sandbox, whole: str, tmp_path: Path) -> None:
    """Two local workers, one of which is killed: the findings are those of one process, byte for byte.

    Meanwhile nobody listens but on loopback.
    """
    folder = tmp_path / "store"
    scan_id = begun(folder)
    child = start(box, folder, "scan", "--resume", scan_id, "--dask", "local:2", "--max-calls", "2", *JSON)
    wait_for_parts(folder, scan_id, 2)
    everyone = [psutil.Process(child.pid), *workers_of(child)]
    assert len(everyone) == 3
    listening = [
        connection.laddr.ip
        for process in everyone
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1"}
    everyone[1].kill()
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (1, "")
    assert steady(out) == whole
    assert load_info(FolderStore(folder), scan_id).complete
    assert not [name for name in names_in(folder) if "parts/" in name or "asked" in name]


def test_a_task_holds_no_credentials(box: Sandbox, tmp_path: Path) -> None:
    """What is sent to a worker names a role and accounts, and nothing that signs."""
    writer = begin(FolderStore(tmp_path), ManyAccounts(ORG), AS_OF)
    asked = tuple(Target(Account(account)) for account in box.account_ids[1:4])
    with entered(box):
        sent = pickle.dumps((read_batch, msgspec.json.encode(task_of(tmp_path, writer, asked))))
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
            assert box.environment()[name].encode() not in sent


def task_of(folder: Path, writer: ScanWriter, asked: tuple[Target, ...]) -> Task:
    return Task(str(folder), writer.info.id, AS_OF, ManyAccounts(ORG), asked)


def test_a_task_that_runs_twice_counts_once(box: Sandbox, tmp_path: Path) -> None:
    """Also where a third one overlaps: each account is there once, as if read in one process."""
    writer = begin(FolderStore(tmp_path / "a"), ManyAccounts(ORG), AS_OF)
    other = begin(FolderStore(tmp_path / "b"), ManyAccounts(ORG), AS_OF)
    accounts = box.account_ids[1:5]
    asked = tuple(Target(Account(account)) for account in accounts)
    with entered(box):
        for some in (asked[:3], asked[:3], asked[1:4]):
            sums = msgspec.json.decode(read_batch(msgspec.json.encode(task_of(tmp_path / "a", writer, some))))
            assert sums["accounts"] == 3
        read_batch(msgspec.json.encode(task_of(tmp_path / "b", other, asked)))
    tops = [tmp_path / name / "scans" / one.finish().id for name, one in (("a", writer), ("b", other))]
    assert facts_in(tops[0]) == facts_in(tops[1])
    assert set(facts_in(tops[0])) == set(accounts)


def test_what_a_batch_had_read_is_kept(box: Sandbox, tmp_path: Path) -> None:
    """A worker whose credentials die in the middle of a batch leaves what it had read."""
    writer = begin(FolderStore(tmp_path), ManyAccounts(ORG), AS_OF)
    asked = tuple(Target(Account(account)) for account in box.account_ids[1:10])
    orders = msgspec.structs.replace(
        ManyAccounts(ORG), limits=msgspec.structs.replace(ManyAccounts(ORG).limits, working=1)
    )
    task = msgspec.structs.replace(task_of(tmp_path, writer, asked), request=orders)
    box.faults.add("expired-token", action="AssumeRole", after=3)
    with entered(box), pytest.raises(BaseExceptionGroup):
        read_batch(msgspec.json.encode(task))
    box.faults.clear()
    assert len(writer.read_so_far()) == 3
    with entered(box):
        again = ScanWriter.resume(FolderStore(tmp_path), writer.info.id)
        go(fleet_of(again, ManyAccounts(ORG)).read())
    assert again.finish().complete


def test_dead_credentials_are_told_once(box: Sandbox, tmp_path: Path) -> None:
    """Workers whose credentials are refused end the scan with two lines, and it can be gone on with."""
    folder = tmp_path / "store"
    scan_id = begun(folder)
    box.faults.add("expired-token", action="AssumeRole", after=12)
    child = start(box, folder, "scan", "--resume", scan_id, "--dask", "local:1", *JSON)
    out, err = child.communicate(timeout=60)
    box.faults.clear()
    assert (child.returncode, out) == (3, "")
    first, second = err.splitlines()
    assert f"go on with: birthright scan --resume {scan_id}" in first
    assert "ExpiredToken" in second


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("tcp://127.0.0.1:1", "no Dask scheduler answers at tcp://127.0.0.1:1"),
        ("tcp://[::1:99", "no Dask scheduler answers"),
    ],
)
def test_a_scheduler_that_does_not_answer(where: str, told: str, box: Sandbox, tmp_path: Path) -> None:
    """One clear line, exit code 2, and nothing in the store."""
    child = start(box, tmp_path / "store", "scan", "--org", "--dask", where, "--quiet")
    out, err = child.communicate(timeout=30)
    refused(Ran(child.returncode, out, err), told, tmp_path / "store")


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("tls://127.0.0.1:1", "needs certificates"),
        ("nonsense", "is no place of workers"),
        ("local:0", "is no place of workers"),
        ("http://127.0.0.1:8786", "is no place of workers"),
    ],
)
def test_a_place_that_cannot_be(where: str, told: str, box: Sandbox, tmp_path: Path) -> None:
    """The same, and nobody is asked."""
    store = tmp_path / "store"
    refused(in_process(environment_of(box, store), "scan", "--org", "--dask", where, "--quiet"), told, store)


def refused(ran: Ran, told: str, store: Path) -> None:
    assert told in ran.trouble
    assert ran.code == 2
    assert names_in(store) == []


@pytest.fixture
def scheduler(box: Sandbox, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Start a scheduler and a worker of it in processes of their own."""
    environment = {**environment_of(box, tmp_path / "elsewhere"), "DASK_LOGGING__DISTRIBUTED": "critical"}
    place = tmp_path / "scheduler.json"
    line = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
            "--no-dashboard", "--scheduler-file", str(place)]  # fmt: skip
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    first = subprocess.Popen(line, **quiet)
    deadline = time.monotonic() + 30
    while not place.exists() or not place.read_text().endswith("}"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    address = msgspec.json.decode(place.read_bytes())["address"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard",
              "--nthreads", "1", "--host", "127.0.0.1", "--local-directory", str(tmp_path)]  # fmt: skip
    second = subprocess.Popen(worker, cwd=tmp_path, **quiet)
    try:
        yield {"address": address, "scheduler": first, "worker": second}
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_workers_elsewhere(
    box: Sandbox, whole: str, scheduler: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler's worker in another folder reads the same; when the scheduler dies, one line says so."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "store"
    scan_id = begun(folder)
    child = start(box, folder, "scan", "--store", "store", "--resume", scan_id,
                  "--dask", scheduler["address"], *JSON)  # fmt: skip
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (1, "")
    assert steady(out) == whole
    other = begun(folder)
    child = start(
        box, folder, "scan", "--resume", other, "--dask", scheduler["address"], "--max-calls", "2", *JSON
    )
    wait_for_parts(folder, other, 1)
    scheduler["scheduler"].kill()
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (3, ""), err
    first, second = err.splitlines()
    assert "go on with: birthright scan" in first
    assert f"--resume {other}" in first
    assert "scheduler" in second


@pytest.mark.slow
@pytest.mark.parametrize("when", ["starting", "reading"])
def test_ctrl_c_is_told_in_two_lines(when: str, box: Sandbox, tmp_path: Path) -> None:
    """A terminal's Ctrl-C reaches the workers, too: nothing of theirs is shown, and none is left."""
    folder = tmp_path / "store"
    scan_id = begun(folder)
    child = start(box, folder, "scan", "--resume", scan_id, "--dask", "local:2", "--max-calls", "2", *JSON)
    if when == "reading":
        wait_for_parts(folder, scan_id, 1)
    deadline = time.monotonic() + 30
    while len(workers := workers_of(child)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    os.killpg(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, ""), err
    assert err.count("\n") == 2, err
    first, second = err.splitlines()
    assert f"--resume {scan_id}" in first
    assert second == "birthright: interrupted"
    assert psutil.wait_procs(workers, timeout=5)[1] == []


def test_a_task_knows_its_own_accounts_only() -> None:
    """The roles and filters of all the others stay here; local workers share the calls."""
    roles = dict.fromkeys(ids(range(10000)), "a/role/of/its/own")
    wanted = AccountSelection(file="accounts.csv", roles=roles, include=("x" * 1000,))
    orders = ManyAccounts(wanted, profile="mine", limits=ConcurrencyLimits(calls=256))
    for where, profile, calls in (
        ("local:3", "mine", 85),
        ("local:999", "mine", 1),
        ("tcp://elsewhere:8786", None, 256),
    ):
        sent = _for_workers(orders, where)
        assert len(msgspec.json.encode(sent)) < 1000
        assert (sent.wanted, sent.profile, sent.limits.calls) == (AccountSelection(), profile, calls)
    many = ManyAccounts(AccountSelection(profiles=tuple(ids(range(100)))))
    assert _for_workers(many, "local").wanted == AccountSelection(profiles=(ids(range(1))[0],))


def test_workers_that_are_there_are_used_again(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With workers once started several scans are read; batches are counted before the list is whole."""
    counted_before_the_list: list[int] = []

    class Slow(Fleet):
        """Its list has two batches; the second comes once the first is counted."""

        async def batches(self, access: AccountAccess) -> AsyncIterator[Batch]:
            async for batch in super().batches(access):
                yield Batch(batch.targets[:3], batch.skipped)
                async with asyncio.timeout(20):
                    while self.counts.done < 3 + len(batch.skipped):  # noqa: ASYNC110 - counts tell nobody
                        await asyncio.sleep(0.01)
                counted_before_the_list.append(self.counts.done)
                yield Batch(batch.targets[3:])

    async def work() -> None:
        async with workers_at("local:1") as client:
            for writer in writers:
                await read_with(client, Slow(some, writer, ScanProgress()), "local:1", str(tmp_path))

    some = ManyAccounts(AccountSelection(org=True, include=tuple(box.account_ids[:7])))
    writers = [begin(FolderStore(tmp_path), some, AS_OF) for _ in range(2)]
    monkeypatch.setattr(spread, "_BATCH", 3)
    with entered(box):
        go(work())
    assert counted_before_the_list
    first, second = (facts_in(tmp_path / "scans" / writer.finish().id) for writer in writers)
    assert first == second
    assert set(first) == set(box.account_ids[:7])
