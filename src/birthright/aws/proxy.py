"""HTTP proxies: where they are, who we are to them, and the tunnel that TLS needs."""

import asyncio
import base64
import ssl
from urllib.parse import unquote, urlsplit

import msgspec

from birthright.errors import ReadError, UsageError
from birthright.secret import Secret

_LONGEST_ANSWER = 64 << 10
_PORTS = {"https": 443, "http": 80}


class Proxy(msgspec.Struct, frozen=True):
    """A proxy; `secure` is spoken to in TLS. `credentials` is what Basic authentication sends."""

    host: str
    port: int
    secure: bool = False
    credentials: Secret | None = None

    @classmethod
    def parse(cls, url: str) -> "Proxy":
        """Read a proxy's URL as the environment has it; without a scheme it is http. Raises UsageError."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url.removeprefix('//')}")
            usual = _PORTS[parts.scheme]  # socks and others are a KeyError
            port = parts.port or usual
        except (ValueError, KeyError):
            # The URL may hold a password: it is not shown.
            raise UsageError("the proxy's URL is not understood", "HTTPS_PROXY=http://host:port") from None
        if not parts.hostname:
            raise UsageError("the proxy's URL names no host", "HTTPS_PROXY=http://host:port")
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        known = Secret(base64.b64encode(pair.encode()).decode()) if parts.username else None
        return cls(parts.hostname, port, parts.scheme == "https", known)

    def header(self) -> str:
        """Return the header line that proves who we are; empty without credentials."""
        return f"proxy-authorization: Basic {self.credentials.reveal()}\r\n" if self.credentials else ""


async def open_tunnel(proxy: Proxy, place: str, tls: ssl.SSLContext | None) -> asyncio.Transport:
    """Have the proxy open a way to `place` (RFC 9110, CONNECT). Raises ReadError, OSError."""
    loop = asyncio.get_running_loop()
    opening = _Opening(loop.create_future())
    transport, _ = await loop.create_connection(lambda: opening, proxy.host, proxy.port, ssl=tls)
    try:
        transport.write(
            f"CONNECT {place} HTTP/1.1\r\nhost: {place}\r\n{proxy.header()}\r\n".encode("latin-1")
        )
        _check_opened(proxy, await opening.answer)
    except BaseException:
        transport.abort()
        raise
    return transport


def _check_opened(proxy: Proxy, answer: bytes) -> None:
    if answer.split(b" ", 2)[1:2] != [b"200"]:
        line = answer.split(b"\r\n", 1)[0][:100].decode("latin-1")
        raise ReadError(f"the proxy {proxy.host} refused the tunnel: {line!r}", "check HTTPS_PROXY")


class _Opening(asyncio.Protocol):
    """Waits for the head of the proxy's answer."""

    def __init__(self, answer: "asyncio.Future[bytes]") -> None:
        self.answer = answer
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came in."""
        self._seen += data
        if self.answer.done():
            return
        if b"\r\n\r\n" in self._seen:
            self.answer.set_result(self._seen)
        elif len(self._seen) > _LONGEST_ANSWER:
            self.answer.set_exception(ReadError("the proxy's answer is not HTTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the proxy is gone."""
        if not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError("the proxy closed the connection"))
