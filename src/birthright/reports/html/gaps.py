"""The picture of all gaps: how long after its user each key was made, on a logarithmic axis."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from math import log10
from typing import NamedTuple

from birthright.errors import UsageError
from birthright.findings.model import Document, Finding
from birthright.findings.ranking import FIRST
from birthright.reports.html.scales import LONGEST, LogScale, Tick, short
from birthright.reports.html.statuses import FindingStatus
from birthright.times import format_duration, parse_duration

WIDTH = 960
HEIGHT = 300
_BASE = 250  # where the marks stand
_TOP = 40
_BINS = 5  # of each power of ten: the one before 10 s begins at the usual window, 7 s
_FIRST, _LAST = 150, 945  # the axis, from 1 s on
_BEFORE, _ZERO = 40, 105  # the two places apart
_DOT = 9
_DIGIT = 6.0  # how wide one is in the labels, at most
_LINE = 10
_LEAST = 3  # one key among 100,000 must not vanish
_STACK = ("fail", "waived", "unknown", "pass")
_ORDER: dict[str, FindingStatus] = {"fail": "fail", "waived": "waived", "unknown": "unknown"}
_SCALE = LogScale(1, LONGEST, _FIRST, _LAST)


class Mark(NamedTuple):
    """A dot (`height` 0) or a piece of a bar, in pixels."""

    kind: str
    x: float
    y: float
    height: float
    title: str


class GapPicture(NamedTuple):
    """What is drawn; `window` is where the window ends, None where the policy did not run."""

    marks: list[Mark]
    counts: list[tuple[float, float, str]]
    ticks: list[Tick]
    window: Tick | None
    rows: list[tuple[str, int, int, int, int]]
    before: int


class Gaps:
    """Counts of keys by gap and by how they stand; as small for ten million keys as for ten."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, str]] = Counter()
        self._spans: Counter[tuple[int, str]] = Counter()

    def add(self, finding: Finding, standing: FindingStatus) -> None:
        """Take one key."""
        if finding.gap_seconds is None:
            return
        kind = _ORDER.get(standing, "pass")
        self._counts[_bin_of(finding.gap_seconds), kind] += 1
        self._spans[_span_of(finding.gap_seconds), kind] += 1

    def picture(self, document: Document) -> GapPicture:
        """Draw the counts: a dot a key where there is room for that, else bars."""
        bins = sorted({place for place, _ in self._counts})
        totals = {place: sum(self._counts[place, kind] for kind in _STACK) for place in bins}
        tallest = max(totals.values(), default=0)
        dots = tallest * _DOT <= _BASE - _TOP
        marks = [
            mark for place in bins for mark in (self._dots(place) if dots else self._bars(place, tallest))
        ]
        tops: dict[float, float] = {}
        for mark in marks:
            tops[mark.x] = min(tops.get(mark.x, HEIGHT), mark.y)
        counts = [] if dots else _apart((_x(p), tops[_x(p)] - 4, short(totals[p])) for p in bins)
        before = sum(count for (place, _), count in self._counts.items() if place < -1)
        return GapPicture(marks, counts, _SCALE.ticks(), _window(document), self._table(), before)

    def _dots(self, place: int) -> list[Mark]:
        kinds = [kind for kind in _STACK for _ in range(self._counts[place, kind])]
        middle = _BASE - _DOT / 2
        return [
            Mark(kind, _x(place), middle - n * _DOT, 0, _title(place, kind)) for n, kind in enumerate(kinds)
        ]

    def _bars(self, place: int, tallest: int) -> list[Mark]:
        marks, top = [], float(_BASE)
        for kind in _STACK:
            count = self._counts[place, kind]
            if count:
                height = round(max(count / tallest * (_BASE - _TOP - 4 * _LEAST), _LEAST), 1)
                top = round(top - height, 1)
                marks.append(Mark(kind, _x(place), top, height, f"{_title(place, kind)}: {count:,}"))
        return marks

    def _table(self) -> list[tuple[str, int, int, int, int]]:
        """Return the same in numbers: spans of time, and the counts of each kind."""
        lines = []
        for place, name in enumerate(name for _, name in _SPANS):
            counts = [self._spans[place, kind] for kind in _STACK]
            if any(counts):
                lines.append((name, counts[0], counts[1], counts[2], counts[3]))
        return lines


def _apart(labels: Iterable[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Leave out, from left to right, the labels that would run into the one before."""
    kept: list[tuple[float, float, str]] = []
    for x, y, text in labels:
        last_x, last_y, last = kept[-1] if kept else (-WIDTH, 0, "")
        if x - last_x > (len(text) + len(last)) * _DIGIT / 2 + _LEAST or abs(y - last_y) > _LINE:
            kept.append((x, y, text))
    return kept


_SPANS = (
    (-1, "before its user"),
    (0, "0 s"),
    (6, "1 to 6 s"),
    (59, "7 to 59 s"),
    (3599, "1 to 59 min"),
    (86_399, "1 to 23 h"),
    (30 * 86_400, "1 to 30 d"),
    (31_557_600, "to 1 year"),
    (LONGEST * 100, "longer"),
)


def _span_of(gap: int) -> int:
    return next((place for place, (last, _) in enumerate(_SPANS) if gap <= last), len(_SPANS) - 1)


def _bin_of(gap: int) -> int:
    """Return a bin's number, from 0 at 1 s on; -1 is 0 s, -2 is before the user."""
    if gap <= 0:
        return -1 if gap == 0 else -2
    return int(log10(min(gap, LONGEST)) * _BINS + 1e-9)


def _x(place: int) -> float:
    if place < 0:
        return _ZERO if place == -1 else _BEFORE
    return _SCALE.at(10 ** ((place + 0.5) / _BINS))


def _title(place: int, kind: str) -> str:
    said = {
        "fail": "created with its user",
        "waived": "created with its user, waived",
        "unknown": "not known",
    }
    when = {-2: "before its user", -1: "in the same second"}.get(place)
    if when is None:
        first = format_duration(timedelta(seconds=max(1, int(10 ** (place / _BINS) + 0.999))))
        when = f"{first} or a little more after its user"
    return f"{when}: {said.get(kind, 'not a failure of this rule')}"


def _window(document: Document) -> Tick | None:
    line = next((line for line in document.policies if line.id == FIRST), None)
    text = line.parameters.get("window", "") if line else ""
    try:
        seconds = parse_duration(text.replace(" ", "").replace("min", "m")).total_seconds()
    except UsageError:
        return None
    return Tick(_SCALE.at(max(seconds, 1)), text)
