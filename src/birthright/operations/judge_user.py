"""Judges one user, read live: for events, which tell of one user at a time."""

from datetime import datetime

import msgspec

from birthright.aws.session import Session
from birthright.facts.coverage import is_whole
from birthright.facts.model import AccountFacts
from birthright.facts.schema import to_tables
from birthright.findings.document import build_document
from birthright.findings.model import Finding
from birthright.operations.judging import pages_of
from birthright.policies.evaluator import Evaluator
from birthright.policies.page import Page
from birthright.reports.interface import Report
from birthright.scans.record import ScanInfo, new_scan_id
from birthright.scans.request import Judging
from birthright.sources.iam import USER_READS
from birthright.sources.user import collect_user
from birthright.times import now
from birthright.version import __version__

_DEFAULT = Judging()
_CREATED = "user_created_at"
_TABLES = ("principals", "access_keys", "coverage")


async def judge_user(session: Session, user_name: str, judging: Judging = _DEFAULT) -> Report:
    """Read one user and judge it by the pages that its own reads can answer; nothing is stored.

    The other pages (of the credential report, of root, of the whole account) are out of scope. What could
    not be read is unknown. Passes are among the findings.
    Raises NoSuchUserError, ReadError, and UsageError or PageError for the pages.
    """
    pages = pages_of(judging)
    as_of = now()
    facts = await collect_user(session, user_name, as_of)
    evaluator = Evaluator(to_tables({name: facts.rows(name) for name in _TABLES}), as_of)
    chosen = [page for page in pages if _is_judged(evaluator, page)]
    document = build_document(_info(facts, as_of), evaluator, chosen, judging, passes=True)
    findings = tuple(_without_report(finding, as_of) for finding in document.findings)
    document = msgspec.structs.replace(document, findings=findings)
    return Report(document, {page.id: page for page in chosen})


def _is_judged(evaluator: Evaluator, page: Page) -> bool:
    """Whether the reads of one user can answer a page."""
    return all(USER_READS.keys() & {*reads} for reads in evaluator.needs(page))


def _info(facts: AccountFacts, as_of: datetime) -> ScanInfo:
    return ScanInfo(
        id=new_scan_id(as_of),
        as_of=as_of,
        tool_version=__version__,
        depth="keys",
        complete=is_whole(facts.coverage),
    )


def _without_report(finding: Finding, as_of: datetime) -> Finding:
    """Correct the evidence: no credential report was read, and GetUser said when the user was created."""
    evidence = (
        msgspec.structs.replace(item, source="GetUser", as_of=as_of) if item.fact == _CREATED else item
        for item in finding.evidence
        if item.fact == _CREATED or item.source != "GetCredentialReport"
    )
    return msgspec.structs.replace(finding, evidence=tuple(evidence))
