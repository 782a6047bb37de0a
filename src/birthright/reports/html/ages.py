"""The picture of how old keys are, and when they were last used."""

from collections import Counter
from datetime import datetime
from math import sqrt
from typing import NamedTuple

from birthright.findings.model import Finding
from birthright.reports.html.scales import LONGEST, LogScale, Tick, short
from birthright.reports.html.statuses import FindingStatus

WIDTH = 960
HEIGHT = 380
_DAY = 86_400
_LEAST = 3600
_STEP = 12  # pixels: keys nearer to each other than this are one mark
_X = LogScale(_LEAST, LONGEST / 2, 130, 940)
_Y = LogScale(_LEAST, LONGEST / 2, 330, 90)
_NEVER = 54
_UNKNOWN = 18
_LARGEST = 11


class Spot(NamedTuple):
    """So many keys of about this age and last use; `r` is the radius in pixels."""

    kind: str
    x: float
    y: float
    r: float
    title: str


class AgePicture(NamedTuple):
    """What is drawn: `quarter` is where 90 days are on both axes, `unknown` is None if no key is there."""

    spots: list[Spot]
    across: list[Tick]
    up: list[Tick]
    quarter: tuple[float, float]
    never: int
    unknown: int | None
    rows: list[tuple[str, list[int]]]
    columns: tuple[str, ...]


class Ages:
    """Counts of keys by age and last use; as small for ten million keys as for ten."""

    def __init__(self, as_of: datetime) -> None:
        self._as_of = as_of
        self._counts: Counter[tuple[int, int, str]] = Counter()
        self._table: Counter[tuple[int, int]] = Counter()

    def add(self, finding: Finding, standing: FindingStatus) -> None:
        """Take one key."""
        if finding.created_at is None:
            return
        age = (self._as_of - finding.created_at).total_seconds()
        used = (self._as_of - finding.last_used_at).total_seconds() if finding.last_used_at else None
        unused = _NEVER if finding.ever_used is False else _UNKNOWN
        y = unused if used is None else _Y.at(used)
        kind = standing if standing in {"fail", "waived", "unknown"} else "pass"
        self._counts[int(_X.at(age) // _STEP), int(y // _STEP), kind] += 1
        self._table[_step_of(age), _use_of(used, finding.ever_used)] += 1

    def picture(self) -> AgePicture:
        """Draw the counts: the larger a mark, the more keys."""
        most = max(self._counts.values(), default=1)
        order = ("pass", "unknown", "waived", "fail")
        spots = [
            Spot(kind, (x + 0.5) * _STEP, (y + 0.5) * _STEP, _radius(count, most), _title(count, kind))
            for (x, y, kind), count in sorted(
                self._counts.items(), key=lambda item: (order.index(item[0][2]), item[0])
            )
        ]
        quarter = _X.at(90 * _DAY), _Y.at(90 * _DAY)
        rows = [
            (name, [self._table[row, column] for column in range(len(_USES))]) for row, name in _NAMED_AGES
        ]
        shown = [(name, counts) for name, counts in rows if any(counts)]
        unknown = _UNKNOWN if any(counts[-1] for _, counts in shown) else None
        return AgePicture(spots, _X.ticks(), _Y.ticks(), quarter, _NEVER, unknown, shown, _USES)


_AGES = (
    (_DAY, "under 1 d"),
    (30 * _DAY, "under 30 d"),
    (90 * _DAY, "under 90 d"),
    (365 * _DAY, "under 365 d"),
)
_NAMED_AGES = tuple(enumerate([*(name for _, name in _AGES), "365 d and older"]))
_USES = ("used in the last 90 d", "used longer ago", "never used", "use not known")


def _step_of(age: float) -> int:
    return next((place for place, (most, _) in enumerate(_AGES) if age < most), len(_AGES))


def _use_of(used: float | None, ever: bool | None) -> int:  # noqa: FBT001 - what a finding says
    if used is not None:
        return 0 if used < 90 * _DAY else 1
    return 2 if ever is False else 3


def _radius(count: int, most: int) -> float:
    return round(max(4, _LARGEST * sqrt(count / max(most, 8))), 1)


def _title(count: int, kind: str) -> str:
    said = {
        "fail": "created with their user",
        "waived": "created with their user, waived",
        "unknown": "not known",
    }
    return f"{short(count)} {'key' if count == 1 else 'keys'}: {said.get(kind, 'not a failure of this rule')}"
