"""How far the accounts of a scan were read, according to their coverage."""

from collections.abc import Iterable
from typing import Literal, Protocol

from birthright.facts.model import UNKNOWN, Status

# Nothing of these needs to be read again.
WHOLE: frozenset[Status] = frozenset({"ok", "skipped"})
ANSWERED: frozenset[Status] = frozenset({"ok", "partial"})
# The call that enters an account; it returns no facts about it.
ENTRY = "AssumeRole"
ENTRIES = frozenset({ENTRY, "GetCallerIdentity"})
_LISTING = "ListAccounts"
_NO_FACTS = frozenset({*ENTRIES, _LISTING})

# read: it answered something. unread: nothing. skipped: it was not to be read.
Reach = Literal["read", "unread", "skipped"]


class CoverageRow(Protocol):
    """A row of coverage, in facts or in documents."""

    @property
    def account_id(self) -> str:
        """The account's id."""

    @property
    def account_name(self) -> str | None:
        """The account's name, if it is known."""

    @property
    def source(self) -> str:
        """The AWS operation."""

    @property
    def status(self) -> Status:
        """How it was answered."""


def reach_of(coverage: Iterable[CoverageRow]) -> dict[str, Reach]:
    """Return how far each account was read, by id, in the order of the rows."""
    reach: dict[str, Reach] = {}
    for row in coverage:
        if row.source not in _NO_FACTS and row.status in ANSWERED:
            reach[row.account_id] = "read"
        elif row.source == _LISTING and row.status == "skipped":
            reach.setdefault(row.account_id, "skipped")
        elif reach.get(row.account_id) != "read":
            reach[row.account_id] = "unread"
    return reach


def accounts_in(coverage: Iterable[CoverageRow]) -> dict[tuple[str, str | None], None]:
    """Return the distinct accounts: by id, and by name (a profile's) where the id is not known."""
    return dict.fromkeys(
        (row.account_id, row.account_name if row.account_id == UNKNOWN else None) for row in coverage
    )


def is_whole(coverage: "Iterable[CoverageRow]") -> bool:
    """Whether every read was answered in full."""
    return all(row.status in WHOLE for row in coverage)
