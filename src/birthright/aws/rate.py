"""How many calls a second one account accepts, found by trial.

There is no limit until AWS refuses for the first time. From then on:

 1. Search: the rate starts low and doubles every few answers until AWS refuses again.
 2. Measure: AWS's bucket is empty whenever it refuses, so what it answered between two refusals, over
    the time between them, is what it allows. Less than that was never allowed, and the rate at which
    it refused was too much: the truth lies between.
 3. Follow: the rate starts just under what was measured, climbs to the middle of the two, and then,
    ever faster, beyond, so that a limit that was lifted is found again.

Growth is counted in answers, not in seconds: a refusal costs a call, so a slow account may be tried no
more often, by the call, than a fast one. The tests hold the numbers.
"""

import math
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
LATE = 0.02  # seconds: what a late timer may make up for


class Rate:
    """One account's rate; `clock` gives seconds and only grows. For one thread at a time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next_at = float("-inf")
        self._base: float | None = None  # the rate after the last refusal; None is no limit
        self._goal: float | None = None  # what it climbs to; None is not known yet
        self._slowed_at = float("-inf")
        self._answers = 0  # since then
        self._seen_answers = self._seen_seconds = 0.0  # between refusals, the older the less weight

    @property
    def is_unlimited(self) -> bool:
        """Whether AWS has refused nothing so far."""
        return self._base is None

    def take(self) -> float:
        """Take the next moment if it has come, and return 0; else return the seconds until then."""
        rate = self.current()
        if rate is None:
            return 0.0
        now = self._clock()
        if now < self._next_at:
            return self._next_at - now
        self._next_at = max(self._next_at, now - LATE) + 1 / rate
        return 0.0

    def answered(self) -> None:
        """Note an answer that was not a refusal."""
        self._answers += 1

    def throttled(self, left_at: float) -> bool:
        """Note a refusal of a call that left at that moment; one crowd of refusals slows down once.

        Returns whether this one did.
        """
        if left_at <= self._slowed_at:
            return False
        now, rate = self._clock(), self.current()
        if rate is None:
            self._base = _FIRST_RATE
        elif self._goal is None and self._answers < _ENOUGH:
            # So few answers measure nothing; whatever the rate is, it is lower.
            self._base = max((self._base or _FIRST_RATE) / 2, _LEAST_RATE)
        else:
            self._measure(rate, now - self._slowed_at)
        self._slowed_at, self._answers = now, 0
        self._next_at = now + 1 / (self._base or _FIRST_RATE)
        return True

    def _measure(self, rate: float, seconds: float) -> None:
        """Start again from what AWS was seen to allow; `rate` was too much."""
        weight = _MEMORY**self._answers
        self._seen_answers = self._seen_answers * weight + self._answers
        self._seen_seconds = self._seen_seconds * weight + seconds
        seen = min(self._seen_answers / max(self._seen_seconds, 1e-6), rate)
        # Few answers measure badly; no single refusal is worth more than half of the rate.
        self._base = max(_UNDER * seen, rate * (_STEADY if self._answers >= _CLIMB else _UNSURE), _LEAST_RATE)
        self._goal = max((seen + rate) / 2, self._base)

    def current(self) -> float | None:
        """Return how many calls a second may leave now; None is no limit."""
        if self._base is None:
            return None
        if self._goal is None:
            seconds = max(self._clock() - self._slowed_at, _SHORT)
            most = max(_FIRST_RATE, _MOST * self._answers / seconds)
            return min(self._base * math.exp2(min(self._answers / _SEARCH, 20)), most)
        if self._answers < _CLIMB:
            return self._base + (self._goal - self._base) * self._answers / _CLIMB
        return self._goal * math.exp2(min((self._answers - _CLIMB) / _BEYOND, 20))
