"""Whether a scan could have seen a finding that it does not have: one truth table for all who ask."""

from datetime import timedelta

import pytest

from birthright.findings.model import CoverageSummary, Document, Finding
from birthright.history.compare import compare
from birthright.history.visibility import Sighting, could_see
from history_helpers import past_of_documents
from hub_helpers import failure, line, report
from plan_helpers import AS_OF, BORN

LISTED, KEYS = line(source="ListUsers"), line(source="ListAccessKeys")
CUT = line(source="ListUsers", status="partial")
REPORT, OLD = line(report_hours=1), line(report_hours=-2)
PART = line(status="partial", report_hours=1)
KEY = failure(1, created_at=AS_OF - timedelta(days=30))
YOUNG = failure(1, created_at=AS_OF - timedelta(hours=1))
# A finding that does not say when its key was made: it is about a user, or nobody knows.
USER = failure(1, created_at=None, access_key_id=None)


def unknown(user: str | None = "user-1", *, key: bool = False, policy: str = BORN) -> Finding:
    """Make an unknown finding; `key`: of a key with a creation time, and not the one that is missing."""
    made = AS_OF - timedelta(days=9) if key else None
    return failure(9, verdict="unknown", user_name=user, created_at=made, policy=policy)


@pytest.mark.parametrize(
    ("found", "coverage", "beside", "seen"),
    [
        pytest.param(KEY, [REPORT, LISTED, KEYS], [], True, id="everything was read"),
        pytest.param(KEY, [REPORT], [], True, id="a later report alone"),
        pytest.param(KEY, [line()], [], True, id="a report that does not say when it was made"),
        pytest.param(KEY, [OLD], [], False, id="a report from before the finding"),
        pytest.param(KEY, [PART], [], False, id="a part of a report"),
        pytest.param(KEY, [PART, CUT, KEYS], [], False, id="a part of a report and of the users"),
        pytest.param(KEY, [PART, LISTED, KEYS], [], True, id="a part of a report and all users"),
        pytest.param(KEY, [line(status="denied"), LISTED, KEYS], [], True, id="no report, all users"),
        pytest.param(KEY, [line(status="denied"), CUT, KEYS], [], False, id="no report, a part of the users"),
        pytest.param(KEY, [line(status="denied")], [], False, id="denied"),
        pytest.param(KEY, [line(source="AssumeRole", status="failed")], [], False, id="not entered"),
        pytest.param(KEY, [line(source="ListAccounts", status="skipped")], [], False, id="suspended"),
        pytest.param(KEY, [line("444455556666")], [], False, id="not asked for"),
        pytest.param(KEY, [OLD, CUT, KEYS], [], True, id="keys listed after an old report"),
        pytest.param(USER, [OLD, CUT, KEYS], [], False, id="users known from an old report only"),
        pytest.param(USER, [OLD, LISTED, KEYS], [], True, id="users listed after an old report"),
        pytest.param(YOUNG, [OLD, LISTED, KEYS], [], False, id="a key younger than the report"),
        pytest.param(YOUNG, [REPORT, LISTED, KEYS], [], True, id="a key older than the report"),
        pytest.param(KEY, [REPORT], [unknown()], False, id="the user's keys are not known"),
        pytest.param(KEY, [REPORT], [unknown(None)], False, id="the account could not be judged"),
        pytest.param(KEY, [REPORT], [unknown(key=True)], True, id="another key is unknown"),
        pytest.param(USER, [REPORT], [unknown(key=True)], False, id="perhaps the same key is unknown"),
        pytest.param(KEY, [REPORT], [unknown("user-2")], True, id="another user is unknown"),
        pytest.param(KEY, [REPORT], [unknown(policy="access-key-unused")], True, id="another policy's"),
    ],
)  # fmt: skip
def test_the_truth_table(
    found: Finding, coverage: list[CoverageSummary], beside: list[Finding], *, seen: bool
) -> None:
    """History calls a failure fixed, and Security Hub archives it, in the same cases."""
    now = report(beside, coverage, 2).document
    assert [bool(compared(found, now).fixed), asked(found, now)] == [seen, seen]


def test_a_policy_that_did_not_judge_saw_nothing() -> None:
    """It says nothing of the findings that it had made before."""
    now = report(coverage=[REPORT, LISTED, KEYS], hours=2, policies=["access-key-unused"]).document
    assert [bool(compared(KEY, now).fixed), asked(KEY, now)] == [False, False]


def test_each_finding_has_its_answer() -> None:
    """The answers come in the order of the questions, also of none."""
    now = report([unknown("user-2")], [REPORT], 2).document
    some = [failure(number, created_at=KEY.created_at) for number in (1, 2, 3)]
    assert could_see(now, map(sighting, now.findings), list(map(sighting, some))) == [True, False, True]
    assert could_see(now, [], []) == []


def compared(found: Finding, now: Document) -> Document:
    """Compare a scan with one that had the finding, and had read everything."""
    before = report([found], [line(report_hours=-1), LISTED, KEYS]).document
    return compare(now, past_of_documents([before]))


def asked(found: Finding, now: Document) -> bool:
    """Ask of a finding that is kept elsewhere."""
    unknowns = (one for one in now.findings if one.verdict == "unknown")
    return could_see(now, map(sighting, unknowns), [sighting(found)])[0]


def sighting(found: Finding) -> Sighting:
    """Return what Security Hub holds of a finding."""
    return Sighting(found.policy, found.account_id, found.user_name, found.created_at, AS_OF)
