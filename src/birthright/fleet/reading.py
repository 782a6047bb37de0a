"""Reads accounts, many at a time: decides when each is read, and leaves how to `sources/account.py`.

A slow account delays no other: accounts wait for their own AWS to slow down before they take a place among
the calls in flight, and while AWS makes an account's report another takes its place at work.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from birthright.aws.http import TimedOutError
from birthright.aws.roles import RoleSession
from birthright.aws.session import Session
from birthright.errors import AccessDeniedError, AnswerError, CredentialsError, ReadError, ThrottledError
from birthright.facts.model import Account, AccountFacts, Coverage, Status
from birthright.fleet.account_access import AccountAccess
from birthright.fleet.target import Target
from birthright.scans.request import ConcurrencyLimits, ManyAccounts, ReadOptions
from birthright.sources.account import AccountIdentity, AccountResult, collect
from birthright.sources.calls import SharedLimits

# Refused credentials among them: if they are our own, the next attempt finds that out.
_PASSING = (AnswerError, ThrottledError, CredentialsError)
_ATTEMPTS = 3
_BACK_OFF = 2.0  # seconds before an account is read a second time
_LEAST_BUDGET = 20

Keep = Callable[[Target, AccountFacts], Awaitable[None]]


class WorkerSlots:
    """Limits how many accounts are read at a time; one that waits for AWS lends its place to another."""

    def __init__(self, limits: ConcurrencyLimits) -> None:
        self._places = asyncio.Semaphore(limits.working)
        self._begun = asyncio.Semaphore(limits.begun)

    async def begin(self) -> None:
        """Wait until another account may begin."""
        await self._begun.acquire()
        await self._places.acquire()

    def leave(self) -> None:
        """Give the place at work back; what was read is not kept yet."""
        self._places.release()

    def end(self) -> None:
        """Let another account begin instead of this one."""
        self._begun.release()

    async def pause(self, seconds: float) -> None:
        """Sleep without a place; an account that returns goes before those that have not begun."""
        self._places.release()
        try:
            await asyncio.sleep(seconds)
        finally:
            await self._come_back()

    async def _come_back(self) -> None:
        """Take a place again, also when a deadline strikes while one waits for it: `leave` gives one back."""
        struck: asyncio.CancelledError | None = None
        while True:
            try:
                await self._places.acquire()
            except asyncio.CancelledError as error:
                struck = error
            else:
                break
        if struck:
            raise struck


class Budget:
    """How many accounts may be read again after a failure: a tenth of all, so that an outage ends soon."""

    def __init__(self) -> None:
        self._accounts = 0
        self._spent = 0

    def begin(self) -> None:
        """Count an account that is begun."""
        self._accounts += 1

    def take(self) -> bool:
        """Whether one more may be read again."""
        if self._spent >= max(_LEAST_BUDGET, self._accounts // 10):
            return False
        self._spent += 1
        return True


class Reader:
    """Reads one account after another, each with a line of coverage for everything that was target."""

    def __init__(
        self, access: AccountAccess, options: ReadOptions, as_of: datetime, limits: SharedLimits
    ) -> None:
        self._access = access
        self._options = options
        self._as_of = as_of
        self._limits = limits
        self._budget = Budget()

    async def read(self, target: Target) -> AccountFacts:
        """Read an account; passing failures are retried. Raises CredentialsError for the caller's own."""
        self._budget.begin()
        attempt = 1
        while True:
            collected = await self._once(target)
            # An account that hangs has been waited for long enough.
            hangs = any(isinstance(error, TimedOutError) for error in collected.errors)
            may_pass = not hangs and any(isinstance(error, _PASSING) for error in collected.errors)
            if not may_pass or attempt >= _ATTEMPTS or not self._budget.take():
                await self._check_ours(target, collected.errors)
                return collected.facts
            await self._limits.pause(_BACK_OFF * attempt)
            attempt += 1

    async def _check_ours(self, target: Target, errors: Sequence[ReadError]) -> None:
        """Raise CredentialsError if it was the caller's credentials that were refused, not the account's.

        What they could not read must not be kept as if it had been the account's trouble.
        """
        if target.profile is None and any(isinstance(error, CredentialsError) for error in errors):
            await self._access.check()

    async def _once(self, target: Target) -> AccountResult:
        began = time.monotonic()
        session = self._access.open(target)
        if not isinstance(session, RoleSession):
            return await self._collect(target, session)
        try:
            await session.credentials()
        except CredentialsError:
            # Not this account's fault: no other could be read either.
            raise
        except ReadError as error:
            return _refused(self._entered(target.account, session, began), error)
        entered = self._entered(target.account, session, began)
        return _with(entered, await self._collect(target, session))

    async def _collect(self, target: Target, session: Session) -> AccountResult:
        account = target.account
        # A profile's partition is its own; its account is in the answers.
        known = None
        if target.profile is None:
            known = AccountIdentity(account.account_id, self._access.partition, account.account_name)
        try:
            return await collect(session, self._options, self._as_of, known, self._limits)
        except CredentialsError as error:
            if target.profile is None:
                raise
            return _refused(self._line(account, "GetCredentialReport"), error)
        except ReadError as error:
            return _refused(self._line(account, "GetCredentialReport"), error)

    def _entered(self, account: Account, session: RoleSession, began: float) -> Coverage:
        return msgspec.structs.replace(
            self._line(account, "AssumeRole"),
            calls=session.sts.calls.total(),
            throttled=session.sts.refused.total(),
            seconds=round(time.monotonic() - began, 3),
        )

    def _line(self, account: Account, source: str) -> Coverage:
        return Coverage(
            account.account_id,
            source,
            "ok",
            account_name=account.account_name,
            partition=self._access.partition,
            as_of=self._as_of,
        )


def _refused(line: Coverage, error: ReadError) -> AccountResult:
    status: Status = "denied" if isinstance(error, AccessDeniedError) else "failed"
    line = msgspec.structs.replace(line, status=status, detail=str(error))
    return AccountResult(AccountFacts((), (), (line,)), (error,))


def _with(line: Coverage, collected: AccountResult) -> AccountResult:
    facts = collected.facts
    facts = msgspec.structs.replace(facts, coverage=(line, *facts.coverage))
    return msgspec.structs.replace(collected, facts=facts)


async def read_accounts(
    accounts: AsyncIterator[Target],
    access: AccountAccess,
    request: ManyAccounts,
    as_of: datetime,
    keep: Keep,
) -> None:
    """Read accounts as they are listed. Raises CredentialsError, and what `keep` raises."""
    slots = WorkerSlots(request.limits)
    reader = Reader(access, request.options, as_of, SharedLimits(access.gate, slots.pause))
    await read_all(accounts, reader.read, keep, slots)


async def read_all(
    accounts: AsyncIterator[Target],
    read: Callable[[Target], Awaitable[AccountFacts]],
    keep: Keep,
    slots: WorkerSlots,
) -> None:
    """Read accounts as they are listed, and hand over each one's facts when it is done."""

    async def work(target: Target) -> None:
        try:
            try:
                facts = await read(target)
            finally:
                slots.leave()
            # Where keeping is slow fewer accounts begin: what waits to be kept takes memory.
            await keep(target, facts)
        finally:
            slots.end()

    async with asyncio.TaskGroup() as group:
        async for target in accounts:
            await slots.begin()
            group.create_task(work(target))
