"""One scan of many accounts: lists, reads and writes at the same time, whichever engine reads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from birthright.errors import UsageError
from birthright.facts.model import UNKNOWN, AccountFacts
from birthright.fleet.account_access import AccountAccess, open_access
from birthright.fleet.counts import ScanProgress
from birthright.fleet.listing import Batch, Listing
from birthright.fleet.outage import Outage, is_failed, probed_by
from birthright.fleet.part_buffer import PartBuffer, part_name
from birthright.fleet.reading import read_accounts
from birthright.fleet.target import Target
from birthright.scans.request import ManyAccounts
from birthright.scans.writer import ScanWriter


class Results:
    """Takes what an engine reads: counts it, and keeps it unless there is an outage."""

    def __init__(self, counts: ScanProgress, buffer: PartBuffer, outage: Outage) -> None:
        self._counts = counts
        self._buffer = buffer
        self._outage = outage

    async def skip(self, facts: AccountFacts) -> None:
        """Keep what is known of an account that is not read."""
        self._counts.add(facts)
        await self._buffer.put(facts)

    async def keep(self, target: Target, facts: AccountFacts) -> None:
        """Take an account. Raises ReadError in an outage, StoreError."""
        self._counts.add(facts)
        if is_failed(facts):
            await self.hold([facts])
        else:
            self._outage.note(probed_by(target, facts))
            await self._buffer.put(facts)

    async def hold(self, failed: Sequence[AccountFacts], entered: Target | None = None) -> None:
        """Take accounts that could not be entered, and one that was. Raises as `keep`."""
        self._outage.note(entered)
        await self._put(await self._outage.hold(failed))

    async def finish(self) -> None:
        """Keep what was held back to the end."""
        await self._put(self._outage.release())

    async def _put(self, kept: Sequence[AccountFacts]) -> None:
        for facts in kept:
            await self._buffer.put(facts)


# Reads accounts as they are listed. Where it reads is its own choice.
Engine = Callable[[AsyncIterator[Target], AccountAccess, Results], Awaitable[None]]


class Fleet:
    """A scan of many accounts in progress. `counts` is how far it is, `note` what its list lacks."""

    def __init__(self, request: ManyAccounts, writer: ScanWriter, counts: ScanProgress) -> None:
        self.request = request
        self.writer = writer
        self.counts = counts
        self.note = ""
        self._read = writer.read_so_far()

    async def read(self, engine: Engine | None = None) -> None:
        """Read every account that is not read yet, in this process unless `engine` reads elsewhere.

        Raises CredentialsError if the caller's credentials are refused or have expired, a ReadError in an
        outage, a ReadError or UsageError if the accounts cannot be listed, StoreError. What was read until
        then is kept.
        """
        engine, buffer = engine or self._read_here, PartBuffer(self.writer)
        async with open_access(self.request) as access, buffer.running(), asyncio.TaskGroup() as group:
            results = Results(self.counts, buffer, Outage(access.probe))
            # The list is complete, and kept, long before the last account begins.
            listed: asyncio.Queue[Batch | None] = asyncio.Queue()
            group.create_task(self._list(access, listed))
            await engine(_to_read(listed, results), access, results)
            await results.finish()

    async def batches(self, access: AccountAccess) -> AsyncIterator[Batch]:
        """Yield what is still to be read, and write the whole list down when it is known."""
        wanted, as_of = self.request.wanted, self.writer.info.as_of
        listing = Listing(wanted, access.session, access.partition, as_of, self.request.region)
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

    async def _read_here(
        self, accounts: AsyncIterator[Target], access: AccountAccess, results: Results
    ) -> None:
        await read_accounts(accounts, access, self.request, self.writer.info.as_of, results.keep)

    async def _list(self, access: AccountAccess, listed: "asyncio.Queue[Batch | None]") -> None:
        async for batch in self.batches(access):
            listed.put_nowait(batch)
        listed.put_nowait(None)

    async def _without_unknown(self, batch: Batch) -> Batch:
        """Keep at once what is said of profiles of unknown accounts: no list will name them again."""
        unknown = [facts for facts in batch.skipped if facts.coverage[0].account_id == UNKNOWN]
        if not unknown:
            return batch
        await asyncio.to_thread(self.writer.add, part_name(unknown), unknown)
        for facts in unknown:
            self.counts.add(facts)
        return Batch(batch.targets, tuple(facts for facts in batch.skipped if facts not in unknown))

    def _left(self, batch: Batch) -> Batch:
        """Leave out what an earlier run has read."""
        self.counts.total += len(batch.targets) + len(batch.skipped)
        targets = tuple(one for one in batch.targets if one.account.account_id not in self._read)
        skipped = tuple(facts for facts in batch.skipped if facts.coverage[0].account_id not in self._read)
        before = len(batch.targets) + len(batch.skipped) - len(targets) - len(skipped)
        self.counts.before += before
        self.counts.done += before
        return Batch(targets, skipped)


async def _to_read(listed: "asyncio.Queue[Batch | None]", results: Results) -> AsyncIterator[Target]:
    """Yield the accounts of what is listed, to its end."""
    while (batch := await listed.get()) is not None:
        for facts in batch.skipped:
            await results.skip(facts)
        for target in batch.targets:
            yield target
