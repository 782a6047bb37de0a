"""How steps and retirements become text, and how a step's digest is made.

A digest is the SHA-256 of a JSON array, without spaces, of the step's fields as they are kept: seq,
retirement_id, at, kind, actor, call, request_id, detail, changes, previous. `detail` and `changes` go in as
the text of their JSON, its names in order, so that nothing depends on how a reader would write it again.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from birthright.retirement.model import Retirement, Step

_encoder = msgspec.json.Encoder(order="sorted")
_retirement = msgspec.json.Decoder(Retirement)
_object = msgspec.json.Decoder(dict[str, object])


def instant_text(moment: datetime) -> str:
    """Write an aware instant with microseconds, UTC, always 27 characters."""
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:26]}Z"


def json_text(value: object) -> str:
    """Write plain values, structs, instants and durations as compact JSON, its names in order."""
    return _encoder.encode(value).decode()


def read_retirement(data: str) -> Retirement:
    """Read what `json_text` wrote. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return _retirement.decode(data)


def read_object(data: str) -> dict[str, object]:
    """Read a step's detail or changes. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return _object.decode(data)


def columns_of(retirement: Retirement) -> dict[str, Any]:
    """Return the row that stands for a retirement."""
    replacement, due_at = retirement.replacement, retirement.due_at
    return {
        "id": retirement.id,
        "account_id": retirement.account_id,
        "user_name": retirement.user_name,
        "access_key_id": retirement.access_key_id,
        "replacement_key_id": replacement.access_key_id if replacement else None,
        "state": retirement.state,
        "is_open": retirement.is_open,
        "due_at": instant_text(due_at) if due_at else None,
        "has_intent": retirement.intent is not None,
        "ticket": retirement.ticket,
        "opened_at": instant_text(retirement.opened_at),
        "data": json_text(retirement),
    }


def digest_of(step: dict[str, Any]) -> str:
    """Return the digest of a step's row, whatever the row says its digest is."""
    names = ("seq", "retirement_id", "at", "kind", "actor", "call", "request_id", "detail", "changes")
    fields = [*(step[name] for name in names), step["previous"]]
    return hashlib.sha256(_encoder.encode(fields)).hexdigest()


def read_step(row: dict[str, Any]) -> Step:
    """Make a step of its row. Raises ValueError or msgspec.DecodeError if it is damaged."""
    return Step(
        **{
            **row,
            "at": datetime.fromisoformat(row["at"]),
            "detail": read_object(row["detail"]),
            "changes": read_object(row["changes"]),
        }
    )
