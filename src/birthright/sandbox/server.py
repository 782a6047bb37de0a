"""HTTP/1.1 on an asyncio protocol: keep-alive, answers in the order of the requests."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from http import HTTPStatus

import httptools

from birthright.sandbox.wire import WireRequest, WireResponse

_MAX_BODY = 1 << 20  # bytes; IAM's own calls stay far below
_REASONS = {int(status): status.phrase for status in HTTPStatus}

Answer = Callable[[WireRequest], WireResponse]


class Latency:
    """How long each answer is held back: `ms` milliseconds and up to `jitter_ms` more, evenly spread."""

    def __init__(self, ms: float, jitter_ms: float, seed: int) -> None:
        self.ms, self.jitter_ms = ms, jitter_ms
        self._random = random.Random(f"jitter/{seed}")  # noqa: S311 - not for cryptography

    def seconds(self) -> float:
        """Return the next answer's delay."""
        if not self.ms and not self.jitter_ms:
            return 0.0
        return (self.ms + self._random.random() * self.jitter_ms) / 1000


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, answer: Answer, latency: Latency, open_connections: set["Connection"]) -> None:
        self._answer = answer
        self._latency = latency
        self._open = open_connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[WireRequest, bool]] = deque()
        self._busy = False
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: a client is here."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """asyncio: the client is gone; answers still due are forgotten."""
        self._transport = None
        self._waiting.clear()
        self._open.discard(self)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came in."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # a defect of the sandbox itself: asyncio logs it and hangs up
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse()

    def _refuse(self) -> None:
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            self._transport.close()

    def on_message_begin(self) -> None:
        """httptools: a request starts."""
        self._url, self._body = b"", b""
        self._headers = {}

    def on_url(self, url: bytes) -> None:
        """httptools: a piece of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: a header."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]},{text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """httptools: the headers end; a client that asks may send its body."""
        if "expect" in self._headers and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """httptools: a piece of the body."""
        self._body = self._body + body if self._body else body
        if len(self._body) > _MAX_BODY:
            self.close()

    def on_message_complete(self) -> None:
        """httptools: the request is whole."""
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode()
        request = WireRequest(method, path, query, self._headers, self._body)
        self._waiting.append((request, self._parser.should_keep_alive()))
        if not self._busy:
            self._next()

    def _next(self) -> None:
        while self._waiting and self._transport is not None:
            request, keep = self._waiting.popleft()
            response, delay = self._answer(request), self._latency.seconds()
            if delay > 0:
                self._busy = True
                asyncio.get_running_loop().call_later(delay, self._late, response, keep)
                return
            self._send(response, keep=keep)

    def _late(self, response: WireResponse, keep: bool) -> None:  # noqa: FBT001 - a loop callback
        self._busy = False
        self._send(response, keep=keep)
        self._next()

    def _send(self, response: WireResponse, *, keep: bool) -> None:
        transport = self._transport
        if transport is None or response.deliver == "hang":
            return
        if response.deliver == "whole":
            transport.write(head(response, keep=keep) + response.body)
        elif response.deliver == "cut":
            transport.write(head(response, keep=keep) + response.body[: len(response.body) // 2])
        if not keep or response.deliver != "whole":
            transport.close()


def head(response: WireResponse, *, keep: bool) -> bytes:
    """Write the status line and headers of an answer."""
    status = response.status
    kind = f"x-amzn-ErrorType: {response.error_type}\r\n" if response.error_type else ""
    return (
        f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n"
        f"x-amzn-RequestId: {response.request_id}\r\n"
        f"Date: {response.date}\r\n"
        f"Content-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\n{kind}"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    ).encode("latin-1")
