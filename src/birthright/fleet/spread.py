"""A scan of many accounts shared among processes or machines, by Dask.

A task is a batch of accounts. It carries no credentials: a worker uses its own, and takes on the same role in
each account. Its part is named after its accounts and counts once, so a task that runs twice, because its
worker was lost or believed to be, does no harm.
"""

import asyncio
import hashlib
import logging
import os
import re
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from birthright.errors import ReadError, UsageError
from birthright.facts.model import AccountFacts
from birthright.facts.parts import ScanWriter
from birthright.fleet.asked import Asked
from birthright.fleet.counts import Counts
from birthright.fleet.gathering import Gathering, part_name
from birthright.fleet.reading import Reader, Turns, read_all
from birthright.fleet.run import Fleet, Orders, opened
from birthright.sources.aws.account import Company
from birthright.sources.stores import open_store

if TYPE_CHECKING:
    from distributed import Client, Future

_BATCH = 50
_CONNECT_SECONDS = 15
_LOSSES = 20  # workers a batch may outlive
_LOCAL = re.compile(r"local(:(?P<workers>[1-9][0-9]{0,2}))?")
_ADDRESS = re.compile(r"(tcp|tls)://.+:\d+")


class Task(msgspec.Struct, frozen=True):
    """A batch of accounts, and all that a worker must know to read it. Nothing in it is secret."""

    store: str
    scan_id: str
    as_of: datetime
    orders: Orders
    asked: tuple[Asked, ...]


class Sums(msgspec.Struct, frozen=True):
    """What a finished batch came to."""

    accounts: int
    troubled: int
    calls: int
    throttled: int


async def read_spread(fleet: Fleet, where: str, store: str) -> None:
    """Read every account that is not read yet, at the workers of `where`: `local[:N]` or an address.

    `store` is named so that a worker, wherever it stands, finds it.

    Raises what `Fleet.read` raises, and UsageError if there are no such workers.
    """
    async with _client(where) as client, opened(fleet.orders, _gate(fleet.orders)) as doors:
        orders = fleet.orders
        if not _LOCAL.fullmatch(where):
            # A profile is a file of this machine.
            orders = msgspec.structs.replace(orders, profile=None)
        scan, waiting = fleet.writer.info, list[Asked]()
        gathering, running = Gathering(fleet.writer), set["Future[bytes]"]()

        def submit(asked: list[Asked]) -> "Future[bytes]":
            return _submit(client, Task(store, scan.id, scan.as_of, orders, tuple(asked)))

        async with gathering.running():
            async for batch in fleet.batches(doors.session, doors.partition):
                for facts in batch.skipped:
                    fleet.counts.add(facts)
                    await gathering.put(facts)
                waiting += batch.asked
                while len(waiting) >= _BATCH:
                    running.add(submit(waiting[:_BATCH]))
                    del waiting[:_BATCH]
            if waiting:
                running.add(submit(waiting))
        await _finish(client, running, fleet.counts)


def read_batch(data: bytes) -> bytes:
    """Read a batch, on a worker; takes a Task and returns its Sums, both in JSON."""
    task = msgspec.json.decode(data, type=Task)
    counts = Counts()
    facts: list[AccountFacts] = []
    # A place that cannot be written to is told before anything is read.
    writer = ScanWriter.join(open_store(task.store, task.orders.profile), task.scan_id)
    try:
        asyncio.run(_read(task, facts, counts))
    finally:
        if facts:
            writer.add(part_name(facts), facts)
    return msgspec.json.encode(Sums(counts.done, counts.troubled, counts.calls, counts.throttled))


async def _read(task: Task, facts: list[AccountFacts], counts: Counts) -> None:
    orders = task.orders
    gate, turns = _gate(orders), Turns(orders.limits)

    async def keep(found: AccountFacts) -> None:
        counts.add(found)
        facts.append(found)

    async def asked() -> AsyncIterator[Asked]:
        for one in task.asked:
            yield one

    async with opened(orders, gate) as doors:
        reader = Reader(doors, orders.options, task.as_of, Company(gate, turns.pause))
        await read_all(asked(), reader.read, keep, turns)


def _gate(orders: Orders) -> asyncio.Semaphore:
    return asyncio.Semaphore(orders.limits.calls)


def _submit(client: "Client", task: Task) -> "Future[bytes]":
    data = msgspec.json.encode(task)
    name = f"{task.scan_id}-{hashlib.sha256(data).hexdigest()[:16]}"
    return client.submit(read_batch, data, key=f"birthright-{name}", pure=False)


async def _finish(client: "Client", running: "set[Future[bytes]]", counts: Counts) -> None:
    """Wait for all batches; the first that cannot be read ends the others."""
    from distributed import KilledWorker, as_completed

    try:
        async for future in as_completed(running):
            sums = msgspec.json.decode(await future.result(), type=Sums)
            counts.add_sums(sums.accounts, sums.troubled, sums.calls, sums.throttled)
    except KilledWorker as error:
        text = f"{_LOSSES} workers were lost over one batch: {error}"
        raise ReadError(text, "look at the workers' logs") from None
    except CancelledError:
        raise ReadError("the Dask scheduler was lost", "is its machine up? look at its log") from None
    finally:
        await client.cancel(list(running))


@asynccontextmanager
async def _client(where: str) -> "AsyncIterator[Client]":
    """Connect to a scheduler, or start workers here. Raises UsageError."""
    local = _LOCAL.fullmatch(where)
    if not local and not _ADDRESS.fullmatch(where):
        raise UsageError(f"--dask {where[:80]!r} is no place of workers", "local, local:4 or tcp://host:8786")
    dask = _dask()
    if not local:
        async with _connected(dask, where) as client:
            yield client
        return
    # Workers run what they are sent: on this machine, too, nobody but us may send them anything.
    security = dask.security.Security.temporary()
    async with (
        dask.LocalCluster(
            n_workers=int(local["workers"] or os.cpu_count() or 1),
            threads_per_worker=1,
            asynchronous=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            security=security,
            protocol="tls://",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        dask.Client(cluster, asynchronous=True) as client,
    ):
        yield client


@asynccontextmanager
async def _connected(dask: Any, address: str) -> "AsyncIterator[Client]":  # noqa: ANN401 - a module
    security = dask.security.Security()
    if address.startswith("tls") and security.get_connection_args("client").get("ssl_context") is None:
        hint = "set them in Dask's configuration: distributed.comm.tls"
        raise UsageError(f"{address} needs certificates, and there are none", hint)
    try:
        client = await dask.Client(address, asynchronous=True, timeout=_CONNECT_SECONDS, security=security)
    except (OSError, TimeoutError, ValueError) as error:
        hint = "start one with 'dask scheduler', and workers with 'dask worker'"
        raise UsageError(f"no Dask scheduler answers at {address}: {error}", hint) from None
    async with client:
        try:
            await client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        except TimeoutError:
            raise UsageError(
                f"the Dask scheduler at {address} has no workers", "start some: 'dask worker'"
            ) from None
        yield client


def _dask() -> Any:  # noqa: ANN401 - a module
    """Import Dask, which is an extra."""
    try:
        import dask
        import distributed
        import distributed.security
    except ModuleNotFoundError as error:
        hint = "install it with: pip install 'birthright[dask]'"
        raise UsageError(f"--dask needs Dask: {error}", hint) from None
    dask.config.set({"distributed.scheduler.allowed-failures": _LOSSES})
    # Each has a level of its own; what matters of what they say comes as an error.
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return distributed
