"""How fast one account is asked by several threads: freely, until AWS says `Throttling`.

From then on calls keep a rate. It starts at what was answered in the last second, shrinks with every
refusal and grows a little with every answer, so that about one call in fifty is refused.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

_LEAST_RATE = 0.5  # calls a second
_SHRINK = 0.9
_GROW = 1.002
_FOR_GOOD_MEASURE = 0.5  # seconds: refusals closer together than this are one


class Pace:
    """One account's pace. `sleep` and `ticks` are seconds; ticks only grow."""

    def __init__(
        self, sleep: Callable[[float], None] = time.sleep, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._sleep = sleep
        self._ticks = ticks
        self._guard = threading.Lock()
        self._rate: float | None = None
        self._next_at = float("-inf")
        self._slowed_at = float("-inf")
        self._answers: deque[float] = deque(maxlen=200)
        self.refused = 0

    def wait(self) -> None:
        """Wait until the next call may go."""
        with self._guard:
            now = self._ticks()
            at = now if self._rate is None else max(now, self._next_at)
            self._next_at = at + (1 / self._rate if self._rate else 0)
        if at > now:
            self._sleep(at - now)

    def answered(self) -> None:
        """Note that AWS answered a call."""
        with self._guard:
            self._answers.append(self._ticks())
            if self._rate is not None:
                self._rate *= _GROW

    def throttled(self) -> None:
        """Note that AWS refused a call."""
        with self._guard:
            now = self._ticks()
            self.refused += 1
            if now - self._slowed_at < _FOR_GOOD_MEASURE:
                return
            self._slowed_at = now
            if self._rate is None:
                self._rate = sum(now - at <= 1 for at in self._answers) or _LEAST_RATE
            self._rate = max(self._rate * _SHRINK, _LEAST_RATE)
            self._next_at = max(self._next_at, now + 1 / self._rate)
