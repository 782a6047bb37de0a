"""Many retirements at once: each user's keys by one thread, the accounts side by side.

A run can be stopped at any time. What is being worked on comes to the end of its step; nothing is lost,
and the next run goes on from there.
"""

import getpass
import os
import socket
import sys
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from queue import Empty, SimpleQueue
from typing import NamedTuple

from birthright.errors import LockedError, ReadError
from birthright.retirement.engine.accounts import AccountDirectory
from birthright.retirement.engine.state_machine import Result
from birthright.retirement.engine.task import RetirementTask, RunContext
from birthright.retirement.model import Retirement

# Threads: most of the time they wait for AWS, which takes its time, or for their turn.
_EACH = 4  # for each account
_FEWEST = 8  # a change that waits long for its turn is not fresh any more
_MOST = 128
_TICK = 0.2  # seconds between looks at the keyboard

Job = Callable[[RetirementTask], Result]


class Stop:
    """Says to a run that it is to end; `sleep` ends early then."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """End the run."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether the run is to end."""
        return self._event.is_set()

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds, or until the run is to end."""
        self._event.wait(seconds)


def holder() -> str:
    """Name this process for people who find its lock."""
    return f"{getpass.getuser()} on {socket.gethostname()}, process {os.getpid()}"


def run_all(
    retirements: Sequence[Retirement],
    job: Job,
    tools: RunContext,
    accounts: AccountDirectory,
    threads: int | None = None,
) -> Iterator[Result]:
    """Do a job on every retirement, several at a time; yield how far each came, as they come.

    threads: how many at a time; by default as many as the accounts need. Raises JournalError;
    retirements whose account or lock cannot be had come back with that trouble.
    """
    turns = _UserQueue(retirements)
    most = threads or turns.threads
    pool = ThreadPoolExecutor(most, "retire")

    def begin(group: list[Retirement]) -> Future[list[Result]]:
        return pool.submit(_run_group, group, job, tools, accounts)

    try:
        yield from _side_by_side(turns, begin, most, tools.stopping)
    finally:
        # Whoever insists (the second Ctrl-C) is not kept waiting for a call that AWS does not answer.
        pool.shutdown(wait=not isinstance(sys.exc_info()[1], KeyboardInterrupt))


def _side_by_side(
    turns: "_UserQueue",
    begin: Callable[[list[Retirement]], "Future[list[Result]]"],
    most: int,
    stopping: Callable[[], bool],
) -> Iterator[Result]:
    """Keep `most` users in hand. Who has not begun when the run is stopped does not begin."""
    done: SimpleQueue[Future[list[Result]]] = SimpleQueue()
    working: dict[Future[list[Result]], str] = {}
    while True:
        while len(working) < most and not stopping() and (turn := turns.take()):
            future = begin(turn.retirements)
            working[future] = turn.account_id
            future.add_done_callback(done.put)
        if not working:
            return
        future = _first(done)
        turns.over(working.pop(future))
        yield from future.result()


def _first(done: "SimpleQueue[Future[list[Result]]]") -> "Future[list[Result]]":
    """Wait for what is done next, with an ear for signals."""
    while True:
        with suppress(Empty):
            return done.get(timeout=_TICK)


def run_one(retirement: Retirement, job: Job, tools: RunContext, accounts: AccountDirectory) -> Result:
    """Do a job on one retirement under its user's lock. Raises JournalError, UsageError."""
    try:
        account = accounts.get(retirement.account_id, retirement.partition)
        lock = tools.journal.lock(retirement.subject, tools.holder, tools.now(), tools.lease)
    except (ReadError, LockedError) as error:
        return Result(retirement, str(error), error)
    try:
        # Somebody may have gone on with it before we had the lock.
        current = tools.journal.get(retirement.id)
        return job(RetirementTask(current, tools, account, lock))
    except LockedError as error:
        return Result(tools.journal.get(retirement.id), str(error), error)
    finally:
        tools.journal.release(lock)


def _run_group(
    group: list[Retirement], job: Job, tools: RunContext, accounts: AccountDirectory
) -> list[Result]:
    """Do the job on all retirements of one user, one after the other."""
    return [run_one(retirement, job, tools, accounts) for retirement in group if not tools.stopping()]


class _Turn(NamedTuple):
    """One user of an account, and what is to be retired there."""

    account_id: str
    retirements: list[Retirement]


class _UserQueue:
    """Whose turn it is: the account's with the fewest users in hand, so that a slow one holds up no other."""

    def __init__(self, retirements: Sequence[Retirement]) -> None:
        users: dict[str, dict[str, list[Retirement]]] = defaultdict(lambda: defaultdict(list))
        for retirement in retirements:
            users[retirement.account_id][retirement.subject].append(retirement)
        self._left = {account: deque(groups.values()) for account, groups in users.items()}
        self._in_hand = Counter(dict.fromkeys(users, 0))
        self._order = count()
        # An entry counts only while its first number is what the account has in hand.
        self._next: list[tuple[int, int, str]] = []
        for account in users:
            self._wait(account)

    @property
    def threads(self) -> int:
        """How many threads these accounts keep busy."""
        return min(max(_FEWEST, _EACH * len(self._left)), _MOST)

    def take(self) -> _Turn | None:
        """Take a user into hand; None if none is left."""
        while self._next:
            in_hand, _, account = heappop(self._next)
            if in_hand == self._in_hand[account] and self._left[account]:
                self._in_hand[account] += 1
                turn = _Turn(account, self._left[account].popleft())
                self._wait(account)
                return turn
        return None

    def over(self, account: str) -> None:
        """Note that a user of an account is no longer in hand."""
        self._in_hand[account] -= 1
        self._wait(account)

    def _wait(self, account: str) -> None:
        if self._left[account]:
            heappush(self._next, (self._in_hand[account], next(self._order), account))
