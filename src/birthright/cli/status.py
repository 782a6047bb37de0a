"""`birthright status`: where the retirements stand."""

import sys
from pathlib import Path

import click

from birthright.cli.common import config_option, store_option
from birthright.cli.journal import journal_option
from birthright.errors import UsageError


@click.command("status")
@click.argument("key", required=False, default="", metavar="[KEY]")
@click.option("--account", default="", metavar="ID", help="Only this account's.")
@click.option("--user", default="", metavar="NAME", help="Only this user's.")
@click.option("--ticket", default="", metavar="ID", help="Only those of this ticket.")
@click.option("--open", "open_only", is_flag=True, help="Only those that have not ended.")
@click.option("--format", "form", type=click.Choice(["terminal", "json"]), default="terminal")
@journal_option
@store_option
@config_option
def command(  # noqa: PLR0913 - one for each option
    *,
    key: str,
    account: str,
    user: str,
    ticket: str,
    open_only: bool,
    form: str,
    journal: str | None,
    store: str | None,
    config: Path | None,
) -> int:
    """Show where retirements stand: what waits, until when, and what a person has to look at.

    It reads the journal only. 'birthright apply' says by its exit code when a person has to look.
    """
    from birthright.cli.journal import journal_place
    from birthright.retirement.journal.opening import open_journal
    from birthright.retirement.show import status_json, status_terminal
    from birthright.settings import load_settings
    from birthright.times import now

    settings = load_settings(config)
    place = journal_place(journal, store, settings)
    with open_journal(place, must_exist=True) as kept:
        found = kept.find(key=key, account=account, user=user, ticket=ticket, open_only=open_only)
    if key and not found:
        raise UsageError(f"the journal knows no key {key}", "'birthright status' lists all")
    show = status_json if form == "json" else status_terminal
    show.render(found, now(), sys.stdout)
    return 0
