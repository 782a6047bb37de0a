"""Measuring: whole processes as the operating system accounts for them, and rows of the printed table."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BIRTHRIGHT = str(Path(sys.executable).parent / "birthright")


@dataclass(frozen=True)
class Run:
    """One finished process: CPU and wall in seconds, peak memory in MiB."""

    cpu: float
    wall: float
    peak: float
    output: str


@dataclass(frozen=True)
class Row:
    """One line of the table. `ratio` is measured over limit (or over the baseline); it holds up to `most`."""

    what: str
    measured: str
    against: str
    ratio: float
    most: float

    @property
    def holds(self) -> bool:
        """Whether the number is where it should be."""
        return self.ratio <= self.most


class SandboxProcess:
    """A sandbox in a process of its own, so that its CPU is not counted as ours."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "birthright.sandbox", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()
        self.environment = dict(_exports(self._process.stdout))

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def state(self) -> dict[str, Any]:
        """Return what the sandbox counted."""
        with urllib.request.urlopen(f"{self.url}/_sandbox/state") as answer:
            state: dict[str, Any] = json.load(answer)
            return state

    def reset(self) -> None:
        """Forget the counts."""
        request = urllib.request.Request(
            f"{self.url}/_sandbox/reset-counts", b"{}", {"content-type": "application/json"}
        )
        urllib.request.urlopen(request).close()

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()


def _exports(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if not line.startswith("export "):
            continue
        name, _, value = line.removeprefix("export ").strip().partition("=")
        yield name, value.strip("'\"")
        if name == "AWS_DEFAULT_REGION":
            return


@contextmanager
def sandbox(*options: str) -> Iterator[SandboxProcess]:
    """Serve a sandbox for the length of a block."""
    box = SandboxProcess(*options)
    try:
        yield box
    finally:
        box.stop()


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> Run:
    """Run a process to its end; exit codes 0 and 1 (findings) are both good."""
    with tempfile.TemporaryDirectory() as store, tempfile.TemporaryFile() as out:
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        full = {**inherited, "BIRTHRIGHT_STORE": store, **(environment or {})}
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, env=full)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        output = out.read().decode()
    if process.returncode not in {0, 1}:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Run(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, output)


def paired(
    ours: Sequence[str], baseline: Sequence[str], environment: dict[str, str], runs: int = 7
) -> tuple[Run, Run, float]:
    """Run two commands in turn; return a median-CPU run of each and the median of the CPU ratios."""
    run(ours, environment), run(baseline, environment)
    pairs = [(run(ours, environment), run(baseline, environment)) for _ in range(runs)]
    ratio = statistics.median(a.cpu / b.cpu for a, b in pairs)
    return _middle([a for a, _ in pairs]), _middle([b for _, b in pairs]), ratio


def repeated(command: Sequence[str], environment: dict[str, str] | None = None, runs: int = 7) -> Run:
    """Run a command several times after one that warms up; return the run of median CPU."""
    run(command, environment)
    return _middle([run(command, environment) for _ in range(runs)])


def _middle(runs: Sequence[Run]) -> Run:
    return sorted(runs, key=lambda one: one.cpu)[len(runs) // 2]
