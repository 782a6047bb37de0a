"""Many retirements at once, on a sandbox of several accounts with a real journal."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from birthright.aws.clock import AwsClock
from birthright.aws.role import Role
from birthright.aws.session import AwsSession
from birthright.errors import AccessDeniedError, LockedError
from birthright.retirement.engine.accounts import AccountDirectory
from birthright.retirement.engine.run import Job, Stop, run_all
from birthright.retirement.engine.state_machine import Result, advance
from birthright.retirement.engine.task import RetirementTask, RunContext
from birthright.retirement.journal.journal import Journal
from birthright.retirement.journal.opening import open_journal
from birthright.retirement.model import KeyFacts, PlanRef, Retirement, Terms
from birthright.sandbox.sandbox import Sandbox

START = datetime.now(UTC).replace(microsecond=0)  # a role's credentials expire by this machine's clock
MADE = START - timedelta(days=400)
LEASE = timedelta(minutes=5)
LONG = 10.0  # seconds; longer than anything here takes


class Fleet:
    """Several accounts, a journal with one retirement for each of their idle keys, and a run's tools."""

    def __init__(self, box: Sandbox, journal: Journal) -> None:
        self.box = box
        self.journal = journal
        self.stop = Stop()
        self.clock = AwsClock(box.clock.now)
        self.retirements: list[Retirement] = []

    def add(self, account_id: str, user: str, keys: int = 1) -> None:
        """Add a user with idle keys to an account, and open their retirements."""
        account = self.box.account(account_id)
        arn = account.add_user(user, MADE).arn
        for _ in range(keys):
            key = account.add_key(account.users[user], MADE)
            facts = KeyFacts(
                status="Active",
                created_at=MADE,
                user_created_at=MADE,
                ever_used=False,
                last_used_at=None,
                last_used_region=None,
                last_used_service=None,
                as_of=START,
            )
            self.retirements.append(
                Retirement(
                    id=f"r-{len(self.retirements)}",
                    account_id=account_id,
                    partition="aws",
                    user_name=user,
                    user_arn=arn,
                    access_key_id=key.access_key_id,
                    action="retire",
                    terms=Terms(),
                    plan=PlanRef("plan", "digest", START + timedelta(days=1)),
                    planned=facts,
                    opened_at=START,
                    opened_by="arn",
                )
            )

    def run(self, job: Job, threads: int | None = None, role: str = "birthright-retire") -> list[Result]:
        """Begin what is new, and run everything."""
        self.journal.begin(self.retirements, "arn")
        accounts = AccountDirectory(AwsSession(), self.clock, Role(role), self.stop.sleep)
        current = [self.journal.get(r.id) for r in self.retirements]
        return list(run_all(current, job, self.tools(), accounts, threads))

    def tools(self) -> RunContext:
        """Make the tools of a run."""
        return RunContext(
            journal=self.journal,
            now=self.clock.now,
            sleep=self.stop.sleep,
            stopping=self.stop.is_set,
            holder="a test",
            lease=LEASE,
        )

    def switched(self) -> Counter[str]:
        """Count how often each key was switched off."""
        effects = [entry.effect for entry in self.box.log if entry.action == "UpdateAccessKey"]
        return Counter(effect[2] for effect in effects if effect)


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Serve three accounts."""
    with (
        Sandbox.create(users=0, cases=False, accounts=3, clock=START).running() as box,
        open_journal(str(tmp_path / "journal.sqlite")) as journal,
    ):
        for name, value in box.environment().items():
            monkeypatch.setenv(name, value)
        yield Fleet(box, journal)


def done(action: Callable[[RetirementTask], object]) -> Job:
    """Make a job of an action."""

    def job(work: RetirementTask) -> Result:
        action(work)
        return Result(work.retirement)

    return job


def test_a_slow_account_holds_up_no_other(fleet: Fleet) -> None:
    """With fewer threads than one account has users, the others come to their end while it stands still."""
    slow, *others = fleet.box.account_ids
    for number in range(12):
        fleet.add(slow, f"slow-{number}")
    for number in range(6):
        for account in others:
            fleet.add(account, f"quick-{number}")
    left = threading.Semaphore(0)
    waited: list[bool] = []
    gone = threading.Event()

    def act(work: RetirementTask) -> None:
        if work.retirement.account_id == slow:
            waited.append(gone.wait(LONG))
        else:
            left.release()
            if left._value == 12:
                gone.set()

    results = fleet.run(done(act), threads=4)
    assert len(results) == 24
    assert all(waited)


def test_one_user_at_a_time(fleet: Fleet) -> None:
    """Two keys of one user are never worked on together; other users are."""
    for number in range(4):
        fleet.add(fleet.box.account_ids[0], f"user-{number}", keys=2)
    guard, here, most = threading.Lock(), Counter[str](), Counter[str]()
    together = threading.Barrier(4, timeout=LONG)

    def act(work: RetirementTask) -> None:
        with guard:
            here[work.retirement.user_name] += 1
            most[work.retirement.user_name] = max(
                most[work.retirement.user_name], here[work.retirement.user_name]
            )
        together.wait()
        with guard:
            here[work.retirement.user_name] -= 1

    assert len(fleet.run(done(act))) == 8
    assert set(most.values()) == {1}


def test_a_stop_leaves_the_rest_for_the_next_run(fleet: Fleet) -> None:
    """Who was not begun is not begun; the next run does the rest, and every key is switched off once."""
    for number in range(10):
        for account in fleet.box.account_ids:
            fleet.add(account, f"user-{number}")

    def job(work: RetirementTask) -> Result:
        result = advance(work)
        if len(fleet.switched()) >= 5:
            fleet.stop.set()
        return result

    first = fleet.run(job, threads=4)
    assert 5 <= len(first) < 15
    assert sum(r.state == "open" for r in map(fleet.journal.get, (r.id for r in fleet.retirements))) >= 15
    fleet.stop = Stop()
    assert len(fleet.run(advance)) == 30
    assert fleet.switched() == Counter(r.access_key_id for r in fleet.retirements)
    assert {fleet.journal.get(r.id).state for r in fleet.retirements} == {"disabled"}
    assert fleet.journal.verify().problem is None


def test_a_stop_wakes_who_waits_for_the_throttle(fleet: Fleet) -> None:
    """A run that AWS holds back to one call in two seconds ends at once, and is finished by the next."""
    for number in range(3):
        fleet.add(fleet.box.account_ids[0], f"user-{number}")
    fleet.box.throttle(0.5, 2)
    timer = threading.Timer(0.7, fleet.stop.set)
    timer.start()
    fleet.run(advance)
    timer.join(0)
    assert not timer.is_alive()
    asked = fleet.box.calls.total()
    assert asked < 15
    fleet.box.throttle(None)
    fleet.stop = Stop()
    fleet.run(advance)
    assert fleet.switched() == Counter(r.access_key_id for r in fleet.retirements)


def test_what_cannot_be_had_is_told_with_its_retirement(fleet: Fleet) -> None:
    """An account without the role, and a user somebody else works on, stop nobody else."""
    own, other, _ = fleet.box.account_ids
    fleet.add(own, "held")
    fleet.add(own, "free")
    fleet.add(other, "closed")
    fleet.journal.lock(fleet.retirements[0].subject, "somebody", fleet.clock.now(), LEASE)
    found = {
        result.retirement.user_name: result.trouble for result in fleet.run(advance, role="no-such-role")
    }
    assert isinstance(found["held"], LockedError)
    assert isinstance(found["closed"], AccessDeniedError)
    assert found["free"] is None
    assert list(fleet.switched()) == [fleet.retirements[1].access_key_id]
