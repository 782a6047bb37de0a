"""`birthright scan`: read an account, or files of one, and say the truth about every key."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birthright.cli.common import config_option, policy_options, store_option
from birthright.cli.outcome import outcome_options
from birthright.cli.scan_many import HOW, WHICH, many_options
from birthright.cli.scan_one import is_offline
from birthright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from birthright.cli.outcome import Wishes
    from birthright.reports.interface import Report
    from birthright.scans.record import ScanInfo
    from birthright.scans.request import Judging
    from birthright.scans.store import Store
    from birthright.settings import ScanSettings, Settings

_PATH = click.Path(path_type=Path)


def _instant(_: click.Context, parameter: click.Parameter, text: str | None) -> "datetime | None":
    """Read an instant. Raises UsageError."""
    from birthright.times import parse_instant

    try:
        return parse_instant(text) if text else None
    except (ValueError, OverflowError) as error:
        hint = "write it like 2026-11-22T10:00:00Z"
        raise UsageError(f"{parameter.opts[0]}: {str(text)[:40]!r} is not a time", hint) from error


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
    "--raw", is_flag=True, help="Keep the credential report itself, for 'birthright evidence --raw'."
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
    help="Read this instead of AWS: what 'aws iam list-access-keys' gave (repeatable).",
)
@click.option(
    "--users", type=_PATH, metavar="FILE", help="Read this instead of AWS: what 'aws iam list-users' gave."
)
@click.option(
    "--report-time",
    metavar="TIME",
    callback=_instant,
    help="With files: when the report was made, if it does not say it (ISO 8601, UTC).",
)
@click.option(
    "--account-id", metavar="ID", help="With files: the account, if its number was removed from them."
)
@click.option(
    "--from", "saved", metavar="SCAN_ID", help="Judge a saved scan again ('latest' for the last one)."
)
@many_options
@policy_options
@outcome_options
@store_option
@config_option
@click.option("-v", "--verbose", count=True, help="Say on stderr what is asked (-v) and answered (-vv).")
def command(**options: Any) -> int:  # noqa: ANN401 - click hands over what it parsed
    """Read AWS accounts and judge their access keys.

    Without options it reads the account of your AWS environment; --org reads a whole organization, through
    a role in each account. It changes nothing in AWS.

    Exit code 1 says that something fails; 3 that nothing does, but not everything could be read.
    """
    from birthright.cli.output import tell

    code = run_scan(options)
    if code in {1, 3} and options["form"] in {None, "terminal"}:
        tell("'birthright explain USER' (or a key's id) shows what a verdict rests on and what to do.")
    return code


def run_scan(options: dict[str, Any]) -> int:
    """Scan as the command's options say; return the exit code."""
    from birthright.cli.outcome import conclude, wishes_of
    from birthright.settings import load_settings

    _check_choices(options)
    settings = load_settings(options["config"])
    wishes = wishes_of(options, settings.scan, live=not options["saved"])
    _log(options["verbose"])
    return conclude(_report(options, settings, wishes), wishes)


def _check_choices(options: dict[str, Any]) -> None:
    """Refuse options of which one would silently win. Raises UsageError."""
    live = ("depth", "report_deadline", "max_in_flight", "all_users")
    files = ("credential_report", "access_keys", "users")
    about_files = ("report_time", "account_id")
    many = (*WHICH, *HOW, "max_calls", "dask", "resume")
    _exclude(options, "saved", ("raw", *files, *about_files, *live, "profile", "region", *many))
    for name in files:
        _exclude(options, name, (*live, "profile", "region", *many))
    alone = next((name for name in about_files if options[name] and not is_offline(options)), None)
    if alone:
        hint = "name them with --credential-report, --users or --access-keys"
        raise UsageError(f"--{alone.replace('_', '-')} goes with files", hint)
    _exclude(options, "resume", ("raw", *live, *WHICH, *HOW))


def _exclude(options: dict[str, Any], one: str, others: "Iterable[str]") -> None:
    clash = next((name for name in others if options[one] and options[name]), None)
    if clash:
        first = {"saved": "from"}.get(one, one).replace("_", "-")
        raise UsageError(f"--{first} and --{clash.replace('_', '-')} exclude each other")


def _report(options: dict[str, Any], settings: "Settings", wishes: "Wishes") -> "Report":
    from birthright.cli.common import open_store, pages_of
    from birthright.cli.outcome import check_since, check_waivers, report_of
    from birthright.history.earlier import SavedScan

    store = open_store(options["store"], settings, options["profile"])
    # What is wrong with any of these is told before AWS is asked.
    options, selection = _selected(options, settings, store)
    pages = pages_of(selection)
    check_waivers(wishes, pages)
    check_since(store, wishes.since)
    info = _info(options, settings.scan, selection, store)
    return report_of(SavedScan(store, info, pages, selection), wishes, passes=options["passes"])


def _selected(
    options: dict[str, Any], settings: "Settings", store: "Store"
) -> "tuple[dict[str, Any], Judging]":
    """Say which policies judge; a saved scan is judged as it was, unless --config says else."""
    from birthright.cli.common import adjusted, saved_selection, select
    from birthright.scans.record import find_unfinished, load_info

    selection = select(options["policy"], options["policies"], options["settings"], settings)
    if options["resume"]:
        options = {**options, "resume": find_unfinished(store, options["resume"])}
    old = options["saved"] or options["resume"]
    if old and not options["config"]:
        selection = adjusted(saved_selection(load_info(store, old)), options)
    return options, selection


def _info(
    options: dict[str, Any], settings: "ScanSettings", selection: "Judging", store: "Store"
) -> "ScanInfo":
    from birthright.scans.record import load_info

    if options["saved"]:
        return load_info(store, options["saved"])
    return _read_and_save(options, settings, selection, store)


def _read_and_save(
    options: dict[str, Any], settings: "ScanSettings", selection: "Judging", store: "Store"
) -> "ScanInfo":
    """Read what was asked for and keep the facts; judging reads those, so that it can be done again."""
    import msgspec

    from birthright.cli.common import new_info
    from birthright.cli.scan_many import check_one, is_many, read_many
    from birthright.cli.scan_one import depth_of, read_one
    from birthright.scans.writer import save_scan
    from birthright.times import now

    if is_many(options, settings):
        return read_many(options, settings, selection, store)
    check_one(options)
    facts, as_of, earliest = read_one(options, settings, now())
    info = new_info(selection, depth_of(options, settings), as_of)
    return save_scan(store, msgspec.structs.replace(info, as_of_earliest=earliest), [facts])


def _log(verbose: int) -> None:
    if verbose:
        import logging

        level = logging.DEBUG if verbose > 1 else logging.INFO
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger = logging.getLogger("birthright")
        logger.handlers[:] = [handler]
        logger.setLevel(level)
