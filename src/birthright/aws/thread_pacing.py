"""How fast several threads call one account: freely, until it answers `Throttling`; then at a rate.

One thread at a time waits for the next moment, the others for it: what a refusal changes holds for all.
"""

import threading
import time
from collections.abc import Callable

from birthright.aws.rate import LATE, Rate


class ThreadPacer:
    """One account's pace. `sleep` and `ticks` are seconds; ticks only grow."""

    def __init__(
        self, sleep: Callable[[float], None] = time.sleep, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._sleep = sleep
        self._ticks = ticks
        self._turn = threading.Lock()  # held by the one thread that waits for the next moment
        self._guard = threading.Lock()
        self._rate = Rate(ticks)
        self.refused = 0

    def wait(self) -> float | None:
        """Wait until the next call may go; return that moment. None: the sleep was cut short; it may not."""
        with self._turn:
            while (pause := self._pause()) > 0:
                until = self._ticks() + pause
                self._sleep(pause)
                if self._ticks() < until - LATE:
                    return None
            return self._ticks()

    def _pause(self) -> float:
        with self._guard:
            return self._rate.take()

    def answered(self) -> None:
        """Note an answer that was not a refusal."""
        with self._guard:
            self._rate.answered()

    def throttled(self, left_at: float) -> None:
        """Note a refusal of a call that was admitted at that moment; one burst of them slows down once."""
        with self._guard:
            self.refused += 1
            self._rate.throttled(left_at)
