"""`birthright status`: where the retirements stand."""

import sys
from typing import TYPE_CHECKING

import click

from birthright.cli.options import grouped, workspace_options

if TYPE_CHECKING:
    from birthright.operations.requests import RetirementQuery
    from birthright.operations.workspace import Workspace


@click.command("status")
@grouped(
    "query",
    "RetirementQuery",
    click.argument("key", required=False, default="", metavar="[KEY]"),
    click.option("--account", default="", metavar="ID", help="Only this account's."),
    click.option("--user", default="", metavar="NAME", help="Only this user's."),
    click.option("--ticket", default="", metavar="ID", help="Only those of this ticket."),
    click.option("--open", "open_only", is_flag=True, help="Only those that have not ended."),
)
@click.option("--format", "form", type=click.Choice(["terminal", "json"]), default="terminal")
@workspace_options(journal=True)
def command(*, query: "RetirementQuery", form: str, workspace: "Workspace") -> int:
    """Show where retirements stand: what waits, until when, and what a person has to look at.

    It reads the journal only. 'birthright apply' says by its exit code when a person has to look.
    """
    from birthright.operations.retire import find_retirements
    from birthright.retirement.show import status_json, status_terminal
    from birthright.times import now

    show = status_json if form == "json" else status_terminal
    show.render(find_retirements(workspace, query), now(), sys.stdout)
    return 0
