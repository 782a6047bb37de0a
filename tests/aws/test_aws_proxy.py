"""Through proxies: tunnels, absolute targets, refusals, and never a password in a message."""

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from birthright.aws.http import ConnectionLostError, HttpLimits, Pool
from birthright.errors import ReadError, UsageError
from birthright.times import now

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
QUICK = HttpLimits(connect_seconds=2, answer_seconds=0.3, head_bytes=64 << 10, body_bytes=1 << 20)


@asynccontextmanager
async def serving(
    handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """Serve on a free port; afterwards every connection must be closed from the other side."""
    open_now: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(writer)
        try:
            await handler(reader, writer)
            while await reader.read(1 << 16):
                pass
        except OSError:
            pass
        finally:
            open_now.discard(writer)
            writer.transport.abort()

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
        async with asyncio.timeout(2):
            while open_now:  # noqa: ASYNC110  the closing side is another task's business
                await asyncio.sleep(0.005)
    finally:
        server.close()
        for writer in open_now:
            writer.transport.abort()
        await asyncio.sleep(0.01)


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """Read one request whole."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    return head + await reader.readexactly(int(length.split(b":")[1]))


def answering(*answers: bytes, keep: bool = True) -> Handler:
    """Answer each request of a connection with the next of the answers, then hang up or wait."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await request_of(reader)
            writer.write(answer)
        if not keep:
            await writer.drain()
            writer.close()

    return handle


async def ask(pool: Pool) -> tuple[int, bytes]:
    response = await pool.post({"host": pool.host}, b"body")
    return response.status, response.body


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for localhost that trusts itself, and a server's context with it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now().replace(year=2020))
    builder = builder.not_valid_after(now().replace(year=2099))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = builder.add_extension(names, critical=True).sign(key, hashes.SHA256())
    folder = tmp_path_factory.mktemp("tls")
    public, private = folder / "ca.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


class Forwarder:
    """A proxy as small as one can be: CONNECT tunnels, and requests with an absolute target."""

    def __init__(self, *, accept: bool = True) -> None:
        self.accept = accept
        self.heads: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if not self.accept:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        method, target, _ = head.split(b" ", 2)
        place = target.removeprefix(b"http://").rstrip(b"/").decode()
        host, _, port = place.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host.strip("[]"), int(port))
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            far_writer.write(head.replace(target, b"/", 1))
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            far_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.transport.abort()


def test_https_goes_through_a_tunnel(authority: tuple[Path, ssl.SSLContext]) -> None:
    """The proxy sees where to, and who we are to it, but never a request; the tunnel is kept."""
    proxy = Forwarder()

    async def run() -> None:
        async with serving(answering(OK, OK), authority[1]) as port, serving(proxy) as near:
            url, trusted = f"https://localhost:{port}", str(authority[0])
            pool = Pool(url, f"http://me:s%40cret@127.0.0.1:{near}", trusted, QUICK)
            assert [await ask(pool), await ask(pool)] == [(200, b"ok")] * 2
            pool.close()
            await asyncio.sleep(0.05)

    asyncio.run(run())
    assert len(proxy.heads) == 1
    assert proxy.heads[0].startswith(b"CONNECT localhost:")
    assert b"proxy-authorization: Basic bWU6c0BjcmV0\r\n" in proxy.heads[0]


def test_https_through_a_proxy_that_speaks_tls(authority: tuple[Path, ssl.SSLContext]) -> None:
    """An https:// proxy gets TLS, and the target's TLS inside of it."""
    proxy = Forwarder()

    async def run() -> None:
        async with serving(answering(OK), authority[1]) as port, serving(proxy, authority[1]) as near:
            pool = Pool(f"https://localhost:{port}", f"https://localhost:{near}", str(authority[0]), QUICK)
            assert await ask(pool) == (200, b"ok")
            pool.close()
            await asyncio.sleep(0.05)

    asyncio.run(run())
    gc.collect()


def test_http_names_its_target_to_the_proxy() -> None:
    """Without TLS the request line holds the whole URL; a proxy without a scheme is an http one."""
    proxy = Forwarder()

    async def run() -> None:
        async with serving(answering(OK)) as port, serving(proxy) as near:
            pool = Pool(f"http://127.0.0.1:{port}", f"127.0.0.1:{near}", limits=QUICK)
            assert await ask(pool) == (200, b"ok")
            pool.close()

    asyncio.run(run())
    assert proxy.heads[0].startswith(b"POST http://127.0.0.1:")


def test_a_proxy_that_refuses() -> None:
    """A refused tunnel is a line without the proxy's password, and its connection is closed."""

    async def run() -> None:
        async with serving(Forwarder(accept=False)) as near:
            await ask(Pool("https://localhost:1", f"http://me:secret@127.0.0.1:{near}", limits=QUICK))

    with pytest.raises(ReadError, match=r"refused the tunnel: 'HTTP/1.1 407") as caught:
        asyncio.run(run())
    assert "secret" not in f"{caught.value!r}{caught.value}"


def test_a_proxy_that_hangs_up() -> None:
    """A proxy that closes in the middle of its answer is a lost connection, not a traceback."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200")
        writer.close()

    async def run() -> None:
        async with serving(hang_up) as near:
            await ask(Pool("https://localhost:1", f"http://127.0.0.1:{near}", limits=QUICK))

    with pytest.raises(ConnectionLostError):
        asyncio.run(run())


@pytest.mark.parametrize("url", ["socks5://u:pw@h:1", "http://u:pw@h:99999", "http://u:pw@", "http://[u:pw"])
def test_a_proxy_that_is_none(url: str) -> None:
    """A proxy's URL that cannot be used is a wrong setting, and its password is not repeated."""
    with pytest.raises(UsageError) as caught:
        Pool("https://localhost", url)
    assert "pw" not in str(caught.value)
