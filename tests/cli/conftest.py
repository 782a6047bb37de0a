"""The commands as people run them: a sandbox that stands still, an empty folder, no configuration."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from functools import cache
from pathlib import Path

import pytest
import time_machine

from birthright.cli.main import run
from birthright.sandbox.sandbox import Sandbox
from cli_helpers import NOW, Birthright, Ran, enter, in_process

FEW_POLICIES = ("access-key-created-with-user", "access-key-not-rotated", "console-user-with-access-key")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with a store in it, at a fixed time, without anybody's configuration."""
    for name in os.environ:
        if name.startswith(("AWS_", "BIRTHRIGHT_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("BIRTHRIGHT_STORE", str(tmp_path / "store"))
    # Nobody asks the machine's own metadata service for credentials.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def store(folder: Path) -> Path:
    """Where the scans of this test are kept."""
    return folder.parent / "store"


@pytest.fixture(autouse=True)
def frozen() -> Iterator[time_machine.Traveller]:
    """Stop the clock."""
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """Serve an account with all named cases, its clock stopped at the same moment."""
    with Sandbox.create(users=60, clock=NOW, frozen=True).running() as running:
        yield running


@pytest.fixture
def small() -> Iterator[Sandbox]:
    """Serve an account of four users."""
    with Sandbox.create(users=4, clock=NOW, frozen=True).running() as running:
        yield running


@pytest.fixture(scope="session")
def scan_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Scan an account of so many users, once for all tests that only look at what a scan leaves.

    The options are those of `birthright scan`.

    Returns its folder: `store`, and `findings.json` with everything.
    """

    @cache
    def scan(users: int, *options: str) -> Path:
        made = tmp_path_factory.mktemp("scan")
        own = {"BIRTHRIGHT_STORE": str(made / "store"), "HOME": str(made)}
        account = Sandbox.create(users=users, clock=NOW, frozen=True)
        with time_machine.travel(NOW, tick=False), account.running() as box, chdir(made):
            environment = {**os.environ, **box.environment(), **own}
            assert in_process(environment, "scan", "--all", "-o", "findings.json", *options).code == 1
        return made

    return scan


@pytest.fixture
def saved_small(scan_of: Callable[..., Path], store: Path, folder: Path) -> Path:
    """Keep a scan of an account of four users in the store, and its findings.json in the folder.

    Three of all policies are enough for what is done with them, and quicker.
    """
    scanned = scan_of(4, *(f"--policy={policy}" for policy in FEW_POLICIES))
    shutil.copytree(scanned / "store", store)
    return Path(shutil.copy(scanned / "findings.json", folder))


@pytest.fixture
def birthright(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Birthright:
    """Run the command line: `birthright("scan", "--all")`, in the environment of the test's sandbox."""
    for name in ("box", "small"):
        if name in request.fixturenames:
            enter(monkeypatch, request.getfixturevalue(name))

    def call(*arguments: object) -> Ran:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        return Ran(code, *capfd.readouterr())

    return call
