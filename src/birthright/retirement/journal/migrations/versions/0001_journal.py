"""Make the journal: steps in a chain, retirements as they stand, locks, the chain's head."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_Words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SAYS = "steps of the journal are never changed"

_SQLITE = [
    f"""create trigger steps_never_{event.lower()} before {event} on steps
        begin select raise(abort, '{_SAYS}'); end"""
    for event in ("UPDATE", "DELETE")
]
_POSTGRESQL = [
    f"""create function steps_never_change() returns trigger language plpgsql as
        $$ begin raise exception '{_SAYS}'; end $$""",
    """create trigger steps_never_change before update or delete on steps
        for each row execute function steps_never_change()""",
    """create trigger steps_never_truncate before truncate on steps
        for each statement execute function steps_never_change()""",
]


def upgrade() -> None:
    """Make the tables, their indexes, the triggers that keep `steps` append-only, and an empty chain."""
    _steps()
    _retirements()
    op.create_table("locks", _words("subject", key=True), *_all("token holder taken_at expires_at"))
    chain = op.create_table(
        "chain",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.Integer, nullable=False),
        _words("digest"),
    )
    op.bulk_insert(chain, [{"id": 1, "seq": 0, "digest": ""}])
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)


def _steps() -> None:
    op.create_table(
        "steps",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        *_all("retirement_id at kind actor call request_id detail changes previous digest"),
    )
    op.create_index("steps_of_retirement", "steps", ["retirement_id", "seq"])


def _retirements() -> None:
    op.create_table(
        "retirements",
        _words("id", key=True),
        *_all("account_id user_name access_key_id"),
        sa.Column("replacement_key_id", _Words),
        _words("state"),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("due_at", _Words),
        sa.Column("has_intent", sa.Boolean, nullable=False),
        *_all("ticket opened_at data"),
    )
    op.create_index(
        "one_open_retirement_a_key",
        "retirements",
        ["account_id", "access_key_id"],
        unique=True,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_index("retirements_due", "retirements", ["is_open", "due_at"])


def _words(name: str, *, key: bool = False) -> "sa.Column[str]":
    return sa.Column(name, _Words, primary_key=key, nullable=False)


def _all(names: str) -> "list[sa.Column[str]]":
    return [_words(name) for name in names.split()]
