"""The picture of failures over the scans that are kept."""

from collections.abc import Sequence
from typing import NamedTuple

from birthright.findings.model import PastScan
from birthright.reports.html.scales import short

WIDTH = 960
HEIGHT = 220
_MOST = 60
_LEFT, _RIGHT, _TOP, _BASE = 60, 930, 30, 180
_LABELS = 12


class Point(NamedTuple):
    """One scan; `label` is empty where there is no room for it."""

    x: float
    y: float
    complete: bool
    label: str
    scan: PastScan


class TrendPicture(NamedTuple):
    """What is drawn: the scans, oldest first, the line through them, and how many older ones are left out."""

    points: list[Point]
    line: str
    most: str
    left_out: int
    base: int = _BASE


def draw_trend(history: Sequence[PastScan]) -> TrendPicture | None:
    """Draw the last scans; None where there are not two."""
    if len(history) < 2:  # noqa: PLR2004 - one point is no trend
        return None
    shown = history[-_MOST:]
    first, last = shown[0].as_of, shown[-1].as_of
    span = max((last - first).total_seconds(), 1)
    most = max(scan.fail for scan in shown) or 1
    every = -(-len(shown) // _LABELS)
    points = [
        Point(
            round(_LEFT + (scan.as_of - first).total_seconds() / span * (_RIGHT - _LEFT), 1),
            round(_BASE - scan.fail / most * (_BASE - _TOP), 1),
            scan.complete,
            short(scan.fail) if (len(shown) - 1 - place) % every == 0 else "",
            scan,
        )
        for place, scan in enumerate(shown)
    ]
    line = " ".join(f"{point.x},{point.y}" for point in points)
    return TrendPicture(points, line, short(most), len(history) - len(shown))
