"""One scan of many accounts, in this process: lists, reads and writes at the same time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from birthright.facts.model import AccountFacts
from birthright.facts.parts import ScanWriter
from birthright.fleet.asked import Asked
from birthright.fleet.counts import Counts
from birthright.fleet.entering import Doors
from birthright.fleet.gathering import Gathering
from birthright.fleet.listing import Batch, Listing, Wanted
from birthright.fleet.reading import Limits, Reader, Turns, read_all
from birthright.sources.aws.account import Company, Options
from birthright.sources.aws.query import Gate
from birthright.sources.aws.roles import Role, Roles
from birthright.sources.aws.session import AwsSession

Keep = Callable[[AccountFacts], Awaitable[None]]


class Orders(msgspec.Struct, frozen=True):
    """What a scan of many accounts was told; kept with it, so that it can be gone on with.

    `through_role`: the caller's own account is entered through the role, too.
    """

    wanted: Wanted
    role: Role = Role()
    through_role: bool = False
    options: Options = Options()
    limits: Limits = Limits()
    region: str | None = None
    profile: str | None = None


class Fleet:
    """A scan of many accounts as it goes on. `counts` tells how far it is, `note` what its list lacks."""

    def __init__(self, orders: Orders, writer: ScanWriter, counts: Counts) -> None:
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
        gate, turns, gathering = (
            asyncio.Semaphore(orders.limits.calls),
            Turns(orders.limits),
            Gathering(self.writer),
        )

        async def keep(facts: AccountFacts) -> None:
            self.counts.add(facts)
            await gathering.put(facts)

        async with opened(orders, gate) as doors, gathering.running():
            reader = Reader(doors, orders.options, as_of, Company(gate, turns.pause))
            await read_all(self._to_read(doors, keep), reader.read, keep, turns)

    async def batches(self, session: AwsSession | None, partition: str) -> AsyncIterator[Batch]:
        """Yield what is still to be read, and write the whole list down when it is known."""
        listing = Listing(self.orders.wanted, session, partition, self.writer.info.as_of)
        before = await asyncio.to_thread(self.writer.asked_for)
        if before is not None:
            yield self._left(listing.again(before))
        else:
            async for batch in listing.batches():
                yield self._left(batch)
            await asyncio.to_thread(self.writer.ask_for, listing.all)
        self.note = listing.note
        self.counts.listed = True

    async def _to_read(self, doors: Doors, keep: Keep) -> AsyncIterator[Asked]:
        async for batch in self.batches(doors.session, doors.partition):
            for facts in batch.skipped:
                await keep(facts)
            for asked in batch.asked:
                yield asked

    def _left(self, batch: Batch) -> Batch:
        """Leave out what an earlier run has read."""
        self.counts.total += len(batch.asked) + len(batch.skipped)
        asked = tuple(one for one in batch.asked if one.account.account_id not in self._read)
        skipped = tuple(facts for facts in batch.skipped if facts.coverage[0].account_id not in self._read)
        before = len(batch.asked) + len(batch.skipped) - len(asked) - len(skipped)
        self.counts.before += before
        self.counts.done += before
        return Batch(asked, skipped)


@asynccontextmanager
async def opened(orders: Orders, gate: Gate) -> AsyncIterator[Doors]:
    """Find out who asks, and open the way into accounts. Raises CredentialsError, ReadError."""
    if orders.wanted.profiles:
        yield Doors(None, None, "aws")
        return
    session = AwsSession(orders.profile, orders.region)
    roles = Roles(session, orders.role, gate)
    try:
        caller = await roles.caller()
        yield Doors(roles, caller, caller.partition, through_role=orders.through_role)
    finally:
        roles.close()
