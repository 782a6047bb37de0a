"""Which protocol a service speaks, and its errors' names: query and XML, or JSON 1.1 by X-Amz-Target.

Target prefixes and error shapes are those of botocore's models secretsmanager/2017-10-17,
ssm/2014-11-06 and organizations/2016-11-28; the common errors are AWS's "Common Error Types" of each service.
"""

from typing import Any
from urllib.parse import unquote_plus

import msgspec

from birthright.sandbox.wire import (
    VERSIONS,
    AwsError,
    WireRequest,
    WireResponse,
    document,
    error_document,
)

TARGETS = {
    "secretsmanager": "secretsmanager",
    "ssm": "AmazonSSM",
    "organizations": "AWSOrganizationsV20161128",
}
SERVICES = frozenset({*VERSIONS, *TARGETS})
_JSON = "application/x-amz-json-1.1"
_DENIED = 400
# Query services' codes and what the JSON services say instead, all with status 400.
_JSON_CODES = {
    "InvalidClientTokenId": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "IncompleteSignature": "IncompleteSignatureException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "ExpiredToken": "ExpiredTokenException",
    "AccessDenied": "AccessDeniedException",
    "Throttling": "ThrottlingException",
    "LimitExceeded": "LimitExceededException",
    "InvalidAction": "UnknownOperationException",
}
_FAILURES = {
    "secretsmanager": "InternalServiceError",
    "ssm": "InternalServerError",
    "organizations": "ServiceException",
}
_MESSAGE = {"secretsmanager": "Message", "ssm": "message", "organizations": "Message"}


def read(request: WireRequest, service: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return the action, the parameters of a query call and the body of a JSON call."""
    if service in TARGETS:
        prefix, _, action = request.headers.get("x-amz-target", "").partition(".")
        if prefix != TARGETS[service]:
            raise AwsError(400, "InvalidAction", "X-Amz-Target names no operation of this service.")
        return action, {}, _json(request.body)
    params = _form(request)
    action, version = params.get("Action", ""), params.get("Version", "")
    if version != VERSIONS[service]:
        raise unknown_action(action)
    return action, params, {}


def unknown_action(action: str) -> AwsError:
    """Return the error for an action that is not served."""
    return AwsError(400, "InvalidAction", f"Could not find operation {action}")


def write(service: str, action: str, result: Any, request_id: str) -> WireResponse:  # noqa: ANN401 - XML or JSON
    """Write a successful answer: XML from a text, JSON from a dictionary; None has no content."""
    if service in TARGETS:
        return WireResponse(200, msgspec.json.encode(result or {}), request_id, _JSON)
    return WireResponse(200, document(service, action, result, request_id), request_id)


def write_error(service: str, error: AwsError, request_id: str) -> WireResponse:
    """Write an error as the service does; `translated` gave it its name there."""
    if service not in TARGETS:
        return WireResponse(error.status, error_document(service, error, request_id), request_id)
    body = {"__type": error.code, _MESSAGE[service]: error.message, **error.details}
    response = WireResponse(error.status, msgspec.json.encode(body), request_id, _JSON)
    response.error_type = error.code
    return response


def translated(service: str, error: AwsError) -> AwsError:
    """Return the error under the name and status the service has for it."""
    if service not in TARGETS:
        return error
    if error.code == "ServiceFailure":
        return AwsError(500, _FAILURES[service], error.message)
    if service == "organizations" and error.code == "Throttling":
        return AwsError(400, "TooManyRequestsException", error.message)
    if error.code in _JSON_CODES:
        return AwsError(_DENIED, _JSON_CODES[error.code], error.message)
    return error


def _form(request: WireRequest) -> dict[str, str]:
    """Read the parameters from the form, and from the query string as GET requests send them."""
    try:
        text = request.body.decode("ascii")
    except UnicodeDecodeError:
        raise AwsError(400, "MalformedQueryString", "The body is no form.") from None
    joined = f"{request.query}&{text}" if request.query else text
    pairs = [part.partition("=")[::2] for part in joined.split("&") if part]
    if "%" in joined or "+" in joined:
        return {unquote_plus(name): unquote_plus(value) for name, value in pairs}
    return dict(pairs)


def _json(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise AwsError(400, "SerializationException", "The body is no JSON object.") from None
