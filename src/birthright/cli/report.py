"""`birthright report`: a saved scan, or a file of findings, in any form, and to Security Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birthright.cli.common import config_option, policy_options, source_option, store_option
from birthright.cli.outcome import outcome_options
from birthright.errors import ReadError, UsageError

if TYPE_CHECKING:
    from birthright.cli.outcome import Wishes
    from birthright.findings.model import Document
    from birthright.policies.page import Page
    from birthright.reports.interface import Report
    from birthright.scans.record import ScanInfo
    from birthright.scans.request import Judging
    from birthright.settings import Settings

# What weighs more: nothing, something that was not read or not taken, a failure.
_PUSHED = (0, 3, 1)


@click.command("report")
@source_option
@outcome_options
@click.option(
    "--push",
    type=click.Choice(["security-hub"]),
    help="Import the findings into AWS Security Hub, and archive there what is fixed.",
)
@click.option("--profile", metavar="NAME", help="The AWS profile to push with.")
@click.option("--region", metavar="REGION", help="The region whose Security Hub it is.")
@policy_options
@store_option
@config_option
def command(**options: Any) -> int:  # noqa: ANN401 - click hands over what it parsed
    """Show a saved scan in any form: for people, programs, dashboards and build servers.

    It asks AWS nothing; only --push writes, and to Security Hub only.

    \b
    birthright report -o report.html                   to read and to print
    birthright report -o findings.sarif --since last   what is new, as SARIF
    birthright report --from findings.json --format markdown

    The exit codes are those of 'birthright scan'.
    """  # noqa: D301 - click wants the control character itself
    from birthright.cli.outcome import conclude, wishes_of
    from birthright.settings import load_settings

    settings = load_settings(options["config"])
    wishes = wishes_of(options, settings.scan, live=False)
    report = _report(options, settings, wishes)
    code = conclude(report, wishes)
    return max(code, _push(report, options), key=_PUSHED.index) if options["push"] else code


def _report(options: dict[str, Any], settings: "Settings", wishes: "Wishes") -> "Report":
    """Judge the scan again, or read the file; waive and compare."""
    from birthright.cli.outcome import compared
    from birthright.findings.read import load_document
    from birthright.history.earlier import is_file
    from birthright.reports.interface import Report

    if not is_file(options["source"]):
        return _judged(options, settings, wishes)
    clash = next((name for name in ("policy", "policies", "settings", "passes") if options[name]), None)
    if clash:
        named = {"settings": "set", "passes": "all"}.get(clash, clash)
        raise UsageError(f"--{named} does not go with a file", "its findings are judged already")
    document = load_document(Path(options["source"]).expanduser())
    if document.changes and not options["since"]:
        # It says already what is new; which scan was the last one then, nobody knows here.
        wishes = wishes._replace(since=None)
    return Report(compared(document, None, wishes), _pages_that_judged(document))


def _judged(options: dict[str, Any], settings: "Settings", wishes: "Wishes") -> "Report":
    from birthright.cli.common import open_store, pages_of
    from birthright.cli.outcome import check_waivers, report_of
    from birthright.history.earlier import SavedScan
    from birthright.scans.record import load_info

    store = open_store(options["store"], settings, options["profile"])
    info = load_info(store, options["source"])
    selection = _selection(options, settings, info)
    pages = pages_of(selection)
    check_waivers(wishes, pages)
    judged = SavedScan(store, info, pages, selection)
    return report_of(judged, wishes, passes=options["passes"], evidence=bool(options["push"]))


def _selection(options: dict[str, Any], settings: "Settings", info: "ScanInfo") -> "Judging":
    """Judge as the scan was judged, unless other settings are named."""
    from birthright.cli.common import adjusted, saved_selection, select

    if options["config"]:
        return select(options["policy"], options["policies"], options["settings"], settings)
    return adjusted(saved_selection(info), options)


def _pages_that_judged(document: "Document") -> "dict[str, Page]":
    """Find the built-in pages that are, as far as is known, those that judged; others are left out."""
    from birthright.policies.pack import load_pack

    digests = {line.id: line.sha256 for line in document.policies}
    return {p.id: p for p in load_pack() if p.id in digests and digests[p.id] in {None, p.sha256}}


def _push(report: "Report", options: dict[str, Any]) -> int:
    """Push; what became of it is told on stderr, beside a report on stdout. Return 3 if not all was taken."""
    from birthright.aws.session import AwsSession
    from birthright.delivery.security_hub import push
    from birthright.text import printable

    try:
        pushed = push(report, AwsSession(options["profile"], options["region"]))
    except ReadError as error:
        # The report is out by now, and its failures must not look like something that was not read.
        click.echo(f"birthright: {printable(str(error))}", err=True)
        return 3
    click.echo(pushed.words, err=True)
    return 3 if pushed.failed else 0
