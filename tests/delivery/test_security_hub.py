"""A push brings Security Hub up to date: nothing twice, nothing lost, nothing archived that was not read."""

import time
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache

import msgspec
import pytest
from moto import mock_aws

from birthright.aws.session import AwsSession
from birthright.delivery.hub import MOST_BYTES, Failed, Hub
from birthright.delivery.security_hub import Pushed, push
from birthright.errors import AccessDeniedError, ReadError
from birthright.findings.model import Waiver
from birthright.reports.interface import Report
from hub_helpers import SecurityHub, failure, line, report
from plan_helpers import ACCOUNT, AS_OF

OTHER = "444455556666"
WAIVER = Waiver("accepted", "ops", None, date(2026, 11, 1), date(2026, 12, 1))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecurityHub]:
    with SecurityHub().running() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


def pushed(made: Report, sleeps: list[float] | None = None) -> Pushed:
    """Push without waiting."""
    waits: list[float] = [] if sleeps is None else sleeps
    return push(made, session(), waits.append)


@cache
def session() -> AwsSession:
    """Return one session for all tests: what botocore reads from its files of AWS's services stays in it."""
    return AwsSession()


def name(number: int) -> str:
    """Return the fingerprint of a failure."""
    return f"{number:032x}"


def test_250_findings_are_three_calls(hub: SecurityHub) -> None:
    """At most a hundred in a call, every finding exactly once."""
    done = pushed(report(map(failure, range(250))))
    assert [len(call) for call in hub.calls] == [100, 100, 50]
    assert hub.standing("ACTIVE") == set(map(name, range(250)))
    assert (done.active, done.waived, done.fixed, done.left, done.failed) == (250, 0, 0, 0, ())


def test_a_call_stays_below_the_limit_of_bytes(hub: SecurityHub) -> None:
    """Long findings go in more calls, each of at most 240 KB as it is sent, letters beyond ASCII included."""
    made = report(failure(number, reason="\u00fc" * 900) for number in range(100))
    assert pushed(made).active == 100
    assert len(hub.calls) > 1
    assert max(hub.sizes) <= MOST_BYTES


def test_a_second_push_makes_no_duplicate(hub: SecurityHub) -> None:
    """The next scan updates; the same scan again changes nothing."""
    pushed(report([failure(1), failure(2)]))
    first = {key: item["UpdatedAt"] for key, item in hub.findings.items()}
    assert pushed(report([failure(1), failure(2)])).active == 2
    assert pushed(report([failure(1), failure(2)], hours=24)).active == 2
    assert hub.findings.keys() == first.keys()
    assert all(hub.findings[key]["UpdatedAt"] > first[key] for key in first)


def test_when_it_was_created_does_not_change(hub: SecurityHub) -> None:
    """Whatever a later report thinks, CreatedAt stays what it was."""
    pushed(report([failure(1, first_seen=AS_OF)], hours=1))
    (before,) = [item["CreatedAt"] for item in hub.findings.values()]
    pushed(report([failure(1, created_at=AS_OF)], hours=48))
    (after,) = [item["CreatedAt"] for item in hub.findings.values()]
    assert after == before


def test_what_is_fixed_is_archived(hub: SecurityHub) -> None:
    """A finding that the next scan, having read all, does not have any more."""
    pushed(report([failure(1), failure(2)]))
    done = pushed(report([failure(2)], hours=1))
    assert (done.active, done.fixed, done.left) == (1, 1, 0)
    assert (hub.standing("ACTIVE"), hub.standing("ARCHIVED")) == ({name(2)}, {name(1)})
    (gone,) = [item for item in hub.findings.values() if item["RecordState"] == "ARCHIVED"]
    assert gone["Compliance"]["Status"] == "PASSED"
    assert pushed(report([failure(2)], hours=2)).fixed == 0


def test_more_than_a_page_is_archived(hub: SecurityHub) -> None:
    """Security Hub gives a hundred findings a page."""
    pushed(report(map(failure, range(230))))
    assert pushed(report(hours=1)).fixed == 230
    assert hub.pages == 1 + 3
    assert not hub.standing("ACTIVE")


def test_what_comes_back_is_active_again(hub: SecurityHub) -> None:
    """An archived finding that fails again is the same finding."""
    pushed(report([failure(1)]))
    pushed(report(hours=1))
    assert pushed(report([failure(1)], hours=2)).active == 1
    assert hub.standing("ACTIVE") == {name(1)}
    assert len(hub.findings) == 1


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (report(coverage=[line(status="denied")], hours=1), "the account was not read"),
        (report(coverage=[line(source="AssumeRole", status="failed")], hours=1), "it was not entered"),
        (report(coverage=[line(source="ListUsers", status="partial")], hours=1), "not all users are known"),
        (report(coverage=[line(OTHER)], hours=1), "it was not asked for"),
        (report(coverage=[line(report_hours=-2)], hours=1), "the report is from before the first scan"),
        (report(policies=["access-key-unused"], hours=1), "the policy did not judge"),
        (
            report(
                [failure(9, verdict="unknown", user_name="user-1", access_key_id=None, created_at=None)],
                hours=1,
            ),
            "the user's keys were not listed",
        ),
        (
            report([failure(9, verdict="unknown", user_name=None, access_key_id=None)], hours=1),
            "the policy could not judge the account",
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_was_not_read_is_not_archived(made: Report, why: str, hub: SecurityHub) -> None:
    """A scan that does not know says nothing about what stands there."""
    pushed(report([failure(1)]))
    before = dict(hub.findings)
    done = pushed(made)
    assert (done.fixed, done.left) == (0, 1), why
    assert hub.findings.items() >= before.items()


def test_a_key_younger_than_the_report_is_not_archived(hub: SecurityHub) -> None:
    """Which keys a user has who had none in the report is not asked; once the report is younger, it is."""
    pushed(report([failure(1, created_at=AS_OF - timedelta(hours=1))]))
    listed = line(source="ListAccessKeys")
    assert pushed(report(coverage=[line(report_hours=-2), listed], hours=1)).left == 1
    assert hub.standing("ACTIVE") == {name(1)}
    assert pushed(report(coverage=[line(report_hours=2), listed], hours=3)).fixed == 1
    assert hub.standing("ARCHIVED") == {name(1)}


def test_keys_listed_after_an_old_report_count(hub: SecurityHub) -> None:
    """The report is of before the last push, but the keys were listed since."""
    pushed(report([failure(1)]))
    made = report(coverage=[line(report_hours=-2), line(source="ListAccessKeys")], hours=1)
    assert pushed(made).fixed == 1
    assert hub.standing("ARCHIVED") == {name(1)}


def test_accounts_that_were_read_are_brought_up_to_date_beside_others(hub: SecurityHub) -> None:
    """One unread account keeps its findings; the fixed one of its neighbour is archived."""
    both = [line(), line(OTHER)]
    pushed(report([failure(1), failure(2, account_id=OTHER)], both))
    done = pushed(report([], [line(), line(OTHER, status="denied")], hours=1))
    assert (done.fixed, done.left) == (1, 1)
    assert hub.standing("ACTIVE") == {name(2)}


def test_what_history_calls_fixed_is_archived(hub: SecurityHub) -> None:
    """A comparison of two scans knows better than the coverage."""
    pushed(report([failure(1), failure(2)]))
    made = report(coverage=[line(source="ListUsers", status="partial")], hours=1)
    fixed = msgspec.structs.replace(made.document, fixed=(failure(2, state="fixed"),))
    assert pushed(Report(fixed)).fixed == 1
    assert hub.standing("ARCHIVED") == {name(2)}


def test_findings_of_all_accounts_are_put_into_the_caller_s(hub: SecurityHub) -> None:
    """AWS takes only the caller's own account; the real one is in the ProductFields."""
    pushed(report([failure(1, account_id=OTHER)], [line(OTHER)]))
    (item,) = hub.findings.values()
    assert item["AwsAccountId"] == ACCOUNT
    assert item["ProductFields"]["birthright/account_id"] == OTHER
    assert OTHER in str(item["Resources"])
    assert item["ProductArn"] == f"arn:aws:securityhub:eu-west-1:{ACCOUNT}:product/{ACCOUNT}/default"


def test_an_older_scan_undoes_nothing(hub: SecurityHub) -> None:
    """Neither does it archive what a newer scan found, nor bring back what that one saw fixed."""
    pushed(report([failure(1), failure(2)]))
    pushed(report([failure(2)], hours=24))
    done = pushed(report([failure(1)], hours=12))
    assert (done.fixed, done.outdated) == (0, 1)
    assert (hub.standing("ACTIVE"), hub.standing("ARCHIVED")) == ({name(2)}, {name(1)})


def test_a_waived_finding_is_archived_as_long_as_the_waiver_lasts(hub: SecurityHub) -> None:
    """Also in a second push of the same scan; when the waiver ends it is active again."""
    pushed(report([failure(1)]))
    done = pushed(report([failure(1, waiver=WAIVER)]))
    assert (done.active, done.waived, done.fixed) == (0, 1, 0)
    assert hub.standing("ARCHIVED") == {name(1)}
    pushed(report([failure(1)], hours=24))
    assert hub.standing("ACTIVE") == {name(1)}


def test_what_people_did_in_security_hub_stays(hub: SecurityHub) -> None:
    """Neither workflow nor note is sent, not even for a waived finding."""
    pushed(report([failure(1), failure(2, waiver=WAIVER)]))
    assert not {"Workflow", "Note"} & {key for call in hub.calls for item in call for key in item}
    for item in hub.findings.values():
        item["Workflow"] = {"Status": "SUPPRESSED"}
        item["Note"] = {"Text": "known", "UpdatedBy": "me", "UpdatedAt": "2026-11-22T10:00:00Z"}
    pushed(report(hours=1))
    assert hub.standing("ARCHIVED") == {name(1), name(2)}
    assert {item["Workflow"]["Status"] for item in hub.findings.values()} == {"SUPPRESSED"}
    assert not {"Workflow", "Note"} & {key for call in hub.calls for item in call for key in item}


def test_what_is_not_ours_is_left_alone(hub: SecurityHub) -> None:
    """Findings of other tools share the product of the account."""
    pushed(report([failure(1)]))
    (ours,) = hub.findings.values()
    hub.findings["x"] = {**ours, "Id": "x", "GeneratorId": "somebody/else"}
    hub.findings["y"] = {
        **ours,
        "Id": "y",
        "ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/guardduty",
    }
    assert pushed(report(hours=1)).fixed == 1
    assert {key for key, item in hub.findings.items() if item["RecordState"] == "ACTIVE"} == {"x", "y"}


def test_what_passes_is_not_pushed_and_is_fixed(hub: SecurityHub) -> None:
    """A document may hold passes, too."""
    pushed(report([failure(1)]))
    done = pushed(report([failure(1, verdict="pass"), failure(2, verdict="pass")], hours=1))
    assert (done.active, done.fixed) == (0, 1)
    assert len(hub.findings) == 1


def test_failures_are_told_by_their_code(hub: SecurityHub) -> None:
    """How many, and the first ids; the others of the batch are there."""
    made = report(map(failure, range(10)))
    pushed(made)
    ids = list(hub.findings)
    hub.failing = dict.fromkeys(ids[:5], ("InvalidInput", 99))
    done = pushed(report(map(failure, range(10)), hours=1))
    (failed,) = done.failed
    assert (done.active, failed.code, failed.count) == (5, "InvalidInput", 5)
    assert failed.ids == tuple(ids[:3])
    assert "5 active\nSecurity Hub did not take 5: InvalidInput, such as birthright/" in done.words
    assert len(hub.calls) == 2


def test_what_passes_by_is_tried_again(hub: SecurityHub) -> None:
    """Only what was refused is sent again, later and later; what is then taken is no failure."""
    pushed(report(map(failure, range(10))))
    ids = list(hub.findings)
    hub.failing = {ids[0]: ("ThrottlingException", 2), ids[1]: ("InternalFailure", 1)}
    sleeps: list[float] = []
    done = pushed(report(map(failure, range(10)), hours=1), sleeps)
    assert (done.active, done.failed) == (10, ())
    assert [len(call) for call in hub.calls] == [10, 10, 2, 1]
    assert len(sleeps) == 2
    assert sleeps[0] < sleeps[1]


def test_trying_again_has_an_end(hub: SecurityHub) -> None:
    """A finding that is never taken is a failure."""
    pushed(report([failure(1)]))
    hub.failing = dict.fromkeys(hub.findings, ("Throttling", 99))
    sleeps: list[float] = []
    done = pushed(report([failure(1)], hours=1), sleeps)
    assert [(one.code, one.count) for one in done.failed] == [("Throttling", 1)]
    assert len(hub.calls) < 10
    assert sum(sleeps) < 120


def test_security_hub_is_not_enabled(hub: SecurityHub) -> None:
    """One line that says where, and what to do; whichever way AWS says it."""
    hub.refusing = {"GetFindings": (401, "InvalidAccessException")}
    with pytest.raises(ReadError, match=f"not enabled in account {ACCOUNT}, region eu-west-1 .enable it"):
        pushed(report([failure(1)]))
    assert not hub.calls
    hub.refusing = {}
    hub.account_id = OTHER
    hub.failing = {}
    pushed(report([failure(1)]))
    hub.failing = dict.fromkeys(hub.findings, ("InvalidAccess", 9))
    with pytest.raises(ReadError, match=f"not enabled in account {OTHER}"):
        pushed(report([failure(1)], hours=1))


@pytest.mark.parametrize("operation", ["GetFindings", "BatchImportFindings"])
def test_permission_is_missing(operation: str, hub: SecurityHub) -> None:
    """The line names the action, and how to see what is needed."""
    hub.refusing = {operation: (403, "AccessDeniedException")}
    with pytest.raises(AccessDeniedError, match=f"securityhub:{operation} is denied .*--for security-hub"):
        pushed(report([failure(1)]))
    assert not hub.findings


def test_a_finding_too_large_is_told(hub: SecurityHub) -> None:
    """AWS takes 240 KB: it is not sent, and the others are."""
    (small,) = _items(report([failure(1)]), hub)
    own = Hub(session(), time.sleep)
    assert [item["Id"] for item in own.put([{**small, "Id": "x", "Title": "x" * MOST_BYTES}, small])] == [
        small["Id"]
    ]
    assert own.failed == (Failed("TooLarge", 1, ("x",)),)
    assert max(hub.sizes) <= MOST_BYTES


def _items(made: Report, hub: SecurityHub) -> list[dict[str, object]]:
    """Push, and return what was sent."""
    pushed(made)
    return [item for call in hub.calls for item in call]


def test_moto_takes_it() -> None:
    """What is sent has the form of AWS's own model, as moto serves it, to the archiving.

    Moto gives every finding whatever is asked for: another tool's is still left alone.
    """
    with mock_aws():
        first = pushed(report([failure(1), failure(2, verdict="unknown"), failure(3, waiver=WAIVER)]))
        assert (first.active, first.waived, first.failed) == (2, 1, ())
        client = AwsSession().botocore.create_client("securityhub", region_name="eu-west-1")
        ours = client.get_findings()["Findings"][0]
        client.batch_import_findings(Findings=[{**ours, "Id": "x", "GeneratorId": "somebody/else"}])
        second = pushed(report([failure(1)], hours=1))
        assert (second.active, second.fixed, second.failed) == (1, 1, ())
        standing = {one["Id"]: one["RecordState"] for one in client.get_findings()["Findings"]}
        assert standing["x"] == "ACTIVE"
        assert sorted(standing.values()) == ["ACTIVE", "ACTIVE", "ARCHIVED", "ARCHIVED"]
