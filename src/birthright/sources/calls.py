"""The calls that read one account: each kind is made for many names at a time, and says how it went."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from birthright.aws.http import ConnectionLostError
from birthright.aws.query_client import OPEN, Gate, QueryClient
from birthright.errors import AccessDeniedError, CredentialsError, ReadError
from birthright.facts.answers import CredentialReport, ListedUser
from birthright.facts.join import JoinNotes
from birthright.facts.model import Coverage, Status
from birthright.scans.request import ReadOptions
from birthright.sources import iam as reads
from birthright.times import format_duration

T = TypeVar("T")

_log = logging.getLogger(__name__.rpartition(".")[0])

# After so many calls in a row that leave no hope the others are not made: see `ReadOutcome.fail`.
_HOPELESS_AFTER = 20


class SharedLimits(msgspec.Struct, frozen=True):
    """What an account shares with others that are read at the same time.

    `gate` limits the calls in flight of all. `pause` waits, in seconds, for AWS to make the report, and lets
    another account continue meanwhile.
    """

    gate: Gate = OPEN
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


class ReadOutcome(msgspec.Struct):
    """How one kind of call went.

    Of `total` names, `attempted` were called for and `answered` succeeded. `error` is the first error;
    `skipped` says why no call could be made. `futile` counts the calls in a row that leave no hope.
    """

    source: str
    total: int = 1
    attempted: int = 0
    answered: int = 0
    rows: int = 0
    error: ReadError | None = None
    skipped: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    futile: int = 0

    @property
    def status(self) -> Status:
        """Return what coverage says of it."""
        if self.skipped:
            return "skipped"
        if self.error is None:
            return "partial" if self.notes else "ok"
        if self.answered:
            return "partial"
        return "denied" if isinstance(self.error, AccessDeniedError) else "failed"

    @property
    def is_hopeless(self) -> bool:
        """Whether further calls are pointless."""
        return self.futile >= _HOPELESS_AFTER

    def succeed(self) -> None:
        """Note that a call succeeded."""
        self.answered += 1
        self.futile = 0

    def fail(self, error: ReadError) -> None:
        """Note that a call failed.

        Denials are hopeless only while nothing succeeded: a policy may allow some users and not others.
        Dead credentials and a dead connection always are. Throttling and AWS's own failures never are,
        because they pass.
        """
        self.error = self.error or error
        denied = isinstance(error, AccessDeniedError) and not self.answered
        dead = isinstance(error, CredentialsError | ConnectionLostError)
        self.futile = self.futile + 1 if denied or dead else 0


class Collection:
    """The calls that read one account, while they are made."""

    def __init__(self, iam: QueryClient, options: ReadOptions, limits: SharedLimits) -> None:
        self.iam = iam
        self.options = options
        self.limits = limits
        self.reads: dict[str, ReadOutcome] = {}
        self.content: bytes | None = None

    async def read(self, source: str, fetch: Callable[[ReadOutcome], Awaitable[T]]) -> T | None:
        """Make one kind of call; None, with the reason noted, if it failed."""
        read = self.reads[source] = ReadOutcome(source)
        began = time.monotonic()
        _log.info("%s: begins", source)
        try:
            return await fetch(read)
        except ReadError as error:
            read.error = error
            return None
        finally:
            read.seconds = round(time.monotonic() - began, 3)
            _log.info("%s: %s, %d rows in %.1f s", source, read.status, read.rows, read.seconds)

    async def report(self, read: ReadOutcome) -> CredentialReport:
        """Fetch the credential report. Raises ReadError."""
        fetched = await reads.credential_report(self.iam, self.options.report_deadline, self.limits.pause)
        # Kept even if it cannot be parsed: that is when it is worth looking at.
        self.content = fetched.content if self.options.raw else None
        self.iam.digests["GetCredentialReport"] = [hashlib.sha256(fetched.content).digest()]
        report = fetched.read()
        read.answered, read.rows, read.notes = 1, len(report.users), report.problems
        return report

    async def users(self, seen: list[ListedUser], read: ReadOutcome) -> bool:
        """List the users into `seen`, so that the pages before a failure count; True at the end."""
        async for page in reads.pages(self.iam, "ListUsers"):
            seen += reads.read_users(page)
            read.answered, read.rows = 1, len(seen)
        return True

    async def each(
        self, names: Sequence[str], fetch: Callable[[str], Awaitable[T]], read: ReadOutcome
    ) -> dict[str, T]:
        """Fetch for each name; names that failed are missing from the result.

        Scouts go first, spread over all names: if all of them are refused the rest is skipped.
        """
        read.total = len(names)
        step = max(1, len(names) // _HOPELESS_AFTER)
        scouts = names[::step][:_HOPELESS_AFTER]
        rest = set(names) - set(scouts)
        found = await self._at_once(scouts, fetch, read)
        if not read.is_hopeless:
            found |= await self._at_once([name for name in names if name in rest], fetch, read)
        return found

    async def _at_once(
        self, names: Sequence[str], fetch: Callable[[str], Awaitable[T]], read: ReadOutcome
    ) -> dict[str, T]:
        """Fetch for many names at a time, until it is hopeless."""
        found: dict[str, T] = {}
        waiting = iter(names)

        async def work() -> None:
            for name in waiting:
                read.attempted += 1
                try:
                    found[name] = await fetch(name)
                    read.succeed()
                except ReadError as error:
                    read.fail(error)
                if read.is_hopeless:
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.options.max_in_flight, len(names))):
                group.create_task(work())
        return found


def coverage_of(
    blank: Coverage, read: ReadOutcome, iam: QueryClient, notes: JoinNotes, generated_at: datetime | None
) -> Coverage:
    """Fill in, for one kind of call, what `blank` leaves open."""
    of_report = read.source == "GetCredentialReport"
    actions = [read.source, "GenerateCredentialReport"] if of_report else [read.source]
    details = list(_details(read))
    if of_report and generated_at and blank.as_of:
        age = max(blank.as_of - generated_at, timedelta())
        details.insert(0, f"made {format_duration(age)} ago")
    if read.source == "ListAccessKeys":
        details += notes.lines()
    return msgspec.structs.replace(
        blank,
        source=read.source,
        status=read.status,
        detail="; ".join(details),
        rows=read.rows,
        calls=sum(iam.calls[action] for action in actions),
        throttled=sum(iam.refused[action] for action in actions),
        seconds=read.seconds,
        report_generated_at=generated_at if of_report else None,
        sha256=_digest(iam.digests[read.source]),
    )


def _digest(digests: Sequence[bytes]) -> str | None:
    """Return the digest of one answer; of several that of their digests, sorted, each a line."""
    if len(digests) < 2:  # noqa: PLR2004  one digest stands for itself
        return digests[0].hex() if digests else None
    lines = "".join(f"{digest}\n" for digest in sorted(digest.hex() for digest in digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def _details(read: ReadOutcome) -> Iterator[str]:
    """Say in words what a call did not return, and why."""
    if read.skipped:
        yield read.skipped
    if read.error and read.total > 1:
        unasked = read.total - read.attempted
        more = f", {unasked} of them not asked for" if unasked else ""
        yield f"{read.total - read.answered} of {read.total} not answered{more}"
    if read.error:
        yield str(read.error)
    yield from read.notes
