"""`birthright apply`: do what a plan says, and go on with what was begun."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from birthright.cli.options import PATH, aws_options, grouped, workspace_options
from birthright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birthright.operations.requests import ApplyRequest, CallerChoice
    from birthright.operations.retire import Confirm, Retiring
    from birthright.operations.workspace import Workspace
    from birthright.retirement.engine.state_machine import Result
    from birthright.retirement.model import Retirement
    from birthright.retirement.planning.plan import Plan

_PERSON, _TROUBLE, _INTERRUPTED = 1, 3, 130


@click.command("apply")
@click.argument("file", metavar="[PLAN]", required=False, type=PATH)
@click.option("--due", is_flag=True, help="Go on with every retirement whose wait is over.")
@grouped(
    "request",
    "ApplyRequest",
    click.option("--ticket", default="", metavar="ID", help="The change's ticket, for the journal."),
    click.option("--reason", default="", metavar="TEXT", help="Why, in a sentence, for the journal."),
    click.option("--handover", metavar="SPEC",
                 help="The program or file of this machine that the plan hands secrets to."),
    click.option("--again", is_flag=True,
                 help="Also keys that somebody wanted back from an earlier plan."),
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask. Needed where nobody can answer.")
@aws_options
@workspace_options(journal=True)
def command(
    *,
    file: Path | None,
    due: bool,
    request: "ApplyRequest",
    yes: bool,
    caller: "CallerChoice",
    workspace: "Workspace",
) -> int:
    """Do what a plan says, key by key, or go on with what was begun.

    Every key is read again right before it is changed, and left alone if anything moved. Every step is in
    the journal before and after it happens; a run that is cut off is continued by --due.

    Exit code 1: a person has to look at a key. 3: something could not be done now and is tried again.
    """
    from birthright.operations.retire import open_retiring
    from birthright.retirement.planning.plan_file import load_plan

    if (file is None) != due:
        raise UsageError("name a plan, or say --due", "make a plan with 'birthright plan -o plan.json'")
    with open_retiring(workspace, caller) as retiring:
        retirements: Sequence[Retirement] | None
        if file:
            retirements = retiring.begin(load_plan(file), request, _confirming(yes=yes))
        else:
            retirements = retiring.due()
        return 0 if retirements is None else _go(retiring, retirements)


def _go(retiring: "Retiring", retirements: "Sequence[Retirement]") -> int:
    """Advance them, say how far each came, and grade the run."""
    from birthright.cli.advancing import interruptible
    from birthright.cli.progress import of_keys, shown

    results: list[Result] = []
    with interruptible(retiring.stop), shown(of_keys(results, len(retirements))):
        results.extend(retiring.advance(retirements))
    _tell(retiring, results)
    left = len(retirements) - len(results)
    if retiring.stop.is_set():
        click.echo(f"interrupted; {left} not looked at: 'birthright apply --due' continues", err=True)
        return _INTERRUPTED
    if any(result.retirement.state in {"stopped", "reclaimed"} for result in results):
        return _PERSON
    return _TROUBLE if any(result.trouble for result in results) else 0


def _confirming(*, yes: bool) -> "Confirm":
    """Show the plan and ask, unless --yes answers."""

    def agreed(plan: "Plan") -> bool:
        from birthright.retirement.show.plan_terminal import render

        keys = sum(item.action != "refuse" for item in plan.items)
        if not keys:
            click.echo("The plan changes nothing.")
            return False
        if yes:
            return True
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("nobody can be asked here", "read the plan, then apply it with --yes")
        render(plan, sys.stdout)
        return click.confirm(f"Change {keys} {'key' if keys == 1 else 'keys'} in AWS?", default=False)

    return agreed


def _tell(retiring: "Retiring", results: "Sequence[Result]") -> None:
    """Print where the keys stand, and what went wrong."""
    from birthright.retirement.show.status_terminal import render
    from birthright.text import printable

    if not results:
        click.echo("Nothing is due.")
        return
    render([result.retirement for result in results], retiring.tools.now(), sys.stdout)
    if retiring.stop.is_set():
        # What was cut short has no trouble but that.
        return
    for result in results:
        r = result.retirement
        if result.waits and result.waits != r.note:
            click.echo(printable(f"{r.user_name}, {r.access_key_id}: {result.waits}"), err=True)
