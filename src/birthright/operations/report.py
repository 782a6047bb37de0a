"""A saved scan, or a file of findings, once more: as a report, or pushed to where findings are kept."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from birthright.errors import UsageError
from birthright.findings.model import Document
from birthright.findings.read import load_document
from birthright.history.earlier import is_file
from birthright.operations.assess import assess, assess_document
from birthright.operations.judging import load_scan
from birthright.operations.requests import AssessRequest, PolicyChoice
from birthright.operations.workspace import Workspace
from birthright.policies.pack import load_pack
from birthright.policies.page import Page
from birthright.reports.interface import Report

if TYPE_CHECKING:
    from birthright.delivery.security_hub import Pushed


def report_of(
    workspace: Workspace, source: str, policies: PolicyChoice, request: AssessRequest, *, since_said: bool
) -> Report:
    """Judge a scan again, or read a file of findings; waive and compare.

    since_said: whether the caller named an earlier scan, and not the settings.
    Raises UsageError, StoreError, PageError.
    """
    if is_file(source):
        return _from_file(source, policies, request, since_said=since_said)
    return assess(load_scan(workspace, source, policies, request), request)


def push(report: Report, profile: str | None, region: str | None) -> "Pushed":
    """Import the findings into Security Hub, and archive what is fixed. Raises ReadError, UsageError."""
    from birthright.aws.session import AwsSession
    from birthright.delivery.security_hub import push as pushed

    return pushed(report, AwsSession(profile, region))


def _from_file(source: str, policies: PolicyChoice, request: AssessRequest, *, since_said: bool) -> Report:
    said = {"policy": policies.policies, "policies": policies.folder, "set": policies.parameters}
    clash = next((name for name, value in {**said, "all": request.passes}.items() if value), None)
    if clash:
        raise UsageError(f"--{clash} does not go with a file", "its findings are judged already")
    document = load_document(Path(source).expanduser())
    if document.changes and not since_said:
        # It says already what is new; which scan was the last one then is not known here.
        request = msgspec.structs.replace(request, since=None)
    return assess_document(document, request, _pages_that_judged(document))


def _pages_that_judged(document: Document) -> dict[str, Page]:
    """Find the built-in pages that are, as far as is known, those that judged; others are left out."""
    digests = {line.id: line.sha256 for line in document.policies}
    return {p.id: p for p in load_pack() if p.id in digests and digests[p.id] in {None, p.sha256}}
