"""`birthright explain`: everything behind one finding, key or user."""

from pathlib import Path

import click

from birthright.cli.common import config_option, store_option


@click.command("explain")
@click.argument("subject", metavar="FINGERPRINT|KEYID|USER")
@click.option("--from", "saved", default="latest", show_default=True, metavar="SCAN_ID")
@store_option
@config_option
def command(subject: str, saved: str, store: Path | None, config: Path | None) -> int:
    """Show what was seen, when and from which source, the rule, and what to do."""
    import sys

    from birthright.cli.common import judge, pages_of, saved_selection, store_folder
    from birthright.facts.snapshot import load_info, scan_dir
    from birthright.reports.explanation import explain
    from birthright.settings import load_settings

    folder = store_folder(store, load_settings(config))
    info = load_info(folder, saved)
    selection = saved_selection(info)
    pages = pages_of(selection)
    document = judge(scan_dir(folder, info.id), info, pages, selection, passes=True)
    explain(document, {page.id: page for page in pages}, subject, sys.stdout)
    return 0
