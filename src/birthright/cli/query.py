"""`birthright query`: one SELECT over a saved scan."""

from typing import TYPE_CHECKING

import click

from birthright.cli.options import from_option, workspace_options

if TYPE_CHECKING:
    from birthright.operations.workspace import Workspace


@click.command("query")
@click.argument("sql")
@from_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "csv", "jsonl"]),
    default="terminal",
    show_default=True,
    help="How to print the rows.",
)
@workspace_options()
def command(*, sql: str, saved: str, form: str, workspace: "Workspace") -> None:
    """Run a SELECT over the facts of a saved scan.

    Its tables are principals, access_keys, coverage and accounts; 'describe access_keys' is written as
    "select * from (describe access_keys)". It is DuckDB's SQL; times are UTC, $as_of is the scan's.
    Nothing but one SELECT is ever run, and it sees nothing but the scan.

    \b
    birthright query "select user_name, access_key_id, created_at from access_keys
                      where status = 'Active' order by created_at"
    """  # noqa: D301 - click wants the control character itself
    import sys

    from birthright.operations.query import Query
    from birthright.reports.rows import render_rows

    query = Query(workspace, saved)
    result = query.select(sql)
    workspace.warn_incomplete(query.info, complete=query.info.complete)
    names = [column[0] for column in result.description or ()]
    render_rows(names, query.engine.rows(result), form, sys.stdout)
