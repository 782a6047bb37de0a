"""`birthright query`: one SELECT over a saved scan."""

from pathlib import Path

import click

from birthright.cli.common import config_option, store_option


@click.command("query")
@click.argument("sql")
@click.option("--from", "saved", default="latest", show_default=True, metavar="SCAN_ID")
@click.option(
    "--format", "form", type=click.Choice(["terminal", "csv", "jsonl"]), default="terminal", show_default=True
)
@store_option
@config_option
def command(sql: str, saved: str, form: str, store: Path | None, config: Path | None) -> None:
    r"""Run a SELECT over the tables principals, access_keys and coverage of a saved scan.

    \b
    birthright query "select user_name, access_key_id, created_at from access_keys
                      where status = 'Active' order by created_at"
    """
    import sys

    from birthright.cli.common import store_folder
    from birthright.facts.snapshot import load_info, scan_dir
    from birthright.policies.engine import Engine
    from birthright.reports.rows import render_rows
    from birthright.settings import load_settings

    folder = store_folder(store, load_settings(config))
    info = load_info(folder, saved)
    result = Engine(scan_dir(folder, info.id)).select(sql, {"as_of": info.as_of.replace(tzinfo=None)})
    names = [column[0] for column in result.description or ()]
    render_rows(names, iter(result.fetchone, None), form, sys.stdout)
