"""AWS's time, as its answers tell it: which answers are believed, and how far."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birthright.aws.clock import AwsClock

START = datetime(2026, 11, 22, 10, 0, 0, 500_000, tzinfo=UTC)


class Ticks:
    """A machine's counter of seconds, which goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """Return the seconds so far."""
        return self.seconds


@pytest.fixture
def ticks() -> Ticks:
    """Give a counter."""
    return Ticks()


@pytest.fixture
def clock(ticks: Ticks) -> AwsClock:
    """Give a clock that has heard nothing of AWS yet."""
    return AwsClock(lambda: START, ticks)


def dated(moment: datetime) -> str:
    """Write a moment as a Date header does: whole seconds, GMT."""
    return format_datetime(moment.replace(microsecond=0), usegmt=True)


def test_before_any_answer_it_is_this_machines_time(clock: AwsClock, ticks: Ticks) -> None:
    """It starts with the machine's time, and goes on by its ticks."""
    assert clock.now() == START
    ticks.seconds += 61.25
    assert clock.now() == START + timedelta(seconds=61.25)


@pytest.mark.parametrize("seconds", [0.5, 1, 2, 5])
def test_it_does_not_step_back_for_little(clock: AwsClock, ticks: Ticks, seconds: float) -> None:
    """Dates are cut to the second and answers overtake each other: time does not run backwards for that."""
    clock.observe(dated(START - timedelta(seconds=seconds) + timedelta(milliseconds=500)))
    assert clock.now() == START
    ticks.seconds += 1
    assert clock.now() == START + timedelta(seconds=1)


@pytest.mark.parametrize("ahead", [timedelta(seconds=1), timedelta(minutes=5), timedelta(days=400)])
def test_it_jumps_forward(clock: AwsClock, ticks: Ticks, ahead: timedelta) -> None:
    """A machine whose clock is late is set right at once, and goes on from there."""
    told = (START + ahead).replace(microsecond=0)
    clock.observe(dated(told))
    assert clock.now() == told
    ticks.seconds += 2
    assert clock.now() == told + timedelta(seconds=2)


@pytest.mark.parametrize("back", [timedelta(seconds=7), timedelta(hours=1), timedelta(days=400)])
def test_it_goes_back_if_it_is_much(clock: AwsClock, back: timedelta) -> None:
    """A machine whose clock is early must not cut a quarantine short."""
    told = (START - back).replace(microsecond=0)
    clock.observe(dated(told))
    assert clock.now() == told


def test_the_next_right_date_mends_a_wrong_one(clock: AwsClock) -> None:
    """One Date of next year lasts until the next answer."""
    clock.observe(dated(START + timedelta(days=365)))
    clock.observe(dated(START))
    assert clock.now() == START.replace(microsecond=0)


@pytest.mark.parametrize(
    "date",
    [
        "",
        "x",
        "-1",
        "\x00",
        "Sun, 99 Nov 2026 10:00:00 GMT",
        "Sun, 22 Nov 99999 10:00:00 GMT",
        "Sun, 22 Nov 2026 99:00:00 GMT",
        "Sun, 22 Nov 2026 10:00:00 +9999999",
        "Sun, 22 Nov 1800 10:00:00 GMT",
        "Fri, 22 Nov 2199 10:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 -1200",
        "2026-11-23T10:00:00Z",
        "9" * 5000,
    ],
)
def test_what_cannot_be_a_date_says_nothing(clock: AwsClock, date: str) -> None:
    """Malformed dates and absurd ones are ignored, and waits can still be reckoned."""
    clock.observe(date)
    assert clock.now() == START
    assert clock.now() + timedelta(days=3653)


@given(st.text(max_size=60))
def test_no_header_breaks_it(date: str) -> None:
    """Whatever the header says, the clock goes on, in UTC."""
    clock = AwsClock(lambda: START, lambda: 0.0)
    clock.observe(date)
    assert clock.now().utcoffset() == timedelta(0)
    assert abs(clock.now() - START) <= timedelta(days=36_501)


@given(
    st.builds(
        "{}, {:02d} {} {:d} {:02d}:{:02d}:{:02d} {}".format,
        st.sampled_from(["Sun", "Mon", "", "Xyz"]),
        st.integers(0, 40),
        st.sampled_from(["Nov", "Feb", "nov", "11", ""]),
        st.integers(-1, 100_000),
        st.integers(0, 30),
        st.integers(0, 70),
        st.integers(0, 70),
        st.sampled_from(["GMT", "+0000", "-0000", "+2400", "-9999", "EST", "", "+99999999999999999999"]),
    )
)
def test_no_date_that_looks_like_one_breaks_it(date: str) -> None:
    """Dates that no calendar or zone has are no trouble either."""
    clock = AwsClock(lambda: START, lambda: 0.0)
    clock.observe(date)
    assert abs(clock.now() - START) <= timedelta(days=36_501)


@pytest.fixture
def tokyo() -> Iterator[None]:
    """Be in a zone nine hours ahead of UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_a_date_without_a_zone_is_utc(clock: AwsClock) -> None:
    """`-0000` says that the zone is not known: HTTP's dates are UTC whatever this machine's zone is."""
    clock.observe("Sun, 22 Nov 2026 12:00:00 -0000")
    assert clock.now() == datetime(2026, 11, 22, 12, tzinfo=UTC)
