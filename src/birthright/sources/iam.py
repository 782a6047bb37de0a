"""The few IAM and STS reads birthright makes, each as what it means rather than what it looks like.

`READS` is also where least privilege comes from: `birthright permissions` prints exactly these.
"""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple
from xml.etree.ElementTree import Element

from birthright.aws.query_client import QueryClient
from birthright.errors import AnswerError, NoSuchUserError, ReadError
from birthright.facts.answers import CredentialReport, LastUse, ListedKey, ListedUser
from birthright.sources.report import parse_report
from birthright.times import format_duration, parse_instant

# Each AWS operation, the IAM action that allows it, and what the action's resource can be narrowed to.
READS = MappingProxyType({
    "GenerateCredentialReport": ("iam:GenerateCredentialReport", "*"),
    "GetCredentialReport": ("iam:GetCredentialReport", "*"),
    "ListUsers": ("iam:ListUsers", "*"),
    "ListAccessKeys": ("iam:ListAccessKeys", "user"),
    "GetAccessKeyLastUsed": ("iam:GetAccessKeyLastUsed", "user"),
})  # fmt: skip

# The reads of a single user, for whoever judges one user and never an account.
USER_READS = MappingProxyType({
    "GetUser": ("iam:GetUser", "user"),
    **{name: read for name, read in READS.items() if read[1] == "user"},
})  # fmt: skip

# How to wait for so many seconds.
Pause = Callable[[float], Awaitable[None]]

_MOST_PAGES = 10_000
_NOT_NOW = frozenset({"ReportExpired", "ReportNotPresent", "ReportInProgress"})
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0


class FetchedReport(NamedTuple):
    """A credential report's bytes as AWS gave them, and when it was made, if that is known."""

    content: bytes
    generated_at: datetime | None

    def read(self) -> CredentialReport:
        """Read what it says. Raises AnswerError if these bytes are no report."""
        return parse_report(self.content, self.generated_at)


class ReportDeadlineError(ReadError):
    """AWS did not finish the credential report in the time it was given."""


async def credential_report(
    iam: QueryClient, deadline: timedelta, pause: Pause = asyncio.sleep
) -> FetchedReport:
    """Have the report made, wait for it, fetch it.

    AWS returns a report younger than four hours as it is, so this is two calls then. One that expires
    between being made and being fetched is made again. Raises ReportDeadlineError, or what
    QueryClient.call raises.
    """
    states = ["no answer yet"]
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            return await _made_and_fetched(iam, states, pause)
    except TimeoutError:
        raise ReportDeadlineError(
            f"the credential report was not ready in {format_duration(deadline)} (last: {states[-1]})",
            "give it longer with --report-deadline",
        ) from None


async def _made_and_fetched(iam: QueryClient, states: list[str], pause: Pause) -> FetchedReport:
    """Poll until AWS has a report; `states` takes the last state."""
    seconds = _FIRST_PAUSE
    while True:
        state = (await iam.call("GenerateCredentialReport")).findtext("State")
        states[:] = [(state or "no state")[:40]]
        if state == "COMPLETE":
            try:
                return _fetched(await iam.call("GetCredentialReport"))
            except ReadError as error:
                if error.code not in _NOT_NOW:
                    raise
                states[:] = [error.code]
        await pause(seconds)
        seconds = min(seconds * 1.5, _LONGEST_PAUSE)


def _fetched(result: Element) -> FetchedReport:
    try:
        content = base64.b64decode(result.findtext("Content") or "", validate=True)
    except binascii.Error as error:
        raise AnswerError(f"GetCredentialReport: the content is not base64 ({error})") from None
    return FetchedReport(content, _instant(result, "GeneratedTime"))


async def pages(iam: QueryClient, action: str, **parameters: str) -> AsyncIterator[Element]:
    """Yield a listing's pages to the last; a page may be short or empty before it. 1,000 are asked for."""
    marker: dict[str, str] = {}
    followed: set[str] = set()
    for _ in range(_MOST_PAGES):
        result = await iam.call(action, MaxItems="1000", **parameters, **marker)
        yield result
        if (result.findtext("IsTruncated") or "").lower() != "true":
            return
        following = result.findtext("Marker")
        if not following or following in followed:
            raise AnswerError(f"{action}: there is more, but no marker leads to it")
        followed.add(following)
        marker = {"Marker": following}
    raise AnswerError(f"{action}: no end after {_MOST_PAGES} pages")


def read_users(result: Element) -> list[ListedUser]:
    """Read one page of ListUsers."""
    return [_user(member) for member in result.iterfind("Users/member")]


async def get_user(iam: QueryClient, user_name: str) -> ListedUser:
    """Read one user. Raises NoSuchUserError, or what QueryClient.call raises."""
    try:
        found = (await iam.call("GetUser", UserName=user_name)).find("User")
    except ReadError as error:
        if error.code != "NoSuchEntity":
            raise
        hint = "names are those of one account; a user may have been deleted"
        raise NoSuchUserError(f"there is no IAM user {user_name[:64]!r}", hint) from None
    if found is None:
        raise AnswerError("GetUser: the answer says nothing of the user")
    return _user(found)


def _user(member: Element) -> ListedUser:
    return ListedUser(
        user_name=_text(member, "UserName"),
        user_arn=_text(member, "Arn"),
        user_id=member.findtext("UserId"),
        path=member.findtext("Path"),
        created_at=_instant(member, "CreateDate"),
        password_last_used_at=_instant(member, "PasswordLastUsed"),
    )


async def list_access_keys(iam: QueryClient, user_name: str) -> tuple[ListedKey, ...]:
    """List one user's keys; none for a user that is gone by now."""
    keys: list[ListedKey] = []
    try:
        async for page in pages(iam, "ListAccessKeys", UserName=user_name):
            keys += _read_keys(page)
    except ReadError as error:
        if error.code != "NoSuchEntity":
            raise
        return ()
    return tuple(keys)


def _read_keys(result: Element) -> list[ListedKey]:
    return [
        ListedKey(
            user_name=_text(member, "UserName"),
            access_key_id=_text(member, "AccessKeyId"),
            status=member.findtext("Status"),
            created_at=_instant(member, "CreateDate"),
        )
        for member in result.iterfind("AccessKeyMetadata/member")
    ]


async def access_key_last_used(iam: QueryClient, access_key_id: str) -> LastUse:
    """Ask when a key was last used. AWS leaves the date out for "never, or not since 2015-04-22"."""
    result = await iam.call("GetAccessKeyLastUsed", AccessKeyId=access_key_id)
    used = result.find("AccessKeyLastUsed")
    if used is None:
        raise AnswerError("GetAccessKeyLastUsed: the answer says nothing of the key")
    at = _instant(used, "LastUsedDate")
    if at is None:
        return LastUse(ever_used=None if used.findtext("LastUsedDate") else False)
    return LastUse(
        ever_used=True,
        at=at,
        region=_known(used.findtext("Region")),
        service=_known(used.findtext("ServiceName")),
    )


def _text(element: Element, name: str) -> str:
    text = element.findtext(name)
    if not text:
        raise AnswerError(f"the answer lacks {name}")
    return text


def _known(text: str | None) -> str | None:
    return None if text in {None, "", "N/A"} else text


def _instant(element: Element, name: str) -> datetime | None:
    """Read a time; one that cannot be read is not known."""
    text = element.findtext(name)
    try:
        return parse_instant(text) if text else None
    except (ValueError, OverflowError):
        return None
