"""Logarithmic scales of time, as pictures need them."""

from math import log10
from typing import NamedTuple

_MINUTE = 60
_HOUR = 3600
_DAY = 86_400
_YEAR = 31_557_600
TICKS = (
    (1, "1 s"),
    (10, "10 s"),
    (_MINUTE, "1 min"),
    (600, "10 min"),
    (_HOUR, "1 h"),
    (_DAY, "1 d"),
    (10 * _DAY, "10 d"),
    (100 * _DAY, "100 d"),
    (_YEAR, "1 year"),
    (10 * _YEAR, "10 years"),
)
# Longer than IAM is old.
LONGEST = 40 * _YEAR


class Tick(NamedTuple):
    """A place on an axis, in pixels, and what it says."""

    at: float
    text: str


class LogScale(NamedTuple):
    """Seconds from `least` to `most`, on the pixels from `first` to `last`; the rest is at the ends."""

    least: float
    most: float
    first: float
    last: float

    def at(self, seconds: float) -> float:
        """Return where so many seconds are."""
        share = log10(min(max(seconds, self.least), self.most) / self.least) / log10(self.most / self.least)
        return round(self.first + share * (self.last - self.first), 1)

    def ticks(self) -> list[Tick]:
        """Return the marks of the axis."""
        return [Tick(self.at(s), text) for s, text in TICKS if self.least <= s <= self.most]


def short(count: int) -> str:
    """Write a count in few characters: 950, 12k, 3.4M."""
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if count >= size:
            amount = count / size
            return f"{amount:.1f}{unit}".replace(".0", "") if amount < 10 else f"{amount:.0f}{unit}"  # noqa: PLR2004
    return str(count)
