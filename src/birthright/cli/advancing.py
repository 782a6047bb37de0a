"""A run that changes AWS as a person sees it: progress on stderr, and Ctrl-C between two steps."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from types import FrameType

    from birthright.retirement.engine.run import Stop

_EVERY = 10.0  # seconds


@contextmanager
def interruptible(stop: "Stop") -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the run in order; the second Ctrl-C ends it as usual."""

    def ask(_number: int, _frame: "FrameType | None") -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        click.echo("\nstopping: what is being worked on comes to the end of its step", err=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
    """Show how far the run is: a bar on a terminal, a line every ten seconds elsewhere."""
    yield from _bar(total) if sys.stderr.isatty() else _lines(total)


def _bar(total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("keys", total=total)
        yield lambda: bar.advance(task)


def _lines(total: int) -> Iterator[Callable[[], None]]:
    said, done = time.monotonic(), 0

    def count() -> None:
        nonlocal said, done
        done += 1
        if time.monotonic() - said >= _EVERY:
            said = time.monotonic()
            click.echo(f"{done} of {total} keys", err=True)

    yield count
