"""AWS's own time.

Waits of days are measured by it, and last uses are compared with it: a machine whose clock is wrong
must not cut a quarantine short. IAM sends its time in the `Date` header of every answer.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial

from birthright.times import now_exactly

# The header is cut to the second, AWS's services are not quite together, and answers overtake each other.
APART = timedelta(seconds=5)
_ABSURD = timedelta(days=36_500)


class AwsClock:
    """The time of AWS's last answer, carried on by this machine's ticks; before it, this machine's time."""

    def __init__(
        self, wall: Callable[[], datetime] = now_exactly, ticks: Callable[[], float] | None = None
    ) -> None:
        self._ticks = ticks or _ticks()
        self._guard = threading.Lock()
        self._at, self._since = wall(), self._ticks()

    def now(self) -> datetime:
        """Return the present, UTC, with microseconds."""
        with self._guard:
            return self._now()

    def observe(self, date: str) -> None:
        """Take AWS's time from a `Date` header; one that cannot be parsed is ignored."""
        try:
            stated = parsedate_to_datetime(date)
            # HTTP's dates are UTC; without a zone Python would take it for this machine's.
            stated = stated.astimezone(UTC) if stated.tzinfo else stated.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            return
        with self._guard:
            present = self._now()
            if abs(stated - present) > _ABSURD:
                return
            if stated > present or present - stated > APART:
                self._at, self._since = stated, self._ticks()

    def _now(self) -> datetime:
        return self._at + timedelta(seconds=self._ticks() - self._since)


def _ticks() -> Callable[[], float]:
    """Choose a clock that only grows, and goes on while the machine sleeps, where there is one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    return time.monotonic
