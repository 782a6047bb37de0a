"""Where retirements stand, for programs (`birthright.status/1`): every field the journal keeps of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TextIO

import msgspec

from birthright.retirement.model import Retirement

SCHEMA = "birthright.status/1"


def render(retirements: Sequence[Retirement], now: datetime, out: TextIO) -> None:
    """Write one JSON object; durations are ISO 8601, as of `now`, UTC."""
    document = {"schema": SCHEMA, "as_of": now, "retirements": retirements}
    out.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
