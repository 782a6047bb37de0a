"""birthright as a process: signals, closed pipes, full disks, terminals."""

import os
import pty
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import time_machine

from birthright.cli.main import guarded
from birthright.errors import AccessDeniedError
from birthright.sandbox.sandbox import Sandbox

BIRTHRIGHT = [sys.executable, "-m", "birthright"]


@pytest.fixture(autouse=True)
def frozen(folder: Path) -> None:
    """Let the clock run: other processes have their own."""
    assert folder.is_dir()
    assert not time_machine.escape_hatch.is_travelling()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> "Sandbox":
    """Return a sandbox that is not yet running; its environment is set by `serve`."""
    assert monkeypatch
    return Sandbox.create(users=60)


def environment(box: Sandbox) -> dict[str, str]:
    """Return what a child needs to talk to the sandbox."""
    return {**os.environ, **box.environment()}


def run(box: Sandbox, *arguments: str, **how: object) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process of its own."""
    return subprocess.run(  # type: ignore[call-overload, no-any-return]  # noqa: PLW1510 - codes are compared
        [*BIRTHRIGHT, *arguments], env=environment(box), text=True, timeout=30, capture_output=True, **how
    )


def left(store: Path) -> list[Path]:
    """Everything in the store that is a file."""
    return [path for path in store.rglob("*") if path.is_file()] if store.exists() else []


def test_ctrl_c_leaves_nothing(account: Sandbox, store: Path) -> None:
    """SIGINT in a slow scan ends with 130, one line, and an empty store."""
    account.latency.ms = 300
    with account.running() as box:
        child = subprocess.Popen(
            [*BIRTHRIGHT, "scan", "--max-in-flight", "1"],
            env=environment(box),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 20
        while box.calls.total() < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
    assert (child.returncode, out, err) == (130, "", "birthright: interrupted\n")
    assert left(store) == []


def limit(size: int) -> Callable[[], None]:
    """Let the child's files grow only so large."""

    def apply() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return apply


def test_a_full_disk_leaves_nothing(account: Sandbox, store: Path, folder: Path) -> None:
    """A store or an output that cannot be written to the end is code 4, one line, and no file."""
    with account.running() as box:
        ran = run(box, "scan", preexec_fn=limit(2_000))
        assert ran.returncode == 4
        assert (ran.stdout, ran.stderr.count("\n")) == ("", 1)
        assert left(store) == []
        ran = run(box, "scan", "-o", "all.json", preexec_fn=limit(40_000))
    assert ran.returncode == 4
    assert ran.stderr.startswith(f"birthright: cannot write {folder}/all.json")
    assert ran.stderr.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_a_full_stdout_is_told(account: Sandbox) -> None:
    """/dev/full as stdout is code 4 and one line, for a scan and for the help."""
    with account.running() as box, Path("/dev/full").open("w") as full:
        for arguments in (["scan", "--format", "json"], ["scan"], ["--help"]):
            ran = subprocess.run(
                [*BIRTHRIGHT, *arguments],
                env=environment(box),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=30,
            )
            assert (ran.returncode, ran.stderr) == (4, "birthright: No space left on device: output\n")


@pytest.mark.parametrize(
    ("options", "begins"), [("--all --format jsonl", '{"kind":"scan"'), ("", "birthright  account")]
)
def test_a_reader_that_leaves_early(options: str, begins: str, account: Sandbox) -> None:
    """`birthright scan | head -1` is quiet and keeps the scan's exit code."""
    script = f"{' '.join(BIRTHRIGHT)} scan {options} | head -1; echo ${{PIPESTATUS[0]}}"
    with account.running() as box:
        ran = subprocess.run(
            ["bash", "-c", script],
            env=environment(box),
            text=True,
            capture_output=True,
            check=False,
            timeout=30,
        )
    first, code = ran.stdout.splitlines()
    assert first.startswith(begins)
    assert (code, ran.stderr) == ("1", "")


def on_terminal(box: Sandbox, *arguments: str, columns: int = 80) -> tuple[int, str]:
    """Run the command line on a terminal of its own; return the exit code and all that it showed."""
    leader, follower = pty.openpty()
    child = subprocess.Popen(
        [*BIRTHRIGHT, *arguments],
        env={**environment(box), "COLUMNS": str(columns), "TERM": "xterm-256color"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    while select.select([leader], [], [], 20)[0]:
        try:
            shown += os.read(leader, 65536)
        except OSError:  # the terminal's end
            break
    os.close(leader)
    return child.wait(timeout=20), shown.decode()


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_a_terminal_gets_colours_and_whole_key_ids(columns: int, account: Sandbox) -> None:
    """On a terminal of any width there are colours, no line is too long and no key id is cut."""
    with account.running() as box:
        code, shown = on_terminal(box, "scan", columns=columns)
        keys = [key for user in box.account().users.values() for key in user.keys]
    assert code == 1
    assert "\x1b[" in shown
    assert sum(key in shown for key in keys) > 15
    assert shown.count("AKIA") == sum(shown.count(key) for key in keys)
    assert "reading the account" not in shown


def test_a_slow_scan_on_a_terminal_shows_that_it_goes_on(account: Sandbox) -> None:
    """From the first second on one line tells that the account is being read; it is wiped at the end."""
    account.latency.ms = 1500
    with account.running() as box:
        _, shown = on_terminal(box, "scan", "--depth", "report")
    _, line, after = shown.partition("reading the account, ")
    _, wiped, report = after.rpartition("\x1b[2K")
    assert line
    assert wiped
    assert "reading" not in report
    assert "birthright" in report


def test_what_goes_wrong_together_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """Of errors side by side, an interruption comes first, then a fault of ours, then AWS's refusal."""
    denied, fault = AccessDeniedError("ListUsers: AccessDenied"), TypeError("a fault of ours")

    def fail(*errors: BaseException) -> object:
        inner = BaseExceptionGroup("inner", list(errors))
        return guarded(lambda: (_ for _ in ()).throw(BaseExceptionGroup("outer", [inner])))

    assert fail(denied) == 3
    assert capsys.readouterr().err == "birthright: ListUsers: AccessDenied\n"
    assert fail(denied, fault, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "birthright: interrupted\n"
    with pytest.raises(TypeError, match="a fault of ours") as caught:
        fail(denied, fault)
    assert isinstance(caught.value.__cause__, BaseExceptionGroup)
