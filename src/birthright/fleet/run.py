"""One scan of many accounts, in this process: lists, reads and writes at the same time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from birthright.aws.query_client import Gate
from birthright.aws.roles import Roles
from birthright.aws.session import AwsSession
from birthright.errors import UsageError
from birthright.facts.model import UNKNOWN, AccountFacts
from birthright.fleet.account_access import AccountAccess
from birthright.fleet.counts import ScanProgress
from birthright.fleet.listing import Batch, Listing
from birthright.fleet.outage import Outage
from birthright.fleet.part_buffer import PartBuffer, part_name
from birthright.fleet.reading import Reader, WorkerSlots, read_all
from birthright.fleet.target import Target
from birthright.scans.request import ManyAccounts
from birthright.scans.writer import ScanWriter
from birthright.sources.account import SharedLimits

Keep = Callable[[AccountFacts], Awaitable[None]]


class Fleet:
    """A scan of many accounts as it goes on. `counts` tells how far it is, `note` what its list lacks."""

    def __init__(self, orders: ManyAccounts, writer: ScanWriter, counts: ScanProgress) -> None:
        self.orders = orders
        self.writer = writer
        self.counts = counts
        self.note = ""
        self._read = writer.read_so_far()

    async def read(self) -> None:
        """Read every account that is not read yet.

        Raises CredentialsError if the caller's credentials are no good (any more), another ReadError or a
        UsageError if the accounts cannot be listed, StoreError. What was read until then is kept.
        """
        orders, as_of = self.orders, self.writer.info.as_of
        gate, turns = asyncio.Semaphore(orders.limits.calls), WorkerSlots(orders.limits)
        gathering = PartBuffer(self.writer)
        async with opened(orders, gate) as doors, gathering.running(), asyncio.TaskGroup() as group:
            outage = Outage(doors.probe)

            async def read(asked: Target) -> AccountFacts:
                facts = await reader.read(asked)
                outage.heard(asked, facts)
                return facts

            async def keep(facts: AccountFacts) -> None:
                self.counts.add(facts)
                for kept in await outage.settled(facts):
                    await gathering.put(kept)

            # The list is whole, and kept, long before the last account begins.
            listed: asyncio.Queue[Batch | None] = asyncio.Queue()
            group.create_task(self._list(doors, listed))
            reader = Reader(doors, orders.options, as_of, SharedLimits(gate, turns.pause))
            await read_all(_to_read(listed, keep), read, keep, turns)
            for facts in outage.left():
                await gathering.put(facts)

    async def batches(self, session: AwsSession | None, partition: str) -> AsyncIterator[Batch]:
        """Yield what is still to be read, and write the whole list down when it is known."""
        listing = Listing(self.orders.wanted, session, partition, self.writer.info.as_of, self.orders.region)
        before = await asyncio.to_thread(self.writer.asked_for)
        if before is not None:
            yield self._left(listing.again(before))
        else:
            async for batch in listing.batches():
                yield await self._without_unknown(self._left(batch))
            if not self.counts.total:
                raise UsageError("no account is chosen", "look at --ou, --include and --exclude")
            await asyncio.to_thread(self.writer.ask_for, listing.all, listing.note)
        self.note = listing.note
        self.counts.listed = True

    async def _list(self, doors: AccountAccess, listed: "asyncio.Queue[Batch | None]") -> None:
        async for batch in self.batches(doors.session, doors.partition):
            listed.put_nowait(batch)
        listed.put_nowait(None)

    async def _without_unknown(self, batch: Batch) -> Batch:
        """Keep at once what is said of profiles whose account nobody knows: no list will name them again."""
        unknown = [facts for facts in batch.skipped if facts.coverage[0].account_id == UNKNOWN]
        if not unknown:
            return batch
        await asyncio.to_thread(self.writer.add, part_name(unknown), unknown)
        for facts in unknown:
            self.counts.add(facts)
        return Batch(batch.asked, tuple(facts for facts in batch.skipped if facts not in unknown))

    def _left(self, batch: Batch) -> Batch:
        """Leave out what an earlier run has read."""
        self.counts.total += len(batch.asked) + len(batch.skipped)
        asked = tuple(one for one in batch.asked if one.account.account_id not in self._read)
        skipped = tuple(facts for facts in batch.skipped if facts.coverage[0].account_id not in self._read)
        before = len(batch.asked) + len(batch.skipped) - len(asked) - len(skipped)
        self.counts.before += before
        self.counts.done += before
        return Batch(asked, skipped)


async def _to_read(listed: "asyncio.Queue[Batch | None]", keep: Keep) -> AsyncIterator[Target]:
    """Yield the accounts of what is listed, to its end."""
    while (batch := await listed.get()) is not None:
        for facts in batch.skipped:
            await keep(facts)
        for asked in batch.asked:
            yield asked


@asynccontextmanager
async def opened(orders: ManyAccounts, gate: Gate) -> AsyncIterator[AccountAccess]:
    """Find out who asks, and open the way into accounts. Raises CredentialsError, ReadError."""
    if orders.wanted.profiles:
        yield AccountAccess(None, None, "aws", region=orders.region)
        return
    session = AwsSession(orders.profile, orders.region)
    roles = Roles(session, orders.role, gate)
    try:
        caller = await roles.caller()
        yield AccountAccess(roles, caller, caller.partition, through_role=orders.through_role)
    finally:
        roles.close()
