"""`birthright query`: one SELECT over a saved scan."""

from pathlib import Path

import click

from birthright.cli.common import config_option, from_option, store_option


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
@store_option
@config_option
def command(sql: str, saved: str, form: str, store: str | None, config: Path | None) -> None:
    """Run a SELECT over the facts of a saved scan.

    Its tables are principals, access_keys, coverage and accounts; 'describe access_keys' is written as
    "select * from (describe access_keys)". It is DuckDB's SQL; times are UTC, $as_of is the scan's.
    Nothing but one SELECT is ever run, and it sees nothing but the scan.

    \b
    birthright query "select user_name, access_key_id, created_at from access_keys
                      where status = 'Active' order by created_at"
    """  # noqa: D301 - click wants the control character itself
    import sys

    from birthright.cli.common import open_store, warn_incomplete
    from birthright.policies.engine import Engine
    from birthright.reports.rows import render_rows
    from birthright.scans.record import load_info, scan_dir
    from birthright.settings import load_settings

    place = open_store(store, load_settings(config))
    info = load_info(place, saved)
    engine = Engine(scan_dir(place, info.id))
    result = engine.select(sql, {"as_of": info.as_of.replace(tzinfo=None)})
    warn_incomplete(info, complete=info.complete)
    names = [column[0] for column in result.description or ()]
    render_rows(names, engine.rows(result), form, sys.stdout)
