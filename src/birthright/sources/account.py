"""Collects the facts of one account, and notes what could be read and what could not.

The plan:
 1. The credential report and, at depth `keys`, the users, at the same time.
 2. The keys of every user that has or may have one.
 3. The last use of every key of which the report cannot say it.
 4. The join, and a line of coverage for every kind of call.
A call that fails costs its own facts only; they stay unknown, and coverage says why.
"""

import asyncio
from datetime import datetime

import msgspec

from birthright.aws.async_pacing import Pacer
from birthright.aws.identifiers import parse_arn
from birthright.aws.query_client import QueryClient
from birthright.aws.session import Session
from birthright.aws.sts import Caller, get_caller
from birthright.errors import AnswerError, CredentialsError, ReadError
from birthright.facts.answers import (
    ROOT_NAME,
    AccountAnswers,
    LastUse,
    ListedKey,
    ListedUser,
)
from birthright.facts.join import join_account, keys_to_look_up
from birthright.facts.model import AccountFacts, Coverage
from birthright.scans.request import ReadOptions
from birthright.sources import iam as reads
from birthright.sources.calls import Collection, ReadOutcome, SharedLimits, coverage_of


class AccountIdentity(msgspec.Struct, frozen=True):
    """Which account is read."""

    account_id: str
    partition: str
    account_name: str | None = None


class AccountResult(msgspec.Struct, frozen=True):
    """An account's facts; `errors` are those that its coverage describes."""

    facts: AccountFacts
    errors: tuple[ReadError, ...] = ()


async def collect_account(session: Session, options: ReadOptions, as_of: datetime) -> AccountFacts:
    """Read the account of a user's own credentials. Raises ReadError only if nothing at all could be read."""
    return (await collect(session, options, as_of)).facts


async def collect(
    session: Session,
    options: ReadOptions,
    as_of: datetime,
    known: AccountIdentity | None = None,
    limits: SharedLimits | None = None,
) -> AccountResult:
    """Read one account; `known` is which it is, where that is known. Raises ReadError, as above."""
    limits = limits or SharedLimits()
    # What is wrong with the credentials themselves is reported once, before any call.
    await session.credentials()
    iam = QueryClient(session, "iam", Pacer(options.max_in_flight), limits.gate)
    try:
        collection = Collection(iam, options, limits)
        answers = await _call_all(collection)
        account, partition = await _identity(session, collection, answers, known)
    finally:
        iam.close()
    answers = msgspec.structs.replace(answers, account_id=account, partition=partition)
    principals, keys, notes = join_account(answers)
    name = known.account_name if known else None
    blank = Coverage(account, "", "ok", account_name=name, partition=partition, as_of=as_of)
    generated_at = answers.report.generated_at if answers.report else None
    coverage = (coverage_of(blank, read, iam, notes, generated_at) for read in collection.reads.values())
    errors = tuple(read.error for read in collection.reads.values() if read.error)
    return AccountResult(AccountFacts(principals, keys, tuple(coverage), collection.content), errors)


async def _call_all(collection: Collection) -> AccountAnswers:
    """Make all calls; the account is not known yet."""
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
    answers = await list_keys(collection, answers)
    return await look_up_last_uses(collection, answers)


async def list_keys(collection: Collection, answers: AccountAnswers) -> AccountAnswers:
    """List the keys of every user that has or may have one, and add them to the answers."""
    names = users_to_list(answers, all_users=collection.options.all_users)

    async def fetch(name: str) -> tuple[ListedKey, ...]:
        return await reads.list_access_keys(collection.iam, name)

    async def fetch_all(read: ReadOutcome) -> dict[str, tuple[ListedKey, ...]]:
        if answers.report is None and answers.users is None:
            read.skipped = "nothing says which users there are"
        found = await collection.each(names, fetch, read)
        read.rows = sum(map(len, found.values()))
        return found

    found = await collection.read("ListAccessKeys", fetch_all) or {}
    return msgspec.structs.replace(answers, keys=found, unread_keys=frozenset(names) - found.keys())


async def look_up_last_uses(collection: Collection, answers: AccountAnswers) -> AccountAnswers:
    """Look up the last uses that the report cannot say, and add them to the answers."""
    ids = keys_to_look_up(answers)
    if not ids:
        return answers

    async def fetch(key: str) -> LastUse:
        return await reads.access_key_last_used(collection.iam, key)

    async def fetch_all(read: ReadOutcome) -> dict[str, LastUse]:
        found = await collection.each(ids, fetch, read)
        read.rows = len(found)
        return found

    found = await collection.read("GetAccessKeyLastUsed", fetch_all)
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
    session: Session, collection: Collection, answers: AccountAnswers, known: AccountIdentity | None
) -> tuple[str, str]:
    """Find the account and its partition in the answers; call STS only if none names it."""
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
