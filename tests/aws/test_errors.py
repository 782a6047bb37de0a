"""Every error code of AWS's and every exception of botocore's means one thing, wherever it is met."""

import inspect
import string
from collections.abc import Iterator

import botocore.exceptions as theirs
import pytest
from botocore.parsers import ResponseParserError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from birthright.aws.errors import (
    Meaning,
    botocore_read_error,
    change_error,
    meaning_of,
    meaning_of_code,
    translated,
)
from birthright.errors import (
    AccessDeniedError,
    AnswerError,
    BirthrightError,
    CredentialsError,
    ReadError,
    RefusedError,
    ThrottledError,
    UncertainError,
    UsageError,
)


def _their_classes() -> Iterator[type[Exception]]:
    for kind in vars(theirs).values():
        known = inspect.isclass(kind) and kind.__module__ == theirs.__name__
        if known and issubclass(kind, Exception) and not issubclass(kind, Warning):
            yield kind


def _made(kind: type[Exception]) -> Exception:
    """Make one, with an x for all that it wants to know."""
    if issubclass(kind, theirs.ClientError):
        return kind({"Error": {"Code": "x"}}, "GetCallerIdentity")
    fields = {
        part[1].partition(".")[0] for part in string.Formatter().parse(getattr(kind, "fmt", "")) if part[1]
    }
    wanted = inspect.signature(kind.__init__).parameters.values()
    skipped = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    named = {one.name for one in wanted if one.default is one.empty and one.kind not in skipped}
    return kind(**dict.fromkeys((fields | named) - {"self"}, "x\ny"))


@pytest.mark.parametrize("kind", list(_their_classes()), ids=lambda kind: str(kind.__name__))
def test_every_exception_of_botocore_becomes_one_of_ours(kind: type[Exception]) -> None:
    """None escapes as a traceback; each is one line, and of ours."""
    with pytest.raises(BirthrightError) as caught, translated():
        raise _made(kind)
    assert isinstance(caught.value, UsageError | ReadError)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        (theirs.ProfileNotFound, UsageError),
        (theirs.ConfigParseError, UsageError),
        (theirs.UnknownRegionError, UsageError),
        (theirs.PartialCredentialsError, CredentialsError),
        (theirs.UnauthorizedSSOTokenError, CredentialsError),
        (theirs.TokenRetrievalError, CredentialsError),
        (theirs.CredentialRetrievalError, CredentialsError),
        (theirs.ConnectTimeoutError, ReadError),
        (theirs.ProxyConnectionError, ReadError),
    ],
)
def test_what_is_wrong_decides_the_exit_code(kind: type[Exception], ours: type[BirthrightError]) -> None:
    """Settings are a usage error, credentials and networks something that could not be read."""
    with pytest.raises(BirthrightError) as caught, translated():
        raise _made(kind)
    assert type(caught.value) is ours


def refused(code: str, status: int = 400) -> theirs.ClientError:
    answer = {"Error": {"Code": code, "Message": "a\nb"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return theirs.ClientError(answer, "CreateAccessKey")


@pytest.mark.parametrize(
    ("code", "status", "meaning", "read", "change"),
    [
        ("Throttling", 400, "throttled", ThrottledError, ThrottledError),
        ("SlowDown", 503, "throttled", ThrottledError, ThrottledError),
        ("", 429, "throttled", ThrottledError, ThrottledError),
        # Of a quota, such as two keys a user, waiting is no cure; a read is only ever too frequent.
        ("LimitExceeded", 409, "limit", ThrottledError, RefusedError),
        ("AccessDenied", 403, "denied", AccessDeniedError, AccessDeniedError),
        ("KMSAccessDeniedException", 400, "denied", AccessDeniedError, AccessDeniedError),
        ("ExpiredToken", 403, "credentials", CredentialsError, CredentialsError),
        ("ServiceFailure", 500, "failed", AnswerError, UncertainError),
        ("RequestTimeout", 400, "failed", AnswerError, UncertainError),
        ("", 502, "failed", AnswerError, UncertainError),
        ("NewInternalWord", 503, "failed", AnswerError, UncertainError),
        ("NoSuchEntity", 404, "refused", ReadError, RefusedError),
    ],
)
def test_what_an_error_code_means(
    code: str, status: int, meaning: Meaning, read: type[ReadError], change: type[ReadError]
) -> None:
    """For reads and changes alike; a change that AWS may have made all the same is uncertain."""
    error = refused(code, status)
    assert meaning_of_code(code, status) == meaning_of(error) == meaning
    for found, kind in ((botocore_read_error(error, "x:Y"), read), (change_error(error, "x:Y"), change)):
        assert type(found) is kind
        assert isinstance(found, ReadError)
        assert found.code == code
        assert "\n" not in str(found)


def test_what_botocore_retries_may_be_retried() -> None:
    """What it takes for throttling or passing, by code or status, is no refusal."""
    throttling = ThrottledRetryableChecker._THROTTLED_ERROR_CODES
    assert {code for code in throttling if meaning_of_code(code) not in {"throttled", "limit"}} == set()
    for code in TransientRetryableChecker._TRANSIENT_ERROR_CODES:
        assert meaning_of_code(code) in {"failed", "throttled"}
    for status in TransientRetryableChecker._TRANSIENT_STATUS_CODES:
        assert meaning_of_code("Whatever", status) == "failed"


@pytest.mark.parametrize("kind", list(_their_classes()), ids=lambda kind: str(kind.__name__))
def test_every_exception_says_whether_a_change_was_made(kind: type[Exception]) -> None:
    """Whatever may be raised after a request was sent is uncertain; the rest is known not to be done."""
    sent = (theirs.HTTPClientError, theirs.ConnectionError, theirs.IncompleteReadError)
    unsent = (theirs.EndpointConnectionError, theirs.ConnectTimeoutError, theirs.ProxyConnectionError)
    found = change_error(_made(kind), "iam:CreateAccessKey")
    uncertain = issubclass(kind, theirs.ClientError) or (
        issubclass(kind, sent) and not issubclass(kind, unsent)
    )
    assert isinstance(found, UncertainError) == uncertain
    assert isinstance(botocore_read_error(_made(kind), "iam:ListUsers"), UsageError | ReadError)


def test_an_answer_that_cannot_be_read() -> None:
    """A read may be repeated; a change may have been made."""
    error = ResponseParserError("not XML")
    assert type(botocore_read_error(error, "x:Y")) is AnswerError
    assert type(change_error(error, "x:Y")) is UncertainError


def test_a_request_as_aws_saw_it_is_not_shown() -> None:
    """To a wrong signature AWS adds the canonical request, in which the session token stands."""
    message = (
        "it does not match. The Canonical String for this request should have been 'x-amz-security-token:T'"
    )
    error = theirs.ClientError({"Error": {"Code": "SignatureDoesNotMatch", "Message": message}}, "ListUsers")
    for found in (botocore_read_error(error, "iam:ListUsers"), change_error(error, "iam:TagUser")):
        assert "token" not in str(found)
