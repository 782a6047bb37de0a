"""`birthright journal`: what was done to which key, by whom and why; for people, auditors and programs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from birthright.cli.options import PATH, grouped, workspace_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from birthright.operations.requests import RetirementQuery
    from birthright.operations.workspace import Workspace
    from birthright.retirement.journal.journal import Journal
    from birthright.retirement.model import Retirement, Step

_CHANGES = 200  # characters of a step's detail that a table shows


@click.group("journal")
def command() -> None:
    """Show, export and check what was done to access keys."""


@command.command("show")
@grouped("query", "RetirementQuery", click.argument("key", metavar="[KEY]", default=""))
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json"]),
    default="terminal",
    show_default=True,
    help="How to print the steps.",
)
@workspace_options(journal=True)
def show(*, query: "RetirementQuery", form: str, workspace: "Workspace") -> None:
    """Show the steps, of all retirements or of one access key (the old one or its replacement)."""
    with workspace.open_journal() as opened:
        found = _found(opened, query)
        steps = _steps(opened, found if query.key else None)
        if form == "json":
            _print_json(steps)
        else:
            _print_table(steps, {retirement.id: retirement for retirement in found})


@command.command("export")
@grouped(
    "query",
    "RetirementQuery",
    click.option("--key", metavar="KEY", default="",
                 help="Of this access key only (the old one or its replacement)."),
    click.option("--ticket", metavar="ID", default="", help="Under this ticket only."),
    click.option("--account", metavar="ID", default="", help="In this account only."),
)  # fmt: skip
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FILE",
    help="Write a file, whole or not at all; its ending (.md, .json, .csv) says the format"
    " unless --format does.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "json", "csv"]),
    help="The format (default: markdown, or what the file's ending says).",
)
@workspace_options(journal=True)
def export(
    *, query: "RetirementQuery", output: Path | None, form: str | None, workspace: "Workspace"
) -> None:
    """Write change records, per ticket and key: who, when, why, on what grounds, each call, its outcome."""
    import io

    from birthright.atomic import write_atomically
    from birthright.retirement.records.formats import format_of, renderer
    from birthright.retirement.records.interface import collect
    from birthright.times import now

    render = renderer(form or (format_of(output) if output else "markdown"))
    with workspace.open_journal() as opened:
        found = _found(opened, query)
        record = collect(opened, found, now())
    if output is None:
        render(record, sys.stdout)
        return
    out = io.StringIO()
    render(record, out)
    write_atomically(output, out.getvalue().encode())


@command.command("verify")
@workspace_options(journal=True)
def verify(*, workspace: "Workspace") -> None:
    """Check that no step was changed, added or taken away, and name the first that was.

    The digest it prints stands for all steps up to now: kept elsewhere, it proves later that the journal
    was not written anew.
    """
    from birthright.errors import JournalError

    with workspace.open_journal() as opened:
        found = opened.verify()
        if found.problem:
            raise JournalError(
                f"the journal {opened.place} is broken after {found.steps} whole steps: {found.problem}",
                "keep a copy of it as it is, and compare it with the last good one",
            )
    click.echo(f"{found.steps} steps, all whole; the last one's digest is {found.head or 'none'}")


def _found(journal: "Journal", query: "RetirementQuery") -> "list[Retirement]":
    """Return the retirements asked for. Raises UsageError if something was asked for and nothing fits."""
    from birthright.errors import UsageError

    found = journal.find(key=query.key, ticket=query.ticket, account=query.account)
    asked = {"key": query.key, "ticket": query.ticket, "account": query.account}
    if any(asked.values()) and not found:
        said = ", ".join(f"{name} {value}" for name, value in asked.items() if value)
        raise UsageError(f"the journal has no retirement for {said}", "'birthright journal show' shows all")
    return found


def _steps(journal: "Journal", of: "Sequence[Retirement] | None") -> "Iterator[Step]":
    """Give all steps, or those of some retirements, oldest retirement first."""
    if of is None:
        yield from journal.steps()
        return
    for retirement in of:
        yield from journal.steps(retirement.id)


def _print_json(steps: "Iterator[Step]") -> None:
    """Print `birthright.journal/1`, a step at a time: a journal may be long."""
    import msgspec

    click.echo('{"schema": "birthright.journal/1", "steps": [', nl=False)
    for number, step in enumerate(steps):
        click.echo(f"{',' if number else ''}\n{msgspec.json.encode(step).decode()}", nl=False)
    click.echo("\n]}")


def _print_table(steps: "Iterator[Step]", known: "dict[str, Retirement]") -> None:
    """Print a line for each step."""
    from birthright.tables import add_row, fixed, table
    from birthright.text import write_console

    made = table(fixed("step"), fixed("when (UTC)"), "user", fixed("access key"), "what", "detail", "by")
    for step in steps:
        add_row(made, *_cells(step, known.get(step.retirement_id)))
    if made.row_count:
        write_console(sys.stdout, lambda console: console.print(made))
    else:
        click.echo("the journal has no steps yet")


def _cells(step: "Step", retirement: "Retirement | None") -> "Iterator[str]":
    """Give one row of the table."""
    yield str(step.seq)
    yield f"{step.at:%Y-%m-%d %H:%M:%S}"
    yield retirement.user_name if retirement else step.retirement_id
    yield retirement.access_key_id if retirement else ""
    yield f"{step.kind} {step.call}".strip()
    yield _detail(step)
    yield step.actor.rpartition(":")[2]


def _detail(step: "Step") -> str:
    """Say in a line what a step saw and changed, and AWS's request id."""
    import msgspec

    values = {**step.detail, **({} if step.kind == "opened" else step.changes)}
    if step.request_id:
        values["request"] = step.request_id
    text = "; ".join(
        f"{name}: {value if isinstance(value, str) else msgspec.json.encode(value).decode()}"
        for name, value in values.items()
    )
    return text if len(text) <= _CHANGES else f"{text[:_CHANGES]}…"
