"""What a change record is."""

from datetime import datetime

import msgspec

from birthright.retirement.journal.journal import Journal
from birthright.retirement.journal.verifying import JournalVerification
from birthright.retirement.model import Retirement, Step


class RecordedChange(msgspec.Struct, frozen=True):
    """One key's retirement and all its steps, in order."""

    retirement: Retirement
    steps: tuple[Step, ...]


class TicketChanges(msgspec.Struct, frozen=True):
    """The changes made under one ticket, oldest first; `ticket` is empty for those without."""

    ticket: str
    changes: tuple[RecordedChange, ...]


class ChangeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, per ticket.

    journal: where it was read, without a password. as_of: when, UTC. verification: of the whole journal.
    """

    journal: str
    as_of: datetime
    verification: JournalVerification
    tickets: tuple[TicketChanges, ...]


def collect(journal: Journal, retirements: list[Retirement], as_of: datetime) -> ChangeRecord:
    """Read the steps of these retirements and put them together by ticket. Raises JournalError."""
    grouped: dict[str, list[RecordedChange]] = {}
    for retirement in retirements:
        change = RecordedChange(retirement, tuple(journal.steps(retirement.id)))
        grouped.setdefault(retirement.ticket, []).append(change)
    return ChangeRecord(
        journal=journal.place,
        as_of=as_of,
        verification=journal.verify(),
        tickets=tuple(TicketChanges(ticket, tuple(changes)) for ticket, changes in sorted(grouped.items())),
    )
