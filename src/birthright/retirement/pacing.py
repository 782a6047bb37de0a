"""How fast one account is asked by several threads: freely, until AWS says `Throttling`; then at a rate.

The rate is found as a scan finds it (`sources/aws/pacing.py` says why):

 1. Search: it starts low and doubles every few answers until AWS refuses again.
 2. Measure: what was answered between two refusals, over the time between them, is what AWS allows.
 3. Follow: it starts just under what was measured, climbs to the middle between that and what was
    refused, and then, ever faster, beyond, so that a limit that was lifted is found again.

One thread at a time waits for the next moment, the others for it: what a refusal changes holds for all.
"""

import math
import threading
import time
from collections.abc import Callable

_FIRST_RATE = 16.0  # calls a second, after the first refusal
_LEAST_RATE = 0.2
_SEARCH = 8  # answers in which the rate doubles while nothing is known
_ENOUGH = 4  # answers between two refusals that say something about the rate
_CLIMB = 60  # answers from just under the measured rate to the middle
_BEYOND = 300  # answers in which the rate doubles from there on
_UNDER = 0.95  # of the measured rate
_STEADY = 0.94  # of the rate that was refused, once it had climbed to it slowly
_UNSURE = 0.7  # of it before: it may have been far too much
_MEMORY = 0.98  # what an answer leaves of the weight of those before it
_MOST = 2.0  # times what is being answered: the most to try while searching
_SHORT = 0.15  # seconds in which nothing can be measured
_LATE = 0.02  # seconds: what a thread that woke up late may make up for


class Pace:
    """One account's pace. `sleep` and `ticks` are seconds; ticks only grow."""

    def __init__(
        self, sleep: Callable[[float], None] = time.sleep, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._sleep = sleep
        self._ticks = ticks
        self._turn = threading.Lock()  # held by the one thread that waits for the next moment
        self._guard = threading.Lock()
        self._next_at = float("-inf")
        self._base: float | None = None  # the rate after the last refusal; None is no limit
        self._goal: float | None = None  # what it climbs to; None is not known yet
        self._slowed_at = float("-inf")
        self._answers = 0  # since then
        self._seen_answers = self._seen_seconds = 0.0  # between refusals, the older the less weight
        self.refused = 0

    def wait(self) -> float | None:
        """Wait until the next call may go; return that moment. None: the sleep was cut short; it may not."""
        with self._turn:
            while (pause := self._pause()) > 0:
                until = self._ticks() + pause
                self._sleep(pause)
                if self._ticks() < until - _LATE:
                    return None
            return self._ticks()

    def _pause(self) -> float:
        """Take the next moment if it has come; else return the seconds until then."""
        with self._guard:
            rate = self._rate()
            if rate is not None:
                now = self._ticks()
                if now < self._next_at:
                    return self._next_at - now
                self._next_at = max(self._next_at, now - _LATE) + 1 / rate
            return 0.0

    def answered(self) -> None:
        """Note an answer that was not a refusal."""
        with self._guard:
            self._answers += 1

    def throttled(self, left_at: float) -> None:
        """Note a refusal of a call that was let go at that moment; one crowd of them slows down once."""
        with self._guard:
            self.refused += 1
            if left_at > self._slowed_at:
                self._slow_down(self._ticks())

    def _slow_down(self, now: float) -> None:
        rate = self._rate()
        if rate is None:
            self._base = _FIRST_RATE
        elif self._goal is None and self._answers < _ENOUGH:
            # So few answers measure nothing; whatever the rate is, it is lower.
            self._base = max((self._base or _FIRST_RATE) / 2, _LEAST_RATE)
        else:
            self._measure(rate, now - self._slowed_at)
        self._slowed_at, self._answers = now, 0
        self._next_at = now + 1 / (self._base or _FIRST_RATE)

    def _measure(self, rate: float, seconds: float) -> None:
        """Start again from what AWS was seen to allow; `rate` was too much."""
        weight = _MEMORY**self._answers
        self._seen_answers = self._seen_answers * weight + self._answers
        self._seen_seconds = self._seen_seconds * weight + seconds
        seen = min(self._seen_answers / max(self._seen_seconds, 1e-6), rate)
        # Few answers measure badly; no single refusal is worth more than half of the rate.
        self._base = max(_UNDER * seen, rate * (_STEADY if self._answers >= _CLIMB else _UNSURE), _LEAST_RATE)
        self._goal = max((seen + rate) / 2, self._base)

    def _rate(self) -> float | None:
        """Return how many calls a second may go now; None is no limit."""
        if self._base is None:
            return None
        if self._goal is None:
            seconds = max(self._ticks() - self._slowed_at, _SHORT)
            most = max(_FIRST_RATE, _MOST * self._answers / seconds)
            return min(self._base * math.exp2(min(self._answers / _SEARCH, 20)), most)
        if self._answers < _CLIMB:
            return self._base + (self._goal - self._base) * self._answers / _CLIMB
        return self._goal * math.exp2(min((self._answers - _CLIMB) / _BEYOND, 20))
