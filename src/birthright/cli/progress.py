"""Shows on stderr how far a command is: a live line at a terminal, elsewhere a line every ten seconds."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from birthright.times import format_duration

if TYPE_CHECKING:
    from birthright.fleet.counts import ScanProgress

_AT_TERMINAL = 0.5  # seconds between two updates
_FIRST = 1.0  # what ends sooner shows nothing, and does without rich
_ELSEWHERE = 10.0
_SOON = 2.0  # seconds before which nothing is said of speed and time left


class Progress(NamedTuple):
    """How far it is, in words and in numbers; `total` is None where it is not known."""

    text: str
    done: int = 0
    total: int | None = None


# Returns how far it is after so many seconds.
Describe = Callable[[float], Progress]


@contextmanager
def shown(describe: Describe, *, quiet: bool = False) -> Iterator[None]:
    """Show the progress while the block lasts, from a thread of its own."""
    if quiet:
        yield
        return
    done = threading.Event()
    show = _live if sys.stderr.isatty() else _plain
    thread = threading.Thread(target=show, args=(describe, done), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def of_account(seconds: float) -> Progress:
    """Describe the reading of one account."""
    return Progress(f"reading the account, {seconds:.0f} s")


def of_scan(counts: "ScanProgress") -> Describe:
    """Describe a scan of many accounts."""
    return lambda seconds: Progress(describe_scan(counts, seconds), counts.done, counts.total or None)


def of_keys(results: Sized, total: int) -> Describe:
    """Describe a run that changes keys, by its `results` so far."""
    return lambda _: Progress(f"{len(results)} of {total} keys", len(results), total)


def describe_scan(counts: "ScanProgress", seconds: float) -> str:
    """Say in one line how far a scan of many accounts is after so many seconds."""
    if not counts.total:
        return "listing the accounts"
    seconds = max(seconds, 1e-9)
    total = f"{counts.total}" if counts.listed else f"{counts.total} or more"
    words = [f"{counts.done} of {total} accounts"]
    if counts.incomplete:
        words.append(f"{counts.incomplete} incomplete")
    if seconds >= _SOON and counts.calls:
        words.append(f"{counts.calls / seconds:.0f} calls/s")
    if counts.throttled:
        words.append(f"{counts.throttled / max(counts.calls, 1):.1%} throttled")
    left = _left(counts, seconds)
    return ", ".join(words + ([left] if left else []))


def _left(counts: "ScanProgress", seconds: float) -> str:
    """Estimate how long it will take from here, by the accounts of this run."""
    read, missing = counts.done - counts.before, counts.total - counts.done
    if seconds < _SOON or not counts.listed or read <= 0 or missing <= 0:
        return ""
    return f"about {format_duration(timedelta(seconds=round(missing * seconds / read) or 1))} left"


def _plain(describe: Describe, done: threading.Event) -> None:
    began, ended = time.monotonic(), False
    while not ended:
        ended = done.wait(_ELSEWHERE)
        seconds = time.monotonic() - began
        if seconds >= _ELSEWHERE:
            _write(f"birthright: {describe(seconds).text}\n")


def _live(describe: Describe, done: threading.Event) -> None:
    """Draw a bar that disappears at the end."""
    began = time.monotonic()
    if done.wait(_FIRST):
        return
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (SpinnerColumn(), BarColumn(bar_width=24), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=None)
        ended = False
        while True:
            now = describe(time.monotonic() - began)
            bar.update(task, description=now.text, completed=now.done, total=now.total)
            bar.refresh()
            if ended:
                return
            ended = done.wait(_AT_TERMINAL)


def _write(text: str) -> None:
    """Write a line; a closed stderr is no reason to stop."""
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()
