"""Many retirements at once: each user's keys by one thread, the accounts side by side.

A run can be stopped at any time. What is being worked on comes to the end of its step; nothing is lost,
and the next run goes on from there.
"""

import getpass
import os
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import chain, zip_longest

from birthright.errors import LockedError, ReadError
from birthright.retirement.accounts import Accounts
from birthright.retirement.advance import Result
from birthright.retirement.model import Retirement
from birthright.retirement.work import Tools, Work

THREADS = 32
_TICK = 0.2  # seconds between looks at the keyboard

Job = Callable[[Work], Result]


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
    retirements: Sequence[Retirement], job: Job, tools: Tools, accounts: Accounts, threads: int = THREADS
) -> Iterator[Result]:
    """Do a job on every retirement, several at a time; yield how far each came, as they come.

    Raises JournalError; retirements whose account or lock cannot be had come back with that trouble.
    """
    groups = _fairly(retirements)
    with ThreadPoolExecutor(threads, "retire") as pool:
        futures = {pool.submit(_run_group, group, job, tools, accounts) for group in groups}
        try:
            while futures:
                done, futures = wait(futures, _TICK, FIRST_COMPLETED)
                yield from chain.from_iterable(map(Future.result, done))
        finally:
            # Also when this is interrupted: whoever has not begun does not begin.
            for future in futures:
                future.cancel()


def run_one(retirement: Retirement, job: Job, tools: Tools, accounts: Accounts) -> Result:
    """Do a job on one retirement under its user's lock. Raises JournalError, UsageError."""
    try:
        account = accounts.get(retirement.account_id, retirement.partition)
        lock = tools.journal.lock(retirement.subject, tools.holder, tools.now(), tools.lease)
    except (ReadError, LockedError) as error:
        return Result(retirement, str(error), error)
    try:
        # Somebody may have gone on with it before we had the lock.
        current = tools.journal.get(retirement.id)
        return job(Work(current, tools, account, lock))
    except LockedError as error:
        return Result(tools.journal.get(retirement.id), str(error), error)
    finally:
        tools.journal.release(lock)


def _run_group(group: list[Retirement], job: Job, tools: Tools, accounts: Accounts) -> list[Result]:
    """Do the job on all retirements of one user, one after the other."""
    return [run_one(retirement, job, tools, accounts) for retirement in group if not tools.stopping()]


def _fairly(retirements: Sequence[Retirement]) -> list[list[Retirement]]:
    """Group by user, and take one user of each account in turn, so that no account is waited for."""
    accounts: dict[str, dict[str, list[Retirement]]] = defaultdict(lambda: defaultdict(list))
    for retirement in retirements:
        accounts[retirement.account_id][retirement.subject].append(retirement)
    turns = zip_longest(*(users.values() for users in accounts.values()))
    return [group for turn in turns for group in turn if group is not None]
