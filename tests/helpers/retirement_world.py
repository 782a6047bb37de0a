"""One made-up account in which birthright retires keys while people, troubles and crashes get in its way.

Everything happens in one process and in the order of one list of random choices, so that a seed is the
whole story. AWS is the sandbox, asked through real botocore clients; the journal is a real SQLite file.
Around every call of AWS and every write of the journal there is a boundary, where the process may die,
a person may act, a second worker may run, or time may pass.
"""

import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

from birthright.aws.clock import AwsClock
from birthright.aws.session import AwsSession
from birthright.aws.thread_pacing import ThreadPacer
from birthright.errors import UsageError
from birthright.retirement.engine.accounts import AccountDirectory
from birthright.retirement.engine.run import run_one
from birthright.retirement.engine.state_machine import Result, advance
from birthright.retirement.engine.task import RunContext
from birthright.retirement.engine.undo import undo
from birthright.retirement.handover import foreign
from birthright.retirement.journal.journal import Journal
from birthright.retirement.journal.opening import open_journal
from birthright.retirement.model import KeyFacts, PlanRef, Retirement, Terms
from birthright.sandbox.account import Key
from birthright.sandbox.direct import handler
from birthright.sandbox.sandbox import Sandbox
from cli_helpers import only

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
LEASE = timedelta(minutes=5)
STALE = timedelta(hours=2)  # the plan rests on a credential report of that age
# How likely a process is held up between the announcement of a call and the call.
HELD_UP = 0.2

_FAULTS = "throttling service-failure service-failure-after drop lost cut malformed empty access-denied hang"
_STRUCK = ("*", "UpdateAccessKey", "CreateAccessKey", "DeleteAccessKey", "ListAccessKeys", "CreateSecret")
_STEPS = tuple(timedelta(**step) for step in (
    {"minutes": 1}, {"minutes": 20}, {"hours": 2}, {"days": 1}, {"days": 3}, {"days": 5}, {"days": 15},
))  # fmt: skip


class Crash(BaseException):
    """The process dies here: nothing of it runs any more, not even what tidies up."""


class Plug:
    """Where the clients of this process are plugged in: the world of the moment."""

    def __init__(self) -> None:
        self.world: World | None = None
        self._accounts: AccountDirectory | None = None

    def answer(self, request: Any, **about: object) -> Any:  # noqa: ANN401 - botocore's hook
        """Answer a request from the world's sandbox, with a boundary before and after."""
        world = self.world
        assert world is not None
        world.boundary("call")
        try:
            return world.aws(request, **about)
        finally:
            world.clock.advance(timedelta(milliseconds=50))
            world.boundary("call")

    @property
    def accounts(self) -> AccountDirectory:
        """The clients, made once: they know nothing of a world but its one account."""
        if self._accounts is None:
            sandbox = Sandbox.create(users=0, cases=False).environment()
            with only({**os.environ, **sandbox, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}):
                session = AwsSession()
                session.botocore.register("before-send", self.answer)
                self._accounts = AccountDirectory(session, AwsClock(), sleep=self.sleep)
        return self._accounts

    def sleep(self, seconds: float) -> None:
        """Let the world's time pass."""
        assert self.world is not None
        self.world.clock.advance(timedelta(seconds=max(seconds, 0.001)))


PLUG = Plug()
# Hand-overs wait in real time before they ask again; a world's time is its own.
foreign.PAUSES = (0.0, 0.0, 0.0, 0.0)


@contextmanager
def folder(base: Path) -> Iterator[Path]:
    """Give an empty folder, in memory where that can be had: a journal syncs every step to its disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else base) as place:
        yield Path(place)


@cache
def _empty_journal() -> bytes:
    """Make the file of a journal without steps, once: to set it up costs as much as many steps."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "journal.sqlite")
        open_journal(str(path)).close()
        return path.read_bytes()


class FragileJournal:
    """The journal as one process sees it: around every write that process may die."""

    def __init__(self, journal: Journal, world: "World") -> None:
        self._journal = journal
        self._world = world
        self._dead = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the journal has
        method = getattr(self._journal, name)
        if name not in {"append", "lock", "release"}:
            return method

        def fragile(*arguments: Any) -> Any:  # noqa: ANN401 - as above
            if self._dead:
                raise Crash
            self._boundary()
            answer = method(*arguments)
            self._boundary()
            if name == "append" and arguments[-1].kind == "intent":
                self._world.hold_up()
            return answer

        return fragile

    def _boundary(self) -> None:
        try:
            self._world.boundary("journal")
        except Crash:
            self._dead = True
            raise


class World:
    """One sequence. `choose` makes every choice; `folder` is where the journal is kept.

    held_up: how likely a process is held up between the announcement of a call and the call.
    """

    def __init__(self, choose: random.Random, folder: Path, held_up: float = 0.0) -> None:
        self.choose = choose
        self.held_up = held_up
        self.box = Sandbox.create(users=0, cases=False, clock=START, frozen=True)
        self.clock = self.box.clock
        self.aws: Callable[..., Any] = handler(self.box)
        (folder / "journal.sqlite").write_bytes(_empty_journal())
        self.journal = open_journal(str(folder / "journal.sqlite"))
        self.terms = Terms(
            in_use=choose.choice((timedelta(days=90), timedelta(days=30), timedelta(minutes=30))),
            quarantine=choose.choice((timedelta(days=14), timedelta(days=1))),
            quiet=choose.choice((timedelta(days=3), timedelta(hours=6))),
        )
        self.planned: list[Retirement] = []
        self.story: list[str] = []
        self._calm = True
        self._wildness = choose.choice((0.2, 1.0))
        self._depth = 0
        self._populate()
        self.first_seq = self.box.log[-1].seq if self.box.log else 0
        delays = self.box.cloud.delays
        delays.consistency = choose.choice((0.0, 0.0, 3.0, 20.0))
        PLUG.world = self
        # One world's throttling is no other's.
        PLUG.accounts.own.iam._pace = ThreadPacer(PLUG.sleep, lambda: self.clock.now().timestamp())

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()

    # What happens

    def live(self, rounds: int) -> None:
        """Let `rounds` things happen."""
        now = self.clock.now()
        self.journal.begin(self.planned, "arn:aws:iam::111122223333:user/birthright-scanner")
        self.tell(f"planned at {now}")
        self._calm = False
        if self.choose.random() < 0.8:
            self.work()
        for _ in range(rounds):
            happening = self.choose.choice(
                (self.work, self.work, self.work, self.pass_time, self.pass_time, self.somebody, self.trouble)
            )
            happening()

    def settle(self) -> None:
        """End all troubles and let birthright run until there is nothing left to do."""
        self._calm = True
        self.box.faults.clear()
        moved = self.choose.random() < 0.8
        for _ in range(14):
            self.work()
            if moved:
                self.use_replacements()
            self.clock.advance(timedelta(days=5))
        self.work()

    def work(self, name: str = "worker") -> list[Result]:
        """Run `birthright apply --due` once, as a process of its own."""
        journal: Any = FragileJournal(self.journal, self)
        return self._process(name, lambda: self._apply_due(self._tools(journal, name)))

    def take_back(self, retirement: Retirement) -> None:
        """Run `birthright undo` once, as a process of its own."""
        journal: Any = FragileJournal(self.journal, self)
        tools = self._tools(journal, "undo")
        self.tell(f"undo {retirement.access_key_id}")
        with suppress(UsageError):
            self._process("undo", lambda: [run_one(retirement, undo, tools, PLUG.accounts)])

    def boundary(self, where: str) -> None:
        """Let something happen between two steps, or let the process die. Raises Crash."""
        if self._calm or self._depth > 2:
            return
        dice = self.choose.random() / self._wildness
        if dice < 0.02:
            self.tell(f"crash at {where}")
            raise Crash
        if dice < 0.09:
            self.somebody(quick=True)
        elif dice < 0.10 and where == "journal":
            self.clock.advance(timedelta(seconds=self.choose.choice((1, 8, 70, 400))))
        elif dice < 0.11 and self._depth < 2:
            self.work("second worker")

    def hold_up(self) -> None:
        """Now and then stop a process here until the world has gone on without it."""
        if self._calm or self._depth > 1 or not self.held_up or self.choose.random() >= self.held_up:
            return
        self.tell("held up")
        self.pass_time()
        for _ in range(self.choose.randint(1, 4)):
            happening = self.choose.choice(
                (partial(self.work, "second worker"), self.pass_time, self.somebody, self.undo_any)
            )
            happening()
        self.tell("no longer held up")

    def pass_time(self) -> None:
        """Let time pass."""
        self.clock.advance(self.choose.choice(_STEPS))

    def trouble(self) -> None:
        """Begin or end a trouble of AWS."""
        if self.choose.random() < 0.4:
            self.box.faults.clear()
            return
        kind, action = self.choose.choice(_FAULTS.split()), self.choose.choice(_STRUCK)
        self.tell(f"trouble {kind} {action}")
        self.box.faults.add(kind, action=action, times=self.choose.randint(1, 4))  # type: ignore[arg-type]

    # People

    def somebody(self, *, quick: bool = False) -> None:
        """Let somebody do something to a key, if AWS lets them. `quick`: between two steps of ours."""
        acts: list[Callable[[], None]] = [
            self._use,
            self._use,
            self.use_replacements,
            self._switch,
            self._undo,
        ]
        if not quick:
            acts += [self._delete, self._add, self._undo]
        with suppress(UsageError):
            self.choose.choice(acts)()

    def use_replacements(self) -> None:
        """Let whoever reads the secrets use the keys in them."""
        for name, secret in sorted(self.box.account().secrets.items()):
            told = json.loads(secret.value() or "{}")
            with suppress(UsageError):
                self.box.people.use_key(told["access_key_id"])
                self.tell(f"{name}: used {told['access_key_id']}")

    def _keys(self) -> list[Key]:
        users = self.box.account().users
        return [key for name in sorted(users) if name.startswith("u") for key in users[name].keys.values()]

    def _use(self) -> None:
        old = {r.access_key_id for r in self.planned}
        key = self.choose.choice([key for key in self._keys() if key.access_key_id in old] or [None])
        if key is not None:
            self.box.people.use_key(key.access_key_id)
            self.tell(f"use {key.access_key_id}")

    def _switch(self) -> None:
        for key in self.choose.sample(self._keys(), k=min(1, len(self._keys()))):
            status = "Active" if key.status == "Inactive" else "Inactive"
            self.tell(f"somebody switches {key.access_key_id} {status}")
            self.box.people.set_status(key.access_key_id, status)

    def _delete(self) -> None:
        for key in self.choose.sample(self._keys(), k=min(1, len(self._keys()))):
            self.tell(f"somebody deletes {key.access_key_id}")
            self.box.people.delete_key(key.access_key_id)

    def _add(self) -> None:
        # Within half a minute of an interrupted creation nobody could tell this key from ours.
        self.clock.advance(timedelta(minutes=2))
        name = self.choose.choice(sorted({r.user_name for r in self.planned}))
        self.tell(f"somebody adds a key to {name}")
        self.box.people.add_key(name)
        self.clock.advance(timedelta(minutes=2))

    def _undo(self) -> None:
        if self._depth == 0:
            self.undo_any()

    def undo_any(self) -> None:
        """Let somebody want a key back."""
        self.take_back(self.choose.choice(self.journal.find()))

    # Processes

    def _process(self, name: str, run: Callable[[], list[Result]]) -> list[Result]:
        self._depth += 1
        try:
            return run()
        except Crash:
            self.tell(f"{name} died")
            return []
        finally:
            self._depth -= 1

    def _apply_due(self, tools: RunContext) -> list[Result]:
        due = tools.journal.due(tools.now())
        results = []
        for retirement in due:
            result = run_one(retirement, advance, tools, PLUG.accounts)
            results.append(result)
            self.tell(f"{retirement.access_key_id}: {result.retirement.state} {result.waits}")
        return results

    def _tools(self, journal: Any, name: str) -> RunContext:  # noqa: ANN401 - the journal, made fragile
        return RunContext(
            journal=journal,
            now=self.clock.now,
            sleep=lambda seconds: self.clock.advance(timedelta(seconds=seconds)),
            stopping=lambda: False,
            holder=name,
            lease=LEASE,
        )

    def tell(self, what: str) -> None:
        """Add a line to the story that a failure shows."""
        self.story.append(f"{self.clock.now():%m-%d %H:%M:%S} {'  ' * self._depth}{what}")

    # The account at the start

    def _populate(self) -> None:
        kinds: tuple[Callable[[str], None], ...] = (
            self._idle, self._busy, self._busy, self._beside, self._off, self._late,
        )  # fmt: skip
        for number in range(self.choose.randint(1, 3)):
            self.choose.choice(kinds)(f"u{number}")

    def _idle(self, name: str) -> None:
        """Add a user whose key is not in use."""
        used = self.choose.choice((None, 100, 300))
        self._plan(self._key(name, 400, used), "retire")

    def _busy(self, name: str) -> None:
        """Add a user whose key is in use."""
        self._plan(self._key(name, 400, self.choose.choice((1, 10, 80))), "rotate")

    def _beside(self, name: str) -> None:
        """Add a user with a key in use, which is nobody's business, beside one that is not."""
        self._plan(self._key(name, 400, 200), "retire")
        self._key(name, 100, 1)

    def _off(self, name: str) -> None:
        """Add a user whose key is switched off already."""
        key = self._key(name, 400, 200)
        self.box.people.set_status(key.access_key_id, "Inactive")
        self._plan(key, "retire")

    def _late(self, name: str) -> None:
        """Add a user whose key was used between the report and now: the plan does not know."""
        key = self._key(name, 400, None)
        self._plan(key, "retire")
        self.box.people.use_key(key.access_key_id, at=START - timedelta(hours=1))

    def _key(self, name: str, age: int, used: int | None) -> Key:
        """Make a key `age` days old, last used `used` days ago, and its user if there is none."""
        account = self.box.account()
        if name not in account.users:
            account.add_user(name, START - timedelta(days=age))
        key = self.box.people.add_key(name)
        key.created_at = START - timedelta(days=age)
        if used is not None:
            self.box.people.use_key(key.access_key_id, at=START - timedelta(days=used))
        return key

    def _plan(self, key: Key, action: str) -> None:
        account = self.box.account()
        facts = KeyFacts(
            status=key.status,
            created_at=key.created_at,
            user_created_at=key.created_at,
            ever_used=key.last_used_at is not None,
            last_used_at=key.last_used_at,
            last_used_region=None,
            last_used_service=None,
            as_of=START - STALE,
        )
        self.planned.append(
            Retirement(
                id=f"r-{len(self.planned)}",
                account_id=account.account_id,
                partition="aws",
                user_name=key.user_name,
                user_arn=account.users[key.user_name].arn,
                access_key_id=key.access_key_id,
                action="rotate" if action == "rotate" else "retire",
                terms=self.terms,
                plan=PlanRef("plan", "digest", START + timedelta(days=1)),
                planned=facts,
                handover="secrets-manager:birthright/{user_name}",
                opened_at=START,
                opened_by="arn",
            )
        )
