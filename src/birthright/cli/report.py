"""`birthright report`: a saved scan, or a file of findings, in any form, and to Security Hub."""

from typing import TYPE_CHECKING

import click

from birthright.cli.options import outcome_options, policy_options, source_option, warn, workspace_options
from birthright.errors import ReadError

if TYPE_CHECKING:
    from birthright.operations.requests import OutcomeChoice, PolicyChoice, WaiverChoice
    from birthright.operations.workspace import Workspace
    from birthright.reports.interface import Report

# What weighs more: nothing, something that was not read or not taken, a failure.
_PUSHED = (0, 3, 1)


@click.command("report")
@source_option
@outcome_options
@click.option(
    "--push",
    type=click.Choice(["security-hub"]),
    help="Import the findings into AWS Security Hub, and archive there what is fixed.",
)
@click.option("--profile", metavar="NAME", help="The AWS profile to push with.")
@click.option("--region", metavar="REGION", help="The region whose Security Hub it is.")
@policy_options
@workspace_options()
def command(  # noqa: PLR0913 - one for each group of options
    *,
    source: str,
    outcome: "OutcomeChoice",
    waivers: "WaiverChoice",
    push: str | None,
    profile: str | None,
    region: str | None,
    policies: "PolicyChoice",
    workspace: "Workspace",
) -> int:
    """Show a saved scan in any form: for people, programs, dashboards and build servers.

    It asks AWS nothing; only --push writes, and to Security Hub only.

    \b
    birthright report -o report.html                   to read and to print
    birthright report -o findings.sarif --since last   what is new, as SARIF
    birthright report --from findings.json --format markdown

    The exit codes are those of 'birthright scan'.
    """  # noqa: D301 - click wants the control character itself
    import msgspec

    from birthright.cli.output import print_report
    from birthright.operations.deliver import deliver, requests_of
    from birthright.operations.report import report_of

    workspace.profile = profile
    assessing, delivery = requests_of(outcome, waivers, workspace, live=False)
    if push:
        assessing = msgspec.structs.replace(assessing, evidence=True)
    report = report_of(workspace, source, policies, assessing, since_said=bool(outcome.since))
    code = deliver(report, delivery, workspace, print_report)
    return max(code, _push(report, profile, region), key=_PUSHED.index) if push else code


def _push(report: "Report", profile: str | None, region: str | None) -> int:
    """Push; what became of it is told on stderr, beside a report on stdout. Return 3 if not all was taken."""
    from birthright.operations.report import push
    from birthright.text import printable

    try:
        pushed = push(report, profile, region)
    except ReadError as error:
        # The report is out by now, and its failures must not look like something that was not read.
        warn(printable(str(error)))
        return 3
    click.echo(pushed.words, err=True)
    return 3 if pushed.failed else 0
