"""How far the accounts of a scan were read, as their coverage tells."""

from collections.abc import Iterable
from typing import Literal, Protocol

from birthright.facts.model import UNKNOWN, Status

# What is whole leaves nothing to ask again.
WHOLE: frozenset[Status] = frozenset({"ok", "skipped"})
ANSWERED: frozenset[Status] = frozenset({"ok", "partial"})
# How an account is entered; says nothing of what is in it.
ENTRY = "AssumeRole"
ENTRIES = frozenset({ENTRY, "GetCallerIdentity"})
_LISTING = "ListAccounts"
_NO_FACTS = frozenset({*ENTRIES, _LISTING})

# read: it answered something. unread: nothing. skipped: nobody was to ask it.
Reach = Literal["read", "unread", "skipped"]


class CoverageRow(Protocol):
    """A row of coverage, in facts or in documents."""

    @property
    def account_id(self) -> str:
        """Whom."""

    @property
    def account_name(self) -> str | None:
        """What it is called."""

    @property
    def source(self) -> str:
        """What was asked."""

    @property
    def status(self) -> Status:
        """Whether it was answered."""


def reach_of(coverage: Iterable[CoverageRow]) -> dict[str, Reach]:
    """Say how far each account was read, by id, in the order of the rows."""
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
    """Tell the accounts apart: by their ids, and by name (of a profile, say) those without a known id."""
    return dict.fromkeys(
        (row.account_id, row.account_name if row.account_id == UNKNOWN else None) for row in coverage
    )


def is_whole(coverage: "Iterable[CoverageRow]") -> bool:
    """Whether everything that was asked for was answered."""
    return all(row.status in WHOLE for row in coverage)
