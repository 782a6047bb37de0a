"""JUnit XML is read by junitparser."""

import tempfile
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from birthright.errors import StoreError
from birthright.findings.model import Document, Summary
from birthright.text import printable
from format_helpers import (
    ACCOUNT,
    BORN,
    EVERY_KIND,
    HOSTILE,
    UNREAD,
    WAIVER,
    any_text,
    asked,
    document,
    everything,
    finding,
    numbered,
    rendered,
)


def suites_of(what: Document) -> dict[str, TestSuite]:
    """Render, read, and hold each count against the cases; return the suites by policy."""
    whole = JUnitXml.fromstring(rendered("junit", what).encode())
    suites = list(whole)
    for suite in suites:
        cases = list(suite)
        said = (suite.tests, suite.failures, suite.errors, suite.skipped)
        assert said == (len(cases), *(_count(cases, kind) for kind in (Failure, Error, Skipped)))
        assert len({(case.classname, case.name) for case in cases}) == len(cases)
    said = (whole.tests, whole.failures, whole.errors, whole.skipped)
    names = ("tests", "failures", "errors", "skipped")
    assert said == tuple(sum(getattr(suite, name) for suite in suites) for name in names)
    return {suite.name.partition(":")[0]: suite for suite in suites}


def _count(cases: list[TestCase], kind: type) -> int:
    return sum(isinstance(one, kind) for case in cases for one in case.result)


def result_of(**values: Any) -> Any:  # noqa: ANN401
    """Return what one finding's case came to; None if it passed."""
    (case,) = suites_of(document(finding(**values)))[BORN]
    return case.result[0] if case.result else None


def test_every_kind_of_finding_is_read() -> None:
    """Every kind of finding is a case in its policy's suite, also of a policy that is not listed."""
    whole = everything()
    suites = suites_of(whole)
    assert sum(suite.tests for name, suite in suites.items() if name != "coverage") == len(EVERY_KIND)
    assert suites["somebody-elses"].failures == 1
    unlisted = msgspec.structs.replace(whole, policies=())
    assert suites_of(unlisted)[BORN].tests == suites[BORN].tests


def test_verdicts_are_outcomes() -> None:
    """A failure fails, an unknown is an error, a waived one is skipped with its reason, a pass passes."""
    assert isinstance(result_of(), Failure)
    assert isinstance(result_of(verdict="unknown"), Error)
    assert isinstance(result_of(verdict="unknown", waiver=WAIVER), Error)
    assert result_of(verdict="pass") is None
    waived = result_of(waiver=WAIVER)
    assert isinstance(waived, Skipped)
    assert waived.message == "waived until 2027-01-01 by ops@example.com: the vendor | needs <it>"


def test_a_failure_says_what_to_do() -> None:
    """Its text has the reason, the remedy, the facts with their sources, and how to see more."""
    text = result_of(fingerprint="ab" * 16).text
    assert f"access key AKIAEXAMPLE000000001 of user ann, account {ACCOUNT}: created 2 s" in text
    assert "The key is not in use: disable it, wait, delete it." in text
    assert "status: Active, said ListAccessKeys (2026-11-22T10:00:00Z)" in text
    assert "birthright explain abababab" in text


@settings(max_examples=60)
@given(any_text())
def test_any_text_is_read(what: Document) -> None:
    """Whatever names, reasons and evidence hold, the XML is well formed, and names are read as they were."""
    names = [case.name for case in suites_of(what)[BORN]]
    for one, name in zip(what.findings, names, strict=True):
        assert printable(one.user_name or "") in name


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str) -> None:
    """Markup, control characters and marks of direction in a reason come back as text that can be seen."""
    assert result_of(reason=name).message == printable(name)


def test_passes_that_are_not_listed_are_counted() -> None:
    """A policy whose passes are left out is not an empty suite; one that judged nothing is skipped."""
    whole = document()
    (line,) = whole.policies
    passed = msgspec.structs.replace(whole, policies=(msgspec.structs.replace(line, passed=17),))
    (case,) = suites_of(passed)[BORN]
    assert (case.name, case.result) == ("17 passed (not listed)", [])
    (case,) = suites_of(whole)[BORN]
    assert isinstance(case.result[0], Skipped)


def test_nothing_read_is_not_green() -> None:
    """A scan that read nothing has errors, even if it has no finding and no coverage."""
    empty = document(coverage=(), summary=Summary(0, 0, 0, 0, 0, 0))
    assert suites_of(empty)["coverage"].errors == 1
    denied = document(finding(**UNREAD), coverage=(asked(ACCOUNT, "ListUsers", "denied", detail="no"),))
    assert suites_of(denied)["coverage"].errors == 2
    whole = document()
    lying = msgspec.structs.replace(whole, scan=msgspec.structs.replace(whole.scan, complete=False))
    assert suites_of(lying)["coverage"].errors == 1
    assert suites_of(whole)["coverage"].errors == 0


def test_gaps_are_errors() -> None:
    """Each read that was not answered is an error with its detail; who was not to be asked is skipped."""
    cases = {(case.classname, case.name): case.result for case in suites_of(everything())["coverage"]}
    (denied,) = cases["444455556666", "AssumeRole"]
    assert isinstance(denied, Error)
    assert denied.message == "denied: not authorized\\x1b"
    assert isinstance(cases["777788889999", "ListAccounts"][0], Skipped)
    assert cases["coverage", "1 of 5 reads were answered"] == []


def test_many_cases_wait_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:  # noqa: ANN401
    """Suites of more than a megabyte are whole and leave no file behind; without room it says so."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = numbered(*({"reason": "r" * 1000} for _ in range(3000)))
    assert suites_of(document(*made))[BORN].failures == 3000
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="no room for JUnit's test cases: No such file"):
        rendered("junit", document(*made))
