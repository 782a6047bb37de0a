"""ASFF is held against botocore's model of BatchImportFindings, AWS's documented lengths, and moto."""

import json
import re
from functools import cache
from itertools import chain
from typing import Any

import boto3
import pytest
from botocore.model import Shape
from botocore.session import get_session
from botocore.validate import ParamValidator
from hypothesis import given, settings
from moto import mock_aws

from birthright.findings.model import Document
from birthright.reports.asff import Product, asff_finding
from birthright.reports.interface import Report
from format_helpers import (
    ACCOUNT,
    AS_OF,
    BORN,
    EVERY_KIND,
    FIXED,
    NO_KEY,
    PAGES,
    ROOT,
    UNREAD,
    WAIVER,
    any_text,
    document,
    everything,
    finding,
    numbered,
    rendered,
)

PRODUCT = Product(f"arn:aws:securityhub:eu-west-1:{ACCOUNT}:product/{ACCOUNT}/default", ACCOUNT, "eu-west-1")
# "AwsSecurityFinding" and the objects in it, in the Security Hub API Reference.
LENGTHS = {"Id": 512, "GeneratorId": 512, "Title": 256, "Description": 1024, "ProductArn": 2048}


@cache
def shape() -> Shape:
    """Return the model of what BatchImportFindings takes."""
    return get_session().get_service_model("securityhub").operation_model("BatchImportFindings").input_shape


def findings_of(what: Document, *, pages: bool = True) -> list[dict[str, Any]]:
    """Render, and hold each finding against the model and the lengths."""
    items: list[dict[str, Any]] = json.loads(rendered("asff", what, pages=pages))
    for item in items:
        assert errors_of(item) == []
    return items


def errors_of(item: dict[str, Any]) -> list[str]:
    """List what AWS would not take."""
    report = ParamValidator().validate({"Findings": [item]}, shape())
    errors = [report.generate_report()] if report.has_errors() else []
    errors += _patterns(item, shape().members["Findings"].member, "Finding")
    errors += [name for name, most in LENGTHS.items() if not 1 <= len(item[name]) <= most]
    errors += [] if re.fullmatch(r"\d{12}", item["AwsAccountId"]) else ["AwsAccountId"]
    errors += [] if len(item["Remediation"]["Recommendation"]["Text"]) <= 512 else ["Recommendation"]
    errors += [] if len(item.get("Note", {"Text": ""})["Text"]) <= 512 else ["Note"]
    fields = item["ProductFields"].items()
    errors += (
        [] if len(fields) <= 50 and all(len(k) <= 128 and len(v) <= 2048 for k, v in fields) else ["Fields"]
    )
    errors += [] if len(item["Compliance"].get("RelatedRequirements", [])) <= 32 else ["Requirements"]
    errors += [] if len(json.dumps(item)) <= 240_000 else ["size"]
    return errors


def _patterns(value: Any, model: Any, path: str) -> list[str]:  # noqa: ANN401
    """List the strings that are not of their pattern or enumeration, which botocore leaves to AWS."""
    if model.type_name == "structure":
        known = {name: one for name, one in value.items() if name in model.members}
        found = [_patterns(one, model.members[name], f"{path}.{name}") for name, one in known.items()]
        return [*chain.from_iterable(found), *(f"{path}.{name}" for name in value.keys() - known)]
    if model.type_name == "list":
        return [e for one in value for e in _patterns(one, model.member, path)]
    if model.type_name == "map":
        return [e for pair in value.items() for one in pair for e in _patterns(one, model.value, path)]
    if model.type_name != "string":
        return []
    good = re.fullmatch(model.metadata.get("pattern", ".*"), value) and value in (model.enum or [value])
    return [] if good else [f"{path}: {value!r}"]


def one_of(**values: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return one finding as AWS takes it."""
    (item,) = findings_of(document(finding(**values)))
    return item


@pytest.mark.parametrize("pages", [True, False])
def test_every_kind_of_finding_is_taken(pages: bool) -> None:  # noqa: FBT001
    """Every kind of finding, with pages and without, is of AWS's shape; ids are distinct; fixed ones last."""
    items = findings_of(everything(), pages=pages)
    assert len({item["Id"] for item in items}) == len(items) == len(EVERY_KIND) + len(FIXED)
    assert items[0]["Id"] == f"birthright/{ACCOUNT}/{BORN}/{'00000001' * 4}"


def test_the_judge_can_refuse() -> None:
    """What holds findings against the shape does find what is wrong."""
    good = one_of()
    wrong: list[dict[str, Any]] = [
        {"Title": "x" * 257},
        {"Title": " "},
        {"Description": "a\nb"},
        {"Workflow": {"Status": "WAIVED"}},
        {"AwsAccountId": "unknown"},
        {"Confidence": "high"},
        {"Nonsense": "1"},
    ]
    for change in wrong:
        assert errors_of({**good, **change})


@settings(max_examples=60)
@given(any_text())
def test_any_text_is_taken(what: Document) -> None:
    """Whatever names and reasons hold, findings are of AWS's shape, in printable text on one line."""
    for item in findings_of(what):
        assert item["Description"].isprintable()


def test_verdicts_are_statuses() -> None:
    """Unknown is a warning, of a whole account not available; only failures have their risk's label."""
    kinds: list[dict[str, Any]] = [
        {"verdict": verdict, "risk": "high"} for verdict in ("fail", "unknown", "pass")
    ]
    items = findings_of(document(*numbered(*kinds, UNREAD)))
    assert [(item["Compliance"]["Status"], item["Severity"]["Label"]) for item in items] == [
        ("FAILED", "HIGH"),
        ("WARNING", "INFORMATIONAL"),
        ("PASSED", "INFORMATIONAL"),
        ("NOT_AVAILABLE", "INFORMATIONAL"),
    ]
    assert all(item["FindingProviderFields"]["Severity"] == item["Severity"] for item in items)


def test_waived_and_fixed_findings() -> None:
    """A waived finding is suppressed with a note; a fixed one archived, passed and resolved."""
    plain, waived, fixed = findings_of(document(*numbered({}, {"waiver": WAIVER}), fixed=FIXED))
    assert (plain["RecordState"], plain["Workflow"]["Status"]) == ("ACTIVE", "NEW")
    assert (waived["RecordState"], waived["Workflow"]["Status"]) == ("ACTIVE", "SUPPRESSED")
    assert waived["Note"] == {
        "Text": "Waived until 2027-01-01, T-1: the vendor | needs <it>",
        "UpdatedBy": "ops@example.com",
        "UpdatedAt": "2026-11-01T00:00:00Z",
    }
    assert (fixed["RecordState"], fixed["Workflow"]["Status"]) == ("ARCHIVED", "RESOLVED")
    assert fixed["Compliance"]["Status"] == "PASSED"


def test_times_are_the_first_sight_and_the_scan() -> None:
    """It was made when it was first seen and updated by the scan; without history both are the scan's."""
    old = one_of(first_seen=AS_OF.replace(month=1))
    assert (old["CreatedAt"], old["UpdatedAt"]) == ("2026-01-22T10:00:00Z", "2026-11-22T10:00:00Z")
    assert one_of()["CreatedAt"] == "2026-11-22T10:00:00Z"


def test_resources_have_details() -> None:
    """A key and its user, root's key and its account, or the account alone, with what ASFF has places for."""
    key, user = one_of()["Resources"]
    assert key["Id"] == "AWS::IAM::AccessKey:AKIAEXAMPLE000000001"
    assert key["Details"]["AwsIamAccessKey"] == {
        "PrincipalType": "IAMUser",
        "PrincipalName": "ann",
        "AccountId": ACCOUNT,
        "AccessKeyId": "AKIAEXAMPLE000000001",
        "Status": "Active",
        "CreatedAt": "2026-01-26T10:00:00Z",
    }
    assert user["Details"]["AwsIamUser"] == {"UserName": "ann", "CreateDate": "2026-01-26T09:59:58Z"}
    assert [one["Type"] for one in one_of(**ROOT)["Resources"]] == ["AwsIamAccessKey", "AwsAccount"]
    assert [one["Type"] for one in one_of(**{**ROOT, **NO_KEY})["Resources"]] == ["AwsAccount"]
    assert one_of(**UNREAD)["Resources"][0]["Id"] == f"AWS::::Account:{ACCOUNT}"


def test_each_finding_is_for_its_own_account() -> None:
    """In a file the product is the default one of the finding's account, in IAM's home region."""
    arn = "arn:aws-us-gov:iam::999988887777:user/ann"
    own = one_of(account_id="999988887777", user_arn=arn)
    assert own["AwsAccountId"] == "999988887777"
    place = "arn:aws-us-gov:securityhub:us-gov-west-1:999988887777"
    assert own["ProductArn"] == f"{place}:product/999988887777/default"
    unknown = one_of(**{**UNREAD, "account_id": "unknown"})
    assert unknown["AwsAccountId"] == ACCOUNT
    assert unknown["ProductFields"]["birthright/account_id"] == "unknown"


def test_moto_takes_them() -> None:
    """BatchImportFindings takes all, and the same ones again are updates."""
    report = Report(everything(), PAGES)
    items = [asff_finding(one, report, PRODUCT) for one in report.document.findings]
    with mock_aws():
        client = boto3.client("securityhub", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.enable_security_hub()
        for _ in range(2):
            answer = client.batch_import_findings(Findings=items)
            assert (answer["SuccessCount"], answer["FailedCount"]) == (len(items), 0)
        assert len(client.get_findings()["Findings"]) == len(items)
