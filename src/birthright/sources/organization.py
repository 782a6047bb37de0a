"""AWS Organizations: which accounts there are, in which state, and where in the tree they stand.

Called through botocore's client: it is slow, but the calls are few.
`READS` is also where least privilege comes from: `birthright permissions --for org` prints exactly these.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote

import botocore.exceptions as theirs
import msgspec
from botocore import xform_name
from botocore.config import Config
from botocore.parsers import ResponseParserError

from birthright.aws.errors import UNREACHABLE, botocore_read_error, code_of, translated
from birthright.aws.session import AwsSession
from birthright.errors import (
    AccessDeniedError,
    AnswerError,
    BirthrightError,
    ReadError,
    ThrottledError,
    UsageError,
)
from birthright.facts.model import Account
from birthright.text import printable

T = TypeVar("T")

# Each AWS operation, the IAM action that allows it, and what the action's resource can be narrowed to.
READS = MappingProxyType({
    "ListAccounts": ("organizations:ListAccounts", "*"),
    "ListRoots": ("organizations:ListRoots", "*"),
    "ListOrganizationalUnitsForParent": ("organizations:ListOrganizationalUnitsForParent", "*"),
    "ListAccountsForParent": ("organizations:ListAccountsForParent", "*"),
    "ListTagsForResource": ("organizations:ListTagsForResource", "*"),
})  # fmt: skip

_log = logging.getLogger(__name__.rpartition(".")[0])

_AT_ONCE = 8
_MOST_PAGES = 100_000
_PAGE_SIZE = 20
_FAILED_TRIES = 4
_THROTTLED_TRIES = 12
_LONGEST_PAUSE = 10.0  # seconds
_WHO_MAY = "only the management account or a delegated administrator may ask"
_PERMISSIONS = "'birthright permissions --for org' prints the policy that is needed"
_NO_ORGANIZATION = "AWSOrganizationsNotInUseException"
_GONE = frozenset({"ParentNotFoundException", "TargetNotFoundException"})


class OrganizationalUnit(msgspec.Struct, frozen=True):
    """A root or an organizational unit. `path` is like `/Workloads/Prod`, and `/` for the root.

    Of a name in a path `/`, `%` and what cannot be printed are written as in URLs (`%2F`).
    """

    id: str
    name: str
    path: str
    parent_id: str | None = None


class Tree(msgspec.Struct, frozen=True):
    """Roots and OUs by id, and the id of the one that each account stands in, by account id.

    `note` says in one line why some are missing; it is empty if the tree is whole. Accounts that came
    or moved while it was read may still be missing.
    """

    units: dict[str, OrganizationalUnit]
    parents: dict[str, str]
    note: str = ""

    def placed(self, account: Account) -> Account:
        """Return the account with its OU, as far as that is known."""
        unit = self.units.get(self.parents.get(account.account_id, ""))
        if unit is None:
            return account
        return msgspec.structs.replace(account, ou_id=unit.id, ou_path=unit.path)

    def below(self, ou_ids: Collection[str]) -> frozenset[str]:
        """Return the ids of the accounts in these OUs (or roots) and in all OUs below them.

        Raises UsageError for an id that the organization does not have, and AccessDeniedError if the
        tree is not whole.
        """
        if self.note:
            raise AccessDeniedError(self.note, _PERMISSIONS)
        for ou_id in ou_ids:
            if ou_id not in self.units:
                raise UsageError(
                    f"--ou {printable(ou_id)}: there is no such OU in the organization",
                    "it takes ids such as ou-ab12-34cd56ef, or the root's, r-ab12",
                )
        return frozenset(account for account, unit in self.parents.items() if self._is_below(unit, ou_ids))

    def _is_below(self, unit_id: str | None, ou_ids: Collection[str]) -> bool:
        while unit_id is not None:
            if unit_id in ou_ids:
                return True
            unit_id = self.units[unit_id].parent_id
        return False


class Organization:
    """The organization of a session's account. Any thread may use it; `close` it at the end.

    Every method raises UsageError if the account is in no organization, AccessDeniedError (the
    management account and delegated administrators only may call it), or another ReadError.
    """

    def __init__(self, session: AwsSession) -> None:
        # Wrong regions and addresses are reported in the same words as for all other calls.
        endpoint = session.endpoint("organizations")
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=10,
            read_timeout=30,
            max_pool_connections=_AT_ONCE * 2,
        )
        with translated():
            self._client = session.botocore.create_client(
                "organizations", region_name=endpoint.scope.region, config=config
            )
        self._closed = threading.Event()

    def close(self) -> None:
        """Close the connections. A call in another thread soon ends with a ReadError."""
        self._closed.set()
        self._client.close()

    def pages(self) -> Iterator[tuple[Account, ...]]:
        """Yield all accounts, each once, in pages as they come; their OUs are not known yet.

        No page is empty: where AWS's is, the next one is fetched.
        """
        seen: set[str] = set()
        for page in self._pages("ListAccounts", "Accounts", MaxResults=_PAGE_SIZE):
            accounts = {account.account_id: account for account in map(_account, page)}
            fresh = tuple(account for account_id, account in accounts.items() if account_id not in seen)
            seen |= accounts.keys()
            if fresh:
                yield fresh
        if not seen:
            # There is always the management account.
            raise AnswerError("ListAccounts: the list of the organization's accounts is empty")

    def tree(self) -> Tree:
        """Read the roots and OUs, and which accounts stand in them.

        If that is denied, the tree holds what could be read, and its `note` says so.
        """
        units: dict[str, OrganizationalUnit] = {}
        parents: dict[str, str] = {}
        try:
            self._add_units(units)
            names = list(units)
            for unit_id, accounts in zip(names, self._at_once(self._accounts_in, names), strict=True):
                parents |= dict.fromkeys(accounts, unit_id)
        except AccessDeniedError as error:
            return Tree(units, parents, f"the OUs of accounts are not known: {error.message}")
        return Tree(units, parents)

    def tags(self, account_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the tags of accounts, by account id; an account that has left meanwhile has none."""
        return dict(zip(account_ids, self._at_once(self._tags_of, account_ids), strict=True))

    def _add_units(self, units: dict[str, OrganizationalUnit]) -> None:
        """Read the tree level by level; there are at most six of them."""
        roots = self._all("ListRoots", "Roots", MaxResults=_PAGE_SIZE)
        level = [OrganizationalUnit(_word(root, "Id"), str(root.get("Name", "")), "/") for root in roots]
        while level:
            for unit in level:
                if units.setdefault(unit.id, unit) is not unit:
                    raise AnswerError(f"ListOrganizationalUnitsForParent: {unit.id} is in two places")
            found = self._at_once(self._units_in, [unit.id for unit in level])
            level = [
                _unit(item, parent) for parent, items in zip(level, found, strict=True) for item in items
            ]

    def _units_in(self, parent_id: str) -> list[dict[str, Any]]:
        return self._below(parent_id, "ListOrganizationalUnitsForParent", "OrganizationalUnits")

    def _accounts_in(self, parent_id: str) -> list[str]:
        found = self._below(parent_id, "ListAccountsForParent", "Accounts")
        return [_word(item, "Id") for item in found]

    def _below(self, parent_id: str, operation: str, field: str) -> list[dict[str, Any]]:
        # An OU that was deleted meanwhile was empty before.
        return self._unless_gone(operation, field, ParentId=parent_id, MaxResults=_PAGE_SIZE)

    def _tags_of(self, account_id: str) -> dict[str, str]:
        found = self._unless_gone("ListTagsForResource", "Tags", ResourceId=account_id)
        return {_word(tag, "Key"): str(tag.get("Value", "")) for tag in found}

    def _unless_gone(self, operation: str, field: str, **parameters: object) -> list[dict[str, Any]]:
        try:
            return self._all(operation, field, **parameters)
        except ReadError as error:
            if error.code in _GONE:
                return []
            raise

    def _at_once(self, ask: Callable[[str], T], names: Sequence[str]) -> list[T]:
        """Ask for several at the same time; the answers come in the order of the names."""
        threads = ThreadPoolExecutor(_AT_ONCE, "organizations")
        try:
            return list(threads.map(ask, names))
        finally:
            # Not waited for: after an error or Ctrl-C their answers are not needed.
            threads.shutdown(wait=False, cancel_futures=True)

    def _all(self, operation: str, field: str, **parameters: object) -> list[dict[str, Any]]:
        return [item for page in self._pages(operation, field, **parameters) for item in page]

    def _pages(self, operation: str, field: str, **parameters: object) -> Iterator[list[dict[str, Any]]]:
        """Yield a listing's pages to the last; a page may be short or empty before it."""
        following: dict[str, str] = {}
        followed: set[str] = set()
        for _ in range(_MOST_PAGES):
            answer = self._call(operation, field, {**parameters, **following})
            yield answer[field]
            token = answer.get("NextToken")
            if not token:
                return
            if token in followed:
                raise AnswerError(f"{operation}: the same page is offered again and again")
            followed.add(token)
            following = {"NextToken": token}
        raise AnswerError(f"{operation}: no end after {_MOST_PAGES} pages")

    def _call(self, operation: str, field: str, parameters: dict[str, object]) -> dict[str, Any]:
        """Ask once, however many requests that takes; the answer has a list `field`.

        Throttling is waited for: the limits are low.
        """
        tries = 1
        while True:
            try:
                return self._once(operation, field, parameters)
            except ReadError as error:
                if tries >= _tries_for(error):
                    raise
            # Full jitter, so that threads do not march in step.
            self._closed.wait(random.uniform(0.0, min(_LONGEST_PAUSE, 0.1 * 2**tries)))  # noqa: S311
            tries += 1

    def _once(self, operation: str, field: str, parameters: dict[str, object]) -> dict[str, Any]:
        if self._closed.is_set():
            raise ReadError(f"{operation}: not asked any more")
        began = time.monotonic()
        outcome = "no answer"
        try:
            with translated():
                answer: dict[str, Any] = self._request(operation, parameters)
            # botocore takes a body that was cut for an answer without members.
            if not isinstance(answer.get(field), list):
                raise AnswerError(f"{operation}: the answer has no {field}")
            outcome = "OK"
        except ReadError as error:
            outcome = error.code or type(error).__name__
            raise
        finally:
            _log.debug("%s %s %.0f ms", operation, outcome, (time.monotonic() - began) * 1000)
        return answer

    def _request(self, operation: str, parameters: dict[str, object]) -> dict[str, Any]:
        """Make one request. Raises BirthrightError."""
        try:
            answer: dict[str, Any] = getattr(self._client, xform_name(operation))(**parameters)
        except (theirs.ClientError, theirs.BotoCoreError, ResponseParserError) as error:
            raise _error(error, operation) from None
        return answer


def _tries_for(error: ReadError) -> int:
    """Return how many tries an error allows."""
    if isinstance(error, ThrottledError):
        return _THROTTLED_TRIES
    return _FAILED_TRIES if isinstance(error, AnswerError) or error.code == UNREACHABLE else 1


def _error(error: Exception, operation: str) -> BirthrightError:
    if isinstance(error, theirs.ClientError) and code_of(error) == _NO_ORGANIZATION:
        return UsageError("this account is in no organization", "use --accounts FILE or --profiles A,B")
    found = botocore_read_error(error, operation)
    if isinstance(found, AccessDeniedError):
        return AccessDeniedError(f"{found.message}; {_WHO_MAY}", _PERMISSIONS, found.code)
    return found


def _account(item: dict[str, Any]) -> Account:
    # State took the place of Status, which partitions and look-alikes may still have alone.
    return Account(
        account_id=_word(item, "Id"),
        account_name=item.get("Name") or None,
        state=item.get("State") or item.get("Status") or None,
        source="ListAccounts",
    )


def _unit(item: dict[str, Any], parent: OrganizationalUnit) -> OrganizationalUnit:
    name = str(item.get("Name", ""))
    return OrganizationalUnit(
        _word(item, "Id"), name, f"{parent.path.rstrip('/')}/{_segment(name)}", parent.id
    )


def _segment(name: str) -> str:
    """Write a name so that a path of names can be taken apart again."""
    kept = (
        c if c.isprintable() and c not in "/%" else quote(c, safe="", errors="surrogatepass") for c in name
    )
    return "".join(kept)


def _word(item: dict[str, Any], field: str) -> str:
    found = item.get(field)
    if not isinstance(found, str) or not found:
        raise AnswerError(f"an answer of AWS Organizations lacks {field}")
    return found
