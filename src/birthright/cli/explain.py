"""`birthright explain`: everything behind one finding, key or user."""

from typing import TYPE_CHECKING

import click

from birthright.cli.options import from_option, waiver_options, workspace_options

if TYPE_CHECKING:
    from birthright.operations.requests import WaiverChoice
    from birthright.operations.workspace import Workspace


@click.command("explain")
@click.argument("subject", metavar="FINGERPRINT|KEYID|USER")
@click.option("--account", metavar="ID", help="Look in this account only.")
@from_option
@waiver_options
@workspace_options()
def command(
    *, subject: str, account: str | None, saved: str, waivers: "WaiverChoice", workspace: "Workspace"
) -> int:
    """Show what a finding rests on, and what to do.

    It says what was seen, when and by which source, what to do about it, and the rules behind it.
    Six characters of a fingerprint are enough; 'root' is the account's root user.
    """
    import sys

    from birthright.operations.assess import assess, waivers_of
    from birthright.operations.judging import load_scan
    from birthright.operations.requests import AssessRequest
    from birthright.reports.explanation import SubjectQuery, explain

    accepted = waivers_of(waivers, workspace.settings.scan)
    report = assess(load_scan(workspace, saved), AssessRequest(accepted or (), passes=True))
    document = report.document
    explain(document, report.pages, SubjectQuery(subject, account), sys.stdout)
    workspace.warn_incomplete(document.scan, complete=document.complete)
    return 0
