"""Roles taken on: what is asked of STS, when credentials are renewed, and what is never shown."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from account_helpers import Canned
from birthright.aws.role import Role
from birthright.aws.roles import Roles
from birthright.aws.session import AwsSession
from birthright.aws.signing import Credentials
from birthright.errors import AccessDeniedError, AnswerError, CredentialsError
from birthright.sandbox import Sandbox
from birthright.scans.request import ReadOptions
from birthright.sources.account import collect
from birthright.times import format_instant, now
from fleet_helpers import entered

OTHER = "111122223334"
SECRET, TOKEN = "a/role/secret/0001", "a-role-session-token"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """Serve two accounts."""
    with Sandbox.create(users=3, accounts=2).running() as running, entered(running):
        yield running


@asynccontextmanager
async def roles(role: Role | None = None) -> AsyncIterator[Roles]:
    made = Roles(AwsSession(), role or Role())
    try:
        yield made
    finally:
        made.close()


def test_the_caller_is_known(box: Sandbox) -> None:
    """GetCallerIdentity names account and partition."""

    async def ask() -> None:
        async with roles() as made:
            caller = await made.caller()
            assert (caller.account_id, caller.partition) == (box.account_id, "aws")
            assert caller.arn.endswith(":user/birthright-scanner")

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("partition", "role", "arn"),
    [
        ("aws", None, f"arn:aws:iam::{OTHER}:role/birthright"),
        ("aws-cn", None, f"arn:aws-cn:iam::{OTHER}:role/birthright"),
        ("aws-us-gov", "audit/reader", f"arn:aws-us-gov:iam::{OTHER}:role/audit/reader"),
        ("aws", "/audit/reader", f"arn:aws:iam::{OTHER}:role/audit/reader"),
        ("aws", "arn:aws:iam::999999999999:role/x/y", "arn:aws:iam::999999999999:role/x/y"),
    ],
)
def test_what_is_asked_of_sts(
    partition: str, role: str | None, arn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role's ARN in its partition, the session's name, the duration, the external id if there is one."""
    asked: list[dict[str, str]] = []

    def answer(call: dict[str, str]) -> str:
        asked.append(call)
        return credentials(now() + timedelta(hours=1))

    for external_id in (None, "s3same+x=y z"):
        with Canned(AssumeRole=answer).running() as server:
            for name, value in server.environment().items():
                monkeypatch.setenv(name, value)
            given = Role(external_id=external_id, session_name="night@ly", duration=timedelta(minutes=15))
            asyncio.run(take_on(given, partition, role))
    plain = {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": arn,
        "RoleSessionName": "night@ly",
        "DurationSeconds": "900",
    }
    assert asked == [plain, {**plain, "ExternalId": "s3same+x=y z"}]


async def take_on(given: Role, partition: str = "aws", role: str | None = None) -> Credentials:
    async with roles(given) as made:
        return await made.session(OTHER, partition, role).credentials()


def credentials(ends_at: datetime, secret: str = SECRET) -> str:
    return (
        "<Credentials><AccessKeyId>ASIAROLE</AccessKeyId>"
        f"<SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{TOKEN}</SessionToken>"
        f"<Expiration>{format_instant(ends_at)}</Expiration></Credentials>"
    )


@pytest.mark.parametrize(("minutes", "renewed_after"), [(15, 10), (60, 55), (6, 3)])
def test_credentials_are_renewed_before_they_end(
    minutes: int, renewed_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five minutes early, short ones after half of their time; until then nobody asks again."""
    start = datetime(2026, 11, 22, 10, tzinfo=UTC)

    async def read() -> None:
        async with roles() as made:
            session = made.session(OTHER, "aws")
            for passed, calls in ((0, 1), (renewed_after * 60 - 1, 1), (renewed_after * 60, 2)):
                clock.move_to(start + timedelta(seconds=passed))
                # Many wait at the same time, and one renews for all of them.
                found = await asyncio.gather(*(session.credentials() for _ in range(30)))
                assert len(set(map(id, found))) == 1
                assert server.calls["AssumeRole"] == calls
                assert session.sts.calls["AssumeRole"] == calls

    with (
        time_machine.travel(start, tick=False) as clock,
        Canned(AssumeRole=lambda _: credentials(now() + timedelta(minutes=minutes))).running() as server,
    ):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        asyncio.run(read())


def test_a_long_read_outlives_its_credentials(box: Sandbox) -> None:
    """An account whose read takes longer than the session is read to its end, without a refusal."""
    start = datetime.now(UTC).replace(microsecond=0)

    async def read() -> None:
        async with roles(Role(duration=timedelta(minutes=15))) as made:
            session = made.session(OTHER, "aws")
            for passed in (0, 700, 1400, 2100):
                clock.move_to(start + timedelta(seconds=passed))
                box.clock.advance(timedelta(seconds=700))
                facts = (await collect(session, ReadOptions(), now())).facts
                assert {line.status for line in facts.coverage} == {"ok"}
            assert session.sts.calls["AssumeRole"] == 4

    with time_machine.travel(start, tick=False) as clock:
        box.clock.advance(timedelta(seconds=-700))
        asyncio.run(read())


def test_who_is_not_let_in_is_told(box: Sandbox) -> None:
    """A role that is not there, another external id and a closed account are denials with a hint."""
    box.account(OTHER).roles["birthright"].external_id = "theirs"
    for role, name in ((Role(), None), (Role(external_id="ours"), None), (Role(), "nosuch")):
        with pytest.raises(AccessDeniedError, match="deploy/") as caught:
            asyncio.run(take_on(role, "aws", name))
        assert f"role/{name or 'birthright'}" in str(caught.value)
    assert asyncio.run(take_on(Role(external_id="theirs")))


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<Credentials></Credentials>",
        credentials(datetime(2030, 1, 1, tzinfo=UTC), secret=""),
        credentials(datetime(2030, 1, 1, tzinfo=UTC)).replace("2030-01-01T00:00:00Z", "tomorrow"),
    ],
)
def test_an_odd_answer_is_told(inside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that are not whole are none; the message holds nothing of them."""
    with Canned(AssumeRole=inside).running() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        with pytest.raises(AnswerError, match="AssumeRole") as caught:
            asyncio.run(take_on(Role()))
    assert not re.search(f"{SECRET}|{TOKEN}", str(caught.value))


def test_credentials_that_have_ended_already_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is wrong would otherwise have them renewed for ever."""
    with Canned(AssumeRole=lambda _: credentials(now() - timedelta(hours=1))).running() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        with pytest.raises(CredentialsError, match="clock"):
            asyncio.run(take_on(Role()))
        assert server.calls["AssumeRole"] == 1


def test_credentials_are_never_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither objects nor the most talkative log show a secret or a token."""

    async def read() -> str:
        async with roles(Role()) as made:
            session = made.session(OTHER, "aws")
            found = await session.credentials()
            return f"{found!r} {found} {session!r} {vars(session)} {made!r} {vars(made)}"

    with Canned(AssumeRole=lambda _: credentials(now() + timedelta(hours=1))).running() as server:
        for name, value in {**server.environment(), "AWS_SECRET_ACCESS_KEY": "own" * 13}.items():
            monkeypatch.setenv(name, value)
        with caplog.at_level(logging.DEBUG):
            shown = asyncio.run(read())
    for secret in (SECRET, TOKEN, "own" * 13):
        assert secret not in shown
        assert secret not in caplog.text
    assert "AssumeRole 200 OK" in caplog.text
