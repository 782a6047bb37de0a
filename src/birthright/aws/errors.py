"""What botocore raises, told in birthright's errors; the one place where that happens.

What matters of a failed change is whether AWS may have made it all the same.
"""

import botocore.exceptions as theirs
from botocore.parsers import ResponseParserError

from birthright.aws.session import translate
from birthright.errors import (
    AccessDeniedError,
    BirthrightError,
    CredentialsError,
    ReadError,
    RefusedError,
    ThrottledError,
    UncertainError,
)

_SERVER_FAULT = 500
THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"}
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_BAD_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
# Raised before a request was sent.
_NEVER_SENT = (
    theirs.EndpointConnectionError,
    theirs.ConnectTimeoutError,
    theirs.ProxyConnectionError,
)
_LONGEST_TEXT = 300


def translated(error: Exception, action: str) -> BirthrightError:
    """Choose our error for one of botocore's about `action`, such as `iam:UpdateAccessKey`."""
    if isinstance(error, theirs.ClientError):
        return _answered(error, action)
    if isinstance(error, _NEVER_SENT):
        return ReadError(
            f"{action}: AWS cannot be reached: {_text(error)}", "is the network up?", "unreachable"
        )
    if isinstance(error, theirs.HTTPClientError | theirs.ConnectionError | ResponseParserError):
        return UncertainError(f"{action}: the answer was lost ({type(error).__name__})", "run it again")
    return translate(error)


def _answered(error: theirs.ClientError, action: str) -> ReadError:
    """Choose by AWS's code; what is no fault of the server's was not done."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = " ".join(str(error.response.get("Error", {}).get("Message", "")).split())[:_LONGEST_TEXT]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_FAULT)
    if code in THROTTLED:
        return ThrottledError(f"{action}: AWS asks to slow down", "run it again later", code)
    if code in _DENIED:
        return AccessDeniedError(
            f"{action} is denied", "'birthright permissions --for retire' prints what is needed", code
        )
    if code in _BAD_CREDENTIALS:
        return CredentialsError(
            f"{action}: AWS does not accept the credentials: {code}", "sign in again", code
        )
    if status >= _SERVER_FAULT:
        return UncertainError(f"{action}: AWS failed: {code or status}", "run it again", code)
    return RefusedError(f"{action}: {code}: {message}", "", code)


def _text(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST_TEXT]
