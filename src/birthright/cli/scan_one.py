"""`birthright scan` of one account: live, or from files somebody saved."""

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from birthright.errors import UsageError

if TYPE_CHECKING:
    from birthright.facts.model import AccountFacts
    from birthright.scans.request import ReadOptions
    from birthright.settings import ScanSettings


def is_offline(options: dict[str, Any]) -> bool:
    """Whether the account is read from files."""
    return bool(options["credential_report"] or options["access_keys"] or options["users"])


def read_one(
    options: dict[str, Any], settings: "ScanSettings", present: datetime
) -> tuple["AccountFacts", datetime, datetime | None]:
    """Read the account; return its facts, the instant they are of, and the earliest that it may be."""
    if is_offline(options):
        from birthright.scans.request import ReportFiles
        from birthright.sources.files import collect_files

        named = {name: options[name] for name in ReportFiles.__struct_fields__}
        return collect_files(ReportFiles(**named), present, raw=options["raw"])
    return _live_facts(options, settings, present), present, None


def _live_facts(options: dict[str, Any], settings: "ScanSettings", as_of: datetime) -> "AccountFacts":
    import asyncio

    from birthright.aws.session import AwsSession
    from birthright.sources.account import collect_account

    how = options_of(options, settings)
    session = AwsSession(options["profile"] or settings.profile, options["region"] or settings.region)
    collected: list[AccountFacts] = []

    async def collect() -> None:
        with _progress(shown=_is_watched(options)):
            collected.append(await collect_account(session, how, as_of))

    # Not the task's result: as asyncio.run ends, Python 3.11 prints that into a message nobody sees.
    asyncio.run(collect())
    return collected[0]


def options_of(options: dict[str, Any], settings: "ScanSettings") -> "ReadOptions":
    """Put together how an account is read."""
    from birthright.scans.request import ReadOptions

    return ReadOptions(
        depth="report" if depth_of(options, settings) == "report" else "keys",
        report_deadline=_deadline(options["report_deadline"] or settings.report_deadline or "5m"),
        max_in_flight=options["max_in_flight"] or settings.max_in_flight or 50,
        all_users=bool(options["all_users"] if options["all_users"] is not None else settings.all_users),
        raw=options["raw"],
    )


def _deadline(text: str) -> timedelta:
    from birthright.times import parse_duration

    try:
        return parse_duration(text)
    except UsageError as error:
        raise UsageError(f"--report-deadline: {error.message}", error.hint) from error


def _is_watched(options: dict[str, Any]) -> bool:
    """Whether a person waits at a terminal for the report, with nothing else written to it meanwhile."""
    return (
        sys.stderr.isatty()
        and sys.stdout.isatty()
        and not (options["output"] or options["verbose"] or options["quiet"])
    )


@contextmanager
def _progress(*, shown: bool) -> Iterator[None]:
    """Say on one line of stderr, from the first second on, that the account is being read."""
    import asyncio

    async def tell() -> None:
        for seconds in itertools.count(1):
            await asyncio.sleep(1)
            sys.stderr.write(f"\r\x1b[Kreading the account, {seconds} s")
            sys.stderr.flush()

    task = asyncio.create_task(tell()) if shown else None
    try:
        yield
    finally:
        if task:
            task.cancel()
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def depth_of(options: dict[str, Any], settings: "ScanSettings") -> str:
    """Say how deep the scan looks: `report` or `keys`."""
    if is_offline(options):
        return "keys" if options["access_keys"] else "report"
    return str(options["depth"] or settings.depth or "keys")
