"""`birthright scan`: read an account, or files of one, and say the truth about every key."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birthright.cli.common import config_option, policy_options, store_option
from birthright.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from birthright.facts.model import AccountFacts
    from birthright.facts.snapshot import ScanInfo
    from birthright.findings.build import Selection
    from birthright.findings.model import Document
    from birthright.settings import ScanSettings

_PATH = click.Path(path_type=Path)


@click.command("scan")
@click.option("--profile", help="The AWS profile to use.")
@click.option("--region", help="The AWS region; it decides the partition.")
@click.option(
    "--depth",
    type=click.Choice(["report", "keys"]),
    help="report: two calls, no key ids. keys: exact and current (default).",
)
@click.option("--report-deadline", metavar="DURATION", help="How long AWS may take to make the report (5m).")
@click.option("--max-in-flight", type=click.IntRange(1, 1000), help="The most calls at a time (50).")
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
@click.option("--all", "passes", is_flag=True, help="Show what passes, too.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json", "jsonl", "csv"]),
    help="What to print (terminal), or to write with -o.",
)
@click.option(
    "-o",
    "--output",
    type=_PATH,
    multiple=True,
    metavar="FILE",
    help="Write a file; its ending says the format unless --format does.",
)
@store_option
@config_option
@click.option("-v", "--verbose", count=True, help="Say on stderr what is asked (-v) and answered (-vv).")
def command(**options: Any) -> int:  # noqa: ANN401  click hands over what it parsed
    """Read one AWS account and judge its access keys.

    Without options it reads the account of your AWS environment. It changes nothing in AWS.
    """  # fmt: skip
    from birthright.cli.output import check_outputs, deliver
    from birthright.findings.build import exit_code

    check_outputs(options["output"], options["form"])
    _log(options["verbose"])
    document = _document(options)
    deliver(document, options["output"], options["form"])
    return exit_code(document)


def _document(options: dict[str, Any]) -> "Document":
    from birthright.cli.common import judge, pages_of, saved_selection, select, store_folder
    from birthright.cli.output import shows_evidence
    from birthright.facts.snapshot import load_info, scan_dir
    from birthright.settings import load_settings

    settings = load_settings(options["config"])
    store = store_folder(options["store"], settings)
    selection = select(options["policy"], options["policies"], options["settings"], settings)
    if options["saved"]:
        info = load_info(store, options["saved"])
        chosen = any(options[name] for name in ("policy", "policies", "settings", "config"))
        selection = selection if chosen else saved_selection(info)
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
    options: dict[str, Any], settings: "ScanSettings", selection: "Selection", store: Path
) -> "ScanInfo":
    """Read the account and keep its facts; judging reads what was kept, so that it can be done again."""
    import msgspec

    from birthright import __version__
    from birthright.facts.snapshot import ScanInfo, new_scan_id, save_scan
    from birthright.times import now

    as_of = now()
    facts = _facts(options, settings, as_of)
    info = ScanInfo(
        id=new_scan_id(as_of),
        as_of=as_of,
        tool_version=__version__,
        depth=_depth(options, settings),
        complete=all(row.status == "ok" for row in facts.coverage),
        extra={"selection": msgspec.to_builtins(selection)},
    )
    save_scan(store, info, [facts])
    return info


def _facts(options: dict[str, Any], settings: "ScanSettings", as_of: "datetime") -> "AccountFacts":
    if options["credential_report"]:
        from birthright.sources.files import collect_files

        return collect_files(options["credential_report"], options["access_keys"], options["users"], as_of)
    if options["access_keys"] or options["users"]:
        raise UsageError("--access-keys and --users go with --credential-report")
    return _live_facts(options, settings, as_of)


def _live_facts(options: dict[str, Any], settings: "ScanSettings", as_of: "datetime") -> "AccountFacts":
    import asyncio

    from birthright.sources.aws.account import Options, collect_account
    from birthright.sources.aws.session import AwsSession
    from birthright.times import parse_duration

    session = AwsSession(options["profile"] or settings.profile, options["region"] or settings.region)
    how = Options(
        depth="report" if _depth(options, settings) == "report" else "keys",
        report_deadline=parse_duration(options["report_deadline"] or settings.report_deadline or "5m"),
        max_in_flight=options["max_in_flight"] or settings.max_in_flight or 50,
        all_users=bool(options["all_users"] if options["all_users"] is not None else settings.all_users),
    )
    collected: list[AccountFacts] = []

    async def collect() -> None:
        collected.append(await collect_account(session, how, as_of))

    # Not the task's result: as asyncio.run ends, Python 3.11 prints that into a message nobody sees.
    asyncio.run(collect())
    return collected[0]


def _depth(options: dict[str, Any], settings: "ScanSettings") -> str:
    if options["credential_report"]:
        return "keys" if options["access_keys"] else "report"
    depth = options["depth"] or settings.depth or "keys"
    if depth not in {"report", "keys"}:
        raise UsageError(f"depth {depth!r} is neither report nor keys")
    return str(depth)


def _log(verbose: int) -> None:
    if verbose:
        import logging
        import sys

        level = logging.DEBUG if verbose > 1 else logging.INFO
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger = logging.getLogger("birthright")
        logger.handlers[:] = [handler]
        logger.setLevel(level)
