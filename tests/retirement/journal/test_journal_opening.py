"""Places a journal can be, versions it can have, and what is said when it cannot be opened."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from birthright.errors import JournalError, UsageError
from birthright.retirement.journal.journal import Journal
from birthright.retirement.journal.migrations import versions
from birthright.retirement.journal.opening import open_journal
from birthright.retirement.journal.schema import HEAD, metadata, version
from journal_helpers import ACTOR, filled, order, run
from postgresql_helpers import SLOW_WITH_POSTGRESQL


def test_a_journal_is_there_again(place: str) -> None:
    """What was written is found by whoever opens it next, without being migrated again."""
    with open_journal(place) as journal:
        filled(journal)
        told = list(journal.steps())
    with open_journal(place) as journal:
        assert list(journal.steps()) == told


@SLOW_WITH_POSTGRESQL
def test_only_a_first_opening_imports_alembic(place: str) -> None:
    """A journal of this version is opened by looking at its version only."""
    open_journal(place).close()
    script = (
        "import sys; from birthright.retirement.journal.opening import open_journal;"
        "open_journal(sys.argv[1]); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, place], check=True, timeout=30)


def test_the_migrations_make_what_the_code_expects(journal: Journal) -> None:
    """Tables, columns, indexes: alembic finds no difference between the migrated database and schema.py."""
    options = {"version_table": version.name, "compare_type": True}
    with journal._reading.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    assert not found
    assert _newest_migration() == HEAD


def _newest_migration() -> str:
    folder = Path(versions.__path__[0])
    return max(folder.glob("[0-9]*.py")).name.partition("_")[0]


def test_only_the_owner_can_read_a_file(tmp_path: Path) -> None:
    """The file, what SQLite puts beside it, and new folders are the owner's."""
    before = os.umask(0)
    try:
        with open_journal(str(tmp_path / "a" / "b" / "journal.sqlite")) as journal:
            journal.begin([order()], ACTOR)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    finally:
        os.umask(before)
    folders = {"a": 0o700, "b": 0o700}
    files = dict.fromkeys(("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"), 0o600)
    assert modes == {**folders, **files}


def test_sqlite_writes_through(tmp_path: Path) -> None:
    """Write-ahead log, every commit synced, long patience."""
    with open_journal(str(tmp_path / "j")) as journal, journal._reading.connect() as connection:
        settings = [
            connection.exec_driver_sql(f"pragma {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        ]
    assert settings == ["wal", 2, 30_000]


def test_postgresql_writes_through(postgresql_url: str) -> None:
    """Commits are synchronous, also after a transaction was taken back, whatever the server's default."""
    run(postgresql_url, ["alter role postgres set synchronous_commit to off"])
    try:
        with open_journal(postgresql_url) as journal:
            for _ in range(2):
                with journal._writer._engine.connect() as connection:
                    assert connection.exec_driver_sql("show synchronous_commit").scalar() == "on"
    finally:
        run(postgresql_url, ["alter role postgres reset synchronous_commit"])


def test_a_path_in_the_home_folder_or_as_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home folder, and sqlite:/// names the same file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with open_journal("~/j.sqlite") as journal:
        journal.begin([order()], ACTOR)
    with open_journal(f"sqlite:///{tmp_path}/j.sqlite", must_exist=True) as journal:
        assert journal.find()
        assert journal.place == str(tmp_path / "j.sqlite")


def test_a_newer_journal(place: str) -> None:
    """A journal of a later birthright is left alone, and says what to do."""
    open_journal(place).close()
    run(place, ["update journal_version set version_num = '9999'"])
    with pytest.raises(JournalError, match=r"9999.*upgrade birthright"):
        open_journal(place)


def test_a_database_of_somebody_else(place: str) -> None:
    """A database that has tables of the same name, or a file with any, gets none of ours."""
    if "://" not in place:
        Path(place).parent.mkdir()
    run(place, ["create table steps (x int)"])
    with pytest.raises(JournalError, match="is no journal"):
        open_journal(place)
    if "://" not in place:
        with sqlite3.connect(place) as connection:
            assert connection.execute("pragma journal_mode").fetchone() == ("delete",)
        connection.close()


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 100), "not a database"),
        (lambda path: path.mkdir(), "folder"),
    ],
)
def test_files_that_are_no_journal(made: object, says: str, tmp_path: Path) -> None:
    """What is no journal is one clear error and stays as it is."""
    assert callable(made)
    made(tmp_path / "j")
    with pytest.raises(JournalError, match=says) as caught:
        open_journal(str(tmp_path / "j"))
    assert "\n" not in str(caught.value)


def test_a_damaged_file(tmp_path: Path) -> None:
    """A journal whose pages were overwritten is one clear error, or a broken link that is named."""
    path = tmp_path / "j"
    with open_journal(str(path)) as journal:
        filled(journal)
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    with pytest.raises(JournalError, match="malformed"), open_journal(str(path)) as journal:
        journal.verify()


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    """A part of the path that is a file, and a journal that must exist and does not, are named."""
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "j", Path("/proc/nowhere/j")):
        with pytest.raises(JournalError, match=str(place.parent)):
            open_journal(str(place))
    with pytest.raises(JournalError, match="there is no journal"):
        open_journal(str(tmp_path / "none"), must_exist=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hunter2@127.0.0.1:1/journal",
        "postgresql+psycopg://ann:hunter2@127.0.0.1:1/journal?connect_timeout=3",
        "postgres://ann@127.0.0.1:1/journal?password=hunter2",
    ],
)
def test_a_server_that_cannot_be_reached(url: str) -> None:
    """One line that names the server and never shows the password."""
    with pytest.raises(JournalError, match=r"127\.0\.0\.1") as caught:
        open_journal(url)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    ["mysql://ann:hunter2@h/d", "postgresql://ann:hunter2@h:port/d", "sqlite://", "postgresql+asyncpg://h/d"],
)
def test_urls_of_no_journal(url: str) -> None:
    """A URL that is none, or of another database, is wrong usage; its password is not shown."""
    with pytest.raises(UsageError) as caught:
        open_journal(url)
    assert "hunter2" not in str(caught.value)


def test_without_the_driver() -> None:
    """Where psycopg is not installed, the way to get it is told."""
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from birthright.errors import UsageError\n"
        "from birthright.retirement.journal.opening import open_journal\n"
        "try: open_journal('postgresql://h/d')\n"
        "except UsageError as error: assert 'birthright[postgresql]' in str(error)\n"
        "else: raise SystemExit('no error')"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


@SLOW_WITH_POSTGRESQL
def test_many_open_a_new_journal_at_once(place: str) -> None:
    """Four processes that all find no journal make one, and none fails."""
    script = (
        "import sys; from birthright.retirement.journal.opening import open_journal\n"
        "input()\n"
        "with open_journal(sys.argv[1]) as journal: print(journal.verify().steps)"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdin
        child.stdin.write("\n")
        child.stdin.flush()
    assert [child.communicate(timeout=30)[0] for child in children] == ["0\n"] * 4
