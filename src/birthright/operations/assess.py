"""A judged scan becomes a report: findings are waived, and compared with an earlier scan."""

from collections.abc import Mapping
from pathlib import Path

from birthright.errors import UsageError
from birthright.findings.model import Document
from birthright.findings.read import load_document
from birthright.history.earlier import SavedScan, is_file
from birthright.operations.judging import judge, load_scan
from birthright.operations.requests import AssessRequest, WaiverChoice
from birthright.operations.workspace import Workspace
from birthright.policies.page import Page
from birthright.reports.interface import Report
from birthright.settings import ScanSettings
from birthright.waivers.apply import waive
from birthright.waivers.file import DEFAULT, WaiverEntry, load_waivers


def waivers_file(choice: WaiverChoice, settings: ScanSettings) -> Path | None:
    """Choose the waivers' file; None if there is none, or none is wanted. Raises UsageError."""
    if choice.none:
        if choice.file:
            raise UsageError("--waivers and --no-waivers exclude each other")
        return None
    named = choice.file or (Path(settings.waivers).expanduser() if settings.waivers else None)
    return named or (DEFAULT if DEFAULT.exists() or DEFAULT.is_symlink() else None)


def waivers_of(choice: WaiverChoice, settings: ScanSettings) -> tuple[WaiverEntry, ...] | None:
    """Read the waivers; None without a file, none at all where none are wanted. Raises UsageError."""
    file = waivers_file(choice, settings)
    if file is None:
        return () if choice.none else None
    return load_waivers(file)


def assess(scan: SavedScan, request: AssessRequest) -> Report:
    """Judge a saved scan, waive and compare. Raises PageError, StoreError, UsageError."""
    document = judge(scan, passes=request.passes or request.charted, evidence=request.evidence)
    pages = {page.id: page for page in scan.pages}
    return Report(_compared(waived(document, request.waivers), scan, request.since), pages, request.passes)


def assess_document(document: Document, request: AssessRequest, pages: Mapping[str, Page]) -> Report:
    """Waive and compare findings that were judged before. Raises StoreError, UsageError."""
    return Report(_compared(waived(document, request.waivers), None, request.since), dict(pages))


def waived(document: Document, waivers: tuple[WaiverEntry, ...] | None) -> Document:
    """Mark what is accepted on the day of the scan, UTC."""
    return document if waivers is None else waive(document, waivers, document.scan.as_of.date())


def _compared(document: Document, scan: SavedScan | None, since: str | None) -> Document:
    if since is None:
        return document
    from birthright.history.compare import compare
    from birthright.history.earlier import past_of

    return compare(document, past_of(scan, since))


def load_findings(workspace: Workspace, source: str) -> Document:
    """Read a findings file, or judge a saved scan as it was judged; also what passes.

    Raises UsageError, StoreError.
    """
    if is_file(source):
        return load_document(Path(source).expanduser())
    return judge(load_scan(workspace, source), passes=True)
