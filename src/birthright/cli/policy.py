"""`birthright policy`: the pages that judge, to list, to read and to test."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from birthright.policies.page import Page

_policies_option = click.option(
    "--policies",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Policy pages of your own, beside the built-in ones.",
)


@click.group("policy")
def command() -> None:
    """List, read and test the pages that judge."""


@command.command("list")
@_policies_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json"]),
    default="terminal",
    show_default=True,
)
def list_policies(policies: Path | None, form: str) -> None:
    """List the policies, their risk and their parameters."""
    from birthright.policies.pack import load_pack

    pages = load_pack(policies)
    if form == "json":
        _print_json(pages)
    else:
        click.echo("\n\n".join(map(_entry, pages)))


@command.command("show")
@click.argument("policy", metavar="ID")
@_policies_option
def show(policy: str, policies: Path | None) -> None:
    """Show a policy's page: what and why, the rule, how to put it right, its tests."""
    from birthright.policies.pack import choose, load_pack

    (page,) = choose(load_pack(policies), [policy])
    if sys.stdout.isatty():
        _render(page)
    else:
        click.echo(page.text, nl=False)


@command.command("test")
@click.argument("pages", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
def test(pages: Path | None) -> int:
    """Run the tests that stand on the pages: the built-in ones, or those in DIR (or one file)."""
    from birthright.policies.pack import load_pack, read_folder

    chosen = read_folder(pages) if pages else load_pack()
    # Every page is tested, also after one that fails.
    good = [_test(page) for page in chosen]
    return int(not all(good))


def _test(page: "Page") -> bool:
    """Run one page's cases and print what came of it."""
    from birthright.policies.cases import missing_verdicts, run_cases

    results = run_cases(page)
    failed = [result for result in results if not result.passed]
    missing = missing_verdicts(page)
    good = not failed and not missing
    passed = f"{len(results) - len(failed)} of {len(results)} cases pass"
    click.echo(f"{'ok  ' if good else 'FAIL'}  {page.id}: {passed}")
    for result in failed:
        click.echo(f"      {result.name}")
        for difference in result.differences:
            click.echo(f"        {difference}")
    if missing:
        click.echo(f"      incomplete: no case expects {' or '.join(missing)}")
    return good


def _print_json(pages: "Sequence[Page]") -> None:
    import msgspec

    fronts = msgspec.to_builtins([page.front for page in pages])
    policies = [
        {**front, "needs": page.needs, "origin": page.origin}
        for front, page in zip(fronts, pages, strict=True)
    ]
    document = {"schema": "birthright.policies/1", "policies": policies}
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def _entry(page: "Page") -> str:
    """Describe a page in two or three lines."""
    from birthright.policies.page import show_value

    front = page.front
    retires = ", fixed by retiring the key" if front.remedy == "retire" else ""
    head = f"{page.id}: risk {front.risk}, effort {front.effort}, judges each {front.subject}{retires}"
    parameters = ", ".join(
        f"{name} = {show_value(parameter.value())}" for name, parameter in front.parameters.items()
    )
    return "\n  ".join(filter(None, (head, front.title, parameters)))


def _render(page: "Page") -> None:
    """Print a page for reading, without its front matter's syntax."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.text import Text

    console = Console()
    front = page.front
    console.print(Text(front.title, style="bold"))
    console.print(
        Text(
            f"{page.id}   risk {front.risk}, effort {front.effort}, judges each {front.subject}\n",
            style="dim",
        )
    )
    console.print(Markdown(page.prose))
    for table in (_parameter_table(page), _framework_table(page)):
        if table.row_count:
            console.print("", table)
    console.print("", Markdown(page.body))


def _parameter_table(page: "Page") -> "Table":
    from birthright.policies.page import show_value
    from birthright.tables import add_row, table

    made = table("parameter", "default", "meaning", heading="bold")
    for name, parameter in page.front.parameters.items():
        add_row(made, name, show_value(parameter.value()), parameter.about)
    return made


def _framework_table(page: "Page") -> "Table":
    from rich.text import Text

    from birthright.tables import add_row, table

    made = table("framework", "version", "control", heading="bold")
    for name, versions in page.front.frameworks.items():
        for version, control in versions.items():
            style = "dim" if control == "retired" else ""
            add_row(made, name, version, Text(control, style=style))
    return made
