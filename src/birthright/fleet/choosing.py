"""Which accounts a scan reads: `--include` and `--exclude` by id, name or tag, and the state they are in.

A pattern is an account id (12 digits), `tag:KEY`, `tag:KEY=VALUE` (both exact), or else a name, in which
`*`, `?` and `[...]` stand for what they do in a shell. Case counts everywhere.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase

import msgspec

from birthright.aws.identifiers import is_account_id
from birthright.errors import UsageError
from birthright.facts.model import Account, AccountFacts, Coverage
from birthright.fleet.target import CLOSED_STATES
from birthright.text import printable

_TAG = "tag:"
_KINDS = "it takes an account id, a name such as 'team-*', or tag:KEY=VALUE"

# Returns the tags of accounts, by account id and then by tag key.
Tags = Callable[[Sequence[str]], Mapping[str, Mapping[str, str]]]


class _Patterns(msgspec.Struct, frozen=True):
    """The patterns of one option, by kind."""

    ids: frozenset[str]
    names: tuple[str, ...]
    tags: tuple[str, ...]

    def match_plainly(self, account: Account) -> bool:
        """Whether the id or the name is chosen."""
        if account.account_id in self.ids:
            return True
        name = account.account_name
        return name is not None and any(
            name == pattern or fnmatchcase(name, pattern) for pattern in self.names
        )

    def match_tags(self, tags: Mapping[str, str]) -> bool:
        """Whether one of the tags is chosen. Keys may hold `=`, so both readings count."""
        found = {word for key, value in tags.items() for word in (key, f"{key}={value}")}
        return any(tag in found for tag in self.tags)


class AccountFilter:
    """What `--include` and `--exclude` say: nothing included means all, and excluding wins.

    Raises UsageError for a pattern that cannot be meant.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._all = not include
        self._include = _read("--include", include)
        self._exclude = _read("--exclude", exclude)

    @property
    def names_ids(self) -> bool:
        """Whether `check_ids` may have something to say."""
        return bool(self._include.ids or self._exclude.ids)

    def of(self, accounts: Iterable[Account], tags: Tags) -> list[Account]:
        """Return the chosen accounts in their order; `tags` is called at most once, for the undecided."""
        accounts = list(accounts)
        decided = {account.account_id: self._plainly(account) for account in accounts}
        undecided = [account_id for account_id, chosen in decided.items() if chosen is None]
        known = tags(undecided) if undecided else {}
        by_id = {account.account_id: account for account in accounts}
        for account_id in undecided:
            decided[account_id] = self._by_tags(by_id[account_id], known.get(account_id, {}))
        return [account for account in accounts if decided[account.account_id]]

    def check_ids(self, found: Collection[str], where: str = "the organization") -> None:
        """Refuse ids that no account has; `found` are the ids of all. Raises UsageError."""
        for option, patterns in (("--include", self._include), ("--exclude", self._exclude)):
            for account_id in sorted(patterns.ids):
                if account_id not in found:
                    raise UsageError(f"{option} {account_id}: there is no such account in {where}")

    def _plainly(self, account: Account) -> bool | None:
        """Decide without tags; None if only they can decide."""
        if self._exclude.match_plainly(account):
            return False
        included = self._all or self._include.match_plainly(account)
        if included:
            return None if self._exclude.tags else True
        return None if self._include.tags else False

    def _by_tags(self, account: Account, tags: Mapping[str, str]) -> bool:
        if self._exclude.match_tags(tags):
            return False
        return self._all or self._include.match_plainly(account) or self._include.match_tags(tags)


def is_open(account: Account) -> bool:
    """Whether an account is to be read: it is active, or its state is not known.

    A state that Organizations does not use yet counts as unknown: coverage then shows the outcome.
    """
    return account.state not in CLOSED_STATES


def skipped(account: Account, partition: str, as_of: datetime) -> AccountFacts:
    """Return what is known of an account that is not read: one line of coverage that says why."""
    line = Coverage(
        account.account_id,
        "ListAccounts",
        "skipped",
        f"{account.state} in the organization",
        account_name=account.account_name,
        partition=partition,
        as_of=as_of,
    )
    return AccountFacts((), (), (line,))


def _read(option: str, texts: Sequence[str]) -> _Patterns:
    ids, names, tags = set(), [], []
    for text in texts:
        if not text.removeprefix(_TAG).strip():
            raise UsageError(f"{option} {printable(text)!r}: there is nothing to look for", _KINDS)
        if text.startswith(_TAG):
            tags.append(text.removeprefix(_TAG))
        elif is_account_id(text):
            ids.add(text)
        elif text.isdecimal():
            hint = f"a name of digits alone is written [{text[0]}]{text[1:]}"
            raise UsageError(f"{option} {text}: an account id has 12 digits", hint)
        else:
            names.append(text)
    return _Patterns(frozenset(ids), tuple(names), tuple(tags))
