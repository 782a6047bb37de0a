"""Reads what was asked for, and keeps the facts: judging reads those, so that it can be done again."""

import shlex
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from birthright.errors import BirthrightError, UsageError
from birthright.history.earlier import SavedScan
from birthright.operations.choosing import check_choice, limits_of, scan_request
from birthright.operations.judging import checked_pages, judging_for, judging_of
from birthright.operations.requests import AssessRequest, PolicyChoice, ScanChoice
from birthright.operations.workspace import Workspace
from birthright.scans.record import ScanInfo, find_unfinished, load_info, new_scan_id, scan_folder
from birthright.scans.request import LiveAccount, ManyAccounts, ReportFiles, Resume, ScanRequest
from birthright.times import now
from birthright.version import __version__

if TYPE_CHECKING:
    from birthright.facts.model import AccountFacts
    from birthright.fleet.counts import ScanProgress
    from birthright.fleet.run import Fleet
    from birthright.scans.writer import ScanWriter

# Shows how far a scan is: of many accounts by its counts, of one account (None) by the time it takes.
Watch = Callable[["ScanProgress | None"], AbstractContextManager[None]]


def unwatched(_: "ScanProgress | None") -> AbstractContextManager[None]:
    """Show nothing."""
    return nullcontext()


def request_of(workspace: Workspace, choice: ScanChoice, policies: PolicyChoice) -> ScanRequest:
    """Put a request together; a scan that is resumed is judged as it was. Raises UsageError, StoreError."""
    check_choice(choice)
    if choice.resume:
        unfinished = find_unfinished(workspace.store, choice.resume)
        choice = msgspec.structs.replace(choice, resume=unfinished)
        judging = judging_for(workspace, load_info(workspace.store, unfinished), policies)
    else:
        judging = judging_of(policies, workspace.settings)
    return scan_request(choice, workspace.settings.scan, judging)


def scan(
    workspace: Workspace,
    request: ScanRequest,
    assessing: AssessRequest = AssessRequest(),  # noqa: B008 - a frozen value
    watch: Watch = unwatched,
) -> SavedScan:
    """Read the accounts and keep what they say.

    What is wrong with pages, waivers or an earlier scan shows before AWS is read. Of many accounts, what was
    read is kept whatever happens, and a warning says how to resume.
    Raises BirthrightError; UsageError where an event loop is running.
    """
    pages = checked_pages(workspace, request.judging, assessing)
    if isinstance(request.source, ReportFiles):
        info = _read_files(workspace, request, request.source)
    else:
        # Not the task's result: as asyncio.run ends, Python 3.11 prints that into a message nobody sees.
        found: list[ScanInfo] = []
        _run_here(_read_into(found, workspace, request, watch))
        info = found[0]
    return SavedScan(workspace.store, info, pages, request.judging)


async def scan_async(
    workspace: Workspace,
    request: ScanRequest,
    assessing: AssessRequest = AssessRequest(),  # noqa: B008 - a frozen value
    watch: Watch = unwatched,
) -> SavedScan:
    """Do what `scan` does inside a running event loop."""
    pages = checked_pages(workspace, request.judging, assessing)
    found: list[ScanInfo] = []
    await _read_into(found, workspace, request, watch)
    return SavedScan(workspace.store, found[0], pages, request.judging)


async def _read_into(found: list[ScanInfo], workspace: Workspace, request: ScanRequest, watch: Watch) -> None:
    source = request.source
    if isinstance(source, ReportFiles):
        found.append(_read_files(workspace, request, source))
    elif isinstance(source, LiveAccount):
        found.append(await _read_live(workspace, request, source, watch))
    else:
        found.append(await _read_many(workspace, request, source, watch))


def _read_files(workspace: Workspace, request: ScanRequest, files: ReportFiles) -> ScanInfo:
    from birthright.sources.files import collect_files

    facts, as_of, earliest = collect_files(files, now(), raw=request.reading.raw)
    return _save(workspace, request, facts, as_of, earliest)


async def _read_live(
    workspace: Workspace, request: ScanRequest, account: LiveAccount, watch: Watch
) -> ScanInfo:
    from birthright.aws.session import AwsSession
    from birthright.sources.account import collect_account

    as_of = now()
    session = AwsSession(account.profile, account.region)
    with watch(None):
        facts = await collect_account(session, request.reading, as_of)
    return _save(workspace, request, facts, as_of)


def _save(
    workspace: Workspace,
    request: ScanRequest,
    facts: "AccountFacts",
    as_of: datetime,
    earliest: datetime | None = None,
) -> ScanInfo:
    from birthright.scans.writer import save_scan

    info = msgspec.structs.replace(_new_info(request, as_of), as_of_earliest=earliest)
    return save_scan(workspace.store, info, [facts])


def _new_info(request: ScanRequest, as_of: datetime, **extra: object) -> ScanInfo:
    """Return what a scan that begins now says of itself; whether it is complete shows at its end."""
    return ScanInfo(
        id=new_scan_id(now()),
        as_of=as_of,
        tool_version=__version__,
        depth=request.reading.depth,
        complete=False,
        extra={"selection": msgspec.to_builtins(request.judging), **extra},
    )


async def _read_many(
    workspace: Workspace, request: ScanRequest, source: ManyAccounts | Resume, watch: Watch
) -> ScanInfo:
    from birthright.fleet.counts import ScanProgress
    from birthright.fleet.run import Fleet
    from birthright.scans.writer import ScanWriter

    if isinstance(source, Resume):
        writer = ScanWriter.resume(workspace.store, source.scan_id)
        orders = saved_accounts(writer.info, source)
    else:
        orders = source
        info = _new_info(request, now(), fleet=msgspec.to_builtins(orders))
        writer = ScanWriter.begin(workspace.store, info)
    fleet = Fleet(orders, writer, ScanProgress())
    with _keeping(workspace, writer, source), watch(fleet.counts):
        await _reading(workspace, fleet, request.dask)
        info = writer.finish()
    if fleet.note:
        workspace.warn(fleet.note)
    return info


def saved_accounts(info: ScanInfo, resume: Resume) -> ManyAccounts:
    """Return what a scan was asked for; only who asks, and how fast, may be said anew. Raises UsageError."""
    try:
        saved = msgspec.convert(info.extra.get("fleet"), ManyAccounts)
    except msgspec.ValidationError as error:
        raise UsageError(f"scan {info.id} cannot be gone on with: {error}", "scan again") from error
    return msgspec.structs.replace(
        saved,
        profile=resume.profile or saved.profile,
        region=resume.region or saved.region,
        limits=limits_of(resume.max_calls or saved.limits.calls),
    )


async def _reading(workspace: Workspace, fleet: "Fleet", dask: str | None) -> None:
    if dask is None:
        await fleet.read()
        return
    from birthright.fleet.dask_engine import read_spread

    await read_spread(fleet, dask, _absolute(workspace.store.name))


def _absolute(store: str) -> str:
    """Name a store so that workers in other folders find it."""
    return store if "://" in store else str(Path(store).absolute())


@contextmanager
def _keeping(workspace: Workspace, writer: "ScanWriter", source: ManyAccounts | Resume) -> Iterator[None]:
    """Say, if the scan ends early, how to resume; a scan that was begun and read nothing is removed."""
    try:
        yield
    except BaseException:
        with suppress(BirthrightError):
            kept = len(writer.read_so_far())
            if kept or isinstance(source, Resume):
                again = ["birthright", "scan", "--resume", writer.info.id, *workspace.options()]
                if source.region and source.region != workspace.settings.scan.region:
                    again += ["--region", source.region]
                workspace.warn(f"{kept} accounts are read and kept; go on with: {shlex.join(again)}")
            else:
                workspace.store.remove(scan_folder(writer.info.id))
        raise


def _run_here(work: Coroutine[Any, Any, None]) -> None:
    """Run it where no event loop runs; SIGTERM is taken as Ctrl-C, so that what was read is kept."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        work.close()
        raise UsageError("an event loop is running already", "await birthright.scan_async(...) there")
    try:
        asyncio.run(_until_told(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    import asyncio

    task = asyncio.current_task()
    # Not everywhere, and not in every thread.
    with suppress(NotImplementedError, RuntimeError, ValueError):
        if task:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work
