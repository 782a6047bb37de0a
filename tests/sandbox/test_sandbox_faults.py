"""Troubles on demand."""

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError

from birthright.errors import UsageError
from birthright.sandbox import Sandbox
from birthright.sandbox.faults import Faults, Kind, Throttle

Make = Callable[..., Any]
Refused = Callable[..., tuple[str, int]]
Broken = type[Exception] | tuple[type[Exception], ...]


@pytest.mark.parametrize(
    ("kind", "action", "call", "code"),
    [
        ("service-failure", "", "list_users", ("ServiceFailure", 500)),
        ("limit-exceeded", "", "generate_credential_report", ("LimitExceeded", 409)),
        ("throttling", "ListUsers", "list_users", ("Throttling", 400)),
        ("expired-token", "", "list_users", ("ExpiredToken", 403)),
        ("access-denied", "ListUsers", "list_users", ("AccessDenied", 403)),
        ("report-expired", "", "get_credential_report", ("ReportExpired", 410)),
    ],
)
def test_errors_strike_once_and_go(  # noqa: PLR0913, PLR0917 - a table's columns
    box: Sandbox, client: Make, refused: Refused, kind: Kind, action: str, call: str, code: tuple[str, int]
) -> None:
    """Each error has AWS's code and status, strikes as often as told, then all is well."""
    box.faults.add(kind, action=action, times=1)
    method = getattr(client(box), call)
    assert refused(method) == code
    assert method()
    assert len(box.faults) == 0


@pytest.mark.parametrize("kind", ["cut", "malformed", "empty", "drop", "hang", "service-failure-after"])
def test_troubles_after_the_effect(box: Sandbox, client: Make, kind: Kind) -> None:
    """The change is made and counted; the caller does not get its answer, and the log says so."""
    box.faults.add(kind, action="CreateAccessKey", times=1)
    with pytest.raises((BotoCoreError, ClientError, ResponseParserError)):
        client(box).create_access_key(UserName="rotated")
    assert len(box.account().users["rotated"].keys) == 2
    (entry,) = box.log
    assert (entry.effect[:2], entry.delivered, entry.fault) == (("created", "rotated"), False, kind)
    assert entry.error == ("ServiceFailure" if kind == "service-failure-after" else "")
    assert box.calls == {"CreateAccessKey": 1}


@pytest.mark.parametrize("kind", ["service-failure", "throttling", "access-denied", "limit-exceeded"])
def test_errors_come_before_the_effect(box: Sandbox, client: Make, kind: Kind) -> None:
    """AWS's errors leave everything as it was; the refused call is in the log without an effect."""
    box.faults.add(kind, action="CreateAccessKey", times=1)
    with pytest.raises(ClientError) as caught:
        client(box).create_access_key(UserName="rotated")
    assert len(box.account().users["rotated"].keys) == 1
    (entry,) = box.log
    assert (entry.effect, entry.delivered) == ((), True)
    assert entry.error == caught.value.response["Error"]["Code"]


def test_a_lost_request_never_was(box: Sandbox, client: Make) -> None:
    """Nothing happens, nothing is counted or logged, no token of the throttle is spent, no key is used."""
    box.throttle(0.001, burst=1)
    scanner = box.account().users["birthright-scanner"].keys[box.credentials.access_key_id]
    used = scanner.last_used_at
    box.faults.add("lost", times=2)
    iam = client(box)
    for _ in range(2):
        with pytest.raises(ConnectionClosedError):
            iam.create_access_key(UserName="rotated")
    assert len(box.account().users["rotated"].keys) == 1
    assert (box.calls.total(), box.log, scanner.last_used_at) == (0, [], used)
    assert iam.create_access_key(UserName="rotated")["AccessKey"]


def test_a_true_error_hides_no_effect(box: Sandbox, client: Make, refused: Refused) -> None:
    """A call that fails anyway is answered with its own error, not the one after the effect."""
    box.faults.add("service-failure-after", times=1)
    gone = refused(client(box).delete_access_key, UserName="rotated", AccessKeyId="AKIAUNKNOWN000000000")
    assert gone == ("NoSuchEntity", 404)
    assert [(entry.delivered, entry.fault) for entry in box.log] == [(True, "")]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("cut", (ResponseParserError, ResponseStreamingError)),  # botocore 1.44: the former
        ("malformed", ResponseParserError),
        ("empty", ResponseParserError),
        ("drop", ConnectionClosedError),
        ("hang", ReadTimeoutError),
    ],
)
def test_answers_break_on_the_way(box: Sandbox, client: Make, kind: Kind, error: Broken) -> None:
    """A cut, malformed, empty, dropped or missing answer is an error to boto3, never a result."""
    box.faults.add(kind, action="ListUsers", times=1)
    iam = client(box)
    with pytest.raises(error):
        iam.list_users()
    assert iam.list_users()["Users"]


def test_a_report_that_never_completes(box: Sandbox, client: Make, refused: Refused) -> None:
    """Generate says INPROGRESS and Get ReportInProgress for as long as the fault lasts."""
    box.faults.add("report-never-completes")
    iam = client(box)
    assert iam.generate_credential_report()["State"] == "INPROGRESS"
    assert refused(iam.get_credential_report) == ("ReportInProgress", 404)
    box.faults.clear()
    assert iam.generate_credential_report()["State"] == "COMPLETE"


def test_a_literal_report(box: Sandbox, client: Make) -> None:
    """Any bytes can be served as the report."""
    box.faults.add("report-body", body="user,arn\nx,y")
    assert client(box).get_credential_report()["Content"] == b"user,arn\nx,y"
    assert base64.b64encode(b"user,arn\nx,y").decode() not in box.account().report.content  # type: ignore[union-attr]


def test_short_pages(box: Sandbox, client: Make) -> None:
    """AWS may return fewer than MaxItems with IsTruncated: nothing is lost by following it."""
    box.faults.add("short-pages", size=2)
    pages = list(client(box).get_paginator("list_users").paginate(PaginationConfig={"PageSize": 50}))
    assert [len(page["Users"]) for page in pages] == [2, 2, 2]


def test_one_user_only(box: Sandbox, client: Make, refused: Refused) -> None:
    """A fault can be bound to calls about one user, and let some calls through first."""
    box.faults.add("access-denied", action="ListAccessKeys", user="rot*", after=1)
    keys = client(box).list_access_keys
    assert keys(UserName="rotated")
    assert keys(UserName="unused-100d")
    assert refused(keys, UserName="rotated") == ("AccessDenied", 403)


def test_shares_are_deterministic() -> None:
    """The same seed strikes the same calls; the share is about the share."""

    def struck(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add("throttling", share=0.3)
        return [bool(faults.strike("ListUsers", "", "111122223333")) for _ in range(1000)]

    assert struck(7) == struck(7)
    assert struck(7) != struck(8)
    assert 250 < sum(struck(7)) < 350


@pytest.mark.parametrize("wrong", [{"share": 2}, {"times": 0}, {"colour": "red"}])
def test_a_fault_that_is_none(wrong: dict[str, Any]) -> None:
    """A fault that means nothing is refused at once."""
    with pytest.raises(UsageError):
        Faults().add("cut", **wrong)


def test_the_bucket_holds_a_second() -> None:
    """Burst is one second's calls, then exactly the rate gets through; refusals cost nothing."""
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    throttle.limit(10)
    assert [throttle.admit("1", "iam") for _ in range(12)] == [True] * 10 + [False] * 2
    admitted = 0
    for _ in range(100):
        now[0] += 0.05
        admitted += throttle.admit("1", "iam")
    assert 49 <= admitted <= 50
    assert throttle.admit("2", "iam")


def test_throttling_by_account(box: Sandbox, client: Make, refused: Refused) -> None:
    """Above the rate a call is refused with Throttling 400, and counted as refused."""
    box.throttle(0.001, burst=3)
    iam = client(box)
    for _ in range(3):
        iam.list_users()
    assert refused(iam.list_users) == ("Throttling", 400)
    assert (box.calls["ListUsers"], box.refused, box.accepted) == (4, 1, 3)
    assert box.errors == {"Throttling": 1}
    box.throttle(None)
    assert iam.list_users()


def test_latency(box: Sandbox, client: Make) -> None:
    """Every answer is held back by the latency."""
    iam = client(box)
    iam.list_users()
    box.latency.ms = 60
    before = time.monotonic()
    iam.list_users()
    assert time.monotonic() - before >= 0.06
