"""`birthright scan`: read an account, or many, or files of one, and say the truth about every key."""

import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from birthright.cli.options import PATH, grouped, outcome_options, policy_options, workspace_options
from birthright.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from birthright.operations.requests import (
        OutcomeChoice,
        PolicyChoice,
        ScanChoice,
        WaiverChoice,
    )
    from birthright.operations.scan import Watch
    from birthright.operations.workspace import Workspace


def _instant(_: click.Context, parameter: click.Parameter, text: str | None) -> "datetime | None":
    """Read an instant. Raises UsageError."""
    from birthright.times import parse_instant

    try:
        return parse_instant(text) if text else None
    except (ValueError, OverflowError) as error:
        hint = "write it like 2026-11-22T10:00:00Z"
        raise UsageError(f"{parameter.opts[0]}: {str(text)[:40]!r} is not a time", hint) from error


scan_options = grouped(
    "choice",
    "ScanChoice",
    click.option("--profile", metavar="NAME", help="The AWS profile to use."),
    click.option("--region", metavar="REGION", help="The AWS region; it decides the partition."),
    click.option("--depth", type=click.Choice(["report", "keys"]),
                 help="report: two calls, no key ids. keys: exact and current (default)."),
    click.option("--report-deadline", metavar="DURATION",
                 help="How long AWS may take to make the credential report, like 90s or 5m (default: 5m)."),
    click.option("--max-in-flight", type=click.IntRange(1, 1000),
                 help="The most calls at a time (default: 50)."),
    click.option("--all-users", is_flag=True, default=None,
                 help="List the keys also of users that had none when the report was made."),
    click.option("--raw", is_flag=True,
                 help="Keep the credential report itself, for 'birthright evidence --raw'."),
    click.option("--credential-report", type=PATH, metavar="FILE",
                 help="Read this instead of AWS: what 'aws iam get-credential-report' gave."),
    click.option("--access-keys", type=PATH, multiple=True, metavar="FILE",
                 help="Read this instead of AWS: what 'aws iam list-access-keys' gave (repeatable)."),
    click.option("--users", type=PATH, metavar="FILE",
                 help="Read this instead of AWS: what 'aws iam list-users' gave."),
    click.option("--report-time", metavar="TIME", callback=_instant,
                 help="With files: when the report was made, if it does not say it (ISO 8601, UTC)."),
    click.option("--account-id", metavar="ID",
                 help="With files: the account, if its number was removed from them."),
    click.option("--from", "saved", metavar="SCAN_ID",
                 help="Judge a saved scan again ('latest' for the last one)."),
    click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
    click.option("--dask", metavar="local[:N]|tcp://HOST:PORT",
                 help="Share the work among processes, or the workers of a Dask scheduler."),
    click.option("--max-calls", type=click.IntRange(1, 5000), metavar="N",
                 help="The most calls at a time in all accounts together (default: 256);"
                      " with workers of a Dask scheduler: of each worker."),
    click.option("--role-everywhere", is_flag=True, default=None,
                 help="Take the role on in the caller's own account, too."),
    click.option("--role-duration", metavar="DURATION",
                 help="How long a role is taken on for (default: 1h)."),
    click.option("--session-name", metavar="NAME",
                 help="What CloudTrail shows of us (default: birthright)."),
    click.option("--external-id", metavar="ID", help="The external id that the role asks for."),
    click.option("--role", metavar="NAME",
                 help="The role to take on in each account (default: birthright)."),
    click.option("--profiles", metavar="A,B,...", help="Read the accounts of these local profiles."),
    click.option("--accounts", metavar="FILE",
                 help="Read the accounts in this CSV or JSON (id, name, role)."),
    click.option("--exclude", multiple=True, metavar="ID|NAME|tag:KEY=VALUE",
                 help="Do not read these accounts (repeatable)."),
    click.option("--include", multiple=True, metavar="ID|NAME|tag:KEY=VALUE",
                 help="Read these accounts only; * stands for anything in a name (repeatable)."),
    click.option("--ou", multiple=True, metavar="ID",
                 help="Read the accounts of this OU and those below it (repeatable; means --org)."),
    click.option("--org/--no-org", default=None, help="Read every account of the AWS Organization."),
    click.option("--resume", metavar="SCAN_ID",
                 help="Go on with a scan that was cut short ('latest' for the last one)."),
)  # fmt: skip


@click.command("scan")
@scan_options
@policy_options
@outcome_options
@workspace_options()
@click.option("-v", "--verbose", count=True, help="Say on stderr what is asked (-v) and answered (-vv).")
def command(  # noqa: PLR0913 - one for each group of options
    *,
    choice: "ScanChoice",
    saved: str | None,
    quiet: bool,
    policies: "PolicyChoice",
    outcome: "OutcomeChoice",
    waivers: "WaiverChoice",
    workspace: "Workspace",
    verbose: int,
) -> int:
    """Read AWS accounts and judge their access keys.

    Without options it reads the account of your AWS environment; --org reads a whole organization, through
    a role in each account. It changes nothing in AWS.

    Exit code 1 says that something fails; 3 that nothing does, but not everything could be read.
    """
    from birthright.cli.output import print_report, tell
    from birthright.operations.assess import assess
    from birthright.operations.choosing import check_choice
    from birthright.operations.deliver import deliver, requests_of
    from birthright.operations.judging import load_scan
    from birthright.operations.scan import request_of, scan

    check_choice(choice, saved)
    workspace.profile = choice.profile
    assessing, delivery = requests_of(outcome, waivers, workspace, live=not saved)
    _log(verbose)
    alone = not (outcome.files or verbose or quiet)
    if saved:
        found = load_scan(workspace, saved, policies, assessing)
    else:
        watch = _watch(quiet=quiet, alone=alone)
        found = scan(workspace, request_of(workspace, choice, policies), assessing, watch)
    code = deliver(assess(found, assessing), delivery, workspace, print_report)
    if code in {1, 3} and outcome.form in {None, "terminal"}:
        tell("'birthright explain USER' (or a key's id) shows what a verdict rests on and what to do.")
    return code


def _watch(*, quiet: bool, alone: bool) -> "Watch":
    """Show progress on stderr: of one account only to a person who waits for nothing else."""
    from birthright.cli.progress import of_account, of_scan, shown

    waits = alone and sys.stderr.isatty() and sys.stdout.isatty()
    one = partial(shown, of_account, quiet=quiet or not waits)
    return lambda counts: shown(of_scan(counts), quiet=quiet) if counts else one()


def _log(verbose: int) -> None:
    if verbose:
        import logging

        level = logging.DEBUG if verbose > 1 else logging.INFO
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger = logging.getLogger("birthright")
        logger.handlers[:] = [handler]
        logger.setLevel(level)
