"""Instants and durations, as AWS and people write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birthright.errors import UsageError
from birthright.times import format_duration, format_instant, now, parse_duration, parse_instant

seconds = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)


@given(seconds)
def test_instants_read_back(moment: datetime) -> None:
    """What was written is read again, to the second."""
    assert parse_instant(format_instant(moment)) == moment


@given(seconds, st.integers(min_value=-23, max_value=23))
def test_any_offset_is_the_same_instant(moment: datetime, hours: int) -> None:
    """An offset changes how an instant is written, not which it is."""
    written = moment.astimezone(timezone(timedelta(hours=hours))).isoformat()
    assert parse_instant(written) == moment
    assert parse_instant(written).tzinfo is UTC


def test_instants_without_offset_are_utc_and_fractions_are_cut() -> None:
    """A bare time is UTC; fractions of a second are dropped."""
    assert parse_instant("2026-11-22T10:00:00") == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert parse_instant("2026-11-22T10:00:00.999Z").microsecond == 0
    assert (now().microsecond, now().tzinfo) == (0, UTC)


@pytest.mark.parametrize("text", ["", "N/A", "no_information", "soon", "2026-13-01T00:00:00Z"])
def test_what_is_no_instant(text: str) -> None:
    """Other words are a ValueError."""
    with pytest.raises(ValueError, match=r".*"):
        parse_instant(text)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("7s", timedelta(seconds=7)),
        ("15m", timedelta(minutes=15)),
        ("3h", timedelta(hours=3)),
        ("45d", timedelta(days=45)),
        ("1h30m", timedelta(minutes=90)),
        ("0s", timedelta(0)),
    ],
)
def test_durations(text: str, length: timedelta) -> None:
    """Seconds, minutes, hours, days, also several in a row."""
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "7", "s", "7 s", "-7s", "7s ", "7x", "1.5h", "7s!"])
def test_what_is_no_duration(text: str) -> None:
    """Anything else is wrong usage that shows how to write it."""
    with pytest.raises(UsageError, match="write it like"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 s"),
        (7, "7 s"),
        (60, "1 min"),
        (11_520, "3 h 12 min"),
        (45 * 86400, "45 d"),
        (86400 + 1, "1 d"),
        (86400 + 3600, "1 d 1 h"),
        (-3600, "-1 h"),
    ],
)
def test_durations_are_written_with_two_units(count: int, text: str) -> None:
    """The two largest units tell enough; zeros are left out."""
    assert format_duration(timedelta(seconds=count)) == text
