"""The sandbox as one object: its accounts, its troubles, and the server on loopback."""

import asyncio
import ipaddress
import random
import re
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from birthright.errors import BirthrightError, UsageError
from birthright.sandbox.account import SandboxAccount
from birthright.sandbox.changes import Delays
from birthright.sandbox.clock import Clock
from birthright.sandbox.cloud import Cloud
from birthright.sandbox.control import Control
from birthright.sandbox.faults import Fault, Faults
from birthright.sandbox.log import LogEntry
from birthright.sandbox.organization import Fields, SandboxOrganization, State, usual_states
from birthright.sandbox.people import People
from birthright.sandbox.population import (
    ACCOUNT_ID,
    SCANNER,
    SCANNER_KEY,
    SCANNER_SECRET,
    Population,
)
from birthright.sandbox.report import Style
from birthright.sandbox.server import Connection

_MOST_ACCOUNTS = 50_000  # in an organization
_USERS_KEPT = 40_000  # of accounts that nobody changed, about 2 KiB each
_NO_ACCOUNT_ID = 10**12
REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


@dataclass(frozen=True, slots=True)
class SandboxCredentials:
    """Credentials to call the sandbox with; they are public and open nothing else."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


class Sandbox:
    """A small AWS.

    users: how many users besides the scanner's own; the named cases come first.
    seed, account_id, partition, cases: what the account holds (see `population`).
    accounts: how many accounts, with ids counting up from `account_id` and a population each, made when
    first asked for; all but the first are entered through their roles.
    latency_ms, jitter_ms: how long each answer is held back; jitter is added, evenly spread.
    organization: whether the accounts are one organization, the first its management account; None is yes
    where there are several. account_states: how many accounts are in a state other than ACTIVE; None is
    one SUSPENDED and one PENDING_CLOSURE where there are ten accounts or more and `cases` is true.
    account_fields: whether Organizations answers `both`, only `state` or only `status`. delegates: accounts
    that may list as the management account may.
    throttle, burst: calls a second per account and service; None is no limit. They leave out STS, which
    has `sts_throttle` per calling account (AWS: 600), and Organizations.
    longest_session: seconds, of every role (AWS: 3,600, up to 43,200). faults: in force from the start.
    clock: where the sandbox's time starts (UTC); None is now. `frozen` makes it stand still.
    report: `cached` starts with a report two hours old, `none` without.
    report_seconds: how long a report takes to be made. consistency_seconds: how long a new key is not
    yet accepted, and ListAccessKeys shows how things were. last_use_lag_seconds: how long a use is not
    shown. last_use_span_seconds: how long after a recorded use no other is recorded (AWS: 900).
    report_style: how the CSV is written.
    allow: what the scanner may do, as patterns (`iam:List*`); None is everything.
    listen, port, allow_remote: where to listen; port 0 is any free one.
    """

    def __init__(  # noqa: PLR0913 - each is one dial of the sandbox, documented above
        self,
        *,
        users: int = 100,
        seed: int = 1,
        account_id: str = ACCOUNT_ID,
        accounts: int = 1,
        organization: bool | None = None,
        account_states: Mapping[State, int] | None = None,
        account_fields: Fields = "both",
        delegates: Sequence[str] = (),
        partition: str = "aws",
        cases: bool = True,
        latency_ms: float = 0.0,
        jitter_ms: float = 0.0,
        throttle: float | None = None,
        burst: float | None = None,
        sts_throttle: float | None = None,
        longest_session: int = 3600,
        faults: Sequence[Fault] = (),
        clock: datetime | None = None,
        frozen: bool = False,
        report: Literal["cached", "none"] = "cached",
        report_seconds: float = 0.0,
        report_style: Style | None = None,
        consistency_seconds: float = 0.0,
        last_use_lag_seconds: float = 0.0,
        last_use_span_seconds: float = 0.0,
        allow: tuple[str, ...] | None = None,
        listen: str = "127.0.0.1",
        port: int = 0,
        allow_remote: bool = False,
    ) -> None:
        _only_loopback(listen, allow_remote=allow_remote)
        if not re.fullmatch(r"\d{12}", account_id, re.ASCII):
            raise UsageError(f"{account_id!r} is not an account id", "it has 12 digits")
        self.clock = Clock(clock, frozen=frozen)
        self.latency_ms, self.jitter_ms = latency_ms, jitter_ms
        self.account_id, self.partition = account_id, partition
        self._listen, self._port = listen, port
        self._jitter = random.Random(f"jitter/{seed}")  # noqa: S311 - not for cryptography
        self._connections: set[Connection] = set()
        self.cloud = Cloud(self.clock, seed=seed)
        self.cloud.style = report_style or Style()
        self.cloud.dials = Delays(
            report_seconds, consistency_seconds, last_use_lag_seconds, last_use_span_seconds
        )
        self.cloud.throttle.limit(throttle, burst)
        self.cloud.throttle.limit_sts(sts_throttle)
        self.cloud.faults.put(faults)
        people = Population(
            users=users,
            seed=seed,
            partition=partition,
            named=cases,
            style=self.cloud.style,
            longest_session=longest_session,
        )
        self.account_ids = _count_up(account_id, accounts)
        known, start, cached = frozenset(self.account_ids), self.clock.second(), report == "cached"
        self.cloud.accounts.build = lambda other: (
            people.account_later(other, start, cached=cached) if other in known else None
        )
        self.cloud.accounts.limit = max(_USERS_KEPT // (users + 5), 16)
        if organization or (organization is None and accounts > 1):
            self.cloud.organization = belongs = SandboxOrganization(
                self.account_ids, start, seed=seed, partition=partition, fields=account_fields
            )
            usual = usual_states(accounts if cases else 1)
            belongs.set_states(usual if account_states is None else account_states)
            belongs.delegates.update(delegates)
        self.people = People(self.cloud, account_id)
        built = people.account(account_id, start, cached=cached)
        self.cloud.accounts.put(built.account)
        self.cloud.home = account_id
        self.expected = tuple(built.expected)
        self.credentials = SandboxCredentials(SCANNER_KEY, SCANNER_SECRET)
        built.account.users[SCANNER].keys[SCANNER_KEY].allow = allow
        self.control = Control(self)

    @property
    def url(self) -> str:
        """Where the sandbox listens; known once it runs."""
        host = f"[{self._listen}]" if ":" in self._listen else self._listen
        return f"http://{host}:{self._port}"

    @property
    def calls(self) -> Counter[str]:
        """Authenticated calls by action, refused and failed ones included."""
        return self.cloud.calls

    @property
    def errors(self) -> Counter[str]:
        """Error answers by AWS's code."""
        return self.cloud.errors

    @property
    def refused(self) -> int:
        """How many calls the throttle refused."""
        return self.cloud.throttle.refused.total()

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
        return self.cloud.faults

    @property
    def organization(self) -> SandboxOrganization:
        """The organization; raises UsageError where there is none."""
        if self.cloud.organization is None:
            raise UsageError("the sandbox's accounts are no organization")
        return self.cloud.organization

    @property
    def region(self) -> str:
        """The Region IAM is signed for in this partition."""
        return REGIONS.get(self.partition, "us-east-1")

    def account(self, account_id: str | None = None) -> SandboxAccount:
        """Return an account's state, the first one's by default; it may be changed."""
        found = self.cloud.account(account_id or self.account_id)
        if found is None:
            raise UsageError(f"the sandbox has no account {account_id}")
        return found

    def throttle(self, rate: float | None, burst: float | None = None) -> None:
        """Let `rate` calls a second pass per account and service but STS; None is no limit."""
        self.cloud.throttle.limit(rate, burst)

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
        return Connection(self.control.answer, self._delay, self._connections)

    def _delay(self) -> float:
        if not self.latency_ms and not self.jitter_ms:
            return 0.0
        return (self.latency_ms + self._jitter.random() * self.jitter_ms) / 1000


def _count_up(first: str, accounts: int) -> tuple[str, ...]:
    if not 1 <= accounts <= _MOST_ACCOUNTS or int(first) + accounts > _NO_ACCOUNT_ID:
        raise UsageError(f"there cannot be {accounts} accounts from {first} on", f"1 to {_MOST_ACCOUNTS}")
    return tuple(f"{int(first) + number:012d}" for number in range(accounts))


def _run(loop: asyncio.AbstractEventLoop, serve: Coroutine[None, None, None]) -> None:
    try:
        loop.run_until_complete(serve)
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()


def _only_loopback(listen: str, *, allow_remote: bool) -> None:
    """Its credentials are public: whoever reaches it may do anything to it."""
    try:
        loopback = ipaddress.ip_address(listen).is_loopback
    except ValueError:
        raise UsageError(f"{listen!r} is not an IP address") from None
    if not loopback and not allow_remote:
        raise UsageError(f"{listen} is not loopback", "listen on 127.0.0.1 or ::1")
