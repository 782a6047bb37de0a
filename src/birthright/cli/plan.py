"""`birthright plan`: what to do with the keys that fail, to be read before anything is changed."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from birthright.cli.options import PATH, grouped, source_option, waiver_options, workspace_options

if TYPE_CHECKING:
    from birthright.operations.requests import PlanChoice, WaiverChoice
    from birthright.operations.workspace import Workspace
    from birthright.retirement.planning.plan import Plan

_REFUSED = 1

plan_options = grouped(
    "choice",
    "PlanChoice",
    source_option,
    click.option("--policy", "policies", multiple=True, metavar="ID",
                 help="Plan for this policy's findings (repeatable)."),
    click.option("--account", "accounts", multiple=True, metavar="GLOB",
                 help="Plan for these accounts (repeatable)."),
    click.option("--user", "users", multiple=True, metavar="GLOB",
                 help="Plan for these users, like 'ci-*' (repeatable)."),
    click.option("--key", "keys", multiple=True, metavar="KEYID", help="Plan for this key (repeatable)."),
    click.option("--handover", metavar="SPEC",
                 help="Where the secrets of new keys go, like secrets-manager:birthright/{user_name}."),
    waiver_options,
    click.option("--allow-ses", is_flag=True,
                 help="Plan also for keys last used for ses (SMTP passwords)."),
    click.option("--annotate", is_flag=True,
                 help="Let apply say in a key's description that it was disabled."),
    click.option("--expires", default="24h", show_default=True, metavar="DURATION",
                 help="How long the plan can be applied."),
)  # fmt: skip


@click.command("plan")
@plan_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json", "markdown"]),
    help="What to print (default: terminal), or to write with -o.",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="Write a file, whole or not at all; its ending (.json, .md, .txt) says the format"
    " unless --format does (repeatable).",
)
@workspace_options()
def command(
    *,
    choice: "PlanChoice",
    waivers: "WaiverChoice",
    form: str | None,
    output: tuple[Path, ...],
    workspace: "Workspace",
) -> int:
    """Plan how to retire the keys that fail: a file to review, and then to apply.

    It asks AWS nothing and changes nothing. Keys that nobody uses are to be disabled and later deleted,
    keys in use to be rotated; what is too uncertain for either is refused, with what to do about it.

    \b
    birthright plan -o plan.json     the plan, for 'birthright apply plan.json'
    birthright plan -o plan.md       the same for people, for a change request

    Exit code 1 says that something was refused and a person must look; 0 that nothing was, also if
    there is nothing to plan.
    """  # noqa: D301 - click wants the control character itself
    from birthright.cli.options import warn
    from birthright.cli.output import tell
    from birthright.operations.assess import waivers_of
    from birthright.operations.plan import make_plan
    from birthright.text import printable

    _check_outputs(output, form)
    plan, unmatched = make_plan(workspace, choice, waivers_of(waivers, workspace.settings.scan))
    _deliver(plan, output, form)
    for text in unmatched:
        warn(f"no failing finding matches {printable(text)}")
    if form in {None, "terminal"} and (plan.of("retire") or plan.of("rotate")):
        tell(_next(output, form))
    return _REFUSED if plan.of("refuse") else 0


def _check_outputs(files: tuple[Path, ...], form: str | None) -> None:
    """Refuse, before anything is read, files that could not be written. Raises UsageError, StoreError."""
    from birthright.operations.deliver import check_outputs
    from birthright.retirement.show.formats import format_of

    if form:
        check_outputs(files, form)
    for file in files:
        # Its own list of formats is not a plan's: with a format said, it looks at the place only.
        check_outputs([file], form or "said")
        if not form:
            format_of(file)


def _deliver(plan: "Plan", files: tuple[Path, ...], form: str | None) -> None:
    """Write the files, each whole or not at all; print unless --format sent the output into a file."""
    from birthright.atomic import open_atomically
    from birthright.cli.output import silence_stdout
    from birthright.retirement.show.formats import format_of, renderer

    for file in files:
        with open_atomically(file) as out:
            renderer(form or format_of(file))(plan, out)
    if files and form:
        return
    try:
        renderer(form or "terminal")(plan, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()


def _next(files: tuple[Path, ...], form: str | None) -> str:
    """Say how the plan is applied."""
    from birthright.retirement.show.formats import format_of

    saved = next((file for file in files if (form or format_of(file)) == "json"), None)
    if saved is None:
        return "Keep it with 'birthright plan -o plan.json', then 'birthright apply plan.json'."
    return f"Apply it with 'birthright apply {shlex.quote(str(saved))}'."
