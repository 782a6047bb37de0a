"""Collects one account: asks, notes what was answered and what was not, and hands over the facts.

The plan:
 1. The credential report and, at depth `keys`, the users, at the same time.
 2. The keys of every user that has or may have one.
 3. The last use of every key of which the report cannot say it.
 4. The join, and a line of coverage for everything that was asked.
A read that fails costs its own facts only; they stay unknown, and coverage says why.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from birthright.aws.async_pacing import Pacer
from birthright.aws.http import ConnectionLostError
from birthright.aws.identifiers import parse_arn
from birthright.aws.query_client import OPEN, Gate, QueryClient
from birthright.aws.session import Session
from birthright.aws.sts import Caller, get_caller
from birthright.errors import AccessDeniedError, AnswerError, CredentialsError, ReadError
from birthright.facts.answers import (
    ROOT_NAME,
    AccountAnswers,
    CredentialReport,
    LastUse,
    ListedKey,
    ListedUser,
)
from birthright.facts.join import JoinNotes, join_account, keys_to_look_up
from birthright.facts.model import AccountFacts, Coverage, Status
from birthright.scans.request import ReadOptions
from birthright.sources import iam as reads
from birthright.times import format_duration

T = TypeVar("T")

_log = logging.getLogger(__name__.rpartition(".")[0])

# So many calls in vain, one after the other, are taken for the answer to all: see `_Read.failed`.
_ENOUGH = 20


class AccountIdentity(msgspec.Struct, frozen=True):
    """Which account it is that will answer."""

    account_id: str
    partition: str
    account_name: str | None = None


class SharedLimits(msgspec.Struct, frozen=True):
    """What an account shares with others that are read at the same time.

    `gate` limits the calls in flight of all; `pause` is how an account waits, in seconds, for AWS to make
    its report, so that another can go on meanwhile.
    """

    gate: Gate = OPEN
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


class AccountResult(msgspec.Struct, frozen=True):
    """An account's facts; `errors` are the troubles that its coverage tells of."""

    facts: AccountFacts
    errors: tuple[ReadError, ...] = ()


class _Read(msgspec.Struct):
    """How one kind of read went.

    Of `total` things to ask for, `asked` were asked for and `answered` came. `error` is the first
    trouble; `skipped` says why nothing could be asked. `in_vain` counts calls that leave no hope.
    """

    source: str
    total: int = 1
    asked: int = 0
    answered: int = 0
    rows: int = 0
    error: ReadError | None = None
    skipped: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    in_vain: int = 0

    @property
    def status(self) -> Status:
        if self.skipped:
            return "skipped"
        if self.error is None:
            return "partial" if self.notes else "ok"
        if self.answered:
            return "partial"
        return "denied" if isinstance(self.error, AccessDeniedError) else "failed"

    @property
    def is_hopeless(self) -> bool:
        """Whether there is no point in asking on."""
        return self.in_vain >= _ENOUGH

    def answer(self) -> None:
        """Note that one thing asked for came."""
        self.answered += 1
        self.in_vain = 0

    def failed(self, error: ReadError) -> None:
        """Note that one did not.

        Denials leave no hope only while nothing was answered: a policy may allow some users and not
        others. Dead credentials and a dead connection leave none at any time; throttling and AWS's own
        failures do, as they pass.
        """
        self.error = self.error or error
        denied = isinstance(error, AccessDeniedError) and not self.answered
        dead = isinstance(error, CredentialsError | ConnectionLostError)
        self.in_vain = self.in_vain + 1 if denied or dead else 0


class _Collection:
    """The reads of one account as they go on."""

    def __init__(self, iam: QueryClient, options: ReadOptions, company: SharedLimits) -> None:
        self.iam = iam
        self.options = options
        self.company = company
        self.reads: dict[str, _Read] = {}
        self.content: bytes | None = None

    async def read(self, source: str, ask: Callable[[_Read], Awaitable[T]]) -> T | None:
        """Run one kind of read; None, and the reason noted, if it failed."""
        read = self.reads[source] = _Read(source)
        began = time.monotonic()
        _log.info("%s: begins", source)
        try:
            return await ask(read)
        except ReadError as error:
            read.error = error
            return None
        finally:
            read.seconds = round(time.monotonic() - began, 3)
            _log.info("%s: %s, %d rows in %.1f s", source, read.status, read.rows, read.seconds)

    async def report(self, read: _Read) -> CredentialReport:
        fetched = await reads.credential_report(self.iam, self.options.report_deadline, self.company.pause)
        # Also of one that cannot be read: that is when somebody wants to look at it.
        self.content = fetched.content if self.options.raw else None
        self.iam.digests["GetCredentialReport"] = [hashlib.sha256(fetched.content).digest()]
        report = fetched.read()
        read.answered, read.rows, read.notes = 1, len(report.users), report.problems
        return report

    async def users(self, seen: list[ListedUser], read: _Read) -> bool:
        """List the users into `seen`, so that the pages before a failure count; True at the end."""
        async for page in reads.pages(self.iam, "ListUsers"):
            seen += reads.read_users(page)
            read.answered, read.rows = 1, len(seen)
        return True

    async def each(
        self, names: Sequence[str], ask: Callable[[str], Awaitable[T]], read: _Read
    ) -> dict[str, T]:
        """Ask for each name; names without an answer are missing from the result.

        Scouts go first, spread over all names: where they are all refused nobody else need be.
        """
        read.total = len(names)
        step = max(1, len(names) // _ENOUGH)
        scouts = names[::step][:_ENOUGH]
        rest = set(names) - set(scouts)
        found = await self._crowd(scouts, ask, read)
        if not read.is_hopeless:
            found |= await self._crowd([name for name in names if name in rest], ask, read)
        return found

    async def _crowd(
        self, names: Sequence[str], ask: Callable[[str], Awaitable[T]], read: _Read
    ) -> dict[str, T]:
        """Ask for many names at a time, until there is no hope."""
        found: dict[str, T] = {}
        waiting = iter(names)

        async def work() -> None:
            for name in waiting:
                read.asked += 1
                try:
                    found[name] = await ask(name)
                    read.answer()
                except ReadError as error:
                    read.failed(error)
                if read.is_hopeless:
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.options.max_in_flight, len(names))):
                group.create_task(work())
        return found


async def collect_account(session: Session, options: ReadOptions, as_of: datetime) -> AccountFacts:
    """Read the account of a user's own credentials. Raises ReadError only if nothing at all could be read."""
    return (await collect(session, options, as_of)).facts


async def collect(
    session: Session,
    options: ReadOptions,
    as_of: datetime,
    known: AccountIdentity | None = None,
    company: SharedLimits | None = None,
) -> AccountResult:
    """Read one account; `known` is which it is, where that is known. Raises ReadError, as above."""
    company = company or SharedLimits()
    # What is wrong with the credentials themselves is told once, before anything is asked.
    await session.credentials()
    iam = QueryClient(session, "iam", Pacer(options.max_in_flight), company.gate)
    try:
        collection = _Collection(iam, options, company)
        answers = await _ask(collection)
        account, partition = await _identity(session, collection, answers, known)
    finally:
        iam.close()
    answers = msgspec.structs.replace(answers, account_id=account, partition=partition)
    principals, keys, notes = join_account(answers)
    name = known.account_name if known else None
    asked = Coverage(account, "", "ok", account_name=name, partition=partition, as_of=as_of)
    generated_at = answers.report.generated_at if answers.report else None
    coverage = (_coverage(asked, read, iam, notes, generated_at) for read in collection.reads.values())
    errors = tuple(read.error for read in collection.reads.values() if read.error)
    return AccountResult(AccountFacts(principals, keys, tuple(coverage), collection.content), errors)


async def _ask(collection: _Collection) -> AccountAnswers:
    """Make all reads; the account is not known yet."""
    seen: list[ListedUser] = []
    async with asyncio.TaskGroup() as group:
        report = group.create_task(collection.read("GetCredentialReport", collection.report))
        if collection.options.depth == "report":
            users = None
        else:
            users = group.create_task(collection.read("ListUsers", lambda read: collection.users(seen, read)))
    answers = AccountAnswers(account_id="", report=report.result())
    if users is None:
        return answers
    complete = bool(users.result())
    listed = tuple(seen) if complete or seen else None
    answers = msgspec.structs.replace(answers, users=listed, users_complete=complete)
    answers = await _ask_keys(collection, answers)
    return await _ask_last_uses(collection, answers)


async def _ask_keys(collection: _Collection, answers: AccountAnswers) -> AccountAnswers:
    names = users_to_list(answers, all_users=collection.options.all_users)

    async def ask(name: str) -> tuple[ListedKey, ...]:
        return await reads.list_access_keys(collection.iam, name)

    async def ask_all(read: _Read) -> dict[str, tuple[ListedKey, ...]]:
        if answers.report is None and answers.users is None:
            read.skipped = "nothing says which users there are"
        found = await collection.each(names, ask, read)
        read.rows = sum(map(len, found.values()))
        return found

    found = await collection.read("ListAccessKeys", ask_all) or {}
    return msgspec.structs.replace(answers, keys=found, unread_keys=frozenset(names) - found.keys())


async def _ask_last_uses(collection: _Collection, answers: AccountAnswers) -> AccountAnswers:
    ids = keys_to_look_up(answers)
    if not ids:
        return answers

    async def ask(key: str) -> LastUse:
        return await reads.access_key_last_used(collection.iam, key)

    async def ask_all(read: _Read) -> dict[str, LastUse]:
        found = await collection.each(ids, ask, read)
        read.rows = len(found)
        return found

    found = await collection.read("GetAccessKeyLastUsed", ask_all)
    return msgspec.structs.replace(answers, last_uses=found or {})


def users_to_list(answers: AccountAnswers, *, all_users: bool = False) -> list[str]:
    """Name the users that have or may have a key, sorted.

    Those are: users whose report row shows a key or cannot rule one out, users the report does not
    know or knew under another creation time, and all of them where there is no report.
    """
    rows = {user.user_name: user for user in answers.report.users} if answers.report else {}
    listed = {user.user_name: user for user in answers.users or ()}
    listed_all = answers.users is not None and answers.users_complete
    names = set(listed) if listed_all else {*rows, *listed}
    names.discard(ROOT_NAME)

    def may_have_keys(name: str) -> bool:
        row, user = rows.get(name), listed.get(name)
        if row is None or row.may_have_keys:
            return True
        return user is not None and user.created_at != row.created_at

    return sorted(name for name in names if all_users or may_have_keys(name))


async def _identity(
    session: Session, collection: _Collection, answers: AccountAnswers, known: AccountIdentity | None
) -> tuple[str, str]:
    """Find the account and its partition in the answers; ask STS only if nobody says it."""
    arns = [user.user_arn for user in (answers.users or ())[:1]]
    if answers.report:
        arns += [user.user_arn for user in answers.report.users if user.user_arn][:1]
    found = next(filter(None, map(parse_arn, arns)), None)
    if known is not None:
        if found is not None and found.account_id != known.account_id:
            raise AnswerError(f"the answers are of account {found.account_id}, not {known.account_id}")
        return known.account_id, known.partition
    if found is None:
        errors = [read.error for read in collection.reads.values() if read.error]
        if errors and all(isinstance(error, CredentialsError) for error in errors):
            raise errors[0]
        caller = await _get_caller(session, errors)
        return caller.account_id, caller.partition
    return found.account_id, found.partition


async def _get_caller(session: Session, errors: list[ReadError]) -> Caller:
    sts = QueryClient(session, "sts", Pacer(1))
    try:
        return await get_caller(sts)
    except ReadError as error:
        # What went wrong first says more than what went wrong last.
        raise errors[0] if errors else error from error
    finally:
        sts.close()


def _coverage(
    asked: Coverage, read: _Read, iam: QueryClient, notes: JoinNotes, generated_at: datetime | None
) -> Coverage:
    """Fill in, for one kind of read, what `asked` leaves open."""
    of_report = read.source == "GetCredentialReport"
    actions = [read.source, "GenerateCredentialReport"] if of_report else [read.source]
    details = list(_details(read))
    if of_report and generated_at and asked.as_of:
        age = max(asked.as_of - generated_at, timedelta())
        details.insert(0, f"made {format_duration(age)} ago")
    if read.source == "ListAccessKeys":
        details += notes.lines()
    return msgspec.structs.replace(
        asked,
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


def _details(read: _Read) -> Iterator[str]:
    """Say in words what a read did not bring, and why."""
    if read.skipped:
        yield read.skipped
    if read.error and read.total > 1:
        unasked = read.total - read.asked
        more = f", {unasked} of them not asked for" if unasked else ""
        yield f"{read.total - read.answered} of {read.total} not answered{more}"
    if read.error:
        yield str(read.error)
    yield from read.notes
