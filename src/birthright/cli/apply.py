"""`birthright apply`: do what a plan says, and go on with what was begun."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birthright.cli.common import config_option, store_option
from birthright.cli.journal import journal_option
from birthright.cli.retiring import aws_options
from birthright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birthright.cli.retiring import Retiring
    from birthright.retirement.engine.state_machine import Result
    from birthright.retirement.model import Retirement
    from birthright.retirement.planning.plan import Plan

_PERSON, _TROUBLE, _INTERRUPTED = 1, 3, 130


@click.command("apply")
@click.argument("file", metavar="[PLAN]", required=False, type=click.Path(path_type=Path))
@click.option("--due", is_flag=True, help="Go on with every retirement whose wait is over.")
@click.option("--ticket", default="", metavar="ID", help="The change's ticket, for the journal.")
@click.option("--reason", default="", metavar="TEXT", help="Why, in a sentence, for the journal.")
@click.option(
    "--handover", metavar="SPEC", help="The program or file of this machine that the plan hands secrets to."
)
@click.option("--again", is_flag=True, help="Also keys that somebody wanted back from an earlier plan.")
@click.option("--yes", is_flag=True, help="Do not ask. Needed where nobody can answer.")
@aws_options
@journal_option
@store_option
@config_option
def command(**options: Any) -> int:  # noqa: ANN401 - click hands over what it parsed
    """Do what a plan says, key by key, or go on with what was begun.

    Every key is read again right before it is changed, and left alone if anything moved. Every step is in
    the journal before and after it happens; a run that is cut off is continued by --due.

    Exit code 1: a person has to look at a key. 3: something could not be done now and is tried again.
    """
    from birthright.cli.retiring import open_retiring

    if bool(options["file"]) == options["due"]:
        raise UsageError("name a plan, or say --due", "make a plan with 'birthright plan -o plan.json'")
    with open_retiring(options) as retiring:
        retirements = _due(retiring) if options["due"] else _begun(options, retiring)
        if retirements is None:
            return 0
        return _go(retiring, retirements)


def _go(retiring: "Retiring", retirements: "Sequence[Retirement]") -> int:
    """Advance them, say how far each came, and grade the run."""
    from birthright.retirement.engine.state_machine import advance

    results = retiring.run(retirements, advance)
    _tell(retiring, results)
    left = len(retirements) - len(results)
    if retiring.stop.is_set():
        click.echo(f"interrupted; {left} not looked at: 'birthright apply --due' continues", err=True)
        return _INTERRUPTED
    if any(result.retirement.state in {"stopped", "reclaimed"} for result in results):
        return _PERSON
    return _TROUBLE if any(result.trouble for result in results) else 0


def _due(retiring: "Retiring") -> "list[Retirement]":
    """Find what can go on now, by AWS's clock: asking who we are tells its time."""
    from birthright.retirement.planning.guards import protecting

    retiring.accounts.own  # noqa: B018 - the answer sets the clock
    due = retiring.tools.journal.due(retiring.tools.now())
    patterns = retiring.settings.protected
    spared = [r for r in due if protecting(r.user_name, r.user_arn, patterns) is not None]
    for r in spared:
        click.echo(f"{r.user_name} is protected by now: {r.access_key_id} is left as it is", err=True)
    return [r for r in due if r not in spared]


def _begun(options: dict[str, Any], retiring: "Retiring") -> "list[Retirement] | None":
    """Open the plan's retirements, once a person has agreed; None if nobody did."""
    from birthright.retirement.planning.orders import orders
    from birthright.retirement.planning.plan_file import check_fresh, load_plan
    from birthright.retirement.planning.vetting import vet

    plan = load_plan(options["file"])
    caller, now = retiring.accounts.own.identity.arn, retiring.tools.now()
    check_fresh(plan, now)
    vet(plan, retiring.settings, options["handover"])
    if retiring.settings.require_ticket and not options["ticket"]:
        raise UsageError("a ticket is required here", "name the change's ticket with --ticket")
    if not _agreed(plan, yes=options["yes"]):
        return None
    wanted = orders(plan, ticket=options["ticket"], reason=options["reason"], by=caller, now=now)
    opened, standing = retiring.tools.journal.begin(wanted, caller, again=options["again"])
    _tell_wanted_back(standing, plan.id)
    return opened + standing


def _tell_wanted_back(standing: "Sequence[Retirement]", plan_id: str) -> None:
    """Say which keys an earlier plan took and somebody wanted back: they are left alone."""
    from birthright.retirement.model import WANTED_BACK

    keys = [r.access_key_id for r in standing if r.state in WANTED_BACK and r.plan.id != plan_id]
    if keys:
        click.echo(f"left alone, as somebody wanted them back before (--again): {', '.join(keys)}", err=True)


def _agreed(plan: "Plan", *, yes: bool) -> bool:
    """Show the plan and ask."""
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
