"""A botocore client that talks to a sandbox in its own process: no server, no sockets."""

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from birthright.sandbox.wire import WireRequest, WireResponse

if TYPE_CHECKING:
    from birthright.sandbox.sandbox import Sandbox

_one_at_a_time = threading.Lock()


class _Body:
    """The part of a urllib3 answer that botocore reads."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        yield self._body


def attach(client: Any, box: "Sandbox") -> None:  # noqa: ANN401 - a botocore client
    """Answer all of the client's requests from `box`, at once and whatever the endpoint.

    Works from several threads, but not while `box` also serves. Latency is not waited for. What would
    not have come over the wire becomes botocore's error, at once: ConnectionClosedError for `drop` and
    `lost`, ReadTimeoutError for `hang`. Of a `cut` answer half of the body comes, as over the wire.
    """
    client.meta.events.register("before-send", handler(box))


def handler(box: "Sandbox") -> Callable[..., Any]:
    """Return the function that botocore calls with the prepared request before it would be sent."""
    from botocore.awsrequest import AWSResponse

    def answer(request: Any, **_: object) -> Any:  # noqa: ANN401 - AWSPreparedRequest and AWSResponse
        with _one_at_a_time:
            response = box.control.answer(_read(request))
        body = response.body
        if response.deliver == "cut":
            body = body[: len(body) // 2]
        elif response.deliver != "whole":
            _break(response, request.url)
        return AWSResponse(request.url, response.status, _headers(response), _Body(body))

    return answer


def _headers(response: WireResponse) -> dict[str, str]:
    headers = {
        "x-amzn-RequestId": response.request_id,
        "Date": response.date,
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
    }
    return headers | ({"x-amzn-ErrorType": response.error_type} if response.error_type else {})


def _read(prepared: Any) -> WireRequest:  # noqa: ANN401 - AWSPreparedRequest
    url = urlsplit(prepared.url)
    headers = {name.lower(): _text(value) for name, value in prepared.headers.items()}
    headers.setdefault("host", url.netloc)
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else body
    return WireRequest(prepared.method, url.path or "/", url.query, headers, body)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _break(response: WireResponse, url: str) -> NoReturn:
    from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

    if response.deliver == "hang":
        raise ReadTimeoutError(endpoint_url=url)
    raise ConnectionClosedError(endpoint_url=url)
