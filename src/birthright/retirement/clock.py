"""AWS's own time.

Waits of days are measured by it, and last uses are compared with it: a machine whose clock is wrong
must not cut a quarantine short. IAM tells its time in the `Date` header of every answer.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from birthright.times import now_exactly

_GRAIN = timedelta(seconds=1)  # the header is cut to the second


class AwsClock:
    """The time of AWS's last answer, carried on by this machine's ticks; before it, this machine's time."""

    def __init__(
        self, wall: Callable[[], datetime] = now_exactly, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._ticks = ticks
        self._guard = threading.Lock()
        self._at, self._since = wall(), ticks()

    def now(self) -> datetime:
        """Return the present, UTC, with microseconds."""
        with self._guard:
            return self._now()

    def observe(self, date: str) -> None:
        """Take AWS's time from a `Date` header; one that cannot be read says nothing."""
        try:
            told = parsedate_to_datetime(date).astimezone(UTC)
        except ValueError:
            return
        with self._guard:
            present = self._now()
            if not told <= present < told + _GRAIN:
                self._at, self._since = told, self._ticks()

    def _now(self) -> datetime:
        return self._at + timedelta(seconds=self._ticks() - self._since)
