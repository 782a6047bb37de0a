"""How fast one account is called: as fast as it answers, and no faster once it answers `Throttling`.

Two limits work together. The window bounds the calls in flight and grows with every answer. The rate
bounds the calls a second, once AWS has refused for the first time (`birthright/aws/rate.py`).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from birthright.aws.rate import Rate

_FIRST_WINDOW = 8
_GROW = 0.15  # of a place in the window, with every answer


class Pacer:
    """Admits calls in the order they came. `limit` is the most in flight; `clock` only grows."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._window = float(min(_FIRST_WINDOW, limit))
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._rate = Rate(clock)

    async def enter(self) -> float:
        """Wait for a place and for the rate; return the moment at which the call was admitted.

        Every `enter` that returns is followed by one `leave`. The moment is that of the decision, not of
        waking up: a call admitted just before a refusal was seen belongs to the same burst.
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
        self._rate.answered()
        if self._window < self.limit:
            self._window = min(self._window + _GROW, float(self.limit))

    def throttled(self, left_at: float) -> None:
        """Note a refusal of a call that left at that moment; one burst of refusals slows down once."""
        first = self._rate.is_unlimited
        if self._rate.throttled(left_at) and first:
            self._window = max(1.0, self._window / 2)

    def _admit(self) -> bool:
        """Take a place if there is one and the rate allows it."""
        if self._in_flight >= int(self._window):
            return False
        pause = self._rate.take()
        if pause > 0:
            self._wake_at(pause)
            return False
        self._in_flight += 1
        return True

    async def _queue(self) -> float:
        """Wait in line; a call that is cancelled with a place in hand passes it on."""
        turn: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        # If the rate made the queue wait, no call in flight will wake it.
        self._wake()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def _wake(self) -> None:
        """Admit, in order, those that may go."""
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
