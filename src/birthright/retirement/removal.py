"""Taking a key away: disable, make sure, wait, delete; and give it back.

1. Read again: the key, its creation time and status are as planned, and nobody used it since.
2. Disable it.
3. Read back: it is off, and it was not used between 1 and 2; otherwise it is enabled again at once.
4. Wait for the quarantine, by AWS's clock, from when AWS said yes.
5. Read again: it is still off and was not used. Then it is deleted.
"""

from typing import Any

from birthright.retirement.annotation import annotate
from birthright.retirement.checks import (
    SETTLED,
    Over,
    find_key,
    is_over,
    late_use,
    over_at,
    patiently,
    require_inactive,
    require_status,
    seen_facts,
    unsettled,
)
from birthright.retirement.model import Intent, Retirement
from birthright.retirement.work import Paused, Work
from birthright.times import format_duration


def disable(work: Work) -> None:
    """Disable the key of a retirement, if nothing moved."""
    key = find_key(work)
    require_status(work, key, work.retirement.planned.status)
    use = work.iam.last_use(key.access_key_id)
    reason = late_use(work.retirement, use, work.now())
    if reason:
        work.end("stopped", f"not disabled: {reason}", seen=seen_facts(key, use))
        raise Over
    switch_off(work, seen_facts(key, use))


def switch_off(work: Work, seen: dict[str, object]) -> None:
    """Announce, disable, and make sure."""
    r = work.retirement
    intent = Intent(call="disable", at=work.now(), access_key_id=r.access_key_id)
    request = work.carry_out(
        intent, lambda go: work.iam.set_status(go, r.user_name, r.access_key_id, "Inactive"), seen
    )
    _note_disabled(work, request)
    confirm(work)


def _note_disabled(work: Work, request_id: str) -> None:
    """Record that AWS said yes; what is left is to make sure."""
    r, now = work.retirement, work.now()
    due, wait = over_at(now, r.terms.quarantine), format_duration(r.terms.quarantine)
    work.record(
        "outcome", "disable", request_id, seen={"made": True}, state="disabled", disabled_at=now,
        due_at=due, note=f"disabled; to be deleted after {wait}",
        intent=Intent(call="confirm", at=now, access_key_id=r.access_key_id),
    )  # fmt: skip


def confirm(work: Work) -> None:
    """Read back that the key is off, and that nobody used it at the last moment."""
    r = work.retirement
    assert r.disabled_at is not None  # noqa: S101 - for the type checker: set with this state
    key = patiently(work, r.access_key_id, "Inactive")
    if key is None:
        work.end("gone", "somebody else deleted the key")
        raise Over
    if key.status != "Inactive":
        if not is_over(r.disabled_at, SETTLED, work.now()):
            raise unsettled("the key is disabled")
        require_inactive(work, key)
    use = work.iam.last_use(key.access_key_id)
    reason = late_use(r, use, r.disabled_at)
    if reason:
        revert(work, reason, seen_facts(key, use))
    else:
        _note_confirmed(work, seen_facts(key, use))
        annotate(work, "disabled")


def _note_confirmed(work: Work, seen: dict[str, object]) -> None:
    """Record that the key was seen to be off; seen late, its quarantine begins only now."""
    r, now = work.retirement, work.now()
    assert r.disabled_at is not None  # noqa: S101 - for the type checker: set with this state
    late = is_over(r.disabled_at, SETTLED, now)
    begin: dict[str, Any] = {"disabled_at": now, "due_at": over_at(now, r.terms.quarantine)}
    work.record("observed", "disable", seen=seen, intent=None, **(begin if late else {}))


def revert(work: Work, reason: str, seen: dict[str, object]) -> None:
    """Enable a key again that was used while it was being disabled."""
    r = work.retirement
    intent = Intent(call="revert", at=work.now(), access_key_id=r.access_key_id)
    request = work.carry_out(
        intent, lambda go: work.iam.set_status(go, r.user_name, r.access_key_id, "Active"), seen
    )
    note_reverted(work, request, reason)


def note_reverted(work: Work, request_id: str, reason: str) -> None:
    """Record that the key is on again: a rotation waits on, a retirement is over."""
    note = f"enabled again: {reason}"
    if work.retirement.action == "retire":
        work.end("stopped", note, "revert", request_id, seen={"made": True})
        raise Over
    back: dict[str, object] = {"state": "moved", "disabled_at": None, "due_at": work.now(), "intent": None}
    work.record("outcome", "revert", request_id, seen={"made": True}, note=note, **back)
    raise Paused(note)


def delete(work: Work) -> None:
    """Delete the key once the quarantine is over, if it is still off and unused."""
    r = work.retirement
    assert r.disabled_at is not None  # noqa: S101 - for the type checker: set with this state
    key = find_key(work)
    require_inactive(work, key)
    use = work.iam.last_use(key.access_key_id)
    reason = late_use(r, use, r.disabled_at)
    if reason:
        note = f"not deleted: {reason}; it stays disabled: 'birthright undo {r.access_key_id}' enables it"
        work.end("stopped", note, seen=seen_facts(key, use))
        raise Over
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
            raise Over from None
        # An earlier call of ours, whose answer was lost, did it.
        request = ""
    note_deleted(work, request)


def note_deleted(work: Work, request_id: str) -> None:
    """Record that the key is deleted, and read back that it is."""
    r = work.retirement
    work.end("deleted", "deleted", "delete", request_id, seen={"made": True})
    left = patiently(work, r.access_key_id, None)
    work.record("observed", "delete", seen={"listed": left is not None})
    annotate(work, "deleted")


def give_back(work: Work, seen: dict[str, object]) -> None:
    """Enable a disabled key because somebody wants it back."""
    r = work.retirement
    intent = Intent(call="enable", at=work.now(), access_key_id=r.access_key_id)
    request = work.carry_out(
        intent, lambda go: work.iam.set_status(go, r.user_name, r.access_key_id, "Active"), seen
    )
    note_given_back(work, request)


def note_given_back(work: Work, request_id: str) -> None:
    """Record that the key is on again and the retirement over; read back that it is."""
    r = work.retirement
    work.end("undone", f"enabled again{_both(r)}", "enable", request_id, seen={"made": True})
    key = patiently(work, r.access_key_id, "Active")
    work.record("observed", "enable", seen={"status": key.status if key else None})
    annotate(work, "enabled again")


def _both(r: Retirement) -> str:
    return f"; its replacement {r.replacement.access_key_id} stays, too" if r.replacement else ""
