"""`birthright scan`: read an account, or files of one, and say the truth about every key."""

import itertools
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birthright.cli.common import config_option, policy_options, store_option
from birthright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from birthright.facts.model import AccountFacts
    from birthright.facts.snapshot import ScanInfo
    from birthright.facts.store import Store
    from birthright.findings.build import Selection
    from birthright.findings.model import Document
    from birthright.settings import ScanSettings

_PATH = click.Path(path_type=Path)


@click.command("scan")
@click.option("--profile", metavar="NAME", help="The AWS profile to use.")
@click.option("--region", metavar="REGION", help="The AWS region; it decides the partition.")
@click.option(
    "--depth",
    type=click.Choice(["report", "keys"]),
    help="report: two calls, no key ids. keys: exact and current (default).",
)
@click.option(
    "--report-deadline",
    metavar="DURATION",
    help="How long AWS may take to make the credential report, like 90s or 5m (default: 5m).",
)
@click.option("--max-in-flight", type=click.IntRange(1, 1000), help="The most calls at a time (default: 50).")
@click.option(
    "--all-users",
    is_flag=True,
    default=None,
    help="List the keys also of users that had none when the report was made.",
)
@click.option(
    "--credential-report",
    type=_PATH,
    metavar="FILE",
    help="Read this instead of AWS: what 'aws iam get-credential-report' gave.",
)
@click.option(
    "--access-keys",
    type=_PATH,
    multiple=True,
    metavar="FILE",
    help="With --credential-report: what 'aws iam list-access-keys' gave (repeatable).",
)
@click.option(
    "--users", type=_PATH, metavar="FILE", help="With --credential-report: what 'aws iam list-users' gave."
)
@click.option(
    "--from", "saved", metavar="SCAN_ID", help="Judge a saved scan again ('latest' for the last one)."
)
@policy_options
@click.option("--all", "passes", is_flag=True, help="Give what passes, too (json, jsonl, csv).")
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json", "jsonl", "csv"]),
    help="What to print (default: terminal), or to write with -o.",
)
@click.option(
    "-o",
    "--output",
    type=_PATH,
    multiple=True,
    metavar="FILE",
    help="Write a file, whole or not at all; its ending (.json, .jsonl, .csv, .txt) says the format"
    " unless --format does (repeatable).",
)
@store_option
@config_option
@click.option("-v", "--verbose", count=True, help="Say on stderr what is asked (-v) and answered (-vv).")
def command(**options: Any) -> int:  # noqa: ANN401 - click hands over what it parsed
    """Read one AWS account and judge its access keys.

    Without options it reads the account of your AWS environment. It changes nothing in AWS.

    Exit code 1 says that something fails; 3 that nothing does, but not everything could be read.
    """
    from birthright.cli.output import tell

    code = run_scan(options)
    if code in {1, 3} and options["form"] in {None, "terminal"}:
        tell("'birthright explain USER' (or a key's id) shows what a verdict rests on and what to do.")
    return code


def run_scan(options: dict[str, Any]) -> int:
    """Scan as the command's options say; return the exit code."""
    from birthright.cli.output import check_outputs, deliver
    from birthright.findings.build import exit_code

    _check_choices(options)
    check_outputs(options["output"], options["form"])
    _log(options["verbose"])
    document = _document(options)
    deliver(document, options["output"], options["form"])
    return exit_code(document)


def _check_choices(options: dict[str, Any]) -> None:
    """Refuse options of which one would silently win. Raises UsageError."""
    live = ("profile", "region", "depth", "report_deadline", "max_in_flight", "all_users")
    files = ("credential_report", "access_keys", "users")
    if not options["credential_report"] and (options["access_keys"] or options["users"]):
        raise UsageError("--access-keys and --users go with --credential-report")
    for one, others in (("saved", (*files, *live)), ("credential_report", live)):
        clash = next((name for name in others if options[one] and options[name]), None)
        if clash:
            first = "--from" if one == "saved" else "--credential-report"
            raise UsageError(f"{first} and --{clash.replace('_', '-')} exclude each other")


def _document(options: dict[str, Any]) -> "Document":
    from birthright.cli.common import adjusted, judge, open_store, pages_of, saved_selection, select
    from birthright.cli.output import shows_evidence
    from birthright.facts.snapshot import load_info, scan_dir
    from birthright.settings import load_settings

    settings = load_settings(options["config"])
    store = open_store(options["store"], settings, options["profile"])
    selection = select(options["policy"], options["policies"], options["settings"], settings)
    if options["saved"]:
        info = load_info(store, options["saved"])
        if not options["config"]:
            selection = adjusted(saved_selection(info), options)
    # A wrong policy or parameter is told before AWS is asked.
    pages = pages_of(selection)
    if not options["saved"]:
        info = _read_and_save(options, settings.scan, selection, store)
    return judge(
        scan_dir(store, info.id),
        info,
        pages,
        selection,
        passes=options["passes"],
        evidence=shows_evidence(options["output"], options["form"]),
    )


def _read_and_save(
    options: dict[str, Any], settings: "ScanSettings", selection: "Selection", store: "Store"
) -> "ScanInfo":
    """Read the account and keep its facts; judging reads what was kept, so that it can be done again."""
    import msgspec

    from birthright import __version__
    from birthright.facts.parts import save_scan
    from birthright.facts.snapshot import ScanInfo, new_scan_id
    from birthright.times import now

    present = now()
    facts, as_of = _facts(options, settings, present)
    info = ScanInfo(
        id=new_scan_id(present),
        as_of=as_of,
        tool_version=__version__,
        depth=_depth(options, settings),
        complete=all(row.status in {"ok", "skipped"} for row in facts.coverage),
        extra={"selection": msgspec.to_builtins(selection)},
    )
    return save_scan(store, info, [facts])


def _facts(
    options: dict[str, Any], settings: "ScanSettings", present: "datetime"
) -> "tuple[AccountFacts, datetime]":
    """Read the account; return its facts and the instant they are of."""
    if options["credential_report"]:
        from birthright.sources.files import collect_files, instant_of

        facts = collect_files(options["credential_report"], options["access_keys"], options["users"])
        return facts, instant_of(facts, present)
    return _live_facts(options, settings, present), present


def _live_facts(options: dict[str, Any], settings: "ScanSettings", as_of: "datetime") -> "AccountFacts":
    import asyncio

    from birthright.sources.aws.account import Options, collect_account
    from birthright.sources.aws.session import AwsSession

    how = Options(
        depth="report" if _depth(options, settings) == "report" else "keys",
        report_deadline=_deadline(options["report_deadline"] or settings.report_deadline or "5m"),
        max_in_flight=options["max_in_flight"] or settings.max_in_flight or 50,
        all_users=bool(options["all_users"] if options["all_users"] is not None else settings.all_users),
    )
    session = AwsSession(options["profile"] or settings.profile, options["region"] or settings.region)
    collected: list[AccountFacts] = []

    async def collect() -> None:
        with _progress(shown=_is_watched(options)):
            collected.append(await collect_account(session, how, as_of))

    # Not the task's result: as asyncio.run ends, Python 3.11 prints that into a message nobody sees.
    asyncio.run(collect())
    return collected[0]


def _deadline(text: str) -> "timedelta":
    from birthright.times import parse_duration

    try:
        return parse_duration(text)
    except UsageError as error:
        raise UsageError(f"--report-deadline: {error.message}", error.hint) from error


def _is_watched(options: dict[str, Any]) -> bool:
    """Whether a person waits at a terminal for the report, with nothing else written to it meanwhile."""
    return sys.stderr.isatty() and sys.stdout.isatty() and not (options["output"] or options["verbose"])


@contextmanager
def _progress(*, shown: bool) -> "Iterator[None]":
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


def _depth(options: dict[str, Any], settings: "ScanSettings") -> str:
    if options["credential_report"]:
        return "keys" if options["access_keys"] else "report"
    return str(options["depth"] or settings.depth or "keys")


def _log(verbose: int) -> None:
    if verbose:
        import logging

        level = logging.DEBUG if verbose > 1 else logging.INFO
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger = logging.getLogger("birthright")
        logger.handlers[:] = [handler]
        logger.setLevel(level)
