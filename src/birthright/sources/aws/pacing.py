"""How fast one account is asked: as fast as it answers, and no faster once it says `Throttling`.

Two limits work together. The window bounds the calls in flight and grows with every answer. The rate
bounds the calls a second; there is none until AWS refuses for the first time. From then on:

 1. Search: the rate starts low and doubles every few answers until AWS refuses again.
 2. Measure: AWS's bucket is empty whenever it refuses, so what it answered between two refusals, over
    the time between them, is what it allows. Less than that was never allowed, and the rate at which
    it refused was too much: the truth lies between.
 3. Follow: the rate starts just under what was measured, climbs to the middle of the two, and then,
    ever faster, beyond, so that a limit that was lifted is found again.

Growth is counted in answers, not in seconds: a refusal costs a call, so a slow account may be tried no
more often, by the call, than a fast one. The tests hold the numbers.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

_FIRST_WINDOW = 8
_GROW = 0.15  # of a place in the window, with every answer
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
_LATE = 0.02  # seconds: what a late timer may make up for


class Pacer:
    """Admits calls in the order they came. `limit` is the most in flight; `clock` only grows."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._window = float(min(_FIRST_WINDOW, limit))
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._next_at = float("-inf")
        self._base: float | None = None  # the rate after the last refusal; None is no limit
        self._goal: float | None = None  # what it climbs to; None is not known yet
        self._slowed_at = float("-inf")
        self._answers = 0  # since then
        self._seen_answers = self._seen_seconds = 0.0  # between refusals, the older the less weight

    async def enter(self) -> float:
        """Wait for a place and for the rate; return the moment at which the call was let go.

        Every `enter` that returns is followed by one `leave`. The moment is that of the decision, not of
        waking up: a call let go just before a refusal was seen is one of the same crowd.
        """
        if self._waiting or not self._admit():
            return await self._queue()
        return self._clock()

    def leave(self) -> None:
        """Give the place back."""
        self._in_flight -= 1
        if self._waiting:
            self._wake()

    def answered(self) -> None:
        """Note an answer that was not a refusal: there may be room for more."""
        self._answers += 1
        if self._window < self.limit:
            self._window = min(self._window + _GROW, float(self.limit))

    def throttled(self, left_at: float) -> None:
        """Note a refusal of a call that left at that moment; one crowd of refusals slows down once."""
        if left_at <= self._slowed_at:
            return
        now = self._clock()
        rate = self._rate()
        if rate is None:
            self._base = _FIRST_RATE
            self._window = max(1.0, self._window / 2)
        elif self._goal is None and self._answers < _ENOUGH:
            # So few answers measure nothing; whatever the rate is, it is lower.
            self._base = max((self._base or _FIRST_RATE) / 2, _LEAST_RATE)
        else:
            self._slow_down(rate, now - self._slowed_at)
        self._slowed_at, self._answers = now, 0
        self._next_at = now + 1 / (self._base or _FIRST_RATE)

    def _slow_down(self, rate: float, seconds: float) -> None:
        """Start again from what AWS was seen to allow; `rate` was too much."""
        weight = _MEMORY**self._answers
        self._seen_answers = self._seen_answers * weight + self._answers
        self._seen_seconds = self._seen_seconds * weight + seconds
        seen = min(self._seen_answers / max(self._seen_seconds, 1e-6), rate)
        # Few answers measure badly; no single refusal is worth more than half of the rate.
        self._base = max(_UNDER * seen, rate * (_STEADY if self._answers >= _CLIMB else _UNSURE), _LEAST_RATE)
        self._goal = max((seen + rate) / 2, self._base)

    def _rate(self) -> float | None:
        """Return how many calls a second may leave now."""
        if self._base is None:
            return None
        if self._goal is None:
            seconds = max(self._clock() - self._slowed_at, _SHORT)
            most = max(_FIRST_RATE, _MOST * self._answers / seconds)
            return min(self._base * math.exp2(min(self._answers / _SEARCH, 20)), most)
        if self._answers < _CLIMB:
            return self._base + (self._goal - self._base) * self._answers / _CLIMB
        return self._goal * math.exp2(min((self._answers - _CLIMB) / _BEYOND, 20))

    def _admit(self) -> bool:
        """Take a place if there is one and the rate allows it."""
        if self._in_flight >= int(self._window):
            return False
        rate = self._rate()
        if rate is not None:
            now = self._clock()
            if now < self._next_at:
                self._wake_at(self._next_at - now)
                return False
            self._next_at = max(self._next_at, now - _LATE) + 1 / rate
        self._in_flight += 1
        return True

    async def _queue(self) -> float:
        """Wait for one's turn; who is cancelled with a place in hand passes it on."""
        turn: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        # Whoever made the queue wait may be the rate: then nobody in flight will wake it.
        self._wake()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def _wake(self) -> None:
        """Let go, in order, who may go."""
        while self._waiting:
            if self._waiting[0].done():  # cancelled while it waited
                self._waiting.popleft()
            elif self._admit():
                self._waiting.popleft().set_result(self._clock())
            else:
                return

    def _wake_at(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._wake()
