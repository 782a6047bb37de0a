"""What the tests of the journal share: orders, records, and a hand that tampers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import URL, create_engine, make_url, text

from birthright.retirement.journal.journal import Journal, Lock, Record
from birthright.retirement.model import FindingRef, KeyFacts, PlanRef, Retirement, Terms

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
LEASE = timedelta(seconds=60)
ACTOR = "arn:aws:sts::111122223333:assumed-role/retirer/ann"


def order(number: int = 1, **changes: Any) -> Retirement:  # noqa: ANN401 - any field of a retirement
    """Return an agreed retirement of user-N's key AKIA…N."""
    facts = KeyFacts(
        status="Active",
        created_at=NOW - timedelta(days=500),
        user_created_at=NOW - timedelta(days=500),
        ever_used=False,
        last_used_at=None,
        last_used_region=None,
        last_used_service=None,
        as_of=NOW - timedelta(hours=1),
    )
    fields = {
        "id": f"retirement-{number}",
        "account_id": "111122223333",
        "partition": "aws",
        "user_name": f"user-{number}",
        "user_arn": f"arn:aws:iam::111122223333:user/user-{number}",
        "access_key_id": f"AKIA{number:016}",
        "action": "rotate",
        "terms": Terms(),
        "plan": PlanRef("plan-1", "d" * 64, NOW + timedelta(days=1)),
        "planned": facts,
        "findings": (FindingRef("access-key-created-with-user", "f" * 16, "born 1 s after its user"),),
        "ticket": "CHG-1",
        "reason": "the yearly clean-up",
        "opened_at": NOW,
        "opened_by": ACTOR,
    }
    return Retirement(**{**fields, **changes})


def record(seconds: float = 0, **fields: Any) -> Record:  # noqa: ANN401 - any field of a record
    """Return an outcome that came so many seconds after NOW."""
    return Record(**{"kind": "outcome", "at": NOW + timedelta(seconds=seconds), "actor": ACTOR, **fields})


def opened(journal: Journal, number: int = 1, **changes: Any) -> tuple[Lock, Retirement]:  # noqa: ANN401
    """Open a retirement and lock its user."""
    ((retirement,), _) = journal.begin([order(number, **changes)], ACTOR)
    return journal.lock(retirement.subject, "ann on host-1", NOW, LEASE), retirement


def filled(journal: Journal) -> None:
    """Write seven steps: five of one retirement, two of another."""
    lock, retirement = opened(journal)
    for number in range(1, 5):
        retirement = journal.append(lock, retirement, record(number, changes={"note": f"note {number}"}))
    lock, other = opened(journal, 2)
    journal.append(lock, other, record(9, kind="ended", changes={"state": "deleted", "ended_at": NOW}))


def tamper(place: str, *statements: str) -> None:
    """Change a journal as somebody with the database's password would, past the triggers."""
    run(place, [*_UNGUARDED[database_kind(place)], *statements])


def run(place: str, statements: Sequence[str]) -> None:
    """Run SQL as it is, in a transaction of its own."""
    engine = create_engine(_url(place))
    try:
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()


def database_kind(place: str) -> str:
    """Return `sqlite` or `postgresql`."""
    return "postgresql" if "://" in place else "sqlite"


def _url(place: str) -> URL:
    return make_url(place) if "://" in place else URL.create("sqlite", database=place)


_UNGUARDED = {
    "sqlite": ["drop trigger if exists steps_never_update", "drop trigger if exists steps_never_delete"],
    "postgresql": [
        "drop trigger if exists steps_never_change on steps",
        "drop trigger if exists steps_never_truncate on steps",
    ],
}
