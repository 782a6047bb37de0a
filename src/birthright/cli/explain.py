"""`birthright explain`: everything behind one finding, key or user."""

from pathlib import Path

import click

from birthright.cli.common import config_option, from_option, store_option


@click.command("explain")
@click.argument("subject", metavar="FINGERPRINT|KEYID|USER")
@click.option("--account", metavar="ID", help="Look in this account only.")
@from_option
@store_option
@config_option
def command(subject: str, account: str | None, saved: str, store: str | None, config: Path | None) -> int:
    """Show what a finding rests on, and what to do.

    It says what was seen, when and by which source, what to do about it, and the rules behind it.
    Six characters of a fingerprint are enough; 'root' is the account's root user.
    """
    import sys

    from birthright.cli.common import judge, open_store, pages_of, saved_selection, warn_incomplete
    from birthright.facts.snapshot import load_info, scan_dir
    from birthright.reports.explanation import Asked, explain
    from birthright.settings import load_settings

    place = open_store(store, load_settings(config))
    info = load_info(place, saved)
    selection = saved_selection(info)
    pages = pages_of(selection)
    document = judge(scan_dir(place, info.id), info, pages, selection, passes=True)
    explain(document, {page.id: page for page in pages}, Asked(subject, account), sys.stdout)
    warn_incomplete(document.scan, complete=document.complete)
    return 0
