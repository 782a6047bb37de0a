"""ASFF: the list that Security Hub's BatchImportFindings takes."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, TextIO

import msgspec

from birthright.aws.identifiers import is_account_id
from birthright.facts.model import ACTIVE, INACTIVE
from birthright.findings.model import Document, Finding, Waiver
from birthright.policies.evaluator import Verdict
from birthright.policies.page import Page, Risk
from birthright.reports.interface import Report
from birthright.reports.jsonlist import write_list
from birthright.reports.subjects import (
    NAME,
    clip,
    controls,
    first_paragraph,
    home_region,
    is_root,
    one_line,
    partition,
    sentence_of,
    what_to_do,
)
from birthright.times import format_instant

_VERSION = "2018-10-08"
_TYPE = "Software and Configuration Checks/Industry and Regulatory Standards/CIS AWS Foundations Benchmark"
_OTHER_TYPE = "Software and Configuration Checks/AWS Security Best Practices"
_CIS = "CIS AWS Foundations Benchmark"
_LABELS: dict[Risk, str] = {"low": "LOW", "medium": "MEDIUM", "high": "HIGH", "critical": "CRITICAL"}
_STATUSES: dict[Verdict, str] = {"pass": "PASSED", "unknown": "WARNING", "fail": "FAILED"}
_DETAILED_STATUSES = frozenset({ACTIVE, INACTIVE})
_NO_ACCOUNT = "000000000000"
# AWS's limits, in characters.
_TITLE, _DESCRIPTION, _TEXT, _ID, _FIELD, _REQUIREMENT = 256, 1024, 512, 512, 2048, 64
_REQUIREMENTS = 32
_EMPTY = "-"


class Product(msgspec.Struct, frozen=True):
    """Which Security Hub findings are for: the product's ARN, and the account and region it is in."""

    arn: str
    account_id: str
    region: str


def default_product(account_id: str, of_partition: str = "aws") -> Product:
    """Return an account's default product, in the region where AWS keeps IAM."""
    region = home_region(of_partition)
    place = f"arn:{of_partition}:securityhub:{region}:{account_id}"
    return Product(f"{place}:product/{account_id}/default", account_id, region)


def render(report: Report, out: TextIO) -> None:
    """Write the list, a finding a line, as they come; fixed ones last.

    Each is for the default product of its own account, as AWS wants it. What has no known account is put
    into the scan's first one.
    """
    document = report.document
    own = _first_account(document)

    def made(finding: Finding) -> dict[str, object]:
        account = finding.account_id if is_account_id(finding.account_id) else own
        return asff_finding(finding, report, default_product(account, partition(finding)))

    def made_of_fixed(finding: Finding) -> dict[str, object]:
        fixed: Finding = msgspec.structs.replace(finding, state="fixed")
        return made(fixed)

    write_list(out, chain(map(made, document.findings), map(made_of_fixed, document.fixed)))
    out.write("\n")


def asff_finding(finding: Finding, report: Report, product: Product) -> dict[str, Any]:
    """Return a finding as BatchImportFindings takes it; archived if its state is `fixed`.

    AwsAccountId is the finding's account; the product's where it is not known. All text is printable,
    on one line, and within AWS's limits.
    """
    document, page = report.document, report.pages.get(finding.policy)
    known = is_account_id(finding.account_id)
    verdict: Verdict = "pass" if finding.state == "fixed" else finding.verdict
    moment = format_instant(document.scan.as_of)
    rated = {
        "Label": _LABELS[finding.risk] if verdict == "fail" else "INFORMATIONAL",
        "Original": finding.risk,
    }
    types = [_TYPE if page and _CIS in page.front.frameworks else _OTHER_TYPE]
    return {
        "SchemaVersion": _VERSION,
        "Id": _text(f"{NAME}/{finding.account_id}/{finding.policy}/{finding.fingerprint}", _ID),
        "ProductArn": product.arn,
        "GeneratorId": _text(f"{NAME}/{finding.policy}", _ID),
        "AwsAccountId": finding.account_id if known else product.account_id,
        "Types": types,
        "FindingProviderFields": {"Severity": rated, "Types": types},
        "Severity": rated,
        **_times(finding, moment),
        "Title": _text(_title(finding, document), _TITLE),
        "Description": _text(sentence_of(finding), _DESCRIPTION),
        "Remediation": {"Recommendation": _recommendation(finding, page)},
        "ProductFields": dict(_fields(finding, document)),
        "Resources": list(_resources(finding, product)),
        "Compliance": _compliance(finding, verdict, page),
        "RecordState": "ARCHIVED" if finding.state == "fixed" else "ACTIVE",
        "Workflow": {"Status": _workflow(finding)},
        **({"Note": _note(finding.waiver)} if finding.waiver else {}),
    }


def _first_account(document: Document) -> str:
    ids = [line.account_id for line in document.accounts] or [line.account_id for line in document.coverage]
    return next(filter(is_account_id, ids), _NO_ACCOUNT)


def _text(text: str, most: int) -> str:
    """Write text as AWS takes it: not empty, one line, of at most so many characters."""
    return clip(one_line(text), most) or _EMPTY


def _title(finding: Finding, document: Document) -> str:
    return next((line.title for line in document.policies if line.id == finding.policy), finding.policy)


def _times(finding: Finding, moment: str) -> dict[str, str]:
    first = format_instant(finding.first_seen) if finding.first_seen else moment
    times = {"CreatedAt": first, "UpdatedAt": moment, "FirstObservedAt": first}
    return times if finding.state == "fixed" else {**times, "LastObservedAt": moment}


def _recommendation(finding: Finding, page: Page | None) -> dict[str, str]:
    advice = first_paragraph(page.remediation) if page else ""
    found = {"Text": _text(f"{what_to_do(finding)} {advice}", _TEXT)}
    link = next(iter(page.front.references), None) if page else None
    return {**found, "Url": link} if link else found


def _fields(finding: Finding, document: Document) -> Iterator[tuple[str, str]]:
    said: dict[str, object] = {
        "fingerprint": finding.fingerprint,
        "policy": finding.policy,
        "account_id": finding.account_id,
        "user_name": finding.user_name,
        "access_key_id": finding.access_key_id,
        "verdict": finding.verdict,
        "remedy": finding.remedy,
        "gap_seconds": finding.gap_seconds,
        "state": finding.state,
        "waived_until": finding.waiver.expires if finding.waiver else None,
        "scan": document.scan.id,
        "tool_version": document.scan.tool_version,
    }
    for name, value in said.items():
        if value is not None:
            yield f"{NAME}/{name}", _text(str(value), _FIELD)


def _compliance(finding: Finding, verdict: Verdict, page: Page | None) -> dict[str, object]:
    """Say the verdict; a whole account that could not be judged is not available."""
    status = _STATUSES[verdict]
    if verdict == "unknown" and finding.user_name is None:
        status = "NOT_AVAILABLE"
    placed = list(controls(page))[-_REQUIREMENTS:]
    required = [_text(" ".join(one), _REQUIREMENT) for one in placed]
    return {"Status": status, **({"RelatedRequirements": required} if required else {})}


def _workflow(finding: Finding) -> str:
    if finding.state == "fixed":
        return "RESOLVED"
    return "SUPPRESSED" if finding.waiver else "NEW"


def _note(waiver: Waiver) -> dict[str, str]:
    ticket = f", {waiver.ticket}" if waiver.ticket else ""
    return {
        "Text": _text(f"Waived until {waiver.expires}{ticket}: {waiver.reason}", _TEXT),
        "UpdatedBy": _text(waiver.owner, _TEXT),
        "UpdatedAt": f"{waiver.created}T00:00:00Z",
    }


def _resources(finding: Finding, product: Product) -> Iterator[dict[str, object]]:
    """Give what it is about first: the key, then its user; or the user; or the account."""
    shared = {"Partition": partition(finding), "Region": product.region}
    if finding.access_key_id or finding.created_at:
        yield {"Type": "AwsIamAccessKey", "Id": _key_id(finding), **shared, "Details": _key_details(finding)}
    if finding.user_name is None or is_root(finding):
        yield {"Type": "AwsAccount", "Id": _text(f"AWS::::Account:{finding.account_id}", _ID), **shared}
        return
    whole = _text(finding.user_arn or f"AWS::IAM::User:{finding.account_id}/{finding.user_name}", _ID)
    yield {"Type": "AwsIamUser", "Id": whole, **shared, "Details": _user_details(finding, finding.user_name)}


def _key_id(finding: Finding) -> str:
    """Name the key; where its id was not read, its fingerprint stands for it."""
    return _text(f"AWS::IAM::AccessKey:{finding.access_key_id or finding.fingerprint}", _ID)


def _key_details(finding: Finding) -> dict[str, object]:
    root = is_root(finding)
    details: dict[str, object] = {
        "PrincipalType": "Root" if root else "IAMUser",
        "AccountId": finding.account_id,
    }
    if finding.user_name is not None:
        details["PrincipalName"] = _text(finding.user_name, _ID)
    if finding.access_key_id:
        details["AccessKeyId"] = _text(finding.access_key_id, _ID)
    if finding.status in _DETAILED_STATUSES:
        details["Status"] = finding.status
    if finding.created_at:
        details["CreatedAt"] = format_instant(finding.created_at)
    return {"AwsIamAccessKey": details}


def _user_details(finding: Finding, name: str) -> dict[str, object]:
    details = {"UserName": _text(name, _ID)}
    if finding.user_created_at:
        details["CreateDate"] = format_instant(finding.user_created_at)
    return {"AwsIamUser": details}
