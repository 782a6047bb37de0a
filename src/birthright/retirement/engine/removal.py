"""Taking a key away: disable, make sure, wait, delete; and give it back.

1. Read again: the key, its creation time and status are as planned, and nobody used it since.
2. Disable it.
3. Read back: it is off, and it was not used between 1 and 2; otherwise it is enabled again at once.
4. Wait for the quarantine, by AWS's clock, from when AWS said yes.
5. Read again: it is still off and was not used. Then it is deleted.
"""

from datetime import datetime, timedelta
from typing import Any

from birthright.facts.model import ACTIVE, INACTIVE
from birthright.retirement.engine.annotation import annotate
from birthright.retirement.engine.iam import KeyLastUse, SeenKey
from birthright.retirement.engine.preconditions import (
    SETTLED,
    RetirementEnded,
    end_missing,
    find_key,
    is_over,
    late_use,
    over_at,
    patiently,
    read_keys,
    require_inactive,
    require_not_renamed,
    require_replacement,
    require_status,
    seen_facts,
    undo_hint,
    unsettled,
)
from birthright.retirement.engine.task import Paused, RetirementTask
from birthright.retirement.model import Intent, Retirement
from birthright.times import format_duration

# When to look at a disabled key again, after it was disabled: nobody says how late a use can show up.
_LOOKS = (timedelta(hours=1), timedelta(hours=4), timedelta(days=1))


def disable(work: RetirementTask) -> None:
    """Disable the key of a retirement, if nothing moved."""
    key = find_key(work)
    require_status(work, key, work.retirement.planned.status)
    use = work.iam.last_use(key.access_key_id)
    reason = late_use(work.retirement, use, work.now())
    if reason:
        work.end("stopped", f"not disabled: {reason}", seen=seen_facts(key, use))
        raise RetirementEnded
    switch_off(work, seen_facts(key, use))


def switch_off(work: RetirementTask, seen: dict[str, object]) -> None:
    """Announce, disable, and make sure."""
    r = work.retirement
    intent = Intent(call="disable", at=work.now(), access_key_id=r.access_key_id)
    request = work.carry_out(
        intent, lambda go: work.iam.set_status(go, r.user_name, r.access_key_id, INACTIVE), seen
    )
    _note_disabled(work, request)
    confirm(work)


def _note_disabled(work: RetirementTask, request_id: str) -> None:
    """Record that AWS said yes; what is left is to make sure."""
    r, now = work.retirement, work.now()
    due, wait = _next_look(r, now, now), format_duration(r.terms.quarantine)
    work.record(
        "outcome", "disable", request_id, seen={"made": True}, state="disabled", disabled_at=now,
        due_at=due, note=f"disabled; to be deleted after {wait}",
        intent=Intent(call="confirm", at=now, access_key_id=r.access_key_id),
    )  # fmt: skip


def confirm(work: RetirementTask) -> None:
    """Read back that the key is off, and that nobody used it at the last moment."""
    key = patiently(work, work.retirement.access_key_id, INACTIVE)
    _doubt_the_date(work)
    r = work.retirement
    assert r.disabled_at is not None  # noqa: S101 - for the type checker: set with this state
    if key is None:
        end_missing(work)
    if key.status != INACTIVE:
        if not is_over(r.disabled_at, SETTLED, work.looked_at):
            raise unsettled("the key is disabled")
        require_inactive(work, key)
    use = work.iam.last_use(key.access_key_id)
    reason = late_use(r, use, r.disabled_at)
    if reason:
        require_was_on(work, reason, use, r.disabled_at)
        revert(work, reason, seen_facts(key, use))
    else:
        _note_confirmed(work, seen_facts(key, use))
        annotate(work, "disabled")


def _doubt_the_date(work: RetirementTask) -> None:
    """Put a deactivation that seems to lie ahead at the present: the Date of AWS's yes was wrong."""
    r, now = work.retirement, work.now()
    if r.disabled_at is not None and r.disabled_at > now:
        work.record("observed", "disable", disabled_at=now, due_at=_next_look(r, now, now))


def _note_confirmed(work: RetirementTask, seen: dict[str, object]) -> None:
    """Record that the key was seen to be off; seen late, its quarantine begins only now."""
    r, now = work.retirement, work.now()
    assert r.disabled_at is not None  # noqa: S101 - for the type checker: set with this state
    late = is_over(r.disabled_at, SETTLED, now)
    begin: dict[str, Any] = {"disabled_at": now, "due_at": _next_look(r, now, now)}
    work.record("observed", "disable", seen=seen, intent=None, **(begin if late else {}))


def require_was_on(work: RetirementTask, reason: str, use: KeyLastUse, disabled_at: datetime) -> None:
    """Stop, and leave the key off, if it was off before we came: whoever uses it was locked out by somebody.

    What reads showed then may have been old: a key used within `SETTLED` before was on.
    """
    if not was_on(work.retirement, use, disabled_at):
        work.end("stopped", f"{reason}; the key stays disabled, as it was before the plan")
        raise RetirementEnded


def was_on(r: Retirement, use: KeyLastUse, disabled_at: datetime) -> bool:
    """Whether the key was on right before it was disabled, as planned or as its last use says."""
    return not r.planned.is_inactive or (use.at is not None and use.at >= disabled_at - SETTLED)


def revert(work: RetirementTask, reason: str, seen: dict[str, object]) -> None:
    """Enable a key again that was used while it was being disabled."""
    r = work.retirement
    intent = Intent(call="revert", at=work.now(), access_key_id=r.access_key_id)
    request = work.carry_out(
        intent, lambda go: work.iam.set_status(go, r.user_name, r.access_key_id, ACTIVE), seen
    )
    note_reverted(work, request, reason)


def note_reverted(work: RetirementTask, request_id: str, reason: str) -> None:
    """Record that the key is on again: a rotation waits on, a retirement is over."""
    note = f"enabled again: {reason}"
    if work.retirement.action == "retire":
        work.end("stopped", note, "revert", request_id, seen={"made": True}, disabled_at=None)
        raise RetirementEnded
    back: dict[str, object] = {"state": "moved", "disabled_at": None, "due_at": work.now(), "intent": None}
    work.record("outcome", "revert", request_id, seen={"made": True}, note=note, **back)
    raise Paused(note)


def look(work: RetirementTask) -> None:
    """Look after a disabled key: a use may show up late, and somebody may have switched it on again."""
    key, use = _still_off(work)
    r = work.retirement
    assert r.disabled_at is not None  # noqa: S101 - for the type checker: set with this state
    work.record("observed", seen=seen_facts(key, use), due_at=_next_look(r, r.disabled_at, work.now()))


def _next_look(r: Retirement, disabled_at: datetime, now: datetime) -> datetime:
    """Return when to look at a disabled key next; at the end of the quarantine at the latest."""
    end = over_at(disabled_at, r.terms.quarantine)
    return min([end, *(disabled_at + wait for wait in _LOOKS if disabled_at + wait > now)])


def _still_off(work: RetirementTask) -> tuple[SeenKey, KeyLastUse]:
    """Read that the key is off and unused; a key that was in use when it was disabled is given back."""
    r = work.retirement
    assert r.disabled_at is not None  # noqa: S101 - for the type checker: set with this state
    keys = read_keys(work)
    key = find_key(work, keys)
    require_inactive(work, key)
    require_replacement(work, keys)
    use = work.iam.last_use(key.access_key_id)
    reason = late_use(r, use, r.disabled_at)
    if reason and use.at is not None and use.at <= r.disabled_at:
        require_was_on(work, reason, use, r.disabled_at)
        revert(work, reason, seen_facts(key, use))
    if reason:
        work.end("stopped", f"not deleted: {reason}{undo_hint(r)}", seen=seen_facts(key, use))
        raise RetirementEnded
    return key, use


def delete(work: RetirementTask) -> None:
    """Delete the key once the quarantine is over, if it is still off and unused."""
    r = work.retirement
    key, use = _still_off(work)
    assert r.disabled_at is not None  # noqa: S101 - for the type checker: set with this state
    if not is_over(r.disabled_at, r.terms.quarantine, work.now()):
        # The answers just now have set the clock right.
        raise Paused("AWS's clock was not right a moment ago; the next run looks again")
    intent = Intent(call="delete", at=work.now(), access_key_id=r.access_key_id)
    try:
        request = work.carry_out(
            intent, lambda go: work.iam.delete(go, r.user_name, r.access_key_id), seen_facts(key, use)
        )
    except Paused as pause:
        if pause.cause is None or pause.cause.code != "NoSuchEntity":
            raise
        if r.intent is None:
            work.end("gone", "it was gone already when AWS was asked to delete it")
            raise RetirementEnded from None
        # An earlier call of ours, whose answer was lost, did it.
        request = ""
    note_deleted(work, request)


def note_deleted(work: RetirementTask, request_id: str) -> None:
    """Record that the key is deleted, and read back that it is."""
    r = work.retirement
    if not request_id:
        require_not_renamed(work)
    work.end("deleted", "deleted", "delete", request_id, seen={"made": True})
    left = patiently(work, r.access_key_id, None)
    work.record("observed", "delete", seen={"listed": left is not None})
    annotate(work, "deleted")


def give_back(work: RetirementTask, seen: dict[str, object]) -> None:
    """Enable a disabled key because somebody wants it back."""
    r = work.retirement
    intent = Intent(call="enable", at=work.now(), access_key_id=r.access_key_id)
    request = work.carry_out(
        intent, lambda go: work.iam.set_status(go, r.user_name, r.access_key_id, ACTIVE), seen
    )
    note_given_back(work, request)


def note_given_back(work: RetirementTask, request_id: str) -> None:
    """Record that the key is on again and the retirement over; read back that it is."""
    r = work.retirement
    work.end("undone", f"enabled again{_both(r)}", "enable", request_id, seen={"made": True})
    key = patiently(work, r.access_key_id, ACTIVE)
    work.record("observed", "enable", seen={"status": key.status if key else None})
    annotate(work, "enabled again")


def _both(r: Retirement) -> str:
    return f"; its replacement {r.replacement.access_key_id} stays, too" if r.replacement else ""
