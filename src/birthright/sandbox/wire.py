"""What goes over the wire: one call, its answer, and AWS's query-protocol XML (JSON is in `protocol`).

Element names, result wrappers and error codes are those of botocore's service models
(iam/2010-05-08 and sts/2011-06-15, `service-2.json.gz`).
"""

from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from html import escape

from birthright.times import format_instant

__all__ = ["NAMESPACES", "VERSIONS", "AwsError", "WireRequest", "WireResponse", "document", "error_document"]

VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}
NAMESPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}
SERVER_FAULT = 500

instant = format_instant


class AwsError(Exception):
    """An error document that the caller gets: HTTP status, AWS's code and a message.

    `details` are further members of a JSON service's error.
    """

    def __init__(self, status: int, code: str, message: str, **details: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.details = details


@dataclass(slots=True)
class WireRequest:
    """One HTTP request; header names are lower case, repeated headers joined by commas."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class WireResponse:
    """One HTTP answer.

    deliver: what goes over the wire: `whole`; `cut`, half of the body, then the connection ends; `drop`
    and `lost`, the connection ends without a word; `hang`, nothing ever.
    date: the Date header, RFC 7231. error_type: the header x-amzn-ErrorType, where not empty.
    """

    status: int
    body: bytes
    request_id: str = ""
    content_type: str = "text/xml"
    deliver: str = "whole"
    date: str = ""
    error_type: str = ""


@lru_cache(maxsize=64)
def http_date(moment: datetime) -> str:
    """Write an instant (UTC, whole seconds) as HTTP's Date header does, RFC 7231."""
    return format_datetime(moment, usegmt=True)


def tag(name: str, text: str) -> str:
    """Write one XML element with its text escaped."""
    return f"<{name}>{escape(text)}</{name}>"


def flag(name: str, value: bool) -> str:  # noqa: FBT001 - the value is the element's text
    """Write a boolean element, `true` or `false`."""
    return f"<{name}>{'true' if value else 'false'}</{name}>"


def document(service: str, action: str, result: str | None, request_id: str) -> bytes:
    """Write a successful answer; `result` None is an action that answers nothing (DeleteUser)."""
    inner = "" if result is None else f"<{action}Result>{result}</{action}Result>"
    return (
        f'<{action}Response xmlns="{NAMESPACES[service]}">{inner}<ResponseMetadata>'
        f"<RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    ).encode()


def error_document(service: str, error: AwsError, request_id: str) -> bytes:
    """Write an error answer as IAM and STS do; Type is Receiver for a fault of the server."""
    kind = "Receiver" if error.status >= SERVER_FAULT else "Sender"
    return (
        f'<ErrorResponse xmlns="{NAMESPACES[service]}"><Error><Type>{kind}</Type>'
        f"{tag('Code', error.code)}{tag('Message', error.message)}</Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()
