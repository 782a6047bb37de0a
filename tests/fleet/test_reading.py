"""How many accounts are read at a time, and how often one is tried again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.facts.model import Account, AccountFacts
from birthright.fleet.reading import Budget, WorkerSlots, read_all
from birthright.fleet.target import Target
from birthright.scans.request import ConcurrencyLimits
from fleet_helpers import facts, ids


async def asked(accounts: list[str]) -> AsyncIterator[Target]:
    for account in accounts:
        yield Target(Account(account))


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(1, 9), st.lists(st.sampled_from([0, 1, 2]), max_size=30))
def test_no_more_at_work_than_allowed(working: int, begun: int, pauses: list[int]) -> None:
    """Accounts at work and accounts begun stay below their limits; a pause lets another one work."""
    at_work = most = open_now = most_open = 0
    done: list[str] = []
    turns = WorkerSlots(ConcurrencyLimits(working=working, begun=begun))

    async def read(one: Target) -> AccountFacts:
        nonlocal at_work, most, open_now, most_open
        at_work, open_now = at_work + 1, open_now + 1
        for _ in range(pauses[int(one.account.account_id)]):
            most, most_open = max(most, at_work), max(most_open, open_now)
            await asyncio.sleep(0)
            at_work -= 1
            await turns.pause(0)
            at_work += 1
        most, most_open = max(most, at_work), max(most_open, open_now)
        at_work, open_now = at_work - 1, open_now - 1
        return facts(one.account.account_id)

    async def keep(_: Target, found: AccountFacts) -> None:
        done.append(found.coverage[0].account_id)

    accounts = ids(range(len(pauses)))
    asyncio.run(read_all(asked(accounts), read, keep, turns))
    assert sorted(done) == accounts
    assert most <= working
    assert most_open <= begun


def test_a_deadline_in_a_pause_gives_no_place_away() -> None:
    """Whoever is told to stop while it waits for its place gets it all the same, as it gives one back."""

    async def work() -> int:
        turns = WorkerSlots(ConcurrencyLimits(working=1, begun=9))
        await turns.begin()

        async def impatient() -> None:
            await turns.begin()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await turns.pause(0.01)
            turns.leave()

        tasks = []
        for _ in range(3):
            turns._places.release()
            tasks.append(asyncio.create_task(impatient()))
            await asyncio.sleep(0.002)
            # The place that it lent is taken by us, until its deadline has passed.
            await turns._places.acquire()
        await asyncio.sleep(0.05)
        turns.leave()
        await asyncio.wait_for(asyncio.wait(tasks), 5)
        free = 0
        while not turns._places.locked():
            await turns._places.acquire()
            free += 1
        return free

    assert asyncio.run(work()) == 1


def test_a_slow_account_lends_its_place() -> None:
    """While one waits for AWS, all others are read, with one place for all of them."""
    done: list[str] = []

    async def work() -> None:
        turns = WorkerSlots(ConcurrencyLimits(working=1, begun=50))
        all_others = asyncio.Event()

        async def read(one: Target) -> AccountFacts:
            if one.account.account_id.endswith("0"):
                async with asyncio.timeout(10):
                    while not all_others.is_set():
                        await turns.pause(0.01)
            return facts(one.account.account_id)

        async def keep(_: Target, found: AccountFacts) -> None:
            done.append(found.coverage[0].account_id)
            if len(done) == 9:
                all_others.set()

        await read_all(asked(ids(range(10))), read, keep, turns)

    asyncio.run(work())
    assert done[-1] == ids([0])[0]


def test_a_slow_store_holds_up_the_reading() -> None:
    """Accounts that wait to be kept are as many as may be begun; they leave their places at work."""
    read_ones = kept = most = 0

    async def read(one: Target) -> AccountFacts:
        nonlocal read_ones
        read_ones += 1
        return facts(one.account.account_id)

    async def work() -> None:
        writing = asyncio.Lock()

        async def keep(_: Target, _facts: AccountFacts) -> None:
            nonlocal kept, most
            async with writing:
                for _turn in range(20):
                    await asyncio.sleep(0)
                most = max(most, read_ones - kept)
                kept += 1

        await read_all(asked(ids(range(60))), read, keep, WorkerSlots(ConcurrencyLimits(working=2, begun=7)))

    asyncio.run(work())
    assert (kept, most) == (60, 7)


def test_the_first_error_ends_the_others() -> None:
    """An error that is no account's own is raised, and nobody is waited for."""

    async def read(one: Target) -> AccountFacts:
        if one.account.account_id.endswith("3"):
            raise ZeroDivisionError
        await asyncio.sleep(60)
        return facts(one.account.account_id)

    async def keep(_: Target, _facts: AccountFacts) -> None:
        raise AssertionError

    async def work() -> None:
        async with asyncio.timeout(5):
            await read_all(asked(ids(range(5))), read, keep, WorkerSlots(ConcurrencyLimits()))

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(work())
    assert caught.group_contains(ZeroDivisionError)


@pytest.mark.parametrize(("accounts", "again"), [(1, 20), (100, 20), (1_000, 100)])
def test_the_budget_of_second_attempts(accounts: int, again: int) -> None:
    """A tenth of the accounts, and twenty at least, may be read again."""
    budget = Budget()
    for _ in range(accounts):
        budget.begin()
    assert sum(budget.take() for _ in range(accounts + 50)) == again
