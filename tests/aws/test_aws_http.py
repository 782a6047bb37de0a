"""The connection pool against tiny servers that behave, misbehave, and fall silent."""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from birthright.aws.http import ConnectionLostError, HttpLimits, Pool, Response, TimedOutError
from birthright.errors import AnswerError, ReadError, UsageError
from transport_helpers import OK, Answers, Last, Server, listening, run_jumping, serving

SMALL = HttpLimits(connect_seconds=2, answer_seconds=30, head_bytes=4096, body_bytes=10_000)
SILENCE = None


@asynccontextmanager
async def pool_of(url: str, *, proxy: str | None = None, ca: Path | None = None) -> AsyncIterator[Pool]:
    """Make a pool, and close it."""
    pool = Pool(url, proxy, str(ca) if ca else None, SMALL)
    try:
        yield pool
    finally:
        pool.close()
        await asyncio.sleep(0)


def ask(answers: Answers | bytes, times: int = 1) -> tuple[list[Response], Server]:
    """Post one after the other to a server of its own."""

    async def main() -> tuple[list[Response], Server]:
        async with serving(answers) as server, pool_of(server.url) as pool:
            return [await pool.post({"host": pool.host}, b"Action=A") for _ in range(times)], server

    return run_jumping(main())


def failure(answers: Answers | bytes, times: int = 1) -> tuple[ReadError, Server]:
    """Post, and return the error and the server after the pool noticed."""

    async def main() -> tuple[ReadError, Server]:
        async with serving(answers) as server, pool_of(server.url) as pool:
            for _ in range(times - 1):
                await pool.post({}, b"")
            with pytest.raises(ReadError) as caught:
                await pool.post({}, b"")
            await asyncio.wait_for(server.gone.wait(), 5)
            return caught.value, server

    return run_jumping(main())


def answer(*lines: str, body: bytes = b"") -> bytes:
    """Write an answer."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def test_a_connection_is_kept_for_the_next_request() -> None:
    """Ten requests, one connection; each arrives whole, with its length."""
    responses, server = ask(OK, times=10)
    assert [response.body for response in responses] == [b"ok"] * 10
    assert (server.opened, server.bodies) == (1, [b"Action=A"] * 10)
    assert server.heads[0].startswith("POST / HTTP/1.1\r\n")


def test_header_names_are_read_in_lower_case() -> None:
    """Whoever looks for a header need not know how it was written."""
    responses, _ = ask(answer("HTTP/1.1 200 OK", "Content-Length: 0", "X-Amzn-RequestId: abc"))
    assert responses[0].headers["x-amzn-requestid"] == "abc"


def test_simultaneous_requests_get_a_connection_each() -> None:
    """Nobody waits behind another's request, and all connections are kept."""

    async def main() -> tuple[int, int]:
        async with serving(OK) as server, pool_of(server.url) as pool:
            for _ in range(2):
                await asyncio.gather(*[pool.post({}, b"") for _ in range(7)])
            return server.opened, len(pool._open)

    assert run_jumping(main()) == (7, 7)


def test_a_connection_closed_while_idle_is_replaced() -> None:
    """The server hangs up between two requests: the second goes over a new connection."""

    async def main() -> int:
        async with serving(lambda n: Last(OK) if n == 0 else OK) as server, pool_of(server.url) as pool:
            await pool.post({}, b"")
            await asyncio.sleep(1)
            await pool.post({}, b"")
            return server.opened

    assert run_jumping(main()) == 2


def test_a_kept_connection_that_dies_unanswered_is_replaced() -> None:
    """The hang-up crosses the request: it is sent again over a new connection, once."""
    responses, server = ask(lambda n: Last() if n == 1 else OK, times=2)
    assert responses[1].body == b"ok"
    assert (server.opened, len(server.heads)) == (2, 3)


def test_every_kept_connection_may_be_dead() -> None:
    """After a restart of the server all kept connections are stale; the request still comes through."""

    async def main() -> int:
        def stale(number: int) -> bytes | Last:
            return Last() if 5 <= number < 10 else OK

        async with serving(stale) as server, pool_of(server.url) as pool:
            await asyncio.gather(*[pool.post({}, b"") for _ in range(5)])
            assert (await pool.post({}, b"")).body == b"ok"
            return server.opened

    assert run_jumping(main()) == 6


def test_a_new_connection_that_dies_unanswered_is_an_error() -> None:
    """Only a kept connection can be stale."""
    error, server = failure(lambda _: Last())
    assert isinstance(error, ConnectionLostError)
    assert (server.opened, len(server.heads)) == (1, 1)


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhal",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\n",
    ],
)
@pytest.mark.parametrize("kept", [False, True])
def test_a_cut_answer_is_a_lost_connection(cut: bytes, *, kept: bool) -> None:
    """Half an answer is never taken for a whole one, nor asked for again behind the caller's back."""
    error, server = failure(lambda n: OK if kept and n == 0 else Last(cut), times=1 + kept)
    assert isinstance(error, ConnectionLostError)
    assert len(server.heads) == 1 + kept


def test_an_answer_that_goes_on_after_its_length_closes_the_connection() -> None:
    """What comes too much is not read as the next answer."""
    responses, server = ask(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", times=2)
    assert [response.body for response in responses] == [b"ok", b"ok"]
    assert server.opened == 2


def test_half_a_second_answer_closes_the_connection() -> None:
    """Nor is the beginning of a second answer, whose rest would come with the next request."""
    head = b"HTTP/1.1 200 OK\r\nx-evil: yes\r\ncontent-le"
    responses, server = ask(OK + head, times=2)
    assert [response.body for response in responses] == [b"ok", b"ok"]
    assert "x-evil" not in responses[0].headers
    assert server.opened == 2


def test_words_on_an_idle_connection_close_it() -> None:
    """An answer that nobody asked for is not given to who asks next."""

    async def main() -> tuple[bytes, int]:
        seen = Server()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await seen.read(reader):
                writer.write(OK)
                await asyncio.sleep(1)
                writer.write(OK.replace(b"\r\n\r\nok", b"\r\n\r\nno"))

        async with listening(talk, seen), pool_of(seen.url) as pool:
            await pool.post({}, b"")
            await asyncio.sleep(2)
            return (await pool.post({}, b"")).body, seen.opened

    assert run_jumping(main()) == (b"ok", 2)


@pytest.mark.parametrize("pause", [0, 1])
def test_chunks_are_put_together(pause: int) -> None:
    """A chunked answer is the same answer, however it is cut into packets; the connection is kept."""
    pieces = [
        b"HTTP/1.1 200 OK\r\ntransfer-enc",
        b"oding: chunked\r\n\r\n3\r\nab",
        b"c\r\n",
        b"2;x=y\r\nde\r\n",
    ]

    async def main() -> tuple[bytes, bytes, int]:
        seen = Server()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await seen.read(reader):
                for piece in (*pieces, b"0\r\ntrailer: x\r\n\r\n"):
                    writer.write(piece)
                    await asyncio.sleep(pause)

        async with listening(talk, seen), pool_of(seen.url) as pool:
            first, second = await pool.post({}, b""), await pool.post({}, b"")
            return first.body, second.body, seen.opened

    assert run_jumping(main()) == (b"abcde", b"abcde", 1)


@pytest.mark.parametrize(
    "head",
    [
        ("HTTP/1.1 200 OK", "connection: close", "content-length: 2"),
        ("HTTP/1.0 200 OK", "content-length: 2"),
    ],
)
def test_a_connection_that_will_close_is_not_kept(head: tuple[str, ...]) -> None:
    """`Connection: close` and HTTP/1.0 are believed even if the server then stays."""
    responses, server = ask(answer(*head, body=b"ok"), times=3)
    assert [response.body for response in responses] == [b"ok"] * 3
    assert server.opened == 3


def test_http_1_0_may_keep_the_connection() -> None:
    """An old server that says `keep-alive` is kept."""
    head = ("HTTP/1.0 200 OK", "connection: keep-alive", "content-length: 2")
    assert ask(answer(*head, body=b"ok"), times=3)[1].opened == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_without_a_length_the_answer_ends_with_the_connection(version: str) -> None:
    """RFC 9112, 6.3: no length and no chunks means "until it closes"."""
    responses, server = ask(lambda _: Last(answer(f"HTTP/{version} 200 OK", body=b"all of it")), times=2)
    assert [response.body for response in responses] == [b"all of it"] * 2
    assert server.opened == 2


def test_closing_the_pool_makes_no_answer_whole() -> None:
    """An answer of unknown length that we cut ourselves is cut."""

    async def main() -> None:
        async with serving(answer("HTTP/1.1 200 OK", body=b"half")) as server, pool_of(server.url) as pool:
            asyncio.get_running_loop().call_later(1, pool.close)
            with pytest.raises(ConnectionLostError):
                await pool.post({}, b"")

    run_jumping(main())


def test_no_content_is_a_whole_answer() -> None:
    """204 has no body, whatever its headers say."""
    responses, server = ask(answer("HTTP/1.1 204 No Content"), times=2)
    assert [response.body for response in responses] == [b"", b""]
    assert server.opened == 1


def test_continue_is_not_the_answer() -> None:
    """Answers like "100 Continue" and "103 Early Hints" come first; their headers are not the answer's."""
    early = answer("HTTP/1.1 100 Continue") + answer("HTTP/1.1 103 Early Hints", "link: x")
    responses, server = ask(early + OK, times=2)
    assert [(response.status, response.body) for response in responses] == [(200, b"ok")] * 2
    assert responses[0].headers == {"content-length": "2"}
    assert server.opened == 1


def test_endless_continues_end() -> None:
    """A server cannot keep us reading with answers that are not one."""
    error, _ = failure(answer("HTTP/1.1 100 Continue") * 400)
    assert "larger" in str(error)


def test_silence_ends_at_the_deadline() -> None:
    """After `answer_seconds` without an answer the connection is closed; nothing is sent again."""
    error, server = failure(lambda n: OK if n == 0 else SILENCE, times=2)
    assert isinstance(error, TimedOutError)
    assert str(error).endswith("did not answer in 30 s")
    assert (server.opened, server.closed, len(server.heads)) == (1, 1, 2)


def test_drops_of_an_answer_do_not_move_the_deadline() -> None:
    """The deadline is that of the whole answer."""

    async def main() -> float:
        seen = Server()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await seen.read(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            while not reader.at_eof():
                writer.write(b".")
                await asyncio.sleep(1)

        async with listening(talk, seen), pool_of(seen.url) as pool:
            with pytest.raises(TimedOutError):
                await pool.post({}, b"")
            return asyncio.get_running_loop().time()

    assert run_jumping(main()) == pytest.approx(30, abs=1)


@pytest.mark.parametrize(
    "large",
    [
        answer("HTTP/1.1 200 OK", "content-length: 1000000", body=b"x" * 20_000),
        answer("HTTP/1.1 200 OK", "transfer-encoding: chunked", body=b"1\r\nx\r\n" * 20_000),
        answer("HTTP/1.1 200 OK", "transfer-encoding: chunked", body=b"0\r\n" + b"a: b\r\n" * 20_000),
        answer("HTTP/1.1 200 OK", body=b"x" * 20_000),
        answer("HTTP/1.1 200 OK", "x: " + "y" * 20_000),
        answer("HTTP/1.1 200 OK", *["x: y"] * 5_000),
    ],
)
def test_an_endless_answer_is_refused(large: bytes) -> None:
    """Body, chunks, trailers and headers are bounded; asking again would not help."""
    error, server = failure(large)
    assert not isinstance(error, AnswerError)
    assert "larger" in str(error)
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 huh\r\n\r\n",
        answer("HTTP/1.1 200 OK", "content-length: two"),
        answer("HTTP/1.1 200 OK", "content-length: -1"),
        answer("HTTP/1.1 200 OK", "content-length: 2", "content-length: 3", body=b"abc"),
        answer("HTTP/1.1 200 OK", "transfer-encoding: chunked", body=b"zz\r\n"),
        answer("HTTP/1.1 101 Switching Protocols", "connection: upgrade", "upgrade: other"),
    ],
)
def test_what_is_not_an_http_answer_is_an_answer_error(wrong: bytes) -> None:
    """One clear line, and the connection is closed."""
    error, _ = failure(wrong)
    assert isinstance(error, ConnectionLostError)
    assert "\n" not in str(error)


def test_a_refused_connection_is_one_clear_line() -> None:
    """It names the host, the reason and where to look."""

    async def main() -> str:
        async with serving(OK) as server:
            port = server.port
        async with pool_of(f"http://127.0.0.1:{port}") as pool:
            with pytest.raises(ConnectionLostError) as caught:
                await pool.post({}, b"")
            return str(caught.value).replace(str(port), "PORT")

    assert run_jumping(main()) == (
        "127.0.0.1:PORT cannot be reached: Connect call failed ('127.0.0.1', PORT)"
        " (check the network, AWS_ENDPOINT_URL and the proxy settings)"
    )


def test_cancellation_closes_the_connection() -> None:
    """Who stops waiting takes the connection along: its answer would be the next request's."""

    async def main() -> tuple[int, set[object]]:
        async with serving(lambda _: SILENCE) as server, pool_of(server.url) as pool:
            task = asyncio.create_task(pool.post({}, b""))
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(server.gone.wait(), 5)
            return server.closed, set(pool._open)

    assert run_jumping(main()) == (1, set())


def test_cancellation_while_connecting_closes_the_connection() -> None:
    """A server that never finishes its TLS greeting is left without a trace."""

    async def main() -> int:
        seen = Server()

        async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with listening(talk, seen), pool_of(seen.url.replace("http", "https")) as pool:
            task = asyncio.create_task(pool.post({}, b""))
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert pool._open == set()
        return seen.opened

    assert run_jumping(main()) == 1


def test_a_greeting_that_does_not_end_is_a_timeout() -> None:
    """`connect_seconds` counts for name, connection and TLS together."""

    async def main() -> str:
        seen = Server()

        async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            await reader.read()

        async with listening(talk, seen), pool_of(seen.url.replace("http", "https")) as pool:
            with pytest.raises(TimedOutError) as caught:
                await pool.post({}, b"")
            return str(caught.value)

    assert run_jumping(main()).endswith("cannot be reached in 2 s")


def test_ipv6_is_named_in_brackets() -> None:
    """The Host header of ::1 is `[::1]:port`."""

    async def main() -> tuple[str, int]:
        async with serving(OK, host="::1") as server, pool_of(f"http://[::1]:{server.port}") as pool:
            await pool.post({"host": pool.host}, b"")
            return server.heads[0], server.port

    try:
        head, port = run_jumping(main())
    except OSError:
        pytest.skip("there is no IPv6 here")
    assert f"\r\nhost: [::1]:{port}\r\n" in head


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://iam.amazonaws.com", "iam.amazonaws.com"),
        ("https://iam.amazonaws.com:443", "iam.amazonaws.com"),
        ("http://localhost:80", "localhost"),
        ("http://localhost:443", "localhost:443"),
        ("https://[::1]", "[::1]"),
    ],
)
def test_the_host_header_names_only_unusual_ports(url: str, host: str) -> None:
    """The signature covers the Host header, so it must be what servers expect."""
    assert Pool(url).host == host


def _certificate(folder: Path, *names: x509.GeneralName) -> tuple[ssl.SSLContext, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return context, certificate


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Make a TLS server's side for 127.0.0.1, and the file of its authority."""
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return _certificate(tmp_path_factory.mktemp("tls"), loopback)


def test_tls_with_a_trusted_authority_works(secure: tuple[ssl.SSLContext, Path]) -> None:
    """The authority file is what is trusted, and connections are kept under TLS, too."""
    context, authority = secure

    async def main() -> tuple[bytes, int]:
        async with (
            serving(OK, tls=context) as server,
            pool_of(f"https://127.0.0.1:{server.port}", ca=authority) as pool,
        ):
            await pool.post({}, b"")
            return (await pool.post({}, b"")).body, server.opened

    assert run_jumping(main()) == (b"ok", 1)


def test_an_unknown_authority_is_one_clear_read_error(secure: tuple[ssl.SSLContext, Path]) -> None:
    """Nothing was sent, asking again would not help, and the hint says what would."""
    context, _ = secure

    async def main() -> tuple[ReadError, int, list[str]]:
        async with serving(OK, tls=context) as server:
            async with pool_of(f"https://127.0.0.1:{server.port}") as pool:
                with pytest.raises(ReadError) as caught:
                    await pool.post({}, b"")
            return caught.value, server.port, server.heads

    error, port, heads = run_jumping(main())
    assert not isinstance(error, AnswerError)
    assert str(error) == (
        f"the TLS connection to 127.0.0.1:{port} failed: self-signed certificate"
        " (AWS_CA_BUNDLE names the authorities to trust)"
    )
    assert heads == []


def test_another_hosts_certificate_is_refused(tmp_path: Path) -> None:
    """Trusting the authority does not make it the right host."""
    context, authority = _certificate(tmp_path, x509.DNSName("other.example"))

    async def main() -> str:
        async with serving(OK, tls=context) as server:
            async with pool_of(f"https://127.0.0.1:{server.port}", ca=authority) as pool:
                with pytest.raises(ReadError) as caught:
                    await pool.post({}, b"")
            return str(caught.value)

    assert "IP address mismatch" in run_jumping(main())


def test_tls_with_a_server_that_speaks_none_is_one_clear_line() -> None:
    """`https` where `http` is meant."""

    async def main() -> str:
        seen = Server()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(answer("HTTP/1.1 400 Bad Request"))

        async with listening(talk, seen), pool_of(f"https://127.0.0.1:{seen.port}") as pool:
            with pytest.raises(ReadError) as caught:
                await pool.post({}, b"")
            return str(caught.value)

    assert "the TLS connection to 127.0.0.1:" in run_jumping(main())


def test_authorities_that_cannot_be_read_are_a_wrong_setting(tmp_path: Path) -> None:
    """A missing file and one without certificates are told before anything is asked."""
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for path in (empty, tmp_path / "none.pem"):
        with pytest.raises(UsageError, match="cannot be read"):
            Pool("https://127.0.0.1", ca_file=str(path))


def test_nothing_is_left_open(secure: tuple[ssl.SSLContext, Path]) -> None:
    """`close` closes idle connections and those in use, in plain and in TLS, at once."""
    context, authority = secure

    async def main(tls: ssl.SSLContext | None, scheme: str) -> set[object]:
        async with serving(lambda n: OK if n else SILENCE, tls=tls) as server:
            pool = Pool(f"{scheme}://127.0.0.1:{server.port}", ca_file=str(authority))
            busy = asyncio.create_task(pool.post({}, b""))
            await asyncio.sleep(0.1)
            await pool.post({}, b"")
            pool.close()
            with pytest.raises(ConnectionLostError):
                await busy
            await asyncio.sleep(0.1)
            return set(pool._open)

    began = time.monotonic()
    assert run_jumping(main(None, "http")) == set()
    assert run_jumping(main(context, "https")) == set()
    assert time.monotonic() - began < 2
