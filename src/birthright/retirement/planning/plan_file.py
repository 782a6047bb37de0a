"""Plans as files: written whole, read back only if nobody changed them."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

from birthright.atomic import open_atomically
from birthright.errors import PlanError
from birthright.longjson import indented, json_lines
from birthright.retirement.planning.plan import PLAN_SCHEMA, Plan, digest_of
from birthright.times import format_instant
from birthright.versioned import VersionedFormat, read_versioned

_SHORTEST, _LONGEST_WAIT = timedelta(seconds=1), timedelta(days=3653)
_AGAIN = "make a new one with 'birthright plan'"
# A plan of ten thousand keys has forty million bytes.
_FORM = VersionedFormat(
    schema=PLAN_SCHEMA, otherwise="is not a plan", error=PlanError, hint=_AGAIN, longest=256 * 1024 * 1024
)


def write_plan(plan: Plan, out: TextIO) -> None:
    """Write a plan as indented JSON, with a final newline."""
    out.writelines(indented(plan, "items", json_lines(plan.items)))


def save_plan(path: Path, plan: Plan) -> None:
    """Write a plan, whole or not at all; only the user can read it. Raises StoreError."""
    with open_atomically(path) as out:
        write_plan(plan, out)


def load_plan(path: Path) -> Plan:
    """Read a plan. Raises PlanError if it is none, is damaged, was edited, or is of a newer birthright.

    Whether it has expired is for `check_fresh`.
    """
    plan = read_versioned(path, Plan, _FORM)
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
