"""HTTP/1.1 for many small POSTs to one host: asyncio streams, httptools' parser, a pool of connections.

A general HTTP library was measured first: importing aiohttp costs a third of a whole small scan, and
urllib3 with threads nearly twice the CPU a call (docs/decisions.md).
"""

import asyncio
import base64
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlsplit

import httptools
import msgspec

from birthright.errors import AnswerError, ReadError

_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 60
_CHUNK = 1 << 16


class ConnectionLostError(AnswerError):
    """The connection broke before the whole answer was here; asking again may help."""


class Response(msgspec.Struct, frozen=True):
    """A whole answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Pool:
    """Connections to one endpoint, reused while the other side keeps them open.

    `url` is `http(s)://host[:port]`, `proxy` a proxy's URL or None, `ca_file` the trusted authorities.
    """

    def __init__(self, url: str, proxy: str | None = None, ca_file: str | None = None) -> None:
        self._target = urlsplit(url)
        self._proxy = urlsplit(proxy) if proxy else None
        self._tls = ssl.create_default_context(cafile=ca_file) if self._target.scheme == "https" else None
        self._idle: list[_Connection] = []

    @property
    def host(self) -> str:
        """The Host header: with the port unless it is the scheme's own."""
        usual = {"https": 443, "http": 80}[self._target.scheme]
        name = f"[{self._target.hostname}]" if ":" in (self._target.hostname or "") else self._target.hostname
        return f"{name}:{self._target.port}" if self._target.port not in {None, usual} else f"{name}"

    async def post(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Send one POST and read its answer. Raises ConnectionLostError or ReadError."""
        request = self._request(headers, body)
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._exchange(connection, request)
            except ConnectionLostError:
                # A kept connection that dies before its first byte was closed while it lay idle.
                if connection.answered_something:
                    raise
        return await self._exchange(await self._connect(), request)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    async def _exchange(self, connection: "_Connection", request: bytes) -> Response:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                response = await connection.exchange(request)
        except TimeoutError as error:
            connection.close()
            raise ConnectionLostError(f"{self.host} did not answer in {_ANSWER_SECONDS} s") from error
        except BaseException:
            connection.close()
            raise
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return response

    async def _connect(self) -> "_Connection":
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return _Connection(*await self._open())
        except TimeoutError as error:
            raise ConnectionLostError(f"{self.host} cannot be reached in {_CONNECT_SECONDS} s") from error
        except ssl.SSLError as error:
            raise ReadError(
                f"the TLS connection to {self.host} failed: {error.reason or error}",
                "AWS_CA_BUNDLE names the authorities to trust",
            ) from error
        except OSError as error:
            raise ConnectionLostError(
                f"{self.host} cannot be reached: {error.strerror or error}",
                "check the network, AWS_ENDPOINT_URL and the proxy settings",
            ) from error

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        near = self._proxy or self._target
        port = near.port or {"https": 443, "http": 80}[near.scheme]
        direct_tls = self._tls if not self._proxy else None
        reader, writer = await asyncio.open_connection(near.hostname, port, ssl=direct_tls, limit=_CHUNK)
        if self._proxy and self._tls:
            await _tunnel(reader, writer, self._target, self._proxy)
            await writer.start_tls(self._tls, server_hostname=self._target.hostname)
        return reader, writer

    def _request(self, headers: Mapping[str, str], body: bytes) -> bytes:
        path = self._target.path or "/"
        if self._proxy and not self._tls:
            path = f"http://{self.host}{path}"
            headers = {**headers, **_proxy_headers(self._proxy)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {path} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body


class _Connection:
    """One connection; it also collects what httptools' parser finds in the answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.reusable = False
        self.answered_something = False

    async def exchange(self, request: bytes) -> Response:
        self.reusable = self.answered_something = False
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._complete = False
        parser = httptools.HttpResponseParser(self)
        try:
            self._writer.write(request)
            while not self._complete:
                await self._feed(parser)
        except OSError as error:
            raise ConnectionLostError(f"the connection broke: {error.strerror or error}") from error
        except httptools.HttpParserError as error:
            raise ConnectionLostError(f"the answer is not HTTP: {error}") from error
        self.reusable = parser.should_keep_alive()
        return Response(parser.get_status_code(), self._headers, b"".join(self._body))

    async def _feed(self, parser: httptools.HttpResponseParser) -> None:
        data = await self._reader.read(_CHUNK)
        if not data:
            raise ConnectionLostError("the connection was cut in the middle of an answer")
        self.answered_something = True
        parser.feed_data(data)

    def close(self) -> None:
        self._writer.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        self._complete = True


async def _tunnel(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: SplitResult, proxy: SplitResult
) -> None:
    """Ask a proxy for a tunnel (RFC 9110, CONNECT)."""
    place = f"{target.hostname}:{target.port or 443}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in _proxy_headers(proxy).items())
    writer.write(f"CONNECT {place} HTTP/1.1\r\nhost: {place}\r\n{lines}\r\n".encode("latin-1"))
    answer = await reader.readuntil(b"\r\n\r\n")
    status = answer.split(b" ", 2)[1:2]
    if status != [b"200"]:
        raise ReadError(
            f"the proxy {proxy.hostname} refused the tunnel: {answer.splitlines()[0].decode('latin-1')}"
        )


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"proxy-authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
