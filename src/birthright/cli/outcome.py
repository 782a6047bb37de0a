"""What becomes of a judged scan: findings are waived, compared, shown, told of, and graded.

`scan` and `report` share it. What a person said wrong is told before anything is read.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from birthright.errors import UsageError
from birthright.reports.formats import FORMATS

if TYPE_CHECKING:
    from birthright.findings.grading import FailOn
    from birthright.findings.model import Document
    from birthright.history.earlier import SavedScan
    from birthright.policies.page import Page
    from birthright.reports.interface import Report
    from birthright.scans.store import Store
    from birthright.secret import Secret
    from birthright.settings import ScanSettings
    from birthright.waivers.file import WaiverEntry

_PATH = click.Path(path_type=Path)
_ENDINGS = ", ".join(form.ending for form in FORMATS.values())


def outcome_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what becomes of the findings."""
    for option in (
        click.option("--notify", multiple=True, metavar="URL|@FILE",
                     help="Tell of new findings: an Apprise URL like slack://..., or a file with such URLs"
                          " (repeatable; also BIRTHRIGHT_NOTIFY)."),
        click.option("-o", "--output", type=_PATH, multiple=True, metavar="FILE",
                     help="Write a file, whole or not at all; its ending says the format unless --format does"
                          f" ({_ENDINGS}; repeatable)."),
        click.option("--format", "form", type=click.Choice(list(FORMATS)), metavar="NAME",
                     help=f"What to print (default: terminal), or to write with -o: {', '.join(FORMATS)}."),
        click.option("--all", "passes", is_flag=True, help="Give what passes, too (not in terminal)."),
        click.option("--fail-on", metavar="any|new|risk>=LEVEL",
                     help="Which failures make the exit code 1 (default: any); of two, with a comma, both."),
        click.option("--since", metavar="last|SCAN_ID|FILE",
                     help="Say what is new, fixed or there again since that scan."),
    ):  # fmt: skip
        command = option(command)
    return waiver_options(command)


def waiver_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is accepted."""
    for option in (
        click.option("--no-waivers", is_flag=True, help="Waive nothing."),
        click.option("--waivers", type=_PATH, metavar="FILE",
                     help="Findings that were accepted (default: ./waivers.yaml, if it is there)."),
    ):  # fmt: skip
        command = option(command)
    return command


class Wishes(NamedTuple):
    """What was asked for, checked. `waivers` is None where there is no file of them."""

    files: tuple[Path, ...]
    form: str | None
    waivers: "tuple[WaiverEntry, ...] | None"
    since: str | None
    fail_on: "FailOn"
    urls: "tuple[Secret, ...]"


def wishes_of(options: Mapping[str, Any], settings: "ScanSettings", *, live: bool) -> Wishes:
    """Put together what becomes of the findings. Raises UsageError, StoreError.

    live: whether AWS is read. Only then BIRTHRIGHT_NOTIFY counts: who looks at a scan once more does not want
    everybody to be told once more.
    """
    from birthright.cli.output import check_outputs
    from birthright.findings.grading import fail_on

    check_outputs(options["output"], options["form"])
    urls = _urls(options["notify"], standing=live)
    wanted = fail_on(options["fail_on"] or settings.fail_on or "any")
    since = options["since"] or settings.since
    if since is None and (urls or wanted.new):
        # What is new shows against something only.
        since = "last"
    waivers = waivers_of(options, settings)
    return Wishes(options["output"], options["form"], waivers, since, wanted, urls)


def waivers_of(options: Mapping[str, Any], settings: "ScanSettings") -> "tuple[WaiverEntry, ...] | None":
    """Read the waivers: of the file named, of the settings' or of ./waivers.yaml; None without a file.

    Raises UsageError.
    """
    from birthright.waivers.file import DEFAULT, load_waivers

    if options["no_waivers"]:
        if options["waivers"]:
            raise UsageError("--waivers and --no-waivers exclude each other")
        return ()
    named = options["waivers"] or (Path(settings.waivers).expanduser() if settings.waivers else None)
    if named is None and not (DEFAULT.exists() or DEFAULT.is_symlink()):
        return None
    return load_waivers(named or DEFAULT)


def _urls(texts: tuple[str, ...], *, standing: bool) -> "tuple[Secret, ...]":
    import os

    if not texts and not (standing and os.environ.get("BIRTHRIGHT_NOTIFY")):
        # Apprise takes long to import.
        return ()
    from birthright.delivery.notifications import check_urls

    return check_urls(texts)


def check_since(store: "Store", since: str | None) -> None:
    """Refuse a scan or a file that is not there before anything is read. Raises UsageError, StoreError."""
    from birthright.history.earlier import LAST, is_file
    from birthright.scans.record import load_info

    if since is None or since == LAST:
        return
    if is_file(since):
        from birthright.findings.read import load_document

        load_document(Path(since).expanduser())
    else:
        load_info(store, since)


def check_waivers(wishes: Wishes, pages: "Iterable[Page]") -> None:
    """Say on stderr which waivers can cover nothing, because of what their policy is about."""
    from birthright.waivers.apply import misfits

    for line in misfits(wishes.waivers, {page.id: page for page in pages}) if wishes.waivers else ():
        click.echo(f"birthright: {line}", err=True)


def report_of(judged: "SavedScan", wishes: Wishes, *, passes: bool, evidence: bool = False) -> "Report":
    """Judge a saved scan, waive and compare. `evidence`: also if no output shows it."""
    from birthright.cli.common import judge
    from birthright.cli.output import draws_keys, shows_evidence
    from birthright.reports.interface import Report
    from birthright.reports.order import FIRST
    from birthright.scans.record import scan_dir

    store, info, pages, selection = judged
    document = judge(
        scan_dir(store, info.id),
        info,
        pages,
        selection,
        passes=passes or (draws_keys(wishes.files, wishes.form) and (FIRST,)),
        evidence=evidence or shows_evidence(wishes.files, wishes.form),
    )
    return Report(compared(document, judged, wishes), {page.id: page for page in pages}, passes)


def compared(document: "Document", judged: "SavedScan | None", wishes: Wishes) -> "Document":
    """Waive what was accepted, and say how the findings stand against an earlier scan."""
    from birthright.waivers.apply import waive

    if wishes.waivers is not None:
        document = waive(document, wishes.waivers, document.scan.as_of.date())
    if wishes.since is None:
        return document
    from birthright.history.compare import compare
    from birthright.history.earlier import past_of

    return compare(document, past_of(judged, wishes.since))


def conclude(report: "Report", wishes: Wishes) -> int:
    """Show the report, tell of what is new, and return the exit code."""
    from birthright.cli.common import warn_incomplete
    from birthright.cli.output import deliver
    from birthright.findings.grading import exit_code

    deliver(report, wishes.files, wishes.form)
    document = report.document
    if wishes.form in {"csv", "jsonl"}:
        # The others say it themselves.
        warn_incomplete(document.scan, complete=document.complete)
    if wishes.urls:
        from birthright.delivery.notifications import notify

        for line in notify(report, wishes.urls):
            click.echo(f"birthright: {line}", err=True)
    return exit_code(document, wishes.fail_on)
