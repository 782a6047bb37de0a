"""`birthright history`: how many findings there were, scan by scan."""

import sys
from pathlib import Path

import click

from birthright.cli.common import config_option, policy_options, store_option


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
@store_option
@config_option
def command(  # noqa: PLR0913 - one for each option
    *,
    limit: int,
    account: str | None,
    form: str,
    policy: tuple[str, ...],
    policies: Path | None,
    settings: tuple[str, ...],
    store: str | None,
    config: Path | None,
) -> int:
    """Show how many findings there were, scan by scan, what was new and what was fixed.

    All scans are judged by today's policies and parameters, whatever they were judged by when they were
    made. Scans of the same accounts stand together.
    """
    from birthright.cli.common import open_store, pages_of, select
    from birthright.errors import UsageError
    from birthright.history.earlier import SavedScan
    from birthright.history.series import series_of
    from birthright.reports import trend
    from birthright.scans.record import load_info
    from birthright.settings import load_settings

    loaded = load_settings(config)
    place = open_store(store, loaded)
    selection = select(policy, policies, settings, loaded)
    pages = pages_of(selection)
    series = series_of(SavedScan(place, load_info(place), pages, selection), limit, account)
    if not series and account is None:
        hint = "'birthright scan --resume latest' goes on with the last one"
        raise UsageError("no scan was finished yet", hint)
    if not series:
        hint = "'birthright history' shows all accounts"
        raise UsageError(f"none of the last {limit} scans asked for account {account}", hint)
    render = {"terminal": trend.render_terminal, "json": trend.render_json, "csv": trend.render_csv}[form]
    render(series, sys.stdout)
    return 0
