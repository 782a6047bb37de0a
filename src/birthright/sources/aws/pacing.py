"""How fast one account is asked: as fast as it answers, and no faster once it says `Throttling`.

Two limits work together. The window bounds the calls in flight: it grows with every answer and halves
when AWS throttles. The rate bounds the calls a second: there is none until AWS throttles for the first
time; then it is what AWS was seen to answer, a little less at once and growing again with time. The
window alone cannot hold 20 calls a second where an answer takes 10 ms.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_FIRST_WINDOW = 8
_SEEN_SECONDS = 2.0
_STEP_DOWN = 0.92


class Pacer:
    """Admits calls. `limit` is the most in flight, ever; `clock` gives seconds that only grow."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._window = float(min(_FIRST_WINDOW, limit))
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._answers: deque[float] = deque()
        self._began = clock()
        self._rate: float | None = None
        self._slowed_at = float("-inf")
        self._next_at = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """Wait for a place in the window and for the rate; yields the moment the call may leave."""
        while self._in_flight >= int(self._window):
            await self._place()
        self._in_flight += 1
        try:
            await self._pause()
            yield self._clock()
        finally:
            self._in_flight -= 1
            self._wake()

    def answered(self) -> None:
        """Note an answer that was not a refusal: the window may grow."""
        now = self._clock()
        self._answers.append(now)
        while self._answers[0] < now - _SEEN_SECONDS:
            self._answers.popleft()
        grow = 0.5 if self._rate is None else 1 / self._window
        self._window = min(self._window + grow, float(self.limit))

    def throttled(self, left_at: float) -> None:
        """Note a refusal of a call that left at that moment; one crowd of refusals slows down once."""
        if left_at <= self._slowed_at:
            return
        now = self._clock()
        seen = self._seen(now)
        current = self._rate_at(now)
        self._rate = max(0.5, _STEP_DOWN * (seen if current is None else min(seen, current)))
        self._slowed_at = now
        self._next_at = now + 1 / self._rate
        self._window = max(1.0, self._window / 2)

    def _seen(self, now: float) -> float:
        """Return the answers a second lately; the first second counts whole, or a burst would mislead."""
        span = min(_SEEN_SECONDS, max(1.0, now - self._began))
        return sum(moment >= now - span for moment in self._answers) / span

    def _rate_at(self, now: float) -> float | None:
        """Return the present limit in calls a second: slow growth at first, then ever faster."""
        if self._rate is None:
            return None
        quiet = now - self._slowed_at
        return self._rate * (1 + quiet / 30 + (quiet / 15) ** 2)

    async def _pause(self) -> None:
        now = self._clock()
        rate = self._rate_at(now)
        if rate is None:
            return
        leaves_at = max(now, self._next_at)
        self._next_at = leaves_at + 1 / rate
        await asyncio.sleep(leaves_at - now)

    async def _place(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            self._wake()
            raise

    def _wake(self) -> None:
        free = int(self._window) - self._in_flight
        while free > 0 and self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                free -= 1
