"""A scan of many accounts shared among processes or machines, by Dask.

A task is a batch of accounts. It carries no credentials: a worker uses its own, and assumes the same role in
each account. Its part is named after its accounts and counts once, so a task that runs twice, because its
worker was lost or believed to be, does no harm.
"""

import asyncio
import hashlib
import logging
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, cast

import msgspec

from birthright.errors import ReadError, UsageError
from birthright.facts.model import AccountFacts
from birthright.fleet.account_access import AccountAccess, open_access
from birthright.fleet.counts import ScanProgress
from birthright.fleet.outage import is_failed, probed_by
from birthright.fleet.part_buffer import part_name
from birthright.fleet.reading import Keep, read_accounts
from birthright.fleet.run import Fleet, Results
from birthright.fleet.target import Target
from birthright.scans.opening import open_store
from birthright.scans.request import AccountSelection, ManyAccounts
from birthright.scans.writer import ScanWriter

if TYPE_CHECKING:
    from distributed import Client, Future

_BATCH = 50
_CONNECT_SECONDS = 15
_LOSSES = 20  # workers a batch may outlive
# For workers that are started later, in the place of lost ones.
_DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
_LOCAL = re.compile(r"local(:(?P<workers>[1-9][0-9]{0,2}))?")
_ADDRESS = re.compile(r"(tcp|tls)://.+:\d+")


class Task(msgspec.Struct, frozen=True):
    """A batch of accounts, and all that a worker must know to read it. Nothing in it is secret."""

    store: str
    scan_id: str
    as_of: datetime
    request: ManyAccounts
    targets: tuple[Target, ...]


class BatchResult(msgspec.Struct, frozen=True):
    """What came of a batch. The worker has kept the facts of the accounts that it could enter.

    Those in `failed` are the coordinator's to keep: there may be an outage, and a worker may outlive a scan
    that was ended by one. `entered` is an account that can be entered again.
    """

    accounts: int
    incomplete: int
    calls: int
    throttled: int
    failed: tuple[AccountFacts, ...]
    entered: Target | None


async def read_spread(fleet: Fleet, where: str, store: str) -> None:
    """Read every account that is not read yet, at the workers of `where`: `local[:N]` or an address.

    `store` is a name by which a worker on any machine finds the store.

    Raises what `Fleet.read` raises, and UsageError if there are no such workers.
    """
    async with workers_at(where) as client:
        await read_with(client, fleet, where, store)


async def read_with(client: "Client", fleet: Fleet, where: str, store: str) -> None:
    """Read every account that is not read yet, at the workers of `where`, to which `client` is connected.

    Batches begin, and their results are taken, while the accounts are still being listed.

    Raises what `Fleet.read` raises.
    """
    scan, request = fleet.writer.info, _for_workers(fleet.request, where)
    futures = list["Future[bytes]"]()

    async def engine(accounts: AsyncIterator[Target], _: AccountAccess, results: Results) -> None:
        async with asyncio.TaskGroup() as group:
            async for targets in _batches(accounts):
                future = _submit(client, Task(store, scan.id, scan.as_of, request, targets))
                futures.append(future)
                group.create_task(_finish(future, fleet.counts, results))

    try:
        await fleet.read(engine)
    finally:
        # A scheduler that was lost runs nothing any more.
        with suppress(_dask().comm.CommClosedError):
            await client.cancel(futures)


async def _batches(accounts: AsyncIterator[Target]) -> AsyncIterator[tuple[Target, ...]]:
    waiting: list[Target] = []
    async for target in accounts:
        waiting.append(target)
        if len(waiting) >= _BATCH:
            yield tuple(waiting)
            waiting.clear()
    if waiting:
        yield tuple(waiting)


def _for_workers(request: ManyAccounts, where: str) -> ManyAccounts:
    """Leave out what belongs to this machine, and what a batch says of its own accounts.

    Workers of this machine share the calls that are allowed.
    """
    # Of profiles a task needs to know only that there are some.
    wanted = AccountSelection(profiles=request.wanted.profiles[:1])
    request = msgspec.structs.replace(request, wanted=wanted)
    local = _LOCAL.fullmatch(where)
    if not local:
        # A profile is a file of this machine.
        return msgspec.structs.replace(request, profile=None)
    calls = max(1, request.limits.calls // _workers(local))
    return msgspec.structs.replace(request, limits=msgspec.structs.replace(request.limits, calls=calls))


def _workers(local: re.Match[str]) -> int:
    return int(local["workers"] or os.cpu_count() or 1)


def read_batch(data: bytes) -> bytes:
    """Read a batch, on a worker; takes a Task and returns its BatchResult, both in JSON."""
    task = msgspec.json.decode(data, type=Task)
    counts = ScanProgress()
    kept, failed = list[AccountFacts](), list[AccountFacts]()
    entered: Target | None = None
    # A store that cannot be written to fails before anything is read.
    writer = ScanWriter.join(open_store(task.store, task.request.profile), task.scan_id)

    async def keep(target: Target, facts: AccountFacts) -> None:
        nonlocal entered
        counts.add(facts)
        (failed if is_failed(facts) else kept).append(facts)
        entered = probed_by(target, facts) or entered

    try:
        asyncio.run(_read(task, keep))
    finally:
        if kept:
            writer.add(part_name(kept), kept)
    sums = counts.done, counts.incomplete, counts.calls, counts.throttled
    return msgspec.json.encode(BatchResult(*sums, tuple(failed), entered))


async def _read(task: Task, keep: Keep) -> None:
    async def targets() -> AsyncIterator[Target]:
        for target in task.targets:
            yield target

    async with open_access(task.request) as access:
        await read_accounts(targets(), access, task.request, task.as_of, keep)


def _submit(client: "Client", task: Task) -> "Future[bytes]":
    data = msgspec.json.encode(task)
    name = f"{task.scan_id}-{hashlib.sha256(data).hexdigest()[:16]}"
    return client.submit(read_batch, data, key=f"birthright-{name}", pure=False)


async def _finish(future: "Future[bytes]", counts: ScanProgress, results: Results) -> None:
    """Wait for a batch, and take its result. Raises what the worker raised, ReadError without a result."""
    from distributed import KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        data = await cast("Awaitable[bytes]", future.result())
        result = msgspec.json.decode(data, type=BatchResult)
    except KilledWorker as error:
        text = f"too many workers were lost over one batch: {error}"
        raise ReadError(text, "look at the workers' logs") from None
    except (CancelledError, CommClosedError):
        raise ReadError("the Dask scheduler was lost", "is its machine up? look at its log") from None
    counts.add_sums(result.accounts, result.incomplete, result.calls, result.throttled)
    await results.hold(result.failed, result.entered)


@asynccontextmanager
async def workers_at(where: str) -> "AsyncIterator[Client]":
    """Connect to a scheduler, or start workers here: `local[:N]` or an address. Raises UsageError."""
    local = _LOCAL.fullmatch(where)
    if not local and not _ADDRESS.fullmatch(where):
        raise UsageError(f"--dask {where[:80]!r} is no place of workers", "local, local:4 or tcp://host:8786")
    dask = _dask()
    if not local:
        async with _connected(dask, where) as client:
            yield client
        return
    starting = asyncio.ensure_future(_local_cluster(dask, _workers(local)))
    try:
        cluster = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # Half started, it would leave things behind.
        async with await starting:
            raise
    async with cluster, dask.Client(cluster, asynchronous=True) as client:
        yield client


async def _local_cluster(dask: Any, workers: int) -> Any:  # noqa: ANN401 - a module, its class
    # Workers run what they are sent: no other user of this machine may send them anything.
    with _not_interrupted():
        return await dask.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            asynchronous=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            security=dask.security.Security.temporary(),
            protocol="tls://",
            silence_logs=logging.CRITICAL,
            preload=_DEAF,
        )


@contextmanager
def _not_interrupted() -> Iterator[None]:
    """Let processes that are started in the block not notice Ctrl-C: it is ours, and we end them."""
    # It is started with the first process, and lets signals through again.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


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
