"""The query protocol: what each error means, what is asked again and how often, and what is never shown."""

import asyncio
import logging
import traceback
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.parsers import create_parser

from birthright.aws.async_pacing import Pacer
from birthright.aws.http import ConnectionLostError, Response
from birthright.aws.query_client import QueryClient, _read
from birthright.aws.session import AwsSession, Endpoint
from birthright.aws.signing import Credentials, CredentialScope
from birthright.errors import (
    AccessDeniedError,
    AnswerError,
    CredentialsError,
    ReadError,
    ThrottledError,
)
from birthright.sandbox import Sandbox
from birthright.secret import Secret
from birthright.sources import iam as reads

Virtual = Callable[[Coroutine[Any, Any, Any]], Any]
SECRET, TOKEN = "very/secret+access=key", "FwoGsessiontoken=="
FINE = b'<R xmlns="urn:x"><ListUsersResult><IsTruncated>false</IsTruncated></ListUsersResult></R>'


def refusal(status: int, code: str, message: str = "words") -> Response:
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return Response(status, {"x-amzn-requestid": "id-1"}, text.encode())


class Aws:
    """Both ends of a client: the session it asks for credentials, and the pool that answers by a script.

    The last answer of the script is repeated.
    """

    host = "iam.example"

    def __init__(self, *script: Response | Exception) -> None:
        self.script = list(script)
        self.asked: list[bytes] = []
        self.signed: list[str] = []
        self.keys = ["AKIA1"]

    async def credentials(self) -> Credentials:
        """Give the next key."""
        key = self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]
        return Credentials(key, Secret(SECRET), Secret(TOKEN))

    def endpoint(self, service: str) -> Endpoint:
        """Be everything's endpoint."""
        return Endpoint("https://iam.example", CredentialScope("us-east-1", service))

    def pool(self, _: Endpoint) -> "Aws":
        """Be the pool, too."""
        return self

    async def post(self, headers: dict[str, str], body: bytes) -> Response:
        """Answer by the script."""
        self.asked.append(body)
        self.signed.append(headers["authorization"].partition("Credential=")[2].partition("/")[0])
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Nothing is open."""

    def call(self, virtual: Virtual, action: str = "ListUsers", **parameters: str) -> Any:  # noqa: ANN401
        """Make one call in virtual time."""

        async def run() -> Any:  # noqa: ANN401
            clock = asyncio.get_running_loop().time
            self.client = QueryClient(cast("AwsSession", self), "iam", Pacer(5, clock))
            began = clock()
            try:
                return await self.client.call(action, **parameters)
            finally:
                self.seconds = clock() - began

        return virtual(run())


OK = Response(200, {}, FINE)


@pytest.mark.parametrize(
    ("answer", "kind", "asked"),
    [
        (refusal(400, "Throttling"), ThrottledError, 25),
        (refusal(409, "LimitExceeded"), ThrottledError, 25),
        (Response(503, {}, b"<html>busy"), ThrottledError, 25),
        (Response(429, {}, b""), ThrottledError, 25),
        (refusal(500, "ServiceFailure"), AnswerError, 5),
        (refusal(503, "ServiceUnavailable"), AnswerError, 5),
        (refusal(400, "RequestTimeout"), AnswerError, 5),
        (Response(200, {}, b""), AnswerError, 5),
        (Response(200, {}, FINE[:-20]), AnswerError, 5),
        (Response(200, {}, b"<Other/>"), AnswerError, 5),
        (Response(200, {}, b"<?xml version='1.0' encoding='klingon'?><R/>"), AnswerError, 5),
        (Response(502, {}, b"<html><br></html>"), AnswerError, 5),
        (ConnectionLostError("cut"), ConnectionLostError, 5),
        (refusal(403, "AccessDenied"), AccessDeniedError, 1),
        (refusal(403, "ExpiredToken"), CredentialsError, 1),
        (refusal(403, "InvalidClientTokenId"), CredentialsError, 1),
        (refusal(403, "SignatureDoesNotMatch"), CredentialsError, 1),
        (refusal(404, "NoSuchEntity"), ReadError, 1),
        (refusal(400, "ValidationError"), ReadError, 1),
        (Response(407, {}, b"who are you?"), ReadError, 1),
    ],
)
def test_what_an_error_means_and_how_often_it_is_asked_again(
    virtual: Virtual, answer: Response | Exception, kind: type[ReadError], asked: int
) -> None:
    """Refusals are asked 25 times, failures 5 times, what will not change once; each is one line."""
    aws = Aws(answer)
    with pytest.raises(kind) as caught:
        aws.call(virtual)
    assert type(caught.value) is kind
    assert len(aws.asked) == aws.client.calls["ListUsers"] == asked
    assert "\n" not in str(caught.value)


def _error_of(status: int, code: str) -> ReadError:
    with pytest.raises(ReadError) as caught:
        _read("X", refusal(status, code))
    return caught.value


def test_every_error_of_the_service_models_is_understood() -> None:
    """All errors that AWS's models name for our reads: server faults are asked again, the rest are not."""
    session = botocore.session.get_session()
    seen = set()
    for service, actions in (("iam", reads.READS), ("sts", ["GetCallerIdentity"])):
        model = session.get_service_model(service)
        for action in actions:
            for shape in model.operation_model(action).error_shapes:
                said = shape.metadata["error"]
                error = _error_of(said["httpStatusCode"], said["code"])
                seen.add(said["code"])
                again = isinstance(error, AnswerError | ThrottledError)
                assert again == (said["httpStatusCode"] >= 500 or said["code"] == "LimitExceeded")
                assert error.code == said["code"]
    assert {"ServiceFailure", "LimitExceeded", "NoSuchEntity", "ReportExpired"} & seen


def test_a_trouble_that_passes_is_not_seen(virtual: Virtual) -> None:
    """Four failures and twenty-four refusals, in any order, end in the answer."""
    failures: list[Response | Exception] = [
        refusal(500, "ServiceFailure"),
        Response(200, {}, b""),
        ConnectionLostError("cut"),
    ]
    aws = Aws(*failures, *[refusal(400, "Throttling")] * 24, refusal(500, "InternalFailure"), OK)
    assert aws.call(virtual).findtext("IsTruncated") == "false"
    assert aws.client.refused["ListUsers"] == 24


def test_the_budget_of_refusals_takes_about_a_minute(virtual: Virtual) -> None:
    """Long enough for a throttled account, short enough for a person; pauses differ between callers."""
    seconds = []
    for _ in range(5):
        aws = Aws(refusal(400, "Throttling"))
        with pytest.raises(ThrottledError):
            aws.call(virtual)
        seconds.append(aws.seconds)
    assert all(30 < taken < 240 for taken in seconds)
    assert len(set(seconds)) == 5


def test_a_limit_on_reports_does_not_slow_other_calls(virtual: Virtual) -> None:
    """LimitExceeded on GenerateCredentialReport is waited for; it says nothing of the rate of calls."""
    done = Response(200, {}, FINE.replace(b"ListUsers", b"GenerateCredentialReport"))
    aws = Aws(refusal(409, "LimitExceeded"), refusal(409, "LimitExceeded"), done)
    aws.call(virtual, "GenerateCredentialReport")
    assert aws.client._pacer._rate.current() is None
    assert aws.client.refused["GenerateCredentialReport"] == 2


def test_credentials_are_asked_for_each_request(virtual: Virtual) -> None:
    """A session renewed between two tries signs the next one."""
    aws = Aws(refusal(500, "ServiceFailure"), refusal(500, "ServiceFailure"), OK)
    aws.keys = ["ASIA1", "ASIA2", "ASIA3"]
    aws.call(virtual)
    assert aws.signed == ["ASIA1", "ASIA2", "ASIA3"]


def test_parameters_are_encoded_as_forms_are(virtual: Virtual) -> None:
    """Names with plus, comma, at, spaces and letters beyond ASCII arrive as they are."""
    aws = Aws(OK)
    aws.call(virtual, UserName="a+b,c@d e/é&=", Marker="x==")
    assert aws.asked == [
        b"Action=ListUsers&Version=2010-05-08&UserName=a%2Bb%2Cc%40d+e%2F%C3%A9%26%3D&Marker=x%3D%3D"
    ]


@pytest.mark.parametrize(
    "answer",
    [
        refusal(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match.\n\nThe Canonical String for this request "
            f"should have been\n'POST\n/\n\nx-amz-security-token:{TOKEN}\n'",
        ),
        refusal(403, "InvalidClientTokenId"),
        refusal(500, "ServiceFailure"),
        Response(200, {}, b"<cut"),
        ConnectionLostError("cut"),
        RuntimeError("a defect of ours"),
    ],
)
def test_nothing_secret_is_shown(
    virtual: Virtual, answer: Response | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """No secret or session token in an error, its chain, its traceback, or any log, whatever goes wrong.

    AWS itself repeats the token in the message of a wrong signature.
    """
    caplog.set_level(logging.DEBUG, "birthright")
    aws = Aws(answer)
    with pytest.raises((ReadError, RuntimeError)) as caught:
        aws.call(virtual, UserName="somebody")
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    # The headers themselves hold the token, as they must; without locals nothing may.
    plain = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
    assert SECRET not in shown + plain
    assert TOKEN not in plain
    assert "somebody" not in caplog.text


def test_a_request_is_one_debug_line(virtual: Virtual, caplog: pytest.LogCaptureFixture) -> None:
    """Action, status, error code, AWS's request id and the time; nothing more, and nothing when off."""
    caplog.set_level(logging.DEBUG, "birthright.aws")
    aws = Aws(refusal(500, "ServiceFailure"), ConnectionLostError("cut"), OK)
    aws.call(virtual, UserName="somebody")
    assert [line.rpartition(" ms")[0].rpartition(" ")[0] for line in caplog.messages] == [
        "ListUsers 500 ServiceFailure id-1",
        "ListUsers ConnectionLostError",
        "ListUsers 200 OK -",
    ]
    caplog.clear()
    caplog.set_level(logging.INFO, "birthright.aws")
    Aws(OK).call(virtual)
    assert not caplog.messages


@pytest.fixture(scope="module")
def box() -> Any:  # noqa: ANN401
    with Sandbox.create(users=80).running() as running:
        yield running


def _client_for(box: Sandbox) -> QueryClient:
    known = Credentials(box.credentials.access_key_id, Secret(box.credentials.secret_access_key))

    async def credentials() -> Credentials:
        return known

    real = AwsSession
    session = SimpleNamespace(
        credentials=credentials,
        endpoint=lambda service: Endpoint(box.url, CredentialScope("us-east-1", service)),
        pool=lambda endpoint: real.pool(_Plain(), endpoint),  # type: ignore[arg-type]
    )
    return QueryClient(cast("AwsSession", session), "iam", Pacer(20))


class _Plain:
    """As much of a session as its pool needs."""

    _botocore = botocore.session.Session()


def test_pages_and_fields_are_those_botocore_reads(box: Sandbox) -> None:
    """Over short pages, users and keys are exactly what boto3's paginators give, in order."""
    theirs = boto3.session.Session().client(
        "iam",
        "us-east-1",
        endpoint_url=box.url,
        aws_access_key_id=box.credentials.access_key_id,
        aws_secret_access_key=box.credentials.secret_access_key,
        config=Config(retries={"max_attempts": 0}),
    )
    box.faults.add("short-pages", size=7)

    async def ours() -> tuple[list[Any], list[Any], int]:
        iam = _client_for(box)
        users: list[Any] = []
        keys: list[Any] = []
        pages = 0
        async for page in reads.pages(iam, "ListUsers"):
            users += reads.read_users(page)
            pages += 1
        for user in users:
            keys += await reads.list_access_keys(iam, user.user_name)
        iam.close()
        return users, keys, pages

    try:
        users, keys, pages = asyncio.run(ours())
        expected = [u for p in theirs.get_paginator("list_users").paginate() for u in p["Users"]]
        assert pages == -(-len(expected) // 7)
        assert [
            (u.user_name, u.user_arn, u.user_id, u.path, u.created_at, u.password_last_used_at) for u in users
        ] == [
            (u["UserName"], u["Arn"], u["UserId"], u["Path"], u["CreateDate"], u.get("PasswordLastUsed"))
            for u in expected
        ]
        paginate = theirs.get_paginator("list_access_keys").paginate
        assert [(k.user_name, k.access_key_id, k.status, k.created_at) for k in keys] == [
            (k["UserName"], k["AccessKeyId"], k["Status"], k["CreateDate"])
            for u in expected
            for p in paginate(UserName=u["UserName"])
            for k in p["AccessKeyMetadata"]
        ]
    finally:
        box.faults.clear()
        theirs.close()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b"<ErrorResponse xmlns='u'><Error><Code>A</Code><Message>m</Message></Error></ErrorResponse>"),
        (403, b"<Response><Errors><Error><Code>B</Code><Message>m</Message></Error></Errors></Response>"),
        (404, b"<Error><Code>C</Code><Message>m</Message></Error>"),
    ],
)
def test_error_documents_are_read_as_botocore_reads_them(status: int, body: bytes) -> None:
    """In every form of error document, the code is the one botocore finds."""
    parsed = create_parser("query").parse({"status_code": status, "headers": {}, "body": body}, None)
    with pytest.raises(ReadError) as caught:
        _read("X", Response(status, {}, body))
    theirs = parsed.get("Error", {}).get("Code")
    assert caught.value.code == (theirs or {400: "A", 403: "B", 404: "C"}[status])


@pytest.mark.parametrize(
    ("markers", "pages"), [(["a", "b", "a"], 3), (["a", "a"], 2), ([""], 1), ([None], 1)]
)
def test_a_marker_that_leads_nowhere_is_an_error(markers: list[str | None], pages: int) -> None:
    """Markers that repeat, in a row or in a circle, or are missing, end the listing; nothing is looped."""
    texts = [f"<Marker>{m}</Marker>" if m is not None else "" for m in markers]
    script = [
        Response(200, {}, FINE.replace(b"false", b"true").replace(b"</L", f"{text}</L".encode()))
        for text in texts
    ]
    aws, seen = Aws(*script), 0

    async def run() -> None:
        iam = QueryClient(cast("AwsSession", aws), "iam", Pacer(5))
        nonlocal seen
        async for _ in reads.pages(iam, "ListUsers"):
            seen += 1

    with pytest.raises(AnswerError, match="no marker leads to it"):
        asyncio.run(run())
    assert seen == pages
