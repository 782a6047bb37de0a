"""Makes a new journal, or brings an old one to the newest version."""

import time
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import OperationalError

from birthright.errors import JournalError
from birthright.retirement.journal.schema import HEAD, metadata, stored_version

# Any number will do, so long as every birthright takes the same.
_ADVISORY_LOCK = 7_208_114_511
_PATIENCE_SECONDS = 30.0


def migrate(engine: Engine, place: str) -> None:
    """Bring the database to the newest version, one process at a time. Raises JournalError."""
    with engine.connect() as connection:
        _check_foreign(connection, place)
    if engine.dialect.name == "sqlite":
        _write_ahead(engine)
    with engine.execution_options(begin_with="BEGIN IMMEDIATE").begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        found = stored_version(connection)
        if found != HEAD:
            _upgrade(connection, found, place)


def _check_foreign(connection: Connection, place: str) -> None:
    """Refuse a database that holds something else: a file all of whose tables are strange, or our names."""
    if stored_version(connection) is not None:
        return
    tables = set(inspect(connection).get_table_names())
    strange = tables if connection.dialect.name == "sqlite" else tables & set(metadata.tables)
    # Another process may have made the journal between the two looks.
    if strange and stored_version(connection) is None:
        name = min(strange)
        raise JournalError(f"{place} is no journal: it has a table {name} of somebody else's", "name another")


def _write_ahead(engine: Engine) -> None:
    """Let readers and the writer work side by side. SQLite does not wait here by itself, so we do."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with engine.connect().execution_options(begin_with="") as connection:
        while True:
            try:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            except OperationalError as error:
                if "locked" not in str(error.orig) or time.monotonic() > deadline:
                    raise
                connection.rollback()
                time.sleep(0.01)
            else:
                return


def _upgrade(connection: Connection, found: str | None, place: str) -> None:
    """Run the migrations from the version found. Raises JournalError for a version not known here."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise JournalError(
            f"the journal {place} is of version {found or 'unknown'}, newer than this birthright",
            "upgrade birthright",
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
