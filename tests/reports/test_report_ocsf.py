"""OCSF is held against the published schema of its version, and against py-ocsf-models."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema, get_packaged_versions
from py_ocsf_models.events.findings.compliance_finding import ComplianceFinding

from birthright.findings.model import Document
from birthright.reports.ocsf import VERSION
from format_helpers import (
    ACCOUNT,
    AS_OF,
    EVERY_KIND,
    FIXED,
    WAIVER,
    any_text,
    document,
    everything,
    finding,
    numbered,
    rendered,
)

FORMS = {"ocsf": VERSION, "ocsf-1.6": "1.6.0"}
PAIRS = frozenset("activity_name category_name class_name type_name severity status confidence".split())


@cache
def validator(version: str) -> Draft202012Validator:
    """Return what holds an event against the schema of a version, with the cloud profile."""
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version))
    return Draft202012Validator(schema.get_class_schema("compliance_finding", ["cloud"]))


@cache
def captions(version: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the captions by number of the class's numbered attributes, which go with the pair's second."""
    attributes = get_ocsf_schema(version)["classes"]["compliance_finding"]["attributes"]
    found = {(name, one.get("sibling")): one.get("enum") for name, one in attributes.items()}
    return {(name, pair): numbers for (name, pair), numbers in found.items() if pair in PAIRS}


def events_of(what: Document, form: str = "ocsf", *, pages: bool = True) -> list[dict[str, Any]]:
    """Render, and hold each event against the schema, its captions and the models."""
    events: list[dict[str, Any]] = json.loads(rendered(form, what, pages=pages))
    for event in events:
        assert [error.message for error in validator(FORMS[form]).iter_errors(event)] == []
        ComplianceFinding.model_validate(event)
        for (number, caption), numbers in captions(FORMS[form]).items():
            assert event[caption] == numbers[str(event[number])]["caption"]
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["metadata"]["version"] == FORMS[form]
    return events


def event_of(**values: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the event of one finding."""
    (event,) = events_of(document(finding(**values)))
    return event


def deprecated(version: str) -> Iterator[str]:
    """Name the class's deprecated attributes."""
    schema = get_ocsf_schema(version)
    for name, attribute in schema["classes"]["compliance_finding"]["attributes"].items():
        if "@deprecated" in attribute:
            yield name


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pages", [True, False])
def test_every_kind_of_finding_is_valid(form: str, pages: bool) -> None:  # noqa: FBT001
    """Every kind of finding, with pages and without, is a valid event; fixed ones come last."""
    events = events_of(everything(), form, pages=pages)
    fingerprints = [one.fingerprint for one in (*EVERY_KIND, *FIXED)]
    assert [event["finding_info"]["uid"] for event in events] == fingerprints
    assert len({event["metadata"]["uid"] for event in events}) == len(events)
    assert not {name for event in events for name in event} & set(deprecated(FORMS[form]))


def test_the_newest_version_is_the_default() -> None:
    """No released version of the schema that its library knows is newer."""
    versions = [one for one in get_packaged_versions() if "-" not in one]
    assert max(versions, key=lambda one: [int(part) for part in one.split(".")]) == VERSION


def test_nothing_is_an_empty_array() -> None:
    """A document without findings is an empty array."""
    assert rendered("ocsf", document()) == "[]\n"


@settings(max_examples=30)
@given(any_text())
def test_any_text_is_valid(what: Document) -> None:
    """Whatever names and reasons hold, every event is valid in both versions, and its message printable."""
    for form in FORMS:
        assert all(event["message"].isprintable() for event in events_of(what, form))


def test_states_are_activities() -> None:
    """New is created, persisting and reappeared are updates, fixed is closed, passed and resolved."""
    states = ("new", "reappeared", "persisting", None)
    made = document(*numbered(*({"state": state} for state in states)), fixed=FIXED)
    events = events_of(made)
    assert [event["activity_name"] for event in events] == ["Create", "Update", "Update", "Create", "Close"]
    assert [event["status"] for event in events] == ["New", "New", "New", "New", "Resolved"]
    assert events[-1]["compliance"]["status"] == "Pass"
    assert "last_seen_time" not in events[-1]["finding_info"]


def test_verdicts_are_statuses() -> None:
    """Unknown is a warning, OCSF's word for missing information; only failures have their risk's severity."""
    kinds = [{"verdict": verdict, "risk": "critical"} for verdict in ("fail", "unknown", "pass")]
    events = events_of(document(*numbered(*kinds)))
    said = [(event["compliance"]["status"], event["severity"], event["status_code"]) for event in events]
    assert said == [
        ("Fail", "Critical", "FAIL"),
        ("Warning", "Informational", "UNKNOWN"),
        ("Pass", "Informational", "PASS"),
    ]


def test_waived_findings_are_suppressed() -> None:
    """A waiver makes the status Suppressed, leaves the verdict, and goes with the event."""
    event = event_of(waiver=WAIVER)
    assert (event["status"], event["compliance"]["status"]) == ("Suppressed", "Fail")
    assert event["unmapped"]["waiver"]["owner"] == "ops@example.com"


def test_the_page_goes_along() -> None:
    """Standards, requirements, the newest control, techniques, remediation and references are the page's."""
    event = event_of()
    compliance = event["compliance"]
    assert compliance["control"] == "CIS AWS Foundations Benchmark 6.0 2.10"
    assert "CIS AWS Foundations Benchmark 1.4" in compliance["standards"]
    assert not any("retired" in one or "MITRE" in one for one in compliance["requirements"])
    attacks = [one["sub_technique"]["uid"] for one in event["finding_info"]["attacks"]]
    assert attacks == ["T1078.004", "T1098.001", "T1136.003"]
    assert event["remediation"]["desc"].startswith("The key is not in use: disable it")
    assert event["remediation"]["references"][0].startswith("https://docs.aws.amazon.com/")
    assert event["unmapped"]["evidence"][0]["fact"] == "status"


def test_the_key_is_the_target_and_its_user_is_related() -> None:
    """A key's event names the key first, then its user; the cloud account has its name and unit."""
    event = event_of(first_seen=AS_OF)
    key, user = event["resources"]
    assert (key["type"], key["uid"], key["role"]) == ("AwsIamAccessKey", "AKIAEXAMPLE000000001", "Target")
    assert (user["type"], user["role"]) == ("AwsIamUser", "Related")
    assert user["uid"] == f"arn:aws:iam::{ACCOUNT}:user/people/ann"
    assert event["cloud"]["account"] | event["cloud"]["org"] == {
        "uid": ACCOUNT,
        "name": "AWS Organizations",
        "type": "AWS Account",
        "type_id": 10,
        "ou_name": "/Workloads",
    }
    assert event["finding_info"]["first_seen_time"] == event["time"] == int(AS_OF.timestamp()) * 1000


def test_other_partitions_keep_iam_elsewhere() -> None:
    """The region and partition are those of the user's ARN."""
    event = event_of(user_arn="arn:aws-cn:iam::111122223333:user/ann")
    assert (event["cloud"]["region"], event["cloud"]["cloud_partition"]) == ("cn-north-1", "aws-cn")
