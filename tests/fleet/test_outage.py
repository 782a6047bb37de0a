"""Many accounts that fail are told from an outage; what is skipped says nothing of either."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from birthright.errors import AnswerError, CredentialsError, ReadError
from birthright.facts.model import Account, AccountFacts, Coverage
from birthright.fleet.choosing import skipped
from birthright.fleet.outage import Outage
from birthright.fleet.target import Target
from birthright.sandbox import Sandbox
from birthright.scans.request import ConcurrencyLimits, ManyAccounts
from birthright.scans.store import FolderStore
from birthright.scans.writer import ScanWriter
from fleet_helpers import ORG, begin, by_account, entered, fleet_of, go, ids, status_of

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
QUICK = ManyAccounts(ORG, limits=ConcurrencyLimits(working=40))


pytestmark = pytest.mark.usefixtures("soon")


def silent(account_id: str) -> AccountFacts:
    return AccountFacts((), (), (Coverage(account_id, "AssumeRole", "failed", "no answer"),))


def entered_ok(account_id: str) -> AccountFacts:
    return AccountFacts((), (), (Coverage(account_id, "AssumeRole", "ok"),))


def closed(account_id: str) -> AccountFacts:
    return skipped(Account(account_id, state="SUSPENDED"), "aws", NOW)


class Aws:
    """What a probe finds: an answer, or `error`."""

    def __init__(self, error: ReadError | None = None) -> None:
        self.error = error
        self.asked: list[Target | None] = []

    async def probe(self, asked: Target | None) -> None:
        """Note what is asked."""
        self.asked.append(asked)
        await asyncio.sleep(0)
        if self.error:
            raise self.error


def settle(outage: Outage, *accounts: AccountFacts) -> list[AccountFacts]:
    async def work() -> list[AccountFacts]:
        return [kept for facts in accounts for kept in await outage.settled(facts)]

    return asyncio.run(work())


def test_an_account_that_is_skipped_is_no_answer() -> None:
    """It is kept at once; those that failed are held back as before, and are kept when one answers."""
    outage = Outage(Aws().probe)
    first, second, third = silent("1" * 12), closed("2" * 12), entered_ok("3" * 12)
    assert settle(outage, first) == []
    assert settle(outage, second) == [second]
    assert settle(outage, third) == [first, third]
    assert outage.left() == []


def test_fifty_in_a_row_are_probed_once() -> None:
    """If AWS answers they are kept as failed, and the next fifty are probed again; the last ones are left."""
    aws = Aws()
    outage = Outage(aws.probe)
    asked = Target(Account("1" * 12), "a/role")
    outage.heard(asked, entered_ok("1" * 12))
    outage.heard(Target(Account("2" * 12)), silent("2" * 12))
    accounts = [silent(account) for account in ids(range(120))]
    assert settle(outage, *accounts) == accounts[:100]
    assert aws.asked == [asked, asked]
    assert outage.left() == accounts[100:]


def test_others_that_fail_meanwhile_are_not_probed_again() -> None:
    """They are held back until the one probe is answered."""
    aws = Aws()
    outage = Outage(aws.probe)
    accounts = [silent(account) for account in ids(range(75))]

    async def work() -> list[AccountFacts]:
        kept = await asyncio.gather(*(outage.settled(facts) for facts in accounts))
        return [facts for some in kept for facts in some]

    assert asyncio.run(work()) == accounts
    assert len(aws.asked) == 1


def test_no_answer_ends_the_scan() -> None:
    """Nothing of what failed is handed out; credentials that died are told as what they are."""
    accounts = [silent(account) for account in ids(range(50))]
    with pytest.raises(ReadError, match="50 accounts in a row could not be entered, the last one: no answer"):
        settle(Outage(Aws(AnswerError("gone")).probe), *accounts)
    with pytest.raises(CredentialsError, match="died"):
        settle(Outage(Aws(CredentialsError("died")).probe), *accounts)


def test_many_broken_accounts_among_many(tmp_path: Path) -> None:
    """More than fifty that cannot be entered are failed, the others read; a resume of such a rest ends."""
    with Sandbox.create(users=1, accounts=160, cases=False).running() as box:
        writer = begin(FolderStore(tmp_path), ManyAccounts(ORG))
        fault = box.faults.add("lost", action="AssumeRole", accounts_share=0.4)
        broken = {a for a in box.account_ids[1:] if box.faults.strikes_account(fault, a)}
        with entered(box):
            go(fleet_of(writer, ManyAccounts(ORG)).read())
            assert len(broken) > 55
            rest = tmp_path / "rest"
            resumed = begin(FolderStore(rest), ManyAccounts(ORG))
            found = by_account(tmp_path, writer.finish())
            open_ones = {a for a in broken if status_of(found[a]) == {"AssumeRole": "failed"}}
            assert len(open_ones) > 50
            resumed.ask_for([Account(account) for account in sorted(open_ones)])
            again = ScanWriter.resume(FolderStore(rest), resumed.info.id)
            before = box.calls["GetCallerIdentity"]
            go(fleet_of(again, ManyAccounts(ORG)).read())
            assert box.calls["GetCallerIdentity"] - before == 2
    assert set(found) == set(box.account_ids)
    assert {a for a in found if "failed" in status_of(found[a]).values()} == open_ones
    info = again.finish()
    assert not info.complete
    assert set(by_account(rest, info)) == open_ones


def test_an_outage_after_a_beginning_ends_early(tmp_path: Path) -> None:
    """When every call fails the scan ends; nothing is kept of those that it struck."""
    with Sandbox.create(users=1, accounts=160, cases=False).running() as box:
        writer = begin(FolderStore(tmp_path), QUICK)
        box.faults.add("service-failure", action="AssumeRole", after=40)
        box.faults.add("service-failure", action="GetCallerIdentity", after=1)
        with entered(box), pytest.raises(ReadError, match="50 accounts in a row"):
            go(fleet_of(writer, QUICK).read())
        assert 0 < len(writer.read_so_far()) < 90
        box.faults.clear()
        again = ScanWriter.resume(FolderStore(tmp_path), writer.info.id)
        with entered(box):
            go(fleet_of(again, QUICK).read())
    assert again.finish().complete
