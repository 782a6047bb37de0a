"""Gathers the facts of accounts as they finish, and writes them in parts of a reasonable size."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from birthright.facts.model import AccountFacts
from birthright.facts.schema import TABLES
from birthright.scans.writer import ScanWriter

_ACCOUNTS = 250
_ROWS = 25_000
_SECONDS = 5.0  # after which a part is written, however small: what a crash may cost


class PartBuffer:
    """Holds what is not written yet; a part is written in a thread, as disks and buckets take their time."""

    def __init__(self, writer: ScanWriter) -> None:
        self._writer = writer
        self._waiting: list[AccountFacts] = []
        self._rows = 0
        self._writing = asyncio.Lock()

    async def put(self, facts: AccountFacts) -> None:
        """Take the facts of an account. Raises StoreError if a part cannot be written."""
        self._waiting.append(facts)
        self._rows += _rows(facts)
        if self._is_full():
            async with self._writing:
                # Others may have written it while this one waited.
                if self._is_full():
                    await self._write_part()

    async def flush(self) -> None:
        """Write what there is. Raises StoreError."""
        async with self._writing:
            left = len(self._waiting)
            while left > 0:
                left -= await self._write_part()

    def _is_full(self) -> bool:
        return len(self._waiting) >= _ACCOUNTS or self._rows >= _ROWS

    async def _write_part(self) -> int:
        """Write the first of what waits, as much as a part holds; return how many accounts that were."""
        accounts = rows = 0
        for facts in self._waiting[:_ACCOUNTS]:
            accounts, rows = accounts + 1, rows + _rows(facts)
            if rows >= _ROWS:
                break
        batch, self._waiting = self._waiting[:accounts], self._waiting[accounts:]
        self._rows -= rows
        await asyncio.to_thread(self._writer.add, part_name(batch), batch)
        return accounts

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write now and then while the block lasts, and at its end all that is left, however it ends.

        Raises StoreError, in a group with whatever else went wrong at the same time.
        """
        ended = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                # What it cannot write ends the block, too.
                group.create_task(self._now_and_then(ended))
                yield
                ended.set()
        finally:
            await self.flush()

    async def _now_and_then(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _SECONDS)
            await self.flush()


def _rows(facts: AccountFacts) -> int:
    return sum(len(facts.rows(table)) for table in TABLES) - len(facts.coverage)


def part_name(batch: Sequence[AccountFacts]) -> str:
    """Name a part after its accounts: the same accounts are the same part, whoever writes it."""
    ids = ",".join(sorted(line.account_id for facts in batch for line in facts.coverage[:1]))
    return hashlib.sha256(ids.encode()).hexdigest()[:16]
