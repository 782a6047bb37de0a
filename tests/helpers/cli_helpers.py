"""What the tests of the command line share."""

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from birthright.cli.main import run
from birthright.sandbox.sandbox import Sandbox

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
_SCAN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")


class Ran(NamedTuple):
    """What one run of the command line gave; `code` is the exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON it printed."""
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def trouble(self) -> str:
        """The one line that a failed run says, and nothing else."""
        assert not self.out
        assert self.err.startswith("birthright: ")
        assert self.err.count("\n") == 1
        assert self.err.endswith("\n")
        return self.err.removeprefix("birthright: ").rstrip()


Birthright = Callable[..., Ran]


def in_process(environment: dict[str, str], *arguments: object) -> Ran:
    """Run a command in this process, in an environment of its own."""
    out, err = io.StringIO(), io.StringIO()
    with only(environment), redirect_stdout(out), redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Ran(code, out.getvalue(), err.getvalue())


@contextmanager
def only(environment: dict[str, str]) -> Iterator[None]:
    """Have these environment variables and no others."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Screen(io.StringIO):
    """A terminal; `encoding` is what it can show. COLUMNS says how wide it is."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Say that somebody is looking."""
        return True


def enter(monkeypatch: pytest.MonkeyPatch, box: Sandbox) -> None:
    """Point this process at a sandbox."""
    for name, value in box.environment().items():
        monkeypatch.setenv(name, value)


def masked(text: str) -> str:
    """Replace what differs from run to run: scan ids, and how long the reads took."""
    text = re.sub(r'"seconds":\s*[\d.e-]+', '"seconds": 0', text)
    return _SCAN_ID.sub("20260101T000000Z-000000", text)


def kept(store: Path) -> list[Path]:
    """Everything in the store, temporary files included."""
    return sorted(path for path in store.rglob("*") if path.is_file())
