"""Shows on stderr how far a scan is: a live line at a terminal, elsewhere a line every ten seconds."""

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from birthright.fleet.counts import ScanProgress
from birthright.times import format_duration

_AT_TERMINAL = 0.5  # seconds between two looks
_ELSEWHERE = 10.0
_SOON = 2.0  # seconds before which nothing is said of speed and time left


@contextmanager
def shown(counts: ScanProgress, *, quiet: bool = False) -> Iterator[None]:
    """Show the counts while the block lasts, from a thread of its own."""
    if quiet:
        yield
        return
    done = threading.Event()
    show = _live if sys.stderr.isatty() else _plain
    thread = threading.Thread(target=show, args=(counts, done), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def reading_one() -> Iterator[None]:
    """Say on one line of stderr, from the first second on, that an account is being read."""
    done = threading.Event()

    def show() -> None:
        for seconds in itertools.count(1):
            if done.wait(1):
                break
            _write(f"\r\x1b[Kreading the account, {seconds} s")

    thread = threading.Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        _write("\r\x1b[K")


def describe(counts: ScanProgress, now: float) -> str:
    """Say in one line how far it is; `now` is by time.monotonic."""
    if not counts.total:
        return "listing the accounts"
    seconds = max(now - counts.began, 1e-9)
    total = f"{counts.total}" if counts.listed else f"{counts.total} or more"
    words = [f"{counts.done} of {total} accounts"]
    if counts.incomplete:
        words.append(f"{counts.incomplete} not read whole")
    if seconds >= _SOON and counts.calls:
        words.append(f"{counts.calls / seconds:.0f} calls/s")
    if counts.throttled:
        words.append(f"{counts.throttled / max(counts.calls, 1):.1%} throttled")
    left = _left(counts, seconds)
    return ", ".join(words + ([left] if left else []))


def _left(counts: ScanProgress, seconds: float) -> str:
    """Guess how long it will take from here, by the accounts of this run."""
    read, missing = counts.done - counts.before, counts.total - counts.done
    if seconds < _SOON or not counts.listed or read <= 0 or missing <= 0:
        return ""
    return f"about {format_duration(timedelta(seconds=round(missing * seconds / read) or 1))} left"


def _plain(counts: ScanProgress, done: threading.Event) -> None:
    while not done.wait(_ELSEWHERE):
        _write(f"birthright: {describe(counts, time.monotonic())}\n")
    if time.monotonic() - counts.began >= _ELSEWHERE:
        _write(f"birthright: {describe(counts, time.monotonic())}\n")


def _live(counts: ScanProgress, done: threading.Event) -> None:
    """Draw a bar that goes away in the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), BarColumn(bar_width=24), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task("listing the accounts", total=None)
        ended = False
        while not ended:
            ended = done.wait(_AT_TERMINAL)
            text = describe(counts, time.monotonic())
            progress.update(task, description=text, completed=counts.done, total=counts.total or None)
            progress.refresh()


def _write(text: str) -> None:
    """Write a line; nobody reading it is no reason to stop."""
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()
