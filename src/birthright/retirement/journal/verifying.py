"""Checks a journal from its first step to its head, and that nothing else tells another story."""

from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, select

from birthright.retirement.journal.encoding import columns_of, digest_of, read_object, read_retirement
from birthright.retirement.journal.schema import chain, retirements, steps
from birthright.retirement.model import Retirement

_BATCH = 1000
_COLUMNS = tuple(column.name for column in retirements.columns if column.name != "data")


class JournalVerification(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found.

    steps: how many are whole, from the first on. problem: the first that is not, in words; None if all is
    well. head: the digest of the last whole step; who keeps it elsewhere can prove that the journal was
    not made anew.
    """

    steps: int
    problem: str | None
    head: str = ""


class _BrokenError(Exception):
    """The first broken link; its text says where and what."""


def verify(connection: Connection) -> JournalVerification:
    """Check the journal as one reading transaction sees it."""
    walk = _Walk()
    query = select(steps).order_by(steps.c.seq)
    try:
        with connection.execute(query, execution_options={"yield_per": _BATCH}) as result:
            for row in result.mappings():
                walk.step(row)
        walk.head(connection.execute(select(chain.c.seq, chain.c.digest)).all())
        for row in connection.execute(select(retirements).order_by(retirements.c.id)).mappings():
            walk.retirement(row)
        walk.end()
    except _BrokenError as broken:
        return JournalVerification(steps=walk.seq, problem=str(broken), head=walk.digest)
    return JournalVerification(steps=walk.seq, problem=None, head=walk.digest)


class _Walk:
    """Goes along the chain and adds up each retirement's changes."""

    def __init__(self) -> None:
        self.seq = 0
        self.digest = ""
        self._sums: dict[str, dict[str, object]] = {}

    def step(self, row: RowMapping) -> None:
        """Check the next step. Raises _BrokenError."""
        where = f"step {row['seq']} of retirement {row['retirement_id']}"
        if row["seq"] != self.seq + 1:
            raise _BrokenError(f"step {self.seq + 1} is missing: after {self.seq} comes {where}")
        if row["digest"] != digest_of(dict(row)):
            raise _BrokenError(f"{where} was changed: its digest does not fit")
        if row["previous"] != self.digest:
            raise _BrokenError(f"{where} does not follow step {self.seq}: that was changed")
        self._add(row, where)
        self.seq, self.digest = row["seq"], row["digest"]

    def _add(self, row: RowMapping, where: str) -> None:
        retirement_id = row["retirement_id"]
        if (row["kind"] == "opened") != (retirement_id not in self._sums):
            raise _BrokenError(f"{where} is {row['kind']!r}: a retirement is opened once, and first")
        try:
            read_object(row["detail"])
            changes = read_object(row["changes"])
        except (msgspec.DecodeError, TypeError):
            raise _BrokenError(f"{where} cannot be read") from None
        self._sums[retirement_id] = {**self._sums.get(retirement_id, {}), **changes}

    def head(self, rows: Any) -> None:  # noqa: ANN401 - pairs of seq and digest
        """Check that the chain ends where the journal says. Raises _BrokenError."""
        if len(rows) != 1:
            raise _BrokenError(f"the journal has {len(rows)} heads instead of one")
        seq, digest = rows[0]
        if seq > self.seq:
            raise _BrokenError(f"step {self.seq + 1} is missing, and all up to the last, {seq}")
        if (seq, digest) != (self.seq, self.digest):
            raise _BrokenError(f"the journal's head is step {seq}, but its last step is another {self.seq}")

    def retirement(self, row: RowMapping) -> None:
        """Check that a retirement is the sum of its steps. Raises _BrokenError."""
        where = f"retirement {row['id']}"
        changes = self._sums.pop(row["id"], None)
        if changes is None:
            raise _BrokenError(f"{where} has no steps")
        try:
            added = msgspec.convert(changes, Retirement)
            stored = read_retirement(row["data"])
        except (msgspec.DecodeError, TypeError):
            raise _BrokenError(f"{where} cannot be read") from None
        expected = columns_of(added)
        differing = [name for name in _COLUMNS if row[name] != expected[name]]
        if stored != added:
            differing += [
                name
                for name in Retirement.__struct_fields__
                if getattr(stored, name) != getattr(added, name) and name not in differing
            ]
        if differing:
            raise _BrokenError(f"{where} is not the sum of its steps: {', '.join(differing)}")

    def end(self) -> None:
        """Check that no retirement's row was taken away. Raises _BrokenError."""
        if self._sums:
            raise _BrokenError(f"retirement {min(self._sums)} has steps, but is gone itself")
