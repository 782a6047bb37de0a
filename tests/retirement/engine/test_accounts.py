"""The accounts that a run changes, each with its own credentials, on a running sandbox."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from botocore.awsrequest import AWSPreparedRequest

from birthright.aws.clock import AwsClock
from birthright.aws.role import Role
from birthright.aws.session import AwsSession
from birthright.errors import AccessDeniedError, CredentialsError, ReadError
from birthright.retirement.engine.accounts import AccountDirectory
from birthright.sandbox.sandbox import Sandbox

LONG = 10.0  # seconds; longer than anything here takes


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Serve four accounts and point the environment at them."""
    with Sandbox.create(users=1, cases=False, accounts=4).running() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


def accounts(role: str | None = "birthright-retire") -> AccountDirectory:
    """Make the accounts of a run that does not wait."""
    return AccountDirectory(AwsSession(), AwsClock(), Role(role) if role else None, lambda _: None)


def test_each_account_is_entered_once_and_asked_as_itself(box: Sandbox) -> None:
    """Many threads that want four accounts take on three roles, and every account answers for itself."""
    fleet = accounts()
    wanted = list(box.account_ids) * 8
    with ThreadPoolExecutor(len(wanted)) as pool:
        found = list(pool.map(lambda name: fleet.get(name, "aws"), wanted))
    assert [account.identity.account_id for account in found] == wanted
    assert len({account.own_key_id for account in found}) == 4
    assert fleet.own.own_key_id == box.credentials.access_key_id
    assert box.calls["AssumeRole"] == 3
    assert box.calls["GetCallerIdentity"] == 4
    assert all(account.iam.keys("nobody") == () for account in found)


def test_a_slow_account_holds_up_no_other(box: Sandbox) -> None:
    """While one account's role takes its time, the others are entered."""
    slow, quick = box.account_ids[1:3]
    session = AwsSession()
    begun, go_on = threading.Event(), threading.Event()

    def hold(request: AWSPreparedRequest, **_: object) -> None:
        if slow in str(request.body):
            begun.set()
            assert go_on.wait(LONG)

    session.botocore.register("before-send.sts.AssumeRole", hold)
    fleet = AccountDirectory(session, AwsClock(), Role("birthright-retire"))
    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(fleet.get, slow, "aws")
        assert begun.wait(LONG)
        assert pool.submit(fleet.get, quick, "aws").result(LONG).identity.account_id == quick
        assert fleet.own.identity.account_id == box.account_id
        assert not held.done()
        go_on.set()
        assert held.result(LONG).identity.account_id == slow


def test_an_account_that_is_closed_is_not_tried_for_every_key(box: Sandbox) -> None:
    """A role that may not be taken on is asked for once, and each of its keys is told why."""
    fleet = accounts("no-such-role")
    for _ in range(3):
        with pytest.raises(AccessDeniedError, match="sts:AssumeRole"):
            fleet.get(box.account_ids[1], "aws")
    assert box.calls["AssumeRole"] == 1
    with pytest.raises(AccessDeniedError):
        fleet.get(box.account_ids[2], "aws")
    assert box.calls["AssumeRole"] == 2


def test_a_passing_trouble_at_the_door_is_waited_out(box: Sandbox) -> None:
    """A lost answer and a throttled call do not close an account."""
    fleet = accounts()
    box.faults.add("drop", action="AssumeRole", times=1)
    box.faults.add("throttling", action="GetCallerIdentity", times=2)
    assert fleet.get(box.account_ids[1], "aws").identity.account_id == box.account_ids[1]


def test_trouble_that_lasts_is_told(box: Sandbox) -> None:
    """Who we are is never guessed."""
    box.faults.add("empty", action="GetCallerIdentity")
    with pytest.raises(ReadError):
        accounts().own  # noqa: B018 - asking is what is tested


def test_without_a_role_only_the_own_account_is_there(box: Sandbox) -> None:
    """The error says which account the credentials are of, and what to do."""
    fleet = accounts(None)
    assert fleet.get(box.account_id, "aws") is fleet.own
    with pytest.raises(CredentialsError, match=box.account_id) as raised:
        fleet.get(box.account_ids[1], "aws")
    assert "--role" in (raised.value.hint or "")


def test_a_clock_that_is_ahead_is_told(box: Sandbox) -> None:
    """A role whose credentials have expired by this machine's clock is an error that says what to do."""
    box.clock.set(datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(CredentialsError, match="expired") as raised:
        accounts().get(box.account_ids[1], "aws")
    assert "clock" in (raised.value.hint or "")
