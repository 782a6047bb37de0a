"""The sandbox as one object: its accounts, its troubles, and the server on loopback."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import ParamSpec

from birthright.errors import BirthrightError, UsageError
from birthright.sandbox.account import SandboxAccount
from birthright.sandbox.changes import Delays
from birthright.sandbox.clock import Clock
from birthright.sandbox.cloud import Cloud
from birthright.sandbox.control import Control
from birthright.sandbox.faults import Faults, Throttle
from birthright.sandbox.gateway import Gateway
from birthright.sandbox.log import LogEntry
from birthright.sandbox.options import SandboxOptions
from birthright.sandbox.organization import SandboxOrganization, usual_states
from birthright.sandbox.people import People
from birthright.sandbox.population import SCANNER_KEY, SCANNER_SECRET, Expected, Population
from birthright.sandbox.server import Connection, Latency

P = ParamSpec("P")

__all__ = ["Sandbox", "SandboxCredentials", "SandboxOptions"]

_USERS_KEPT = 40_000  # of accounts that nobody changed, about 2 KiB each
REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


@dataclass(frozen=True, slots=True)
class SandboxCredentials:
    """Credentials to call the sandbox with; they are public and open nothing else."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def _with(options: Callable[P, SandboxOptions]) -> "Callable[P, Sandbox]":
    """Return a function that takes the same arguments and gives the sandbox of these options."""

    def create(*args: P.args, **keywords: P.kwargs) -> "Sandbox":
        return Sandbox(options(*args, **keywords))

    return create


class Sandbox:
    """A small AWS; `Sandbox.create(users=5)` is `Sandbox(SandboxOptions(users=5))`.

    expected: what a scan of the first account must find.
    """

    create = staticmethod(_with(SandboxOptions))

    def __init__(self, options: SandboxOptions) -> None:
        self.clock = Clock(options.clock, frozen=options.frozen)
        self.account_id, self.account_ids = options.account_id, options.account_ids
        self.partition = options.partition
        self._listen, self._port = options.listen, options.port
        self._connections: set[Connection] = set()
        self.cloud = _cloud(options, self.clock)
        self.expected = _populate(self.cloud, options)
        self.gateway = Gateway(self.cloud, _throttle(options), options.faults)
        self.credentials = SandboxCredentials(SCANNER_KEY, SCANNER_SECRET)
        self.people = People(self.cloud)
        self.latency = Latency(options.latency_ms, options.jitter_ms, options.seed)
        self.control = Control(
            self.gateway, self.people, self.latency, accounts=options.accounts, expected=self.expected
        )

    @property
    def url(self) -> str:
        """Where the sandbox listens; known once it runs."""
        host = f"[{self._listen}]" if ":" in self._listen else self._listen
        return f"http://{host}:{self._port}"

    @property
    def calls(self) -> Counter[str]:
        """Authenticated calls by action, refused and failed ones included."""
        return self.gateway.calls

    @property
    def errors(self) -> Counter[str]:
        """Error answers by AWS's code."""
        return self.gateway.errors

    @property
    def refused(self) -> int:
        """How many calls the throttle refused."""
        return self.gateway.throttle.refused.total()

    @property
    def accepted(self) -> int:
        """How many authenticated calls the throttle let pass."""
        return self.calls.total() - self.refused

    @property
    def log(self) -> list[LogEntry]:
        """What happened, oldest first: calls that could change something, and people's acts."""
        return list(self.cloud.log.entries)

    @property
    def faults(self) -> Faults:
        """The troubles in force; add to them with `faults.add(kind, ...)`."""
        return self.gateway.faults

    @property
    def organization(self) -> SandboxOrganization:
        """The organization; raises UsageError where there is none."""
        return self.cloud.required_organization()

    @property
    def region(self) -> str:
        """The Region IAM is signed for in this partition."""
        return REGIONS.get(self.partition, "us-east-1")

    def account(self, account_id: str | None = None) -> SandboxAccount:
        """Return an account's state, the first one's by default; it may be changed."""
        return self.cloud.account(account_id or self.account_id)

    def throttle(self, rate: float | None, burst: float | None = None) -> None:
        """Let `rate` calls a second pass per account and service but STS; None is no limit."""
        self.gateway.throttle.limit(rate, burst)

    def new_credentials(self, name: str, *allow: str) -> SandboxCredentials:
        """Add a user whose key may do only what the patterns allow (nothing if there are none)."""
        account, now = self.account(), self.clock.second()
        key = account.add_key(account.add_user(name, now), now)
        key.allow = allow
        return SandboxCredentials(key.access_key_id, key.secret)

    def environment(self) -> dict[str, str]:
        """Return what a process needs in its environment to talk to this sandbox."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_access_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }

    async def start(self) -> asyncio.Server:
        """Listen on the running loop; afterwards `url` is known."""
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(self._connection, self._listen, self._port, backlog=1024)
        except OSError as error:
            raise UsageError(f"cannot listen on {self._listen}:{self._port}: {error}") from None
        self._port = server.sockets[0].getsockname()[1]
        return server

    @contextmanager
    def running(self) -> Iterator["Sandbox"]:
        """Serve from a thread of its own for as long as the block lasts."""
        loop, stop = asyncio.new_event_loop(), asyncio.Event()
        started: Future[None] = Future()
        serve = self._serve(stop, started)
        thread = threading.Thread(target=_run, args=(loop, serve), name="sandbox", daemon=True)
        thread.start()
        try:
            started.result()
            yield self
        finally:
            if thread.is_alive() and not loop.is_closed():
                loop.call_soon_threadsafe(stop.set)
            thread.join()

    async def _serve(self, stop: asyncio.Event, started: "Future[None]") -> None:
        """Serve until told to stop; what goes wrong at the start is told to who waits for it."""
        try:
            server = await self.start()
        except BirthrightError as error:
            started.set_exception(error)
            return
        started.set_result(None)
        await stop.wait()
        server.close()
        for connection in list(self._connections):
            connection.close()

    def _connection(self) -> Connection:
        return Connection(self.control.answer, self.latency, self._connections)


def _cloud(options: SandboxOptions, clock: Clock) -> Cloud:
    """Return the cloud, still without accounts."""
    delays = Delays(
        options.report_seconds,
        options.consistency_seconds,
        options.last_use_lag_seconds,
        options.last_use_span_seconds,
    )
    organization = _organization(options, clock.second()) if options.is_organization else None
    return Cloud(clock, options.account_id, options.seed, options.report_style, delays, organization)


def _organization(options: SandboxOptions, start: datetime) -> SandboxOrganization:
    organization = SandboxOrganization(
        options.account_ids,
        start,
        seed=options.seed,
        partition=options.partition,
        fields=options.account_fields,
    )
    usual = usual_states(options.accounts if options.cases else 1)
    organization.set_states(usual if options.account_states is None else options.account_states)
    organization.delegates.update(options.delegates)
    return organization


def _populate(cloud: Cloud, options: SandboxOptions) -> tuple[Expected, ...]:
    """Put in the first account, have the others made when they are asked for, and say what is expected."""
    people, known = Population(options, cloud.clock.second()), frozenset(options.account_ids)
    cloud.accounts.build = lambda other: people.account_later(other) if other in known else None
    cloud.accounts.limit = max(_USERS_KEPT // (options.users + 5), 16)
    built = people.account(cloud.home)
    cloud.accounts.put(built.account)
    return tuple(built.expected)


def _throttle(options: SandboxOptions) -> Throttle:
    throttle = Throttle()
    throttle.limit(options.throttle, options.burst)
    throttle.limit_sts(options.sts_throttle)
    return throttle


def _run(loop: asyncio.AbstractEventLoop, serve: Coroutine[None, None, None]) -> None:
    try:
        loop.run_until_complete(serve)
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
