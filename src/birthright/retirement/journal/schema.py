"""The journal's tables, as of the newest version, and the version that a database says it has.

Instants are kept as text of one width (`2026-11-22T10:00:00.000000Z`), so that both databases compare and
hash them alike. The tables are made by the migrations; what is written here is compared with them in a test.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    inspect,
    select,
    text,
)

HEAD = "0001"

metadata = MetaData()
# PostgreSQL orders text by the language of its server unless told to go by code points, as SQLite does.
_Words = Text().with_variant(Text(collation="C"), "postgresql")

version = Table("journal_version", MetaData(), Column("version_num", Text))

steps = Table(
    "steps",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    *(Column(name, _Words, nullable=False) for name in ("retirement_id", "at", "kind", "actor", "call")),
    *(Column(name, _Words, nullable=False) for name in ("request_id", "detail", "changes")),
    *(Column(name, _Words, nullable=False) for name in ("previous", "digest")),
    Index("steps_of_retirement", "retirement_id", "seq"),
)

retirements = Table(
    "retirements",
    metadata,
    Column("id", _Words, primary_key=True),
    *(Column(name, _Words, nullable=False) for name in ("account_id", "user_name", "access_key_id")),
    Column("replacement_key_id", _Words),
    Column("state", _Words, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("due_at", _Words),
    Column("has_intent", Boolean, nullable=False),
    *(Column(name, _Words, nullable=False) for name in ("ticket", "opened_at", "data")),
    Index(
        "one_open_retirement_a_key",
        "account_id",
        "access_key_id",
        unique=True,
        sqlite_where=text("is_open"),
        postgresql_where=text("is_open"),
    ),
    Index("retirements_due", "is_open", "due_at"),
)

locks = Table(
    "locks",
    metadata,
    Column("subject", _Words, primary_key=True),
    *(Column(name, _Words, nullable=False) for name in ("token", "holder", "taken_at", "expires_at")),
)

# One row: the last step's seq and digest, so that a cut-off tail is seen.
chain = Table(
    "chain",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    Column("digest", _Words, nullable=False),
)


def stored_version(connection: Connection) -> str | None:
    """Return the version a database has; None: it has no journal yet, "": a damaged one."""
    if not inspect(connection).has_table(version.name):
        return None
    found = connection.execute(select(version.c.version_num)).scalars().all()
    return str(found[0]) if len(found) == 1 else ""
