"""HTTP as it comes over the wire: cut, slow, endless, old, through proxies, and never leaking a socket."""

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

from birthright.errors import AnswerError, ReadError, UsageError
from birthright.sources.aws.http import ConnectionLostError, Limits, Pool, TimedOutError
from birthright.times import now

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
QUICK = Limits(connect_seconds=2, answer_seconds=0.3, head_bytes=64 << 10, body_bytes=1 << 20)


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


def asked_once(*answers: bytes, keep: bool = True, limits: Limits = QUICK) -> tuple[int, bytes]:
    """Return what one request gets from such a server."""

    async def run() -> tuple[int, bytes]:
        async with serving(answering(*answers, keep=keep)) as port:
            pool = Pool(f"http://127.0.0.1:{port}", limits=limits)
            try:
                return await ask(pool)
            finally:
                pool.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "keep", "body"),
    [
        (OK, True, b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, True, b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, True, b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", True, b"ok"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", False, b"ok"),
        (b"HTTP/1.0 200 OK\r\n\r\nok", False, b"ok"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", False, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok", True, b"o"),
    ],
    ids=["plain", "continue", "hints", "chunked", "close", "http10", "close-length", "empty", "surplus"],
)
def test_every_form_of_answer_is_read(answer: bytes, keep: bool, body: bytes) -> None:  # noqa: FBT001
    """The body is whole however the server says where it ends; what follows it is not part of it."""
    assert asked_once(answer, keep=keep)[1] == body


@pytest.mark.parametrize(
    ("answer", "keep", "error"),
    [
        (b"", False, ConnectionLostError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", False, ConnectionLostError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", True, TimedOutError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\no", False, ConnectionLostError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", True, ConnectionLostError),
        (b"HTTP/1.1 200 OK\r\nX: ", False, ConnectionLostError),
        (b"SSH-2.0-OpenSSH\r\n", True, ConnectionLostError),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", True, ConnectionLostError),
    ],
    ids=["nothing", "cut", "stalled", "cut-chunk", "bad-chunk", "cut-head", "not-http", "upgrade"],
)
def test_a_broken_answer_is_one_to_ask_for_again(answer: bytes, keep: bool, error: type[AnswerError]) -> None:  # noqa: FBT001
    """Whatever broke on the way is an AnswerError, which the caller asks for again."""
    with pytest.raises(error) as caught:
        asked_once(answer, keep=keep)
    assert isinstance(caught.value, AnswerError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"y" * 3_000_000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 3_000_000,
    ],
    ids=["many-headers", "endless-header", "long-body", "endless-body"],
)
def test_an_answer_larger_than_any_is_refused(answer: bytes) -> None:
    """Size is bounded, and such an answer is not asked for a second time."""
    with pytest.raises(ReadError, match="larger than any") as caught:
        asked_once(answer)
    assert not isinstance(caught.value, AnswerError)


def test_a_dripping_answer_ends_at_the_deadline() -> None:
    """A byte now and then keeps no call alive: the seconds count for the whole answer."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(50):
            writer.write(b".")
            await asyncio.sleep(0.02)

    async def run() -> None:
        async with serving(drip) as port:
            pool = Pool(f"http://127.0.0.1:{port}", limits=QUICK)
            began = asyncio.get_running_loop().time()
            with pytest.raises(TimedOutError, match=r"did not answer in 0\.3 s"):
                await ask(pool)
            assert asyncio.get_running_loop().time() - began < 0.6

    asyncio.run(run())


def test_connections_are_kept() -> None:
    """Twenty calls one after the other need one connection; five at a time need five."""
    opened = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await answering(*[OK] * 100)(reader, writer)

    async def run() -> list[int]:
        async with serving(count) as port:
            pool = Pool(f"http://127.0.0.1:{port}", limits=QUICK)
            seen = []
            for crowd in (1, 5):
                for _ in range(20):
                    await asyncio.gather(*(ask(pool) for _ in range(crowd)))
                seen.append(opened)
            pool.close()
            return seen

    assert asyncio.run(run()) == [1, 5]


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_a_connection_closed_while_idle_costs_nothing(pause: float) -> None:
    """The other side may hang up at any time between two calls: the next one takes a new connection."""

    async def run() -> None:
        async with serving(answering(OK, keep=False)) as port:
            pool = Pool(f"http://127.0.0.1:{port}", limits=QUICK)
            for _ in range(5):
                assert await ask(pool) == (200, b"ok")
                await asyncio.sleep(pause)
            pool.close()

    asyncio.run(run())


def test_a_hanging_server_is_waited_for_once() -> None:
    """A deadline is no sign of a stale connection: it does not start the wait again on the next one."""

    async def first_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(OK)(reader, writer)
        await request_of(reader)
        await asyncio.sleep(1)

    async def run() -> float:
        async with serving(first_only) as port:
            pool = Pool(f"http://127.0.0.1:{port}", limits=QUICK)
            await asyncio.gather(*(ask(pool) for _ in range(4)))
            began = asyncio.get_running_loop().time()
            with pytest.raises(TimedOutError):
                await ask(pool)
            pool.close()
            return asyncio.get_running_loop().time() - began

    assert asyncio.run(run()) < 0.5


def test_unasked_bytes_are_nobodys_answer() -> None:
    """A second answer to one request is never taken for the answer to the next."""
    poisoned = OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    async def run() -> None:
        async with serving(answering(poisoned, OK)) as port:
            pool = Pool(f"http://127.0.0.1:{port}", limits=QUICK)
            for _ in range(3):
                assert await ask(pool) == (200, b"ok")
            pool.close()

    asyncio.run(run())


def test_cancelled_calls_close_their_connections() -> None:
    """Ctrl-C in the middle of fifty calls leaves no socket and no task; `serving` checks the sockets."""

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await request_of(reader)
        await asyncio.sleep(0)

    async def run() -> None:
        async with serving(hang) as port:
            pool = Pool(f"http://127.0.0.1:{port}", limits=Limits())
            calls = [asyncio.create_task(ask(pool)) for _ in range(50)]
            await asyncio.sleep(0.1)
            for call in calls[:25]:
                call.cancel()
            pool.close()  # and those that nobody cancelled
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(e) for e in ended} == {asyncio.CancelledError, ConnectionLostError}

    asyncio.run(run())
    gc.collect()


def test_ipv6_and_ports_in_the_host_header() -> None:
    """An IPv6 host stands in brackets; the port is named unless it is the scheme's own."""
    hosts = {
        "http://[::1]:8080": "[::1]:8080",
        "https://[2001:db8::1]": "[2001:db8::1]",
        "https://iam.amazonaws.com:443": "iam.amazonaws.com",
        "http://localhost:80/": "localhost",
        "http://localhost:443": "localhost:443",
    }
    assert {url: Pool(url).host for url in hosts} == hosts


def test_ipv6_is_spoken() -> None:
    """A server on ::1 is reached."""

    async def run() -> None:
        async with serving(answering(OK), host="::1") as port:
            pool = Pool(f"http://[::1]:{port}", limits=QUICK)
            assert await ask(pool) == (200, b"ok")
            pool.close()

    asyncio.run(run())


def test_nobody_listens() -> None:
    """A closed port is a line with the address and what to look at."""

    async def run() -> None:
        async with serving(answering()) as port:
            pass
        await ask(Pool(f"http://127.0.0.1:{port}", limits=QUICK))

    with pytest.raises(ConnectionLostError, match=r"127\.0\.0\.1:\d+ cannot be reached.*AWS_ENDPOINT_URL"):
        asyncio.run(run())


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


def test_tls_with_the_right_authority(authority: tuple[Path, ssl.SSLContext]) -> None:
    """An endpoint whose authority is trusted is read, and its connection kept."""

    async def run() -> None:
        async with serving(answering(OK, OK), authority[1]) as port:
            pool = Pool(f"https://localhost:{port}", ca_file=str(authority[0]), limits=QUICK)
            assert [await ask(pool), await ask(pool)] == [(200, b"ok")] * 2
            pool.close()
            await asyncio.sleep(0.01)

    asyncio.run(run())
    gc.collect()


def test_tls_with_a_wrong_authority_is_one_clear_line(authority: tuple[Path, ssl.SSLContext]) -> None:
    """It says what is wrong with the certificate and where authorities are named; asking again is vain."""

    async def run() -> None:
        async with serving(answering(OK), authority[1]) as port:
            await ask(Pool(f"https://localhost:{port}", limits=QUICK))

    with pytest.raises(ReadError, match=r"TLS connection to localhost:\d+ failed.*AWS_CA_BUNDLE") as caught:
        asyncio.run(run())
    assert not isinstance(caught.value, AnswerError)
    gc.collect()


def test_tls_where_http_is_spoken() -> None:
    """https:// to a server that speaks http is a TLS failure, said so."""

    async def run() -> None:
        async with serving(answering(OK)) as port:
            await ask(Pool(f"https://localhost:{port}", limits=QUICK))

    with pytest.raises(ReadError, match="localhost"):
        asyncio.run(run())


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    """A CA bundle that is not there, or is none, is a wrong setting."""
    (tmp_path / "empty.pem").write_text("")
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(UsageError, match=name):
            Pool("https://localhost", ca_file=str(tmp_path / name))


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
