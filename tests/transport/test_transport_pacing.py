"""The pacer against a token bucket, in virtual time."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transport_helpers import run_jumping

from birthright.sources.aws.pacing import Pacer


class Bucket:
    """A service that lets `rate` calls a second pass, `burst` at once; None lets all pass."""

    def __init__(self, rate: float | None, burst: float, seconds: float) -> None:
        self.rate, self.burst, self.seconds = rate, burst, seconds
        self.tokens, self.seen = burst, 0.0
        self.calls = self.refused = 0

    async def answer(self) -> bool:
        """Answer one call; False is a refusal."""
        await asyncio.sleep(self.seconds / 2)
        self.calls += 1
        accepted = self._take()
        self.refused += not accepted
        await asyncio.sleep(self.seconds / 2 + 1e-4)
        return accepted

    def _take(self) -> bool:
        if self.rate is None:
            return True
        now = asyncio.get_running_loop().time()
        self.tokens = min(self.burst, self.tokens + (now - self.seen) * self.rate)
        self.seen = now
        accepted = self.tokens >= 1
        self.tokens -= accepted
        return accepted


async def work(pacer: Pacer, bucket: Bucket, calls: int) -> float:
    """Make so many calls, refused ones again, by as many workers as may be in flight."""
    left, jitter, clock = iter(range(calls)), random.Random(1), asyncio.get_running_loop().time  # noqa: S311
    began = clock()

    async def worker() -> None:
        for _ in left:
            tries = 0
            while not await one(pacer, bucket):
                tries = min(tries + 1, 6)
                await asyncio.sleep(jitter.uniform(0, 0.1 * 2**tries))

    await asyncio.gather(*[worker() for _ in range(pacer.limit)])
    return clock() - began


async def one(pacer: Pacer, bucket: Bucket) -> bool:
    """Make one call."""
    left_at = await pacer.enter()
    try:
        accepted = await bucket.answer()
        if accepted:
            pacer.answered()
        else:
            pacer.throttled(left_at)
        return accepted
    finally:
        pacer.leave()


@pytest.mark.parametrize("seconds", [0, 0.05])
@pytest.mark.parametrize(
    ("rate", "burst", "calls", "refused"),
    [(20, 20, 430, 0.05), (20, 20, 1000, 0.05), (5, 5, 300, 0.06), (100, 20, 2000, 0.06), (20, 1, 700, 0.06)],
)
def test_the_allowed_rate_is_used(rate: int, burst: int, calls: int, refused: float, seconds: float) -> None:
    """At least 90% of what the service allows is used, and few calls are refused."""

    async def main() -> tuple[float, Bucket]:
        bucket = Bucket(rate, burst, seconds)
        return await work(Pacer(50, asyncio.get_running_loop().time), bucket, calls), bucket

    took, bucket = run_jumping(main())
    assert (calls - burst) / (rate * took) >= 0.9
    assert bucket.refused / bucket.calls < refused


def test_without_a_limit_the_window_fills() -> None:
    """Nobody refuses: as many calls are in flight as may be."""

    async def main() -> float:
        pacer = Pacer(50, asyncio.get_running_loop().time)
        await work(pacer, Bucket(None, 1, 0.05), 1000)
        return pacer._window

    assert run_jumping(main()) == 50


def test_a_lifted_limit_is_found_again() -> None:
    """When the service stops refusing, the rate is soon many times what it was."""

    async def main() -> float:
        pacer, bucket = Pacer(50, asyncio.get_running_loop().time), Bucket(20, 20, 0.05)
        await work(pacer, bucket, 400)
        bucket.rate = None
        await work(pacer, bucket, 1500)
        return 500 / await work(pacer, bucket, 500)

    assert run_jumping(main()) > 200


def test_calls_leave_in_the_order_they_came() -> None:
    """First come, first served, whether the window or the rate makes them wait."""

    async def main() -> list[int]:
        pacer, order = Pacer(3, asyncio.get_running_loop().time), list[int]()
        pacer.throttled(await pacer.enter())
        pacer.leave()

        async def call(number: int) -> None:
            await pacer.enter()
            order.append(number)
            await asyncio.sleep(random.Random(number).random())  # noqa: S311
            pacer.leave()

        await asyncio.gather(*[call(number) for number in range(40)])
        return order

    assert run_jumping(main()) == list(range(40))


@settings(deadline=None, max_examples=60)
@given(
    cancels=st.lists(st.tuples(st.integers(0, 29), st.floats(0, 2)), max_size=40),
    refuse=st.booleans(),
    limit=st.integers(1, 8),
)
def test_cancellation_never_loses_a_place(
    cancels: list[tuple[int, float]], limit: int, *, refuse: bool
) -> None:
    """Whoever is cancelled, whenever: the others are served, and at the end nobody is in flight."""

    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        pacer, bucket = Pacer(limit, loop.time), Bucket(10 if refuse else None, 1, 0.1)
        tasks = [loop.create_task(one(pacer, bucket)) for _ in range(30)]
        for number, moment in cancels:
            loop.call_later(moment, tasks[number].cancel)
        async with asyncio.timeout(600):
            await asyncio.gather(*tasks, return_exceptions=True)
            await one(pacer, bucket)
        return pacer._in_flight, sum(not task.cancelled() and task.exception() is not None for task in tasks)

    assert run_jumping(main()) == (0, 0)
