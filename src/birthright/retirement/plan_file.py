"""Plans as files: written whole, read back only if nobody changed them."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from birthright.atomic import write_atomically
from birthright.errors import PlanError
from birthright.retirement.plan import PLAN_SCHEMA, Plan, digest_of
from birthright.times import format_instant

T = TypeVar("T")

# A plan of ten thousand keys has forty million bytes.
_LONGEST = 256 * 1024 * 1024
_SHORTEST, _LONGEST_WAIT = timedelta(seconds=1), timedelta(days=3653)
_AGAIN = "make a new one with 'birthright plan'"


def encode_plan(plan: Plan) -> bytes:
    """Write a plan as indented JSON, with a final newline."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"


def save_plan(path: Path, plan: Plan) -> None:
    """Write a plan, whole or not at all; only the user can read it. Raises StoreError."""
    write_atomically(path, encode_plan(plan))


def load_plan(path: Path) -> Plan:
    """Read a plan. Raises PlanError if it is none, is damaged, was edited, or is of a newer birthright.

    Whether it has expired is for `check_fresh`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise PlanError(f"cannot read {path}: {error.strerror}", _AGAIN) from None
    if len(data) > _LONGEST:
        raise PlanError(f"{path} is too large to be a plan", _AGAIN)
    _check_version(_decoded(data, _Versioned, path, "is not a plan").schema, path)
    plan = _decoded(data, Plan, path, "is damaged")
    if digest_of(plan) != plan.digest:
        raise PlanError(
            f"{path} was edited since it was made", "plans are not edited: plan again with filters"
        )
    _check_times(plan, path)
    _check_terms(plan, path)
    return plan


def check_fresh(plan: Plan, now: datetime) -> None:
    """Raise PlanError for a plan that has expired; `now` is aware."""
    if now >= plan.expires_at:
        raise PlanError(f"plan {plan.id} expired at {format_instant(plan.expires_at)}", _AGAIN)


class _Versioned(msgspec.Struct):
    """The one field that every version of a plan has."""

    schema: str


def _decoded(data: bytes, kind: type[T], path: Path, otherwise: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PlanError(f"{path} {otherwise}: {error}", _AGAIN) from None


def _check_version(schema: str, path: Path) -> None:
    kind, _, version = PLAN_SCHEMA.partition("/")
    found_kind, _, found = schema.partition("/")
    if found_kind != kind or not re.fullmatch(r"[0-9]{1,9}", found):
        raise PlanError(f"{path} is not a plan: its schema is {schema[:40]!r}", _AGAIN)
    if int(found) > int(version):
        raise PlanError(f"{path} was written by a newer birthright", "upgrade birthright")


def _check_terms(plan: Plan, path: Path) -> None:
    """Refuse waits that are none: a digest is no signature."""
    terms = plan.terms
    waits = (terms.in_use, terms.quarantine, terms.quiet, terms.deadline)
    if not all(_SHORTEST <= wait <= _LONGEST_WAIT for wait in waits):
        raise PlanError(f"{path} is damaged: its waits are not between 1 s and ten years", _AGAIN)


def _check_times(plan: Plan, path: Path) -> None:
    """Refuse times that are not UTC: one without a zone cannot be compared with the others."""
    moments: list[datetime | None] = [plan.created_at, plan.expires_at, plan.scan_as_of]
    for facts in (item.facts for item in plan.items):
        moments += (facts.created_at, facts.user_created_at, facts.last_used_at, facts.as_of)
    if any(moment and moment.utcoffset() != timedelta(0) for moment in moments):
        raise PlanError(f"{path} is damaged: it holds a time that is not UTC", _AGAIN)
