"""Replacing a key that is in use, without breaking whoever uses it.

1. Read again: the key is as planned and its user has room for a second one; the place for the new
   secret takes it.
2. Make the replacement. From here to 3 its secret is in memory only.
3. Hand it over. If that fails the replacement is deleted at once.
4. Prove that AWS accepts it: our own use of it, which does not count as a use later.
5. Wait until somebody else has used the replacement, and the old key has been quiet since.
6. Then the old key goes the way of every key: disable, make sure, wait, delete (`removal`).
"""

import uuid
from datetime import datetime, timedelta

import msgspec

from birthright.aws.sts import Caller
from birthright.errors import HandoverError, ReadError
from birthright.facts.model import ACTIVE
from birthright.retirement.engine.iam import Go, KeyLastUse, NewKey, SeenKey
from birthright.retirement.engine.preconditions import (
    RetirementEnded,
    find_key,
    is_over,
    late_use,
    over_at,
    patiently,
    read_keys,
    require_replacement,
    require_status,
    seen_facts,
    told_use,
    unsettled,
)
from birthright.retirement.engine.removal import switch_off
from birthright.retirement.engine.task import Paused, RetirementTask
from birthright.retirement.handover.interface import DeliveredSecret, NewSecret
from birthright.retirement.handover.registry import slot
from birthright.retirement.model import Intent, Replacement
from birthright.secret import Secret
from birthright.times import format_duration, format_instant

_TRY_AGAIN = 2.0  # seconds
# IAM's, STS's and our own idea of the time: a use of ours must never look like somebody else's.
_CLOCKS_APART = timedelta(seconds=5)


def replace(work: RetirementTask) -> None:
    """Make the replacement, hand it over and prove it."""
    r = work.retirement
    keys = read_keys(work)
    key = find_key(work, keys)
    require_status(work, key, r.planned.status)
    others = [key_id for key_id in keys if key_id != r.access_key_id]
    if others:
        refuse_second_key(work, others)
    place = work.destination()
    work.here()
    _require_own_place(work, place.where)
    try:
        place.check()
    except HandoverError as error:
        raise Paused(f"no key was made: {error}", error) from None
    new = _create(work, key)
    _hand_over(work, new)
    prove(work, new.secret)
    raise Paused(work.retirement.note)


def _require_own_place(work: RetirementTask, where: str) -> None:
    """Stop if another user's new secret was handed over to the same place: this one would push it out."""
    r = work.retirement
    if slot(r.handover or "", r.account_id, where) is None:
        return
    for other in work.tools.journal.find(account=r.account_id):
        taken = other.replacement is not None and other.replacement.destination == where
        if taken and other.user_name != r.user_name:
            work.end("stopped", f"{where} holds the new key of {other.user_name}: choose another place")
            raise RetirementEnded


def refuse_second_key(work: RetirementTask, others: list[str]) -> None:
    """Stop: a user may have two keys, and somebody's second one is in the way."""
    ids = ", ".join(others)
    work.end(
        "stopped",
        f"a second key is in the way ({ids}): retire it first, then plan again",
        seen={"others": ids},
    )
    raise RetirementEnded


def _create(work: RetirementTask, key: SeenKey) -> NewKey:
    r = work.retirement
    token = str(uuid.uuid4())
    before = (key.access_key_id,)
    intent = Intent(call="create", at=work.now(), token=token, keys_before=before)
    try:
        new = work.carry_out(intent, lambda go: work.iam.create(go, r.user_name), {"keys_before": before})
    except Paused as pause:
        if pause.cause is not None and pause.cause.code == "LimitExceeded":
            refuse_second_key(work, ["AWS: LimitExceeded"])
        raise
    replacement = Replacement(access_key_id=new.access_key_id, created_at=new.created_at, token=token)
    work.record(
        "outcome", "create", new.request_id, seen={"made": True, "key": new.access_key_id},
        state="created", replacement=replacement, intent=None, note="a replacement was made",
    )  # fmt: skip
    return new


def _hand_over(work: RetirementTask, new: NewKey) -> None:
    """Put the secret where it belongs; a new key that gets nowhere is deleted again."""
    r, place = work.retirement, work.destination(writing=True)
    token = r.replacement.token if r.replacement else ""
    parcel = NewSecret(access_key_id=new.access_key_id, secret=new.secret, token=token, ticket=r.ticket)
    intent = Intent(
        call="hand-over", at=work.now(), access_key_id=new.access_key_id, token=token, where=work.here()
    )
    try:
        delivered = work.carry_out(intent, lambda _: place.deliver(parcel), {"to": place.where})
    except HandoverError as error:
        refusal = {"made": False, "certain": error.certain, "why": error.message}
        if not error.certain:
            work.record("observed", "hand-over", seen=refusal)
            raise Paused(f"nobody knows whether the secret arrived: {error}", error) from None
        work.record("outcome", "hand-over", seen=refusal, intent=None)
        discard(work, new.access_key_id, f"the hand-over failed: {error}")
        work.end("stopped", f"the hand-over failed and the new key was deleted again: {error}")
        raise RetirementEnded from None
    note_handed_over(work, delivered)


def note_handed_over(work: RetirementTask, delivered: DeliveredSecret) -> None:
    """Record where the secret is; AWS has not accepted the key yet."""
    replacement = work.retirement.replacement
    assert replacement is not None  # noqa: S101 - for the type checker: set with this state
    now = work.now()
    arrived = msgspec.structs.replace(
        replacement, destination=delivered.where, handed_over_at=now, proof_ended_at=now
    )
    work.record(
        "outcome", "hand-over", delivered.request_id, seen={"made": True, "where": delivered.where},
        state="handed-over", replacement=arrived, intent=None, due_at=now,
        note=f"the new key is at {delivered.where}; nobody has used it yet",
    )  # fmt: skip


def prove(work: RetirementTask, secret: Secret) -> None:
    """Show that AWS accepts the replacement, and takes it for the same user's."""
    replacement = work.retirement.replacement
    assert replacement is not None  # noqa: S101 - for the type checker: set with this state
    intent = Intent(call="prove", at=work.now(), access_key_id=replacement.access_key_id)
    identity = work.carry_out(intent, lambda go: _identify(work, go, replacement.access_key_id, secret), {})
    note_proof(work, identity, work.now())
    if identity is not None and identity.arn != work.retirement.user_arn:
        work.leave(f"the new key belongs to {identity.arn}: look at it at once")
        raise RetirementEnded


def _identify(work: RetirementTask, go: Go, access_key_id: str, secret: Secret) -> Caller | None:
    """Ask STS who the new key is until it is known everywhere; None if that takes too long.

    It may not be asked later than that, nor without the lock: whoever goes on with the rotation would
    take our use of the key for somebody else's.
    """
    while go():
        try:
            return work.account.identify(access_key_id, secret)
        except ReadError:
            # Not known everywhere yet, or AWS has trouble: both pass, or the time is up.
            if work.tools.stopping():
                return None
        work.tools.sleep(_TRY_AGAIN)
    return None


def note_proof(work: RetirementTask, identity: Caller | None, ended_at: datetime) -> None:
    """Record what came of the proof, and until when a use of the replacement may have been our own."""
    replacement = work.retirement.replacement
    assert replacement is not None  # noqa: S101 - for the type checker: set with this state
    proven = identity is not None
    tried = msgspec.structs.replace(replacement, proof_ended_at=ended_at, proven=proven)
    said = "AWS accepts it" if proven else "AWS did not accept it in time"
    work.record(
        "outcome", "prove", seen={"made": proven, "arn": identity.arn if identity else ""},
        state="proven" if proven else "handed-over", replacement=tried, intent=None,
        note=f"the new key is at {replacement.destination}; {said}; nobody else has used it yet",
    )  # fmt: skip


def discard(work: RetirementTask, access_key_id: str, why: str) -> None:
    """Delete a replacement that nobody can be using; the rotation is where it was before it."""
    r = work.retirement
    intent = Intent(call="discard", at=work.now(), access_key_id=access_key_id)
    try:
        request = work.carry_out(
            intent, lambda go: work.iam.delete(go, r.user_name, access_key_id), {"why": why}
        )
    except Paused as pause:
        if pause.cause is None or pause.cause.code != "NoSuchEntity":
            raise
        request = ""
    if patiently(work, access_key_id, None) is not None:
        raise unsettled("the new key is deleted")
    note_discarded(work, request, why)


def note_discarded(work: RetirementTask, request_id: str, why: str) -> None:
    """Record that the replacement is gone."""
    back: dict[str, object] = {"state": "open", "replacement": None, "intent": None, "due_at": None}
    work.record(
        "outcome", "discard", request_id, seen={"made": True}, note=f"the new key was deleted: {why}", **back
    )


def watch(work: RetirementTask) -> None:
    """See whether somebody else uses the replacement already."""
    old, new = _both_keys(work)
    replacement = work.retirement.replacement
    assert replacement is not None  # noqa: S101 - for the type checker: set with this state
    assert replacement.proof_ended_at is not None  # noqa: S101
    use = work.iam.last_use(new.access_key_id)
    if use.at is not None and use.at > replacement.proof_ended_at + _CLOCKS_APART:
        moved = msgspec.structs.replace(replacement, first_used_at=use.at)
        work.record(
            "observed", seen={"key": new.access_key_id, **seen_facts(new, use)}, state="moved",
            replacement=moved, due_at=work.now(), note=f"the new key is used: {told_use(use)}",
        )  # fmt: skip
        return
    _wait_for_use(work, old)


def _wait_for_use(work: RetirementTask, old: SeenKey) -> None:
    r = work.retirement
    replacement = r.replacement
    assert replacement is not None  # noqa: S101 - for the type checker: set with this state
    use = work.iam.last_use(old.access_key_id)
    note = f"nobody else has used the new key at {replacement.destination} yet; the old: {told_use(use)}"
    work.wait(_overdue(work, note), r.due_at or work.now())
    raise Paused(work.retirement.note)


def watch_quiet(work: RetirementTask) -> None:
    """Disable the old key once it has been quiet for long enough since the replacement is in use."""
    r = work.retirement
    old, _ = _both_keys(work)
    require_status(work, old, ACTIVE)
    use = work.iam.last_use(old.access_key_id)
    since = _quiet_since(work, use)
    if is_over(since, r.terms.quiet, work.now()) and not late_use(r, use, work.now()):
        switch_off(work, seen_facts(old, use))
        return
    due = over_at(since, r.terms.quiet)
    note = f"the new key is in use; the old one was used {told_use(use)}, quiet is over {format_instant(due)}"
    work.wait(_overdue(work, note), due)
    raise Paused(work.retirement.note)


def _quiet_since(work: RetirementTask, use: KeyLastUse) -> datetime:
    replacement = work.retirement.replacement
    assert replacement is not None  # noqa: S101 - for the type checker: set with this state
    assert replacement.first_used_at is not None  # noqa: S101
    return max(replacement.first_used_at, use.at or replacement.first_used_at)


def _both_keys(work: RetirementTask) -> tuple[SeenKey, SeenKey]:
    """Read the old key and its replacement; both are there and on, or the rotation is over."""
    r = work.retirement
    keys = read_keys(work)
    old = find_key(work, keys)
    require_replacement(work, keys)
    assert r.replacement is not None  # noqa: S101 - for the type checker: set with this state
    new = keys[r.replacement.access_key_id]
    require_status(work, old, ACTIVE)
    return old, new


def _overdue(work: RetirementTask, note: str) -> str:
    """Add to a note that the rotation should have been over by now; it is never forced."""
    r = work.retirement
    started = r.replacement.handed_over_at if r.replacement else None
    if started is None or not is_over(started, r.terms.deadline, work.now()):
        return note
    return f"overdue, {format_duration(r.terms.deadline)} have passed: {note}"
