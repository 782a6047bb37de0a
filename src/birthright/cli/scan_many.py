"""`birthright scan` of many accounts: `--org`, `--accounts`, `--profiles`, `--resume`."""

import re
import shlex
import signal
from collections.abc import Callable, Coroutine
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birthright.cli.scan_one import is_offline
from birthright.errors import BirthrightError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from birthright.aws.role import Role
    from birthright.fleet.run import Fleet
    from birthright.scans.record import ScanInfo
    from birthright.scans.request import AccountSelection, ConcurrencyLimits, Judging, ManyAccounts
    from birthright.scans.store import Store
    from birthright.scans.writer import ScanWriter
    from birthright.settings import ScanSettings

WHICH = ("org", "ou", "include", "exclude", "accounts", "profiles")
HOW = ("role", "external_id", "session_name", "role_duration", "role_everywhere")
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_SHORTEST, _LONGEST = timedelta(minutes=15), timedelta(hours=12)


def many_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of scans of many accounts."""
    for option in (
        click.option("--resume", metavar="SCAN_ID",
                     help="Go on with a scan that was cut short ('latest' for the last one)."),
        click.option("--org/--no-org", default=None, help="Read every account of the AWS Organization."),
        click.option("--ou", multiple=True, metavar="ID",
                     help="Read the accounts of this OU and those below it (repeatable; means --org)."),
        click.option("--include", multiple=True, metavar="ID|NAME|tag:KEY=VALUE",
                     help="Read these accounts only; * stands for anything in a name (repeatable)."),
        click.option("--exclude", multiple=True, metavar="ID|NAME|tag:KEY=VALUE",
                     help="Do not read these accounts (repeatable)."),
        click.option("--accounts", metavar="FILE",
                     help="Read the accounts in this CSV or JSON (id, name, role)."),
        click.option("--profiles", metavar="A,B,...", help="Read the accounts of these local profiles."),
        click.option("--role", metavar="NAME",
                     help="The role to take on in each account (default: birthright)."),
        click.option("--external-id", metavar="ID", help="The external id that the role asks for."),
        click.option("--session-name", metavar="NAME",
                     help="What CloudTrail shows of us (default: birthright)."),
        click.option("--role-duration", metavar="DURATION",
                     help="How long a role is taken on for (default: 1h)."),
        click.option("--role-everywhere", is_flag=True, default=None,
                     help="Take the role on in the caller's own account, too."),
        click.option("--max-calls", type=click.IntRange(1, 5000), metavar="N",
                     help="The most calls at a time in all accounts together (default: 256);"
                          " with workers of a Dask scheduler: of each worker."),
        click.option("--dask", metavar="local[:N]|tcp://HOST:PORT",
                     help="Share the work among processes, or the workers of a Dask scheduler."),
        click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
    ):  # fmt: skip
        command = option(command)
    return command


def is_many(options: dict[str, Any], settings: "ScanSettings") -> bool:
    """Whether the scan is of many accounts, as far as options and settings say."""
    if options["resume"] or any(options[name] for name in ("org", "ou", "accounts", "profiles")):
        return True
    if options["saved"] or is_offline(options) or options["org"] is False:
        return False
    return bool(settings.org or settings.ou or settings.accounts or settings.profiles)


def read_many(
    options: dict[str, Any], settings: "ScanSettings", selection: "Judging", store: "Store"
) -> "ScanInfo":
    """Read the accounts, keep what was read whatever happens, and return what the finished scan says.

    Raises BirthrightError; the message says how to go on, if anything was read.
    """
    import msgspec

    from birthright.cli.common import new_info
    from birthright.cli.scan_one import depth_of
    from birthright.fleet.counts import ScanProgress
    from birthright.fleet.progress import shown
    from birthright.fleet.run import Fleet
    from birthright.scans.writer import ScanWriter
    from birthright.times import now

    if options["resume"]:
        writer = ScanWriter.resume(store, options["resume"])
        orders = saved_orders(writer.info, options)
    else:
        orders = _orders(options, settings)
        asked = msgspec.to_builtins(orders)
        info = new_info(selection, depth_of(options, settings), now(), fleet=asked)
        writer = ScanWriter.begin(store, info)
    fleet = Fleet(orders, writer, ScanProgress())
    with _keeping(store, writer, options), shown(fleet.counts, quiet=options["quiet"]):
        _run(fleet, options["dask"] or settings.dask, store)
        info = writer.finish()
    if fleet.note:
        click.echo(f"birthright: {fleet.note}", err=True)
    return info


def check_one(options: dict[str, Any]) -> None:
    """Refuse, for a scan of one account, options that would do nothing. Raises UsageError."""
    alone = next((name for name in (*HOW, "include", "exclude", "max_calls", "dask") if options[name]), None)
    if alone:
        raise UsageError(f"--{alone.replace('_', '-')} goes with --org, --accounts or --profiles")


def _run(fleet: "Fleet", dask: str | None, store: "Store") -> None:
    """Read; a polite request to end (SIGTERM) is taken as Ctrl-C, so that what was read is kept."""
    import asyncio

    if dask is None:
        work = fleet.read()
    else:
        from birthright.fleet.dask_engine import read_spread

        named = store.name if "://" in store.name else str(Path(store.name).absolute())
        work = read_spread(fleet, dask, named)
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


def saved_orders(info: "ScanInfo", options: dict[str, Any]) -> "ManyAccounts":
    """Return what a scan was told; only who asks, and how fast, may be said anew. Raises UsageError."""
    import msgspec

    from birthright.scans.request import ManyAccounts

    try:
        orders = msgspec.convert(info.extra.get("fleet"), ManyAccounts)
    except msgspec.ValidationError as error:
        raise UsageError(f"scan {info.id} cannot be gone on with: {error}", "scan again") from error
    return msgspec.structs.replace(
        orders,
        profile=options["profile"] or orders.profile,
        region=options["region"] or orders.region,
        limits=_limits(options["max_calls"] or orders.limits.calls),
    )


def _limits(calls: int) -> "ConcurrencyLimits":
    """Say how much goes on at a time: at depth report an account has one call in flight."""
    from birthright.scans.request import ConcurrencyLimits

    return ConcurrencyLimits(calls=calls, working=max(calls, ConcurrencyLimits().working))


@contextmanager
def _keeping(store: "Store", writer: "ScanWriter", options: dict[str, Any]) -> "Iterator[None]":
    """Say, if the scan ends early, how to go on; a scan that was begun and read nothing is forgotten."""
    from birthright.scans.record import scan_folder

    try:
        yield
    except BaseException:
        with suppress(BirthrightError):
            kept = len(writer.read_so_far())
            if kept or options["resume"]:
                command = shlex.join(["birthright", "scan", "--resume", writer.info.id, *_place(options)])
                click.echo(f"birthright: {kept} accounts are read and kept; go on with: {command}", err=True)
            else:
                store.remove(scan_folder(writer.info.id))
        raise


def _place(options: dict[str, Any]) -> list[str]:
    """Repeat the options without which the scan, or AWS, would not be found again."""
    names = ("store", "config", "profile", "region")
    return [word for name in names if options[name] for word in (f"--{name}", str(options[name]))]


def _orders(options: dict[str, Any], settings: "ScanSettings") -> "ManyAccounts":
    from birthright.cli.scan_one import options_of
    from birthright.scans.request import ConcurrencyLimits, ManyAccounts

    return ManyAccounts(
        wanted=_wanted(options, settings),
        role=_role(options, settings),
        through_role=bool(_said(options, settings, "role_everywhere")),
        options=options_of(options, settings),
        limits=_limits(_said(options, settings, "max_calls") or ConcurrencyLimits().calls),
        region=_said(options, settings, "region"),
        profile=_said(options, settings, "profile"),
    )


def _said(options: dict[str, Any], settings: "ScanSettings", name: str) -> Any:  # noqa: ANN401 - any option
    """Return what the command line says, or else the settings; False is said, nothing is not."""
    value = options[name]
    return getattr(settings, name) if value is None or value == () else value


def _wanted(options: dict[str, Any], settings: "ScanSettings") -> "AccountSelection":
    """Say which accounts are read. What the command line says of them replaces what the settings say."""
    from birthright.fleet.accounts_file import load_accounts
    from birthright.scans.request import AccountSelection

    own = [name for name in ("org", "ou", "accounts", "profiles") if options[name]]
    file = options["accounts"] if own else settings.accounts
    profiles = _names(options["profiles"]) if own else settings.profiles
    units = options["ou"] if own else settings.ou
    org = bool(units or (options["org"] if own else settings.org))
    if org + bool(file) + bool(profiles) > 1:
        raise UsageError("--org, --accounts and --profiles do not go together", "choose one of them")
    # The settings' filters are of the settings' accounts, or of the organization.
    filtered = not own or bool(options["org"] or options["ou"])
    roles = {a.account.account_id: a.role for a in load_accounts(Path(file)) if a.role} if file else {}
    return AccountSelection(
        org=not file and not profiles,
        units=units,
        file=str(Path(file).resolve()) if file else None,
        roles=roles,
        profiles=profiles,
        include=options["include"] or (settings.include if filtered else ()),
        exclude=options["exclude"] or (settings.exclude if filtered else ()),
    )


def _names(text: str | None) -> tuple[str, ...]:
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if text is not None and (not names or len(set(names)) < len(names)):
        raise UsageError(f"--profiles {text!r} names none, or one twice", "--profiles work,private")
    return names


def _role(options: dict[str, Any], settings: "ScanSettings") -> "Role":
    from birthright.aws.identifiers import is_role_name
    from birthright.aws.role import Role
    from birthright.times import parse_duration

    name = _said(options, settings, "role") or Role().name
    if not is_role_name(name):
        raise UsageError(
            f"--role {name[:80]!r} is no role's name", "birthright, or with a path: audit/birthright"
        )
    session = _said(options, settings, "session_name") or Role().session_name
    if not _SESSION_NAME.fullmatch(session):
        raise UsageError(f"--session-name {session[:80]!r}: 2 to 64 letters, digits and +=,.@-_")
    duration = parse_duration(_said(options, settings, "role_duration") or "1h")
    if not _SHORTEST <= duration <= _LONGEST:
        raise UsageError("--role-duration is not between 15m and 12h")
    return Role(name, _said(options, settings, "external_id"), session, duration)
