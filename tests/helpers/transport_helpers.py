"""Tiny servers on loopback, and a loop whose clock jumps where nothing happens."""

import asyncio
import selectors
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class JumpingSelector(selectors.DefaultSelector):
    """Never waits for a timer: when no socket has news, the time is that of the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Look at the sockets; jump if there is nothing to see."""
        found = super().select(None if timeout is None else 0)
        if not found and timeout:
            self.now += timeout
        return found


class JumpingLoop(asyncio.SelectorEventLoop):
    """An hour of waiting costs nothing. Everybody who talks must live in this loop."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual time."""
        return self._jumping.now


def run_jumping(main: Coroutine[Any, Any, T]) -> T:
    """Run in virtual time."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)


@dataclass
class Server:
    """What a test's server saw: its address, each request, how many connections came and went."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where it listens, in plain HTTP."""
        return f"http://127.0.0.1:{self.port}"

    async def read(self, reader: asyncio.StreamReader) -> bool:
        """Read one request; False if the other side closed instead."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        size = next((line[15:] for line in head.split("\r\n") if line.startswith("content-length:")), "0")
        self.heads.append(head)
        self.bodies.append(await reader.readexactly(int(size)))
        return True


@dataclass(frozen=True)
class Last:
    """An answer after which the server closes the connection."""

    data: bytes = b""


Answers = Callable[[int], bytes | Last | None]


@asynccontextmanager
async def serving(
    answers: Answers | bytes, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Server]:
    """Answer request number 0, 1, ... with what `answers` says; None is silence."""
    seen = Server()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await seen.read(reader):
            answer = answers(len(seen.heads) - 1) if callable(answers) else answers
            if answer is None:
                await reader.read()
                return
            writer.write(answer.data if isinstance(answer, Last) else answer)
            if isinstance(answer, Last):
                return

    async with listening(talk, seen, tls, host):
        yield seen


@asynccontextmanager
async def listening(
    talk: Handler, seen: Server, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[None]:
    """Talk to every connection; afterwards nothing is left open."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        seen.tasks.add(task)
        seen.opened += 1
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            seen.closed += 1
            seen.gone.set()
            writer.close()
            seen.tasks.discard(task)

    server = await asyncio.start_server(accept, host, 0, ssl=tls)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        for task in list(seen.tasks):
            task.cancel()
        for _ in range(4):
            await asyncio.sleep(0)
