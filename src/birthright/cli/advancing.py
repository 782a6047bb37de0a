"""Lets Ctrl-C end a run that changes AWS between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from types import FrameType

    from birthright.retirement.engine.run import Stop


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
