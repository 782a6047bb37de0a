"""Opens a journal: an SQLite file by default, a PostgreSQL database by its URL."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from birthright.atomic import make_directories
from birthright.errors import JournalError, StoreError, UsageError
from birthright.retirement.journal.journal import Journal
from birthright.retirement.journal.schema import HEAD, stored_version
from birthright.retirement.journal.trouble import translated

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

_WAIT_MS = 30_000
_POSTGRESQL = {"postgresql", "postgres", "postgresql+psycopg"}
_EXAMPLE = "name a file, or postgresql://USER@HOST/DATABASE"
# A program that hangs in the middle of a step must not keep everybody else from writing.
_SESSION = (
    "set synchronous_commit to on",
    f"set lock_timeout to {_WAIT_MS}",
    "set idle_in_transaction_session_timeout to 60000",
)


def open_journal(place: str, *, must_exist: bool = False) -> Journal:
    """Open the journal at a file path (`~` is expanded) or database URL; make or migrate it as needed.

    must_exist: refuse to make a new file. Raises JournalError; UsageError for a place that is none, or if
    the driver for PostgreSQL is not installed.
    """
    url = _url(place) if "://" in place else URL.create("sqlite", database=str(Path(place).expanduser()))
    if url.drivername == "sqlite":
        shown = url.database or ""
        _make_file(Path(shown), must_exist=must_exist)
        engine = _sqlite(url)
    else:
        shown = url.set(query={}).render_as_string(hide_password=True)
        engine = _postgresql(url)
    try:
        with translated(shown):
            _prepare(engine, shown)
    except BaseException:
        engine.dispose()
        raise
    return Journal(engine, shown)


def _url(place: str) -> URL:
    """Read a database URL. Raises UsageError, which never shows a password."""
    try:
        url = make_url(place)
    except (ArgumentError, ValueError):
        safe = re.sub(r"//.*@", "//***@", place.partition("?")[0])
        raise UsageError(f"{safe!r} is no database URL", _EXAMPLE) from None
    if url.drivername in _POSTGRESQL:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database:
        return URL.create("sqlite", database=str(Path(url.database).expanduser()))
    raise UsageError(f"a journal cannot be kept in {url.drivername!r}", _EXAMPLE)


def _make_file(path: Path, *, must_exist: bool) -> None:
    """Make the file before SQLite does, which would let others read it. Raises JournalError.

    A file that is there is not touched: closing it would take away SQLite's locks on it in this process.
    """
    if must_exist and not path.exists():
        raise JournalError(f"there is no journal at {path}", "name it with --journal")
    if path.is_dir():
        raise JournalError(f"the journal {path} is a folder", "name a file")
    try:
        make_directories(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except StoreError as error:
        raise JournalError(f"the journal {path}: {error.message}", error.hint) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise JournalError(f"cannot write the journal {path}: {reason}", "choose another place") from error


def _sqlite(url: URL) -> Engine:
    """Return an engine whose transactions begin as we say, and whose commits are on the disk."""
    engine = create_engine(
        url, poolclass=QueuePool, max_overflow=-1, hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": _WAIT_MS / 1000},
    )  # fmt: skip
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    # The driver would begin transactions when it sees fit.
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: Connection) -> None:
    """Begin a reading transaction, or what the connection's options ask for; "" is none."""
    statement = connection.get_execution_options().get("begin_with", "BEGIN")
    if statement:
        connection.exec_driver_sql(statement)


def _postgresql(url: URL) -> Engine:
    """Return an engine for PostgreSQL. Raises UsageError if its driver is not installed."""
    arguments = {} if "connect_timeout" in url.query else {"connect_timeout": 10}
    try:
        engine = create_engine(
            url, pool_pre_ping=True, max_overflow=-1, hide_parameters=True, connect_args=arguments
        )
    except ImportError:
        raise UsageError(
            "a journal in PostgreSQL needs the driver psycopg", "pip install 'birthright[postgresql]'"
        ) from None
    event.listen(engine, "connect", _set_up_postgresql)
    return engine


def _set_up_postgresql(connection: "DBAPIConnection", _record: object) -> None:
    # Within a transaction the settings would be gone with the first rollback.
    connection.autocommit = True
    cursor = connection.cursor()
    for statement in _SESSION:
        cursor.execute(statement)
    cursor.close()
    connection.autocommit = False


def _prepare(engine: Engine, shown: str) -> None:
    """See that the database has the newest version; alembic is imported only if it has not."""
    with engine.connect() as connection:
        found = stored_version(connection)
    if found != HEAD:
        from birthright.retirement.journal.migrating import migrate

        migrate(engine, shown)
