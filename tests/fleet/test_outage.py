"""Many accounts that fail are told from an outage, whichever engine reads them."""

import asyncio
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import distributed
import msgspec
import pytest

from birthright.errors import AnswerError, CredentialsError, ReadError
from birthright.facts.model import Account, AccountFacts, Coverage, Status
from birthright.fleet import dask_engine
from birthright.fleet import outage as outages
from birthright.fleet.dask_engine import read_with
from birthright.fleet.outage import Outage, probed_by
from birthright.fleet.run import Fleet
from birthright.fleet.target import Target
from birthright.sandbox import Sandbox
from birthright.scans.request import ConcurrencyLimits, ManyAccounts
from birthright.scans.store import FolderStore
from birthright.scans.writer import ScanWriter
from fleet_helpers import ORG, begin, by_account, entered, fleet_of, go, ids, status_of

ALL = ManyAccounts(ORG)
FEW_AT_A_TIME = ManyAccounts(ORG, limits=ConcurrencyLimits(working=8))
# Reads what a scan has not read yet into the store in a folder.
Read = Callable[[ScanWriter, ManyAccounts, Path], None]


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Start two workers as threads of this process: they start at once, and see its environment."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1",
        dashboard_address=None, worker_dashboard_address=None,
    ) as cluster:  # fmt: skip
        yield str(cluster.scheduler_address)


@pytest.fixture(params=["one process", "Dask"])
def read(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read with each engine in turn: retries come soon, and fewer accounts are suspicious or a batch."""
    request.getfixturevalue("soon")
    monkeypatch.setattr(outages, "_SUSPICIOUS", 12)
    monkeypatch.setattr(dask_engine, "_BATCH", 5)
    if request.param == "Dask":
        address = request.getfixturevalue("scheduler")
        return lambda writer, orders, folder: go(read_by_dask(fleet_of(writer, orders), address, folder))
    return lambda writer, orders, _: go(fleet_of(writer, orders).read())


async def read_by_dask(fleet: Fleet, address: str, folder: Path) -> None:
    async with distributed.Client(address, asynchronous=True) as client:
        await read_with(client, fleet, address, str(folder))


class Aws:
    """What a probe finds: an answer, or `error`."""

    def __init__(self, error: ReadError | None = None) -> None:
        self.error = error
        self.probed: list[Target | None] = []

    async def probe(self, entered: Target | None) -> None:
        """Note which account is entered again."""
        self.probed.append(entered)
        await asyncio.sleep(0)
        if self.error:
            raise self.error


def failed(numbers: range) -> list[AccountFacts]:
    line = Coverage("", "AssumeRole", "failed", "no answer")
    return [AccountFacts((), (), (msgspec.structs.replace(line, account_id=i),)) for i in ids(numbers)]


def hold(outage: Outage, *batches: list[AccountFacts]) -> list[AccountFacts]:
    """Hold batches back one after the other; return what may be kept."""

    async def work() -> list[AccountFacts]:
        return [facts for batch in batches for facts in await outage.hold(batch)]

    return asyncio.run(work())


def test_every_fiftieth_is_probed() -> None:
    """If AWS answers they are kept as failed, however many a batch holds; the last ones are left."""
    aws = Aws()
    outage = Outage(aws.probe)
    target = Target(Account("9" * 12))
    outage.note(target)
    outage.note(None)
    accounts = failed(range(130))
    assert hold(outage, *([one] for one in accounts[:50])) == accounts[:50]
    assert hold(outage, accounts[50:99], accounts[99:120]) == accounts[50:120]
    assert aws.probed == [target, target]
    assert hold(outage, accounts[120:]) == []
    assert outage.release() == accounts[120:]


def test_others_that_fail_meanwhile_are_not_probed_again() -> None:
    """They are held back until the one probe is answered."""
    aws = Aws()
    outage = Outage(aws.probe)
    accounts = failed(range(75))

    async def work() -> list[AccountFacts]:
        kept = await asyncio.gather(*(outage.hold([facts]) for facts in accounts))
        return [facts for some in kept for facts in some]

    assert asyncio.run(work()) == accounts
    assert len(aws.probed) == 1


def test_no_answer_ends_the_scan() -> None:
    """Nothing of what failed is handed out; credentials that died are told as what they are."""
    with pytest.raises(ReadError, match="50 accounts could not be entered, the last one: no answer"):
        hold(Outage(Aws(AnswerError("gone")).probe), failed(range(50)))
    with pytest.raises(CredentialsError, match="died"):
        hold(Outage(Aws(CredentialsError("died")).probe), failed(range(50)))


@pytest.mark.parametrize(
    ("profile", "source", "status", "proves"),
    [
        (None, "AssumeRole", "ok", True),
        (None, "AssumeRole", "denied", True),
        (None, "AssumeRole", "failed", False),
        (None, "GetCredentialReport", "ok", False),
        ("mine", "GetCredentialReport", "ok", True),
        ("mine", "GetCredentialReport", "failed", False),
    ],
)
def test_which_accounts_are_entered_again(
    profile: str | None, source: str, status: Status, *, proves: bool
) -> None:
    """Those whose role or profile was answered for; the caller's own is entered without asking anybody."""
    target = Target(Account("9" * 12), profile=profile)
    facts = AccountFacts((), (), (Coverage("9" * 12, source, status),))
    assert probed_by(target, facts) == (target if proves else None)


def test_many_broken_accounts_among_many(read: Read, tmp_path: Path) -> None:
    """Many that cannot be entered are failed, the others read; a resume of only such accounts ends."""
    with Sandbox.create(users=1, accounts=50, cases=False).running() as box:
        writer = begin(FolderStore(tmp_path), ALL)
        fault = box.faults.add("lost", action="AssumeRole", accounts_share=0.4)
        broken = {a for a in box.account_ids[1:] if box.faults.strikes_account(fault, a)}
        with entered(box):
            read(writer, ALL, tmp_path)
            rest = tmp_path / "rest"
            resumed = begin(FolderStore(rest), ALL)
            found = by_account(tmp_path, writer.finish())
            open_ones = {a for a in broken if status_of(found[a]) == {"AssumeRole": "failed"}}
            assert len(open_ones) > 12
            resumed.ask_for([Account(account) for account in sorted(open_ones)])
            again = ScanWriter.resume(FolderStore(rest), resumed.info.id)
            before = box.calls["GetCallerIdentity"]
            read(again, ALL, rest)
            # One at the beginning and one probe; with Dask each batch begins with one, too.
            batches = math.ceil(len(open_ones) / dask_engine._BATCH)
            assert box.calls["GetCallerIdentity"] - before in {2, 2 + batches}
    assert set(found) == set(box.account_ids)
    assert {a for a in found if "failed" in status_of(found[a]).values()} == open_ones
    info = again.finish()
    assert not info.complete
    assert set(by_account(rest, info)) == open_ones


@pytest.mark.parametrize("also", [None, "GetCallerIdentity"])
def test_an_outage_ends_the_scan_and_is_not_kept(also: str | None, read: Read, tmp_path: Path) -> None:
    """When AWS lets nobody into accounts any more the scan ends; a resume reads what it had not read.

    So it does when AWS answers nothing at all.
    """
    with Sandbox.create(users=1, accounts=40, cases=False).running() as box:
        writer = begin(FolderStore(tmp_path), FEW_AT_A_TIME)
        box.faults.add("service-failure", action="AssumeRole", after=10)
        if also:
            box.faults.add("service-failure", action=also, after=4)
        # A worker may have found out first, as it began a batch.
        told = "ServiceFailure" if also else "12 accounts could not be entered"
        with entered(box), pytest.raises(ReadError, match=told):
            read(writer, FEW_AT_A_TIME, tmp_path)
        kept = writer.read_so_far()
        assert 0 < len(kept) <= 20
        box.faults.clear()
        resumed = ScanWriter.resume(FolderStore(tmp_path), writer.info.id)
        with entered(box):
            read(resumed, ALL, tmp_path)
    info = resumed.finish()
    assert info.complete
    assert len(by_account(tmp_path, info)) == 40


def test_a_few_accounts_that_fail_are_no_outage(read: Read, tmp_path: Path) -> None:
    """Accounts that cannot be entered, too few to be suspicious, are recorded as failed."""
    with Sandbox.create(users=1, accounts=12, cases=False).running() as box:
        writer = begin(FolderStore(tmp_path), ALL)
        box.faults.add("service-failure", action="AssumeRole")
        with entered(box):
            read(writer, ALL, tmp_path)
    info = writer.finish()
    assert not info.complete
    assert len(by_account(tmp_path, info)) == 12
