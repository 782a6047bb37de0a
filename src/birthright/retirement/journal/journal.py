"""The journal: opens retirements, keeps locks, appends steps. One object serves all threads of a process."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Self

import msgspec
from sqlalchemy import Connection, Engine, Select, and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from birthright.errors import JournalError, LockedError
from birthright.retirement.journal.encoding import (
    columns_of,
    digest_of,
    instant_text,
    json_text,
    read_retirement,
    read_step,
)
from birthright.retirement.journal.schema import chain, locks, retirements, steps
from birthright.retirement.journal.trouble import damaged, translated
from birthright.retirement.journal.verifying import JournalVerification, verify
from birthright.retirement.journal.writing import Writer
from birthright.retirement.model import WANTED_BACK, Retirement, Step

_BATCH = 500
# A lease that ends later was written by a clock that was wrong.
_LONGEST_LEASE = timedelta(days=1)

# Made once: building a statement costs more than running it.
_HEAD = select(chain.c.seq, chain.c.digest).with_for_update()
_ADVANCE = update(chain).values(seq=bindparam("new_seq"), digest=bindparam("new_digest"))
_ADD_STEP = insert(steps)
_ADD_RETIREMENT = insert(retirements)
_DATA = select(retirements.c.data).where(retirements.c.id == bindparam("asked"))
_CHANGE = update(retirements).where(
    retirements.c.id == bindparam("asked"), retirements.c.data == bindparam("before")
)
_EXTEND = (
    update(locks)
    .where(locks.c.subject == bindparam("held"), locks.c.token == bindparam("by_token"))
    .values(expires_at=bindparam("until"))
)
_RELEASE = delete(locks).where(locks.c.subject == bindparam("held"), locks.c.token == bindparam("by_token"))
_HOLDER = select(locks.c.holder, locks.c.expires_at).where(locks.c.subject == bindparam("held"))


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A step to be written.

    kind, actor, call, request_id: as in `Step`. at: aware. detail: plain values, no secret.
    changes: the retirement's fields to set -> their new Python values.
    """

    kind: str
    at: datetime
    actor: str
    call: str = ""
    request_id: str = ""
    detail: dict[str, object] = {}
    changes: dict[str, object] = {}


class Lock:
    """A subject held by whoever knows the token, until `expires_at` (UTC) unless a step extends it.

    For one thread at a time. lease: how long each step keeps it from then on.
    """

    def __init__(self, subject: str, token: str, expires_at: datetime, lease: timedelta) -> None:
        self.subject = subject
        self.token = token
        self.expires_at = expires_at
        self.lease = lease

    def is_mine(self, now: datetime) -> bool:
        """Whether nobody else can have taken it over by `now`; the journal is not asked."""
        return now < self.expires_at


class Journal:
    """A journal that is open; made by `open_journal`. Every method raises JournalError."""

    def __init__(self, engine: Engine, place: str) -> None:
        self.place = place
        self._engine = engine
        self._writer = Writer(engine, place)
        # All of one reading sees the same moment.
        snapshot = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
        self._reading = engine.execution_options(**snapshot)
        upsert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        taken = upsert(locks)
        names = ("token", "holder", "taken_at", "expires_at")
        self._take = taken.on_conflict_do_update(
            index_elements=["subject"],
            set_={name: taken.excluded[name] for name in names},
            where=or_(
                locks.c.expires_at <= taken.excluded.taken_at,
                locks.c.expires_at > bindparam("absurd"),
                locks.c.token == taken.excluded.token,
            ),
        ).execution_options(preserve_rowcount=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(
        self, orders: Sequence[Retirement], actor: str, *, again: bool = False
    ) -> tuple[list[Retirement], list[Retirement]]:
        """Open retirements, all or none; return those opened, and what stands for the others already.

        See `_earlier_ones`; `again`: also keys that somebody wanted back before.
        """
        return self._writer.write(lambda connection: _begin(connection, orders, actor, again=again))

    def get(self, retirement_id: str) -> Retirement:
        """Return a retirement as it stands; JournalError if there is none of that id."""
        with self._read() as connection:
            data = connection.execute(_DATA, {"asked": retirement_id}).scalar()
            if data is None:
                raise JournalError(f"the journal {self.place} has no retirement {retirement_id}")
            return read_retirement(data)

    def find(
        self, *, key: str = "", account: str = "", user: str = "", ticket: str = "", open_only: bool = False
    ) -> list[Retirement]:
        """Return the retirements that fit all that is asked for, oldest first; `key`: old or replacement."""
        table = retirements.c
        query = select(table.data).order_by(table.opened_at, table.id)
        if key:
            query = query.where(or_(table.access_key_id == key, table.replacement_key_id == key))
        for column, value in ((table.account_id, account), (table.user_name, user), (table.ticket, ticket)):
            if value:
                query = query.where(column == value)
        return self._select(query.where(table.is_open) if open_only else query)

    def due(self, now: datetime) -> list[Retirement]:
        """Return the retirements with something to do at `now`, or with an intent; oldest due first."""
        table = retirements.c
        is_due = or_(table.due_at.is_(None), table.due_at <= instant_text(now))
        order = (table.due_at.asc().nulls_first(), table.opened_at, table.id)
        return self._select(
            select(table.data).where(or_(and_(table.is_open, is_due), table.has_intent)).order_by(*order)
        )

    def lock(self, subject: str, holder: str, now: datetime, lease: timedelta) -> Lock:
        """Hold a subject for `lease`; take it over if its lease is over. `holder` is text for people.

        Raises LockedError, naming who holds it and until when.
        """
        lock = Lock(subject, str(uuid.uuid4()), now + lease, lease)
        row = {
            "subject": subject,
            "token": lock.token,
            "holder": holder,
            "taken_at": instant_text(now),
            "expires_at": instant_text(lock.expires_at),
            "absurd": instant_text(now + max(lease, _LONGEST_LEASE)),
        }

        def act(connection: Connection) -> None:
            if connection.execute(self._take, row).rowcount != 1:
                raise _locked(connection, subject)

        self._writer.write(act)
        return lock

    def release(self, lock: Lock) -> None:
        """Let go of a lock; nothing happens if somebody else has taken it over."""
        self._writer.write(
            lambda connection: connection.execute(_RELEASE, {"held": lock.subject, "by_token": lock.token})
        )

    def append(self, lock: Lock, retirement: Retirement, record: Record) -> Retirement:
        """Write a step and what it changes, all or nothing, on the disk when this returns; extend the lock.

        Returns the retirement as changed. Raises LockedError if the lock was lost, JournalError if the
        journal's retirement is no longer the one given.
        """
        expires_at = max(lock.expires_at, record.at + lock.lease)

        def act(connection: Connection) -> Retirement:
            changes = json_text(record.changes)
            # Only what can be read back is written.
            changed = read_retirement(json_text(msgspec.structs.replace(retirement, **record.changes)))
            held = {"held": lock.subject, "by_token": lock.token, "until": instant_text(expires_at)}
            if connection.execute(_EXTEND, held).rowcount != 1:
                raise _locked(connection, lock.subject, lost=True)
            seq, digest = connection.execute(_HEAD).one()
            step = _link(seq, digest, retirement.id, record, changes)
            connection.execute(_ADD_STEP, step)
            self._change(connection, retirement, columns_of(changed))
            connection.execute(_ADVANCE, {"new_seq": step["seq"], "new_digest": step["digest"]})
            return changed

        changed = self._writer.write(act)
        lock.expires_at = expires_at
        return changed

    def steps(self, retirement_id: str | None = None) -> Iterator[Step]:
        """Yield the steps in order, of one retirement or of all, a few hundred at a time."""
        query = select(steps).order_by(steps.c.seq)
        if retirement_id is not None:
            query = query.where(steps.c.retirement_id == retirement_id)
        options = {"yield_per": _BATCH}
        with self._read() as connection, connection.execute(query, execution_options=options) as result:
            for row in result.mappings():
                yield self._step(dict(row))

    def verify(self) -> JournalVerification:
        """Check every step, every link, and that the retirements are the sum of their steps."""
        with self._read() as connection:
            return verify(connection)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with translated(self.place), self._reading.connect() as connection:
            yield connection

    def _select(self, query: Select[Any]) -> list[Retirement]:
        with self._read() as connection:
            return [read_retirement(data) for data in connection.execute(query).scalars()]

    def _step(self, row: dict[str, Any]) -> Step:
        try:
            return read_step(row)
        except (ValueError, TypeError):
            raise damaged(self.place, f"step {row['seq']} cannot be read") from None

    def _change(self, connection: Connection, before: Retirement, row: dict[str, Any]) -> None:
        """Put a retirement's new row in the place of the one it was made from. Raises JournalError."""
        asked = {"asked": before.id, "before": json_text(before)}
        if connection.execute(_CHANGE, {**row, **asked}).rowcount == 1:
            return
        # Equal values may have been written differently, by another version or in another time zone.
        stored = connection.execute(_DATA, {"asked": before.id}).scalar()
        if stored is None or read_retirement(stored) != before:
            raise JournalError(
                f"the retirement {before.id} has moved on since it was read", "run it again: it continues"
            )
        connection.execute(_CHANGE, {**row, **asked, "before": stored})


def _begin(
    connection: Connection, orders: Sequence[Retirement], actor: str, *, again: bool
) -> tuple[list[Retirement], list[Retirement]]:
    """Open what can be opened; return that, and what stands for the others."""
    # The head is locked before anything is looked up: two may begin at the same time.
    head = connection.execute(_HEAD).one()
    standing = _earlier_ones(connection, orders, again=again)
    opened: dict[tuple[str, str], Retirement] = {}
    existing: dict[tuple[str, str], Retirement] = {}
    for order in orders:
        key = order.account_id, order.access_key_id
        if key in standing or key in opened:
            existing[key] = standing.get(key) or opened[key]
        else:
            opened[key] = read_retirement(json_text(order))
    if opened:
        _open(connection, list(opened.values()), actor, (head.seq, head.digest))
    return list(opened.values()), list(existing.values())


def _open(connection: Connection, orders: Sequence[Retirement], actor: str, head: tuple[int, str]) -> None:
    """Write the first step and the row of each, after the chain's head."""
    seq, digest = head
    rows = []
    for order in orders:
        record = Record(kind="opened", at=order.opened_at, actor=actor)
        rows.append(_link(seq, digest, order.id, record, json_text(order)))
        seq, digest = rows[-1]["seq"], rows[-1]["digest"]
    connection.execute(_ADD_STEP, rows)
    connection.execute(_ADD_RETIREMENT, [columns_of(order) for order in orders])
    connection.execute(_ADVANCE, {"new_seq": seq, "new_digest": digest})


def _link(seq: int, digest: str, retirement_id: str, record: Record, changes: str) -> dict[str, Any]:
    """Return the row of the step that follows the one with `seq` and `digest`."""
    step = {
        "seq": seq + 1,
        "retirement_id": retirement_id,
        "at": instant_text(record.at),
        "kind": record.kind,
        "actor": record.actor,
        "call": record.call,
        "request_id": record.request_id,
        "detail": json_text(record.detail),
        "changes": changes,
        "previous": digest,
    }
    return {**step, "digest": digest_of(step)}


def _earlier_ones(
    connection: Connection, orders: Sequence[Retirement], *, again: bool
) -> dict[tuple[str, str], Retirement]:
    """Return, by account and key, what stands for an order already, or against it.

    That is an open retirement of the key, or one whose replacement it is; what the same plan has led to
    before; and, unless `again`, one that ended because somebody wanted the key back.
    """
    plans = {order.plan.id for order in orders}
    standing: dict[tuple[str, str], Retirement] = {}
    table = retirements.c
    for start in range(0, len(orders), _BATCH):
        some = [order.access_key_id for order in orders[start : start + _BATCH]]
        about = or_(table.access_key_id.in_(some), table.replacement_key_id.in_(some))
        query = select(table.data).where(about).order_by(table.opened_at, table.id)
        for data in connection.execute(query).scalars():
            r = read_retirement(data)
            if r.replacement and r.is_open:
                standing[r.account_id, r.replacement.access_key_id] = r
            key = r.account_id, r.access_key_id
            if r.is_open or r.plan.id in plans or (r.state in WANTED_BACK and not again):
                standing[key] = r
            elif key in standing and not standing[key].is_open and standing[key].plan.id not in plans:
                # A later plan was begun on purpose, so what a person wanted before is settled.
                del standing[key]
    return standing


def _locked(connection: Connection, subject: str, *, lost: bool = False) -> LockedError:
    """Return the error that says who holds a subject, and until when."""
    row = connection.execute(_HOLDER, {"held": subject}).one_or_none()
    start = f"the lock of {subject} was lost" if lost else f"{subject} is being worked on"
    if row is None:
        return LockedError(f"{start}: its lease was over", "run it again: it continues")
    until = f"{row.expires_at[:19]}Z"
    return LockedError(f"{start}: {row.holder} holds it until {until}", "run it again when that is over")
