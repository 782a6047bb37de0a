"""What the views of a plan share: counts, names, and when and for what a key was used."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from birthright.retirement.model import KeyFacts
from birthright.text import printable
from birthright.times import format_duration


def last_use(facts: KeyFacts, as_of: datetime) -> str:
    """Write how long before `as_of` a key was last used: `3 h 12 min ago`, `never`, `not known`."""
    if facts.last_used_at:
        return f"{format_duration(max(as_of - facts.last_used_at, timedelta()))} ago"
    return "never" if facts.ever_used is False else "not known"


def place(facts: KeyFacts) -> str:
    """Write for which service and in which region a key was last used, where that is known."""
    known = [text for text in (facts.last_used_service, facts.last_used_region) if text]
    return printable(", ".join(known))


def named(names: Sequence[str], most: int) -> str:
    """Name the first few and count the rest."""
    more = len(names) - most
    return printable(", ".join(names[:most])) + (f" and {more} more" if more > 0 else "")
