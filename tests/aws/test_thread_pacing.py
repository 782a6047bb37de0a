"""How fast one account is asked, against the sandbox's throttle, in virtual time."""

import heapq
from collections import deque
from itertools import count

import pytest

from birthright.aws.thread_pacing import ThreadPacer
from birthright.sandbox.faults import Throttle


class Town:
    """Callers who ask one account, each again once it is answered; time passes only by waiting."""

    def __init__(
        self, rate: float, burst: float | None = None, latency: float = 0.05, callers: int = 4
    ) -> None:
        self.now = 0.0
        self.throttle = Throttle(lambda: self.now)
        self.throttle.limit(rate, burst)
        self.pace = ThreadPacer(self._pass, lambda: self.now)
        self.latency = latency
        self.answered_at: list[float] = []
        self.refusals = 0
        self.longest = 0.0  # from asking for a turn to the answer
        self._order = count()
        self._on_the_way: list[tuple[float, int, str, float, float]] = []
        self._waiting = deque([0.0] * callers)

    def run(self, calls: int) -> float:
        """Let so many more calls be answered; return the seconds it took."""
        began, wanted = self.now, len(self.answered_at) + calls
        while len(self.answered_at) < wanted:
            if self._waiting:
                since = self._waiting.popleft()
                left_at = self.pace.wait()
                assert left_at is not None
                self._travel("arrives", since, left_at)
            else:
                self._happen()
        return self.now - began

    def _pass(self, seconds: float) -> None:
        until = self.now + seconds
        while self._on_the_way and self._on_the_way[0][0] <= until:
            self._happen()
        self.now = until

    def _travel(self, what: str, since: float, left_at: float) -> None:
        heapq.heappush(
            self._on_the_way, (self.now + self.latency / 2, next(self._order), what, since, left_at)
        )

    def _happen(self) -> None:
        self.now, _, what, since, left_at = heapq.heappop(self._on_the_way)
        if what == "arrives":
            self._travel("yes" if self.throttle.admit("a", "iam") else "no", since, left_at)
        elif what == "yes":
            self.pace.answered()
            self.answered_at.append(self.now)
            self.longest = max(self.longest, self.now - since)
            self._waiting.append(self.now)
        else:
            self.pace.throttled(left_at)
            self.refusals += 1
            self._waiting.append(since)


@pytest.mark.parametrize("share_of_burst", [1.0, 0.25])
@pytest.mark.parametrize("latency", [0.001, 0.03])
@pytest.mark.parametrize("rate", [2, 10, 20, 100])
def test_the_rate_is_used_and_hardly_overstepped(rate: float, latency: float, share_of_burst: float) -> None:
    """Four callers use 85% of what is allowed over 500 calls, and one call in twenty is refused at most."""
    burst = max(rate * share_of_burst, 1)
    town = Town(rate, burst, latency)
    seconds = town.run(500)
    assert (500 - burst) / (rate * seconds) >= 0.85
    assert town.refusals <= 0.05 * (500 + town.refusals)
    assert town.pace.refused == town.refusals


@pytest.mark.parametrize("rate", [2, 10, 20, 100])
def test_nobody_is_left_behind(rate: float) -> None:
    """No call of sixteen callers waits ten times longer than its share of the rate asks for."""
    town = Town(rate, callers=16)
    town.run(500)
    assert town.longest <= 10 * 16 / rate


@pytest.mark.parametrize("rate", [2, 10, 20])
def test_a_throttle_that_is_lifted_is_found_out(rate: float) -> None:
    """When AWS allows four times more, three quarters of it are used after some seven hundred calls."""
    town = Town(rate)
    town.run(200)
    town.throttle.limit(4 * rate, 1)
    town.run(700)
    reachable = min(4 * rate, 4 / town.latency)
    assert 100 / town.run(100) >= 0.75 * reachable


def test_a_throttle_that_is_tightened_is_obeyed() -> None:
    """When AWS allows a tenth, that is the pace after some fifty calls."""
    town = Town(50)
    town.run(500)
    before = town.refusals
    town.throttle.limit(5, 1)
    town.run(50)
    assert town.refusals - before <= 80
    before = town.refusals
    seconds = town.run(200)
    assert 200 / seconds >= 0.85 * 5
    assert town.refusals - before <= 0.05 * 200


def test_without_a_throttle_nobody_waits() -> None:
    """Until AWS refuses for the first time, nothing is held back."""
    town = Town(10**6)
    assert town.run(400) == pytest.approx(400 * town.latency / 4)


def test_a_sleep_that_is_cut_short_lets_nothing_go() -> None:
    """Who is woken before the moment has come, because the run is to end, may not ask."""
    now = 100.0
    pace = ThreadPacer(lambda _: None, lambda: now)
    assert pace.wait() == now
    pace.throttled(now)
    assert pace.wait() is None
    now += 1
    assert pace.wait() == now
