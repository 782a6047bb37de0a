"""The sandbox's own record of what happened."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from birthright.errors import UsageError
from birthright.sandbox import Sandbox
from birthright.sandbox.log import Log

Make = Callable[..., Any]
START = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
BORN = "ci-deploy-born-with-key"


def only_key(box: Sandbox, user: str = BORN) -> str:
    (key,) = box.account().users[user].keys
    return key


def control(box: Sandbox, name: str, body: dict[str, str] | None = None) -> tuple[int, Any]:
    """Call `/_sandbox/name`; give the status and the JSON answered."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{box.url}/_sandbox/{name}", data, {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_changes_are_logged_and_reads_are_not(client: Make) -> None:
    """Each change has its caller, time, parameters, request id and plain effect, in order."""
    with Sandbox.create(users=5, clock=START, frozen=True).running() as box:
        iam, old = client(box), only_key(box)
        iam.list_users()
        answer = iam.create_access_key(UserName=BORN)
        new = answer["AccessKey"]["AccessKeyId"]
        iam.update_access_key(UserName=BORN, AccessKeyId=old, Status="Inactive")
        iam.update_access_key(UserName=BORN, AccessKeyId=old, Status="Inactive")
        iam.delete_access_key(UserName=BORN, AccessKeyId=old)
        assert [entry.effect for entry in box.log] == [
            ("created", BORN, new),
            ("status", BORN, old, "Active", "Inactive"),
            (),
            ("deleted", BORN, old),
        ]
        assert [entry.seq for entry in box.log] == [1, 2, 3, 4]
        first = box.log[0]
        assert (first.at, first.account_id, first.service) == (START, box.account_id, "iam")
        assert first.caller == "arn:aws:iam::111122223333:user/birthright-scanner"
        assert first.caller_key_id == box.credentials.access_key_id
        assert (first.action, first.params) == ("CreateAccessKey", {"UserName": BORN})
        assert first.request_id == answer["ResponseMetadata"]["RequestId"]


def test_refused_changes_are_logged_too(box: Sandbox, client: Make) -> None:
    """A change that AWS refuses is there with AWS's code and no effect."""
    iam = client(box)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.delete_access_key(UserName=BORN, AccessKeyId="AKIAUNKNOWN000000000")
    (entry,) = box.log
    assert (entry.error, entry.effect, entry.delivered) == ("NoSuchEntity", (), True)


def test_the_log_has_no_secrets(box: Sandbox, client: Make) -> None:
    """Neither the log nor what the control port shows of it holds a secret or a password."""
    made = client(box).create_access_key(UserName=BORN)["AccessKey"]["SecretAccessKey"]
    client(box).create_login_profile(UserName=BORN, Password="hunter-2")
    sm, ssm = client(box, "secretsmanager"), client(box, "ssm")
    sm.create_secret(Name="a", SecretString="hunter-3", Tags=[{"Key": "user", "Value": "alice"}])
    sm.put_secret_value(SecretId="a", SecretString="hunter-4")
    ssm.put_parameter(Name="a", Value="hunter-5", Type="SecureString")
    status, answer = control(box, "log")
    text = repr(box.log) + repr(box.account().secrets) + repr(box.account().parameters) + json.dumps(answer)
    assert status == 200
    assert not any(secret in text for secret in (made, "hunter"))
    assert [entry["effect"][0] for entry in answer["log"]] == [
        "created",
        "password-set",
        "secret-created",
        "secret-put",
        "parameter-put",
    ]
    assert answer["log"][2]["params"]["Tags"] == [{"Key": "user", "Value": "alice"}]


def test_people_leave_their_traces(box: Sandbox) -> None:
    """What somebody does by hand is done, and logged as somebody's."""
    people, old = box.people, only_key(box)
    new = people.add_key(BORN).access_key_id
    people.use_key(new, "sqs", "eu-west-1")
    people.set_status(old, "Inactive")
    people.set_status(old, "Inactive")
    people.delete_key(old)
    people.delete_user(BORN)
    assert [entry.effect for entry in box.log] == [
        ("created", BORN, new),
        ("used", BORN, new, "sqs", "eu-west-1"),
        ("status", BORN, old, "Active", "Inactive"),
        (),
        ("deleted", BORN, old),
        ("deleted", BORN, new),
        ("user-deleted", BORN),
    ]
    assert {(entry.caller, entry.caller_key_id, entry.service) for entry in box.log} == {
        ("somebody", "", "people")
    }
    assert BORN not in box.account().users


def test_people_cannot_do_what_aws_forbids(box: Sandbox) -> None:
    """Keys that are off or unknown are not used, a third key is not made, a status is one of AWS's."""
    people, old = box.people, only_key(box)
    people.add_key(BORN)
    people.set_status(old, "Inactive")
    with pytest.raises(UsageError):
        people.use_key(old)
    with pytest.raises(UsageError):
        people.use_key("AKIAUNKNOWN000000000")
    with pytest.raises(UsageError):
        people.add_key(BORN)
    with pytest.raises(UsageError):
        people.add_key("nobody")
    with pytest.raises(UsageError):
        people.set_status(old, "Asleep")
    assert len(box.log) == 2


def test_an_earlier_use_is_no_later_one(box: Sandbox) -> None:
    """A use can be told to have been earlier; it never hides a later one."""
    key = box.account().users[BORN].keys[only_key(box)]
    now = box.clock.second()
    box.people.use_key(key.access_key_id, at=now - timedelta(minutes=5))
    assert key.last_used_at == now - timedelta(minutes=5)
    box.people.use_key(key.access_key_id, "ec2", at=now - timedelta(minutes=9))
    assert (key.last_used_at, key.last_used_service) == (now - timedelta(minutes=5), "s3")


def test_a_shell_user_has_people_too(box: Sandbox) -> None:
    """POST /_sandbox/use and key-status do the same from another process; nonsense is refused."""
    key = only_key(box)
    assert control(box, "use", {"key": key, "service": "ses", "region": "us-east-1"})[0] == 200
    assert control(box, "key-status", {"key": key, "status": "Inactive"})[0] == 200
    assert box.account().users[BORN].keys[key].last_used_service == "ses"
    assert box.account().users[BORN].keys[key].status == "Inactive"
    assert control(box, "use", {"key": key})[0] == 400
    assert control(box, "key-status", {"key": "AKIAUNKNOWN000000000", "status": "Active"})[0] == 400
    assert control(box, "key-status", {"key": key})[0] == 400
    assert [entry["effect"][0] for entry in control(box, "log")[1]["log"]] == ["used", "status"]


def test_the_log_is_bounded() -> None:
    """Beyond its limit the oldest entries go; the numbers go on."""
    log = Log(limit=2)
    for number in range(3):
        log.by_hand(START, "1", "use_key", {}, ("used", str(number)))
    assert [(entry.seq, entry.effect[1]) for entry in log.entries] == [(2, "1"), (3, "2")]


def test_answers_carry_the_sandboxs_date(client: Make) -> None:
    """The Date header of AWS's answers, errors and the control port's is the sandbox's clock."""
    with Sandbox.create(users=1, clock=START, frozen=True).running() as box:
        sent = client(box, "sts").get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]["date"]
        assert sent == "Sun, 22 Nov 2026 12:00:00 GMT"
        box.clock.advance(timedelta(days=14))
        iam = client(box)
        with pytest.raises(iam.exceptions.NoSuchEntityException) as caught:
            iam.get_user(UserName="nobody")
        headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
        assert headers["date"] == "Sun, 06 Dec 2026 12:00:00 GMT"
        with urllib.request.urlopen(f"{box.url}/_sandbox/state") as answer:  # noqa: S310 - loopback
            assert answer.headers["Date"] == headers["date"]
