"""Where a report goes: to files, to a stream, to people; and how a run is graded."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from birthright.atomic import open_atomically
from birthright.errors import StoreError, UsageError
from birthright.findings.grading import exit_code, fail_on
from birthright.findings.ranking import FIRST
from birthright.operations.assess import waivers_of
from birthright.operations.requests import AssessRequest, DeliveryRequest, OutcomeChoice, WaiverChoice
from birthright.operations.workspace import Workspace
from birthright.reports.formats import FORMATS, format_of, renderer
from birthright.reports.interface import Report
from birthright.secret import Secret

# Formats for programs, which do not say themselves that a scan is incomplete.
_WITHOUT_COVERAGE = frozenset({"csv", "jsonl"})


def requests_of(
    choice: OutcomeChoice, waivers: WaiverChoice, workspace: Workspace, *, live: bool
) -> tuple[AssessRequest, DeliveryRequest]:
    """Check what becomes of the findings before anything is read. Raises UsageError, StoreError.

    live: whether AWS is read. Only then BIRTHRIGHT_NOTIFY counts: a second look at a scan notifies no one.
    """
    settings = workspace.settings.scan
    check_outputs(choice.files, choice.form)
    urls = _urls(choice.notify, standing=live)
    wanted = fail_on(choice.fail_on or settings.fail_on or "any")
    since = choice.since or settings.since
    if since is None and (urls or wanted.new):
        # What is new shows against something only.
        since = "last"
    assess = formats_of(
        AssessRequest(waivers_of(waivers, settings), since), choice.files, choice.form, passes=choice.passes
    )
    return assess, DeliveryRequest(choice.files, choice.form, wanted, urls)


def formats_of(
    request: AssessRequest, files: Iterable[Path], form: str | None, *, passes: bool
) -> AssessRequest:
    """Ask for what the formats show: evidence, and the passes of charts."""
    # What is shown beside the files is the format named, or the terminal's.
    forms = {form or format_of(file) for file in files} | {form or "terminal"}
    return msgspec.structs.replace(
        request,
        passes=passes,
        charted=frozenset({FIRST} if any(FORMATS[name].draws for name in forms) else ()),
        evidence=any(FORMATS[name].evidence for name in forms),
    )


def deliver(
    report: Report, request: DeliveryRequest, workspace: Workspace, show: Callable[[Report, str], None]
) -> int:
    """Write the files, show the report unless a format sent it to a file, notify; return the exit code."""
    write_report(report, request.files, request.form)
    if not (request.files and request.form):
        show(report, request.form or "terminal")
    document = report.document
    if request.form in _WITHOUT_COVERAGE:
        workspace.warn_incomplete(document.scan, complete=document.complete)
    if request.urls:
        from birthright.delivery.notifications import notify

        for line in notify(report, request.urls):
            workspace.warn(line)
    return exit_code(document, request.fail_on)


def write_report(report: Report, files: Iterable[Path], form: str | None = None) -> None:
    """Write files, each whole or not at all. Raises UsageError, StoreError."""
    for file in files:
        with open_atomically(file) as out:
            render(report, form or format_of(file), out)


def render(report: Report, form: str, out: TextIO) -> None:
    """Write a format; passes that are there for another format's charts only are left out."""
    lists = not (report.passes or FORMATS[form].draws)
    renderer(form)(report.without_passes() if lists else report, out)


def check_outputs(files: Sequence[Path], form: str | None) -> None:
    """Refuse, before anything is read, files that could not be written. Raises UsageError, StoreError."""
    if form and len(files) > 1:
        raise UsageError("--format goes with one -o", "the ending of each file says its format")
    for file in files:
        if not form and not file.is_dir():
            format_of(file)
        check_output(file)


def check_output(file: Path, option: str = "-o") -> None:
    """Refuse a file that could not be written. Raises UsageError, StoreError."""
    if file.is_dir():
        raise UsageError(f"{file} is a folder", f"{option} names a file")
    if not file.parent.is_dir():
        raise UsageError(f"{file.parent}: there is no such folder", "create it first")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise StoreError(f"cannot write {file}", "choose another place or change its permissions")


def _urls(texts: tuple[str, ...], *, standing: bool) -> tuple[Secret, ...]:
    if not texts and not (standing and os.environ.get("BIRTHRIGHT_NOTIFY")):
        # Apprise takes long to import.
        return ()
    from birthright.delivery.notifications import check_urls

    return check_urls(texts)
