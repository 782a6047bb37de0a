"""Instants as birthright keeps them (aware, UTC, whole seconds) and durations as people write them."""

import re
from datetime import UTC, datetime, timedelta

from birthright.errors import UsageError

_SHOWN = 40
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant with any offset; one without an offset is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elif moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.replace(microsecond=0) if moment.microsecond else moment


def format_instant(moment: datetime) -> str:
    """Write an instant the way AWS does: `2026-11-22T10:00:00Z`."""
    return f"{moment.astimezone(UTC).isoformat()[:19]}Z"


def now_exactly() -> datetime:
    """Return the present, UTC."""
    return datetime.now(UTC)


def now() -> datetime:
    """Return the present, whole seconds, UTC."""
    return now_exactly().replace(microsecond=0)


def parse_duration(text: str) -> timedelta:
    """Read `7s`, `15m`, `3h`, `45d`, or several in a row (`1h30m`). Raises UsageError."""
    parts = re.findall(r"(\d+)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"{text!r} is not a duration", "write it like 7s, 15m, 3h or 45d")
    try:
        return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))
    except (OverflowError, ValueError) as error:
        raise UsageError(f"{text[:_SHOWN]!r} is longer than any duration", "7s, 15m, 3h, 45d") from error


def format_duration(length: timedelta) -> str:
    """Write a duration with its two largest units: `7 s`, `3 h 12 min`, `45 d`; negative with a minus."""
    seconds = round(length.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    named = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    first = next((place for place, (number, _) in enumerate(named) if number), None)
    if first is None:
        return "0 s"
    return sign + " ".join(f"{number} {unit}" for number, unit in named[first : first + 2] if number)
