"""What is shown while accounts are read, or keys changed."""

import io
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from birthright.cli import progress
from birthright.cli.progress import Describe, describe_scan, of_account, of_keys, of_scan, shown
from birthright.fleet.counts import ScanProgress
from birthright.sandbox import Sandbox
from cli_helpers import Ran
from fleet_helpers import environment_of, facts


@pytest.fixture(autouse=True)
def frozen() -> None:
    """Let time pass."""


@pytest.mark.parametrize(
    ("counts", "seconds", "words"),
    [
        (ScanProgress(), 1, "listing the accounts"),
        (ScanProgress(total=40, done=3), 1, "3 of 40 or more accounts"),
        (ScanProgress(total=40, listed=True, done=3, calls=50), 1, "3 of 40 accounts"),
        (ScanProgress(total=40, listed=True, done=10, calls=500), 10,
         "10 of 40 accounts, 50 calls/s, about 30 s left"),
        (ScanProgress(total=40, listed=True, done=10, incomplete=2, calls=500, throttled=5), 10,
         "10 of 40 accounts, 2 incomplete, 50 calls/s, 1.0% throttled, about 30 s left"),
        # What an earlier run had read says nothing of this one's speed.
        (ScanProgress(total=400, listed=True, before=300, done=310, calls=100), 10,
         "310 of 400 accounts, 10 calls/s, about 1 min 30 s left"),
        (ScanProgress(total=40, listed=True, done=40, calls=100), 10,
         "40 of 40 accounts, 10 calls/s"),
        (ScanProgress(total=40, listed=True, before=5, done=5), 10, "5 of 40 accounts"),
        (ScanProgress(total=40, listed=True), 0, "0 of 40 accounts"),
    ],
)  # fmt: skip
def test_the_words(counts: ScanProgress, seconds: float, words: str) -> None:
    """How many of how many, the troubles, the speed, the throttled share, and the time left where known."""
    assert describe_scan(counts, seconds) == words


@pytest.mark.parametrize(
    ("describe", "words"),
    [(of_account, "reading the account, 3 s"), (of_keys([1, 2], 5), "2 of 5 keys")],
)
def test_the_words_of_other_commands(describe: Describe, words: str) -> None:
    """One account by the time it takes, keys by how many are done."""
    assert describe(3.2).text == words


def test_accounts_are_counted() -> None:
    """Skipped accounts are no trouble; partial, denied and failed ones are."""
    counts = ScanProgress()
    for status in ("ok", "skipped", "partial", "denied", "failed"):
        counts.add(facts("1" * 12, status=status))
    assert (counts.done, counts.incomplete) == (5, 3)


def test_lines_where_nobody_watches(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal a plain line comes now and then, on stderr only; a short scan says nothing."""
    assert progress._ELSEWHERE == 10
    counts = ScanProgress(total=2, listed=True)
    with shown(of_scan(counts)):
        time.sleep(0.05)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(progress, "_ELSEWHERE", 0.1)
    with shown(of_scan(counts)):
        time.sleep(0.35)
        counts.done = 2
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert 2 <= len(lines) <= 5
    assert lines[0] == "birthright: 0 of 2 accounts"
    assert lines[-1] == "birthright: 2 of 2 accounts"
    with shown(of_scan(counts), quiet=True):
        time.sleep(0.3)
    assert capfd.readouterr() == ("", "")


def test_a_closed_stderr_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reading the progress is no reason to stop, and the block's own error passes."""
    monkeypatch.setattr(progress, "_ELSEWHERE", 0.02)
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(closed, "isatty", lambda: False, raising=False)
    monkeypatch.setattr(sys, "stderr", closed)
    with pytest.raises(ZeroDivisionError):
        fails_after_a_while()


def fails_after_a_while() -> None:
    with shown(of_scan(ScanProgress())):
        time.sleep(0.1)
        raise ZeroDivisionError


def at_terminal(box: Sandbox, store: Path, *arguments: str) -> Ran:
    """Run it as a process whose stderr is a terminal."""
    primary, secondary = pty.openpty()
    output = (store / "out").open("wb")
    child = subprocess.Popen(
        [sys.executable, "-m", "birthright", *arguments],
        env={**environment_of(box, store), "TERM": "xterm", "COLUMNS": "120"},
        stdout=output,
        stderr=secondary,
    )
    os.close(secondary)
    told = []
    while True:
        try:
            data = os.read(primary, 10_000)
        except OSError:
            break
        if not data:
            break
        told.append(data)
    child.wait(timeout=30)
    os.close(primary)
    output.close()
    return Ran(child.returncode, (store / "out").read_text(), b"".join(told).decode())


def test_a_line_at_a_terminal(tmp_path: Path) -> None:
    """A line that goes away, on stderr; stdout holds the findings alone. --quiet shows nothing."""
    with Sandbox.create(users=1, accounts=8, latency_ms=300).running() as box:
        ran = at_terminal(box, tmp_path, "scan", "--org", "--format", "json")
        assert "8 of 8" in ran.err
        assert ran.document["summary"]["accounts"] == 8
        quiet = at_terminal(box, tmp_path, "scan", "--org", "--format", "json", "--quiet")
        assert (quiet.code, quiet.err) == (ran.code, "")
