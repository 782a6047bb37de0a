"""HTTP/1.1 for many small POSTs to one host: an asyncio protocol, httptools' parser, a pool of connections.

A general HTTP library was measured first: importing aiohttp costs a third of a whole small scan, and
urllib3 with threads nearly twice the CPU a call (docs/decisions.md).
"""

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httptools
import msgspec

from birthright.aws.proxy import Proxy, open_tunnel
from birthright.errors import AnswerError, ReadError, UsageError

_PORTS = {"https": 443, "http": 80}
_CONTINUE, _OK = 100, 200


class ConnectionLostError(AnswerError):
    """The connection broke before the whole answer arrived; a retry may help."""


class TimedOutError(ConnectionLostError):
    """The other side did not answer in time."""


class HttpLimits(msgspec.Struct, frozen=True):
    """What an answer may cost: seconds to connect, seconds from request to last byte, bytes.

    The largest credential reports are a few megabytes.
    """

    connect_seconds: float = 10.0
    answer_seconds: float = 60.0
    head_bytes: int = 256 << 10
    body_bytes: int = 256 << 20


class Response(msgspec.Struct, frozen=True):
    """A whole answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Pool:
    """Connections to one endpoint, reused while the other side keeps them open.

    `url` is `http(s)://host[:port][/path]`, `proxy` a proxy's URL or None, `ca_file` the trusted
    authorities (None: the system's). Raises UsageError if one of them is not usable.
    """

    def __init__(
        self, url: str, proxy: str | None = None, ca_file: str | None = None, limits: HttpLimits | None = None
    ) -> None:
        target = urlsplit(url)
        self._name = target.hostname or ""
        self._port = target.port or _PORTS[target.scheme]
        self._limits = limits or HttpLimits()
        self._proxy = Proxy.parse(proxy) if proxy else None
        secure = target.scheme == "https"
        trusted = _trust(ca_file) if secure or (self._proxy and self._proxy.secure) else None
        self._tls = trusted if secure else None
        self._proxy_tls = trusted if self._proxy and self._proxy.secure else None
        self.host = _host_header(self._name, target.port, target.scheme)
        self._request_line = self._first_lines(target.path or "/")
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()

    async def post(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Send one POST and read its answer. Raises ConnectionLostError or ReadError."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        request = f"{self._request_line}{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body
        while self._idle:
            connection = self._idle.pop()
            if connection.closed:
                continue
            try:
                return await self._exchange(connection, request)
            except TimedOutError:
                raise
            except ConnectionLostError:
                # A kept connection that dies before its first byte was closed while it lay idle.
                if connection.has_answered:
                    raise
        return await self._exchange(await self._connect(), request)

    def close(self) -> None:
        """Close every connection, those in use too."""
        for connection in list(self._open):
            connection.drop()
        self._idle.clear()

    async def _exchange(self, connection: "_Connection", request: bytes) -> Response:
        response = await connection.exchange(request)
        if not connection.closed:
            self._idle.append(connection)
        return response

    async def _connect(self) -> "_Connection":
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                return await self._dial()
        except TimeoutError as error:
            raise TimedOutError(
                f"{self.host} cannot be reached in {self._limits.connect_seconds:g} s"
            ) from error
        except ssl.SSLError as error:
            raise ReadError(
                f"the TLS connection to {self.host} failed: {_tls_reason(error)}",
                "AWS_CA_BUNDLE names the authorities to trust",
            ) from error
        except OSError as error:
            raise ConnectionLostError(
                f"{self.host} cannot be reached: {error.strerror or error}",
                "check the network, AWS_ENDPOINT_URL and the proxy settings",
            ) from error

    async def _dial(self) -> "_Connection":
        loop, connection = asyncio.get_running_loop(), _Connection(self.host, self._limits, self._open)
        if self._proxy is None:
            await loop.create_connection(lambda: connection, self._name, self._port, ssl=self._tls)
        elif self._tls is None:
            near = self._proxy
            await loop.create_connection(lambda: connection, near.host, near.port, ssl=self._proxy_tls)
        else:
            await self._dial_through(self._proxy, self._tls, connection)
        return connection

    async def _dial_through(self, proxy: Proxy, tls: ssl.SSLContext, connection: "_Connection") -> None:
        """Speak TLS with the target inside a tunnel through the proxy."""
        place = _host_header(self._name, self._port, "")
        tunnel = await open_tunnel(proxy, place, self._proxy_tls)
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(tunnel, connection, tls, server_hostname=self._name)
        except BaseException:
            tunnel.abort()
            raise
        if transport is None:
            raise ConnectionResetError("the proxy closed the tunnel")
        connection.connection_made(transport)

    def _first_lines(self, path: str) -> str:
        if self._proxy is None or self._tls is not None:
            return f"POST {path} HTTP/1.1\r\n"
        return f"POST http://{self.host}{path} HTTP/1.1\r\n{self._proxy.header()}"


class _Connection(asyncio.Protocol):
    """One connection; it also collects what httptools' parser finds in the answer.

    `has_answered` says that bytes of the present answer came, `closed` that there is no more to come.
    It is in `everyone` while it is open.
    """

    def __init__(self, host: str, limits: HttpLimits, everyone: "set[_Connection]") -> None:
        self._host = host
        self._limits = limits
        self._everyone = everyone
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self.has_answered = False

    @property
    def closed(self) -> bool:
        """Whether no further request can be sent."""
        return self._transport is None or self._transport.is_closing()

    async def exchange(self, request: bytes) -> Response:
        """Send a request, wait for its whole answer; the connection is closed if that fails."""
        transport = self._transport
        if transport is None:
            raise ConnectionLostError(f"{self._host} closed the connection")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Response] = loop.create_future()
        self._answer = answer
        self._begin()
        transport.write(request)
        timer = loop.call_later(self._limits.answer_seconds, self._on_deadline)
        try:
            return await answer
        except BaseException:
            self.abort()
            raise
        finally:
            timer.cancel()
            self._answer = None

    def drop(self) -> None:
        """Give up an answer that is still awaited: what came of it is not whole."""
        self._fail(ConnectionLostError(f"the connection to {self._host} was given up"))

    def abort(self) -> None:
        """Close at once: a farewell would keep the loop waiting for the other side's."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection stands."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  for the type checker
        self._transport = transport
        self._everyone.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone. An answer of unknown length ends here, another is cut."""
        self._transport = None
        self._everyone.discard(self)
        if self._answer is None or self._answer.done():
            return
        if exc is None and self._head_done and self._unbounded:
            self._answer.set_result(self._response())
            return
        reason = getattr(exc, "strerror", None) or exc or "it was closed in the middle of an answer"
        self._fail(ConnectionLostError(f"the connection to {self._host} broke: {reason}"))

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came in."""
        if self._answer is None or self._answer.done():
            self.abort()  # unsolicited: what comes next could be taken for another request's answer
            return
        self.has_answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(ConnectionLostError(f"{self._host} wants to change the protocol"))
        except httptools.HttpParserError as error:
            self._fail(ConnectionLostError(f"the answer of {self._host} is not HTTP: {error}"))
        self._size += len(data)
        if self._size > (self._limits.body_bytes if self._head_done else self._limits.head_bytes):
            self._fail(ReadError(f"the answer of {self._host} is larger than any that AWS gives"))

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._head_done = self._unbounded = self.has_answered = False

    def _response(self) -> Response:
        return Response(self._parser.get_status_code(), self._headers, b"".join(self._body))

    def _fail(self, error: ReadError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.abort()

    def _on_deadline(self) -> None:
        seconds = self._limits.answer_seconds
        self._fail(TimedOutError(f"{self._host} did not answer in {seconds:g} s"))

    def on_message_begin(self) -> None:
        """httptools: an answer begins; there is one to a request."""
        if self._answer is None or self._answer.done():
            self._headers = {}
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """httptools: the headers end."""
        self._head_done = True
        self._unbounded = not self._headers.keys() & {"content-length", "transfer-encoding"}

    def on_body(self, data: bytes) -> None:
        """httptools: a piece of the body."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """httptools: the answer is whole, unless it only said "100 Continue"."""
        if self._answer is None or self._answer.done():
            self.abort()  # a second answer to one request
        elif _CONTINUE <= self._parser.get_status_code() < _OK:
            self._headers, self._head_done = {}, False
        else:
            # Only now does the parser know; after the message it has forgotten.
            if not self._parser.should_keep_alive():
                self.abort()
            self._answer.set_result(self._response())


def _host_header(name: str, port: int | None, scheme: str) -> str:
    """Name host and port, the port only if it is not the scheme's own."""
    name = f"[{name}]" if ":" in name else name
    return name if port in {None, _PORTS.get(scheme)} else f"{name}:{port}"


def _trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"the authorities in {ca_file} cannot be read: {error.strerror or error}",
            "AWS_CA_BUNDLE and ca_bundle name a PEM file",
        ) from error


def _tls_reason(error: ssl.SSLError) -> str:
    """Say what is wrong with a certificate, or else what OpenSSL calls it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    return error.reason or str(error)
