"""`birthright explain`: everything behind one finding, key or user."""

from typing import Any

import click

from birthright.cli.common import config_option, from_option, store_option
from birthright.cli.outcome import waiver_options


@click.command("explain")
@click.argument("subject", metavar="FINGERPRINT|KEYID|USER")
@click.option("--account", metavar="ID", help="Look in this account only.")
@from_option
@waiver_options
@store_option
@config_option
def command(subject: str, **options: Any) -> int:  # noqa: ANN401 - click hands over what it parsed
    """Show what a finding rests on, and what to do.

    It says what was seen, when and by which source, what to do about it, and the rules behind it.
    Six characters of a fingerprint are enough; 'root' is the account's root user.
    """
    import sys

    from birthright.cli.common import judge, open_store, pages_of, saved_selection, warn_incomplete
    from birthright.cli.outcome import waivers_of
    from birthright.reports.explanation import SubjectQuery, explain
    from birthright.scans.record import load_info, scan_dir
    from birthright.settings import load_settings
    from birthright.waivers.apply import waive

    settings = load_settings(options["config"])
    waivers = waivers_of(options, settings.scan)
    place = open_store(options["store"], settings)
    info = load_info(place, options["saved"])
    selection = saved_selection(info)
    pages = pages_of(selection)
    document = judge(scan_dir(place, info.id), info, pages, selection, passes=True)
    document = waive(document, waivers or (), info.as_of.date())
    asked = SubjectQuery(subject, options["account"])
    explain(document, {page.id: page for page in pages}, asked, sys.stdout)
    warn_incomplete(document.scan, complete=document.complete)
    return 0
