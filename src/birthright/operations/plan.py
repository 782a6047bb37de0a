"""A plan is made from findings: of a saved scan, judged again, or of a file. AWS is not asked."""

from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from birthright.aws.own_keys import own_keys
from birthright.errors import UsageError
from birthright.findings.model import Document
from birthright.findings.read import load_document
from birthright.history.earlier import SavedScan, is_file
from birthright.operations.assess import waived
from birthright.operations.judging import judge, pages_of, saved_judging
from birthright.operations.requests import PlanChoice
from birthright.operations.workspace import Workspace
from birthright.policies.pack import choose
from birthright.retirement.model import Terms
from birthright.retirement.planning.candidates import PlanRequest
from birthright.retirement.planning.filters import unmatched
from birthright.retirement.planning.plan import Plan, build_plan
from birthright.scans.record import load_info
from birthright.scans.request import Judging
from birthright.settings import RetirementSettings
from birthright.times import now, parse_duration
from birthright.waivers.file import WaiverEntry


class Planned(NamedTuple):
    """A plan, and the filters that matched no failing finding."""

    plan: Plan
    unmatched: tuple[str, ...]


def make_plan(workspace: Workspace, choice: PlanChoice, waivers: tuple[WaiverEntry, ...] | None) -> Planned:
    """Make a plan; warn if the scan is incomplete. Raises UsageError, StoreError, PageError."""
    settings = workspace.settings
    request = _request(choice, workspace)
    document = _document(workspace, choice, waivers)
    plan = build_plan(document, _terms(settings.retirement), request, now())
    workspace.warn_incomplete(document.scan, complete=document.complete)
    return Planned(plan, unmatched(document, request, plan))


def _request(choice: PlanChoice, workspace: Workspace) -> PlanRequest:
    retirement = workspace.settings.retirement
    return PlanRequest(
        policies=choice.policies,
        accounts=choice.accounts,
        users=choice.users,
        keys=choice.keys,
        handover=choice.handover or retirement.handover,
        protected=retirement.protected,
        own_key_ids=frozenset(own_keys(workspace.settings.scan.profile)),
        max_keys=retirement.max_keys,
        max_share=retirement.max_share,
        allow_ses=choice.allow_ses or retirement.allow_ses,
        annotate=choice.annotate,
        expires=_expires(choice.expires),
    )


def _terms(settings: RetirementSettings) -> Terms:
    return Terms(
        in_use=parse_duration(settings.in_use),
        quarantine=parse_duration(settings.quarantine),
        quiet=parse_duration(settings.quiet),
        deadline=parse_duration(settings.deadline),
    )


def _expires(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except UsageError as error:
        raise UsageError(f"--expires: {error.message}", error.hint) from error


def _document(workspace: Workspace, choice: PlanChoice, waivers: tuple[WaiverEntry, ...] | None) -> Document:
    """Read the findings, or judge a saved scan's keys as they were judged.

    What passes is asked for, too: it names a user's other keys. An organization's findings are not held.
    """
    if is_file(choice.source):
        return waived(_from_file(choice), waivers)
    info = load_info(workspace.store, choice.source)
    judging = _with(saved_judging(info), choice.policies)
    pages = pages_of(judging)
    choose(pages, choice.policies)
    keys = [page for page in pages if page.subject.is_key]
    saved = SavedScan(workspace.store, info, keys, judging)
    return waived(judge(saved, passes=True, once=True), waivers)


def _from_file(choice: PlanChoice) -> Document:
    document = load_document(Path(choice.source).expanduser())
    judged = {line.id for line in document.policies}
    for policy in choice.policies:
        if policy not in judged:
            hint = f"it was judged by {', '.join(sorted(judged))}" if judged else ""
            raise UsageError(f"{choice.source} has no policy {policy!r}", hint)
    return document


def _with(saved: Judging, policies: tuple[str, ...]) -> Judging:
    """Add policies to those that judged a scan; none named: all did."""
    if saved.policies:
        return msgspec.structs.replace(saved, policies=tuple(dict.fromkeys((*saved.policies, *policies))))
    return saved
