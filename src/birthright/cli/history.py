"""`birthright history`: how many findings there were, scan by scan."""

import sys
from typing import TYPE_CHECKING

import click

from birthright.cli.options import policy_options, workspace_options

if TYPE_CHECKING:
    from birthright.operations.requests import PolicyChoice
    from birthright.operations.workspace import Workspace


@click.command("history")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=30,
    show_default=True,
    help="How many scans to look at, the newest.",
)
@click.option("--account", metavar="ID", help="Only this account's.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json", "csv"]),
    default="terminal",
    show_default=True,
    help="How to print it.",
)
@policy_options
@workspace_options()
def command(
    *, limit: int, account: str | None, form: str, policies: "PolicyChoice", workspace: "Workspace"
) -> int:
    """Show how many findings there were, scan by scan, what was new and what was fixed.

    All scans are judged by today's policies and parameters, whatever they were judged by when they were
    made. Scans of the same accounts stand together.
    """
    from birthright.operations.history import history
    from birthright.reports import trend

    render = {"terminal": trend.render_terminal, "json": trend.render_json, "csv": trend.render_csv}[form]
    render(history(workspace, policies, limit, account), sys.stdout)
    return 0
