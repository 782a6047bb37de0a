"""Listings that someone saved: what `aws iam list-users` and `list-access-keys` print.

People save them in many ways: one file a user, one array of all, JSON lines, or one output
appended to the other. All are read. No message shows what a file holds, because the wrong file may
hold a secret.
"""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from birthright.errors import UsageError
from birthright.facts.answers import ListedKey, ListedUser

_UserName = Annotated[str, msgspec.Meta(pattern=r"\A[\w+=,.@-]{1,128}\Z")]
_KeyId = Annotated[str, msgspec.Meta(pattern=r"\A\w{1,128}\Z")]
_Word = Annotated[str, msgspec.Meta(pattern=r"\A[\w -]{1,64}\Z")]
_Line = Annotated[str, msgspec.Meta(pattern=r"\A[\x21-\x7e]{1,2048}\Z")]

_SECRET = re.compile(r'"SecretAccessKey"\s*:')
_START = datetime.min.replace(tzinfo=UTC)
_SPACE = re.compile(r"[\s,]*")


class KeyListing(msgspec.Struct, frozen=True):
    """The keys of the users that the files name; `cut` names those whose last page is missing.

    `has_lost_pages` says that a page was cut before it named any user.
    """

    keys: dict[str, tuple[ListedKey, ...]]
    cut: frozenset[str] = frozenset()
    has_lost_pages: bool = False


class UserListing(msgspec.Struct, frozen=True):
    """The users of a file; `complete` is False if its last page is missing, or they were picked out.

    `newest` is the newest time in the file: it was made at that time or later.
    """

    users: tuple[ListedUser, ...]
    complete: bool = True
    newest: datetime | None = None


class _Key(msgspec.Struct, rename="pascal"):
    user_name: _UserName
    access_key_id: _KeyId
    status: _Word | None = None
    create_date: datetime | None = None


class _User(msgspec.Struct, rename="pascal"):
    user_name: _UserName
    arn: _Line
    user_id: _KeyId | None = None
    path: _Line | None = None
    create_date: datetime | None = None
    password_last_used: datetime | None = None


class _Page(msgspec.Struct, rename="pascal"):
    """What every page has: AWS's own mark of a cut list, and the AWS CLI's.

    `was_picked` is ours: the element stood alone, and others may have stood beside it.
    """

    is_truncated: bool = False
    marker: str | None = None
    next_token: str | None = None
    was_picked: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether another page follows."""
        return self.is_truncated or bool(self.marker or self.next_token)


class _KeyPage(_Page, rename="pascal", kw_only=True):
    """A page of keys; `user_name` is not AWS's: it says whose keys they are where there are none."""

    access_key_metadata: list[_Key]
    user_name: _UserName | None = None

    @property
    def last_user(self) -> str | None:
        """The user whose keys would go on in the next page."""
        return self.access_key_metadata[-1].user_name if self.access_key_metadata else self.user_name


class _UserPage(_Page, rename="pascal", kw_only=True):
    users: list[_User]


_P = TypeVar("_P", bound=_Page)


def read_access_keys(paths: Iterable[Path]) -> KeyListing:
    """Read files of `aws iam list-access-keys`. Raises UsageError naming the file and the place.

    A key found twice is one key; what its listings say differently is not known. A page with `UserName` is
    of that user, who may have no keys.
    """
    found: dict[str, dict[str, ListedKey]] = {}
    owners: dict[str, str] = {}
    unfinished: list[_KeyPage] = []
    for path in paths:
        pages = _pages(path, _KeyPage, "AccessKeyMetadata", "UserName")
        unfinished += _unfinished(pages)
        found.update((page.user_name, {}) for page in pages if page.user_name and page.user_name not in found)
        for owner, key in ((page.user_name, key) for page in pages for key in page.access_key_metadata):
            if owner not in {None, key.user_name}:
                raise UsageError(f"{path}: a listing of {owner} holds keys of {key.user_name}")
            if owners.setdefault(key.access_key_id, key.user_name) != key.user_name:
                raise UsageError(f"{path}: {key.access_key_id} is listed for two users")
            of_user, listed = found.setdefault(key.user_name, {}), _listed_key(key, path)
            of_user[key.access_key_id] = _agreed(of_user.get(key.access_key_id, listed), listed)
    keys = {name: tuple(by_id.values()) for name, by_id in found.items()}
    return KeyListing(
        keys,
        frozenset(page.last_user for page in unfinished if page.last_user),
        any(page.last_user is None for page in unfinished),
    )


def read_users(path: Path) -> UserListing:
    """Read a file of `aws iam list-users`. Raises UsageError naming the file and the place."""
    pages = _pages(path, _UserPage, "Users", "Arn")
    users = [_listed_user(user, path) for page in pages for user in page.users]
    complete = not (pages[-1].is_cut or any(page.was_picked for page in pages))
    by_name: dict[str, ListedUser] = {}
    for user in users:
        before = by_name.get(user.user_name, user)
        # Of two users of one name the younger one is there now.
        by_name[user.user_name] = max(user, before, key=lambda u: u.created_at or _START)
    times = (t for u in users for t in (u.created_at, u.password_last_used_at))
    return UserListing(tuple(by_name.values()), complete, _newest(times))


def read_bytes(path: Path) -> bytes:
    """Read a whole file that the user named. Raises UsageError, also if it is empty."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if not data.strip():
        raise UsageError(f"{path} is empty")
    return data


def _unfinished(pages: list[_KeyPage]) -> Iterator[_KeyPage]:
    """Yield the pages that are cut and not followed by one that goes on with the same user."""
    for page, following in zip(pages, [*pages[1:], None], strict=True):
        names = {key.user_name for key in following.access_key_metadata} if following else set()
        if page.is_cut and page.last_user not in names:
            yield page


def _listed_key(key: _Key, path: Path) -> ListedKey:
    """Turn a key as AWS writes it into ours."""
    return ListedKey(key.user_name, key.access_key_id, key.status, _utc(key.create_date, path))


def _agreed(first: ListedKey, second: ListedKey) -> ListedKey:
    """Keep of two listings of a key what both say."""
    return ListedKey(
        first.user_name,
        first.access_key_id,
        first.status if first.status == second.status else None,
        first.created_at if first.created_at == second.created_at else None,
    )


def _listed_user(user: _User, path: Path) -> ListedUser:
    """Turn a user as AWS writes it into ours."""
    return ListedUser(
        user.user_name,
        user.arn,
        user.user_id,
        user.path,
        _utc(user.create_date, path),
        _utc(user.password_last_used, path),
    )


def _utc(moment: datetime | None, path: Path) -> datetime | None:
    """Bring a time to UTC and whole seconds; one without an offset is UTC."""
    if moment is None:
        return None
    try:
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise UsageError(f"{path}: a time in it is before year 1 or after 9999") from None


def _newest(times: Iterable[datetime | None]) -> datetime | None:
    """Return the latest of the times that are known."""
    return max((time for time in times if time), default=None)


def _pages(path: Path, page: type[_P], field: str, mark: str) -> list[_P]:
    """Read a file as pages with a list `field`; a bare element of it, known by `mark`, is a page."""
    pages = []
    for number, document in enumerate(_documents(path), start=1):
        if isinstance(document, dict) and field not in document and mark in document:
            document = {field: [document], "WasPicked": True}  # noqa: PLW2901 - from here on it is a page
        if not isinstance(document, dict) or field not in document:
            hint = f"expected objects with {field}, as the AWS CLI prints with --output json"
            raise UsageError(f"{path}: document {number} is no such listing", hint)
        try:
            pages.append(msgspec.convert(document, page, strict=False))
        except msgspec.ValidationError as error:
            raise UsageError(f"{path}: document {number}: {error}") from None
    if not pages:
        raise UsageError(f"{path} holds no listing", f"expected objects with {field}")
    return pages


def _documents(path: Path) -> Iterator[object]:
    """Yield the JSON documents of a file, one after the other; of an array, its elements."""
    text = _text(path)
    decoder = json.JSONDecoder()
    place = _end_of_space(text, 0)
    while place < len(text):
        try:
            document, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise UsageError(f"{path} is not JSON: {error.msg} at {where}") from None
        except (ValueError, RecursionError):
            raise UsageError(f"{path} is not a listing: JSON of absurd depth or numbers") from None
        yield from document if isinstance(document, list) else [document]
        place = _end_of_space(text, place)


def _end_of_space(text: str, place: int) -> int:
    """Skip what may stand between two documents."""
    space = _SPACE.match(text, place)
    return space.end() if space else place


def _text(path: Path) -> str:
    """Decode a file, and refuse one with a secret before anything can show it."""
    data = read_bytes(path)
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # what `>` of a Windows shell makes
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text") from None
    if _SECRET.search(text):
        hint = "that is what `aws iam create-access-key` prints: keep such files nowhere"
        raise UsageError(f"{path} holds a secret access key and was not read further", hint)
    return text
