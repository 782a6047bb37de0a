"""Reads one user of an account: the user, its keys, and when each was last used; four calls for two keys."""

from datetime import datetime

from birthright.aws.async_pacing import Pacer
from birthright.aws.identifiers import parse_arn
from birthright.aws.query_client import QueryClient
from birthright.aws.session import Session
from birthright.errors import AnswerError
from birthright.facts.answers import AccountAnswers, ListedUser
from birthright.facts.join import join_account
from birthright.facts.model import AccountFacts, Coverage
from birthright.scans.request import ReadOptions
from birthright.sources.account import list_keys, look_up_last_uses
from birthright.sources.calls import Collection, ReadOutcome, SharedLimits, coverage_of
from birthright.sources.iam import get_user

_LOOK_UP = "GetAccessKeyLastUsed"
_IN_FLIGHT = 4  # calls; a user rarely has more keys than two


async def collect_user(session: Session, user_name: str, as_of: datetime) -> AccountFacts:
    """Read the facts of one user; nothing is said of others, nor of root.

    Raises NoSuchUserError, or ReadError if the user cannot be read. Keys that cannot be listed are unknown.
    """
    await session.credentials()
    iam = QueryClient(session, "iam", Pacer(_IN_FLIGHT))
    try:
        collection = Collection(iam, ReadOptions(), SharedLimits())
        answers = await _call_all(collection, user_name)
    finally:
        iam.close()
    principals, keys, notes = join_account(answers)
    about = Coverage(answers.account_id, "", "ok", partition=answers.partition, as_of=as_of)
    coverage = (coverage_of(about, read, iam, notes, None) for read in collection.reads.values())
    # The join gives every account a root user. Nothing here was asked of it.
    return AccountFacts(
        tuple(one for one in principals if not one.is_root),
        tuple(key for key in keys if not key.is_root),
        tuple(coverage),
    )


async def _call_all(collection: Collection, user_name: str) -> AccountAnswers:
    async def fetch(read: ReadOutcome) -> ListedUser:
        user = await get_user(collection.iam, user_name)
        read.answered, read.rows = 1, 1
        return user

    user = await collection.read("GetUser", fetch)
    if user is None:
        raise collection.reads["GetUser"].error or AnswerError("GetUser was not answered")
    arn = parse_arn(user.user_arn)
    if arn is None:
        raise AnswerError(f"GetUser: {user.user_arn[:100]!r} names no account")
    answers = AccountAnswers(arn.account_id, arn.partition, users=(user,), users_complete=False)
    answers = await look_up_last_uses(collection, await list_keys(collection, answers))
    # Without keys there is nothing to look up, which is an answer; unless they could not be listed.
    none = ReadOutcome(_LOOK_UP, skipped="the keys could not be listed" if answers.unread_keys else "")
    collection.reads.setdefault(_LOOK_UP, none)
    return answers
