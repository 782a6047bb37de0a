"""What AWS's error codes and botocore's exceptions mean, and which error of birthright's each becomes.

What matters about a change that failed is whether AWS may have made it all the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import botocore.exceptions as theirs
from botocore.parsers import ResponseParserError

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
from birthright.text import printable

Meaning = Literal[
    "throttled",  # too many calls: it was not carried out, and may be repeated more slowly
    "limit",  # too many calls or things of this kind, however slowly others come: not carried out
    "denied",  # not carried out
    "credentials",  # missing, wrong or expired: not carried out
    "failed",  # by AWS's own fault: it may have been carried out
    "refused",  # for any other reason: not carried out
    "unreached",  # it was not sent
    "lost",  # there is no answer that can be read: it may have been carried out
    "settings",  # the user's configuration is wrong: it was not sent
]

_CODES_OF: dict[Meaning, str] = {
    "limit": "LimitExceeded LimitExceededException",
    "throttled": """
        Throttling ThrottlingException ThrottledException RequestThrottled RequestThrottledException
        RequestLimitExceeded TooManyRequestsException TooManyUpdates BandwidthLimitExceeded SlowDown
        PriorRequestNotComplete EC2ThrottledException ProvisionedThroughputExceededException
        TransactionInProgressException""",
    "denied": "AccessDenied AccessDeniedException UnauthorizedOperation NotAuthorized OptInRequired",
    "credentials": """
        InvalidClientTokenId UnrecognizedClientException SignatureDoesNotMatch IncompleteSignature
        IncompleteSignatureException InvalidSignatureException ExpiredToken ExpiredTokenException
        TokenRefreshRequired RequestExpired MissingAuthenticationToken MissingAuthenticationTokenException
        InvalidAccessKeyId AuthFailure InvalidToken""",
    "failed": "RequestTimeout RequestTimeoutException ServiceFailure InternalFailure",
}
_MEANINGS = {code: meaning for meaning, codes in _CODES_OF.items() for code in codes.split()}
_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _SERVER_FAULT = 408, 429, 500
# The first that matches counts; every other exception says that there are no usable credentials.
_EXCEPTIONS: tuple[tuple[Meaning, tuple[type[Exception], ...]], ...] = (
    ("unreached", (theirs.EndpointConnectionError, theirs.ConnectTimeoutError, theirs.ProxyConnectionError)),
    (
        "lost",
        (theirs.HTTPClientError, theirs.ConnectionError, theirs.IncompleteReadError, ResponseParserError),
    ),
    (
        "settings",
        (
            theirs.BaseEndpointResolverError,
            theirs.ConfigNotFound,
            theirs.ConfigParseError,
            theirs.EndpointProviderError,
            theirs.InvalidConfigError,
            theirs.InvalidDefaultsMode,
            theirs.InvalidEndpointConfigurationError,
            theirs.InvalidIMDSEndpointError,
            theirs.InvalidIMDSEndpointModeError,
            theirs.InvalidProxiesConfigError,
            theirs.InvalidRegionError,
            theirs.InvalidRetryConfigurationError,
            theirs.InvalidSTSRegionalEndpointsConfigError,
            theirs.ProfileNotFound,
            theirs.UnknownRegionError,
            theirs.UnknownServiceError,
        ),
    ),
)
UNREACHABLE = "unreachable"
_MAX_MESSAGE = 300
_SIGN_IN = "sign in again, or choose another --profile"
_CREDENTIALS_HINTS = {
    "ExpiredToken": "the session is over: sign in again",
    "ExpiredTokenException": "the session is over: sign in again",
    "SignatureDoesNotMatch": "the secret is wrong, or this machine's clock is",
    "RequestExpired": "this machine's clock is wrong",
    "InvalidClientTokenId": "the access key does not exist, is inactive, or belongs to another partition",
    "UnrecognizedClientException": "sign in again, or check the Region: aws sts get-caller-identity",
}
_CREDENTIALS_HINT = "check the credentials in use: aws sts get-caller-identity"


def meaning_of_code(code: str, status: int = 400) -> Meaning:
    """Return what an error code of AWS's means; an unknown one by the HTTP status it came with."""
    if code in _MEANINGS:
        return _MEANINGS[code]
    if "AccessDenied" in code:
        return "denied"
    if status == _TOO_MANY_REQUESTS:
        return "throttled"
    return "failed" if status >= _SERVER_FAULT or status == _REQUEST_TIMEOUT else "refused"


def meaning_of(error: Exception) -> Meaning:
    """Return what an exception of botocore's means."""
    if isinstance(error, theirs.ClientError):
        return meaning_of_code(code_of(error), status_of(error))
    return next((meaning for meaning, kinds in _EXCEPTIONS if isinstance(error, kinds)), "credentials")


def code_of(error: theirs.ClientError) -> str:
    """Return AWS's error code; an empty text if the answer has none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: theirs.ClientError) -> int:
    """Return the HTTP status of an error; 500 where it is not known."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_FAULT))


def _message_of(error: theirs.ClientError) -> str:
    return one_line(error.response.get("Error", {}).get("Message", ""))


def one_line(text: object) -> str:
    """Write a message of AWS's or botocore's in one printable line.

    To a wrong signature AWS adds the request as it saw it, in which the session token stands.
    """
    line = printable(" ".join(str(text).partition("The Canonical String")[0].split()))
    return line if len(line) <= _MAX_MESSAGE else f"{line[:_MAX_MESSAGE]}..."


def read_error(action: str, code: str, status: int, message: str) -> ReadError:
    """Return the error for a call that only reads, which AWS answered with an error code."""
    message = one_line(message)
    text = f"{action}: {code}" + (f", {message}" if message else "")
    match meaning_of_code(code, status):
        case "throttled" | "limit":
            return ThrottledError(text, "AWS kept saying so until the retry budget was spent", code)
        case "denied":
            return AccessDeniedError(text, "'birthright permissions' prints what is needed", code)
        case "credentials":
            return CredentialsError(text, _CREDENTIALS_HINTS.get(code, _CREDENTIALS_HINT), code)
        case "failed":
            return AnswerError(text, code=code)
    return ReadError(text, code=code)


def botocore_read_error(error: Exception, action: str) -> BirthrightError:
    """Return the error for one of botocore's about a call that only reads."""
    if isinstance(error, theirs.ClientError):
        return read_error(action, code_of(error), status_of(error), _message_of(error))
    match meaning_of(error):
        case "unreached" | "lost" if not isinstance(error, ResponseParserError):
            hint = "is the network up, and does AWS_ENDPOINT_URL name the right host?"
            return ReadError(f"{action}: AWS cannot be reached: {one_line(error)}", hint, UNREACHABLE)
        case "lost":
            return AnswerError(f"{action}: the answer cannot be read: {one_line(error)}")
    return settings_error(error)


def change_error(error: Exception, action: str) -> BirthrightError:
    """Return the error for one of botocore's about a change `action`, such as `iam:UpdateAccessKey`.

    It is an UncertainError if AWS may have made the change.
    """
    if isinstance(error, theirs.ClientError):
        return _refused_change(error, action)
    match meaning_of(error):
        case "unreached":
            text = f"{action}: AWS cannot be reached: {one_line(error)}"
            return ReadError(text, "is the network up?", UNREACHABLE)
        case "lost":
            return UncertainError(f"{action}: the answer was lost ({type(error).__name__})", "run it again")
    return settings_error(error)


def _refused_change(error: theirs.ClientError, action: str) -> ReadError:
    code = code_of(error)
    match meaning_of(error):
        case "throttled":
            return ThrottledError(f"{action}: AWS asks to slow down", "run it again later", code)
        case "denied":
            hint = "'birthright permissions --for retire' prints what is needed"
            return AccessDeniedError(f"{action} is denied", hint, code)
        case "credentials":
            text = f"{action}: AWS does not accept the credentials: {code}"
            return CredentialsError(text, "sign in again", code)
        case "failed":
            text = f"{action}: AWS failed: {code or status_of(error)}"
            return UncertainError(text, "run it again", code)
    return RefusedError(f"{action}: {code}: {_message_of(error)}", "", code)


def settings_error(error: Exception) -> BirthrightError:
    """Return the error for one of botocore's before any call: wrong settings, no network, no credentials."""
    text = one_line(error)
    match meaning_of(error):
        case "settings":
            return UsageError(text, "look at AWS_PROFILE, AWS_REGION and ~/.aws/config")
        case "unreached" | "lost":
            return ReadError(f"the credentials' own source cannot be reached: {text}")
    return CredentialsError(f"no usable AWS credentials: {text}", _SIGN_IN)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what botocore raises as it reads the configuration and fetches credentials into our errors.

    The original is not chained: what a credential process printed may hang on it.
    """
    try:
        yield
    except BirthrightError:
        raise
    except (theirs.BotoCoreError, theirs.ClientError, theirs.UndefinedModelAttributeError) as error:
        raise settings_error(error) from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        # What botocore lets through: a credential process that is not there or prints no JSON object, a
        # cache that cannot be read.
        text = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise CredentialsError(f"no usable AWS credentials: {text}", _SIGN_IN) from None
