"""Finding out what came of a call that was announced and whose outcome nobody wrote down.

Either the process died, or AWS's answer was lost. AWS is read, and says what is so; where it cannot say
who did it, nothing is touched until it is sure.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from birthright.aws.clock import APART
from birthright.errors import HandoverError
from birthright.facts.model import INACTIVE
from birthright.retirement.engine.accounts import READ_TIMEOUT
from birthright.retirement.engine.iam import SeenKey
from birthright.retirement.engine.preconditions import (
    GRAIN,
    SETTLED,
    USE_SHOWS,
    RetirementEnded,
    find_key,
    is_over,
    late_use,
    over_at,
    read_keys,
    replacement_trouble,
    require_status,
    seen_facts,
    unsettled,
)
from birthright.retirement.engine.removal import (
    confirm,
    delete,
    give_back,
    note_deleted,
    require_was_on,
    revert,
    switch_off,
)
from birthright.retirement.engine.rotation import (
    discard,
    note_discarded,
    note_handed_over,
    note_proof,
)
from birthright.retirement.engine.task import FRESH, PROOF_PATIENCE, Paused, RetirementTask
from birthright.retirement.handover.interface import DeliveredSecret
from birthright.retirement.model import Intent
from birthright.times import format_instant

if TYPE_CHECKING:
    from collections.abc import Callable

# What was announced can have reached AWS only so long after it, but for a process that is held up.
MADE_WITHIN = FRESH + timedelta(seconds=READ_TIMEOUT)
# A process can be held up between signing and sending. AWS takes a request for five minutes after it was
# signed, and the signer's clock may be some minutes ahead.
_SIGNED_FOR = timedelta(minutes=15)
_LOST = "found by reading AWS again: the answer was lost"


def recover(work: RetirementTask) -> None:
    """Find out what came of the announced call, record it, and go on from there."""
    intent = work.retirement.intent
    assert intent is not None  # noqa: S101 - for the type checker: the caller looked
    steps: dict[str, Callable[[RetirementTask], None]] = {
        "disable": _after_disable,
        "confirm": confirm,
        "revert": _after_revert,
        "enable": _after_enable,
        "delete": _after_delete,
        "create": _after_create,
        "hand-over": _after_hand_over,
        "prove": _after_proof,
        "discard": _after_discard,
        "annotate": _after_annotation,
    }
    steps[intent.call](work)


def _intent(work: RetirementTask) -> Intent:
    assert work.retirement.intent is not None  # noqa: S101 - for the type checker
    return work.retirement.intent


def _after_disable(work: RetirementTask) -> None:
    """Disable the key once more, whatever reads show: they may be old, and somebody else may have done it.

    Was it used meanwhile, it is asked to be on, unless it was still used when our call was long over:
    then it was somebody else who switched it off.
    """
    r = work.retirement
    keys = read_keys(work)
    key = find_key(work, keys)
    if key.status != INACTIVE:
        _require_still_on(work, key)
    use = work.iam.last_use(key.access_key_id)
    # Judged by when our lost call may have switched it off: a key that is off shows no use since.
    reason = late_use(r, use, _intent(work).at)
    if trouble := replacement_trouble(work, keys):
        # Our lost call may have switched the old key off, and the user would be left without any.
        revert(work, trouble, seen_facts(key, use))
    elif not reason:
        switch_off(work, seen_facts(key, use))
    elif use.at is not None and use.at > _intent(work).at + MADE_WITHIN + SETTLED:
        work.record("outcome", "disable", seen={"made": False, "why": f"{_LOST}; {reason}"}, intent=None)
    else:
        require_was_on(work, reason, use, _intent(work).at)
        revert(work, reason, seen_facts(key, use))


def _require_still_on(work: RetirementTask, key: SeenKey) -> None:
    """Stop if somebody switched on a key that was off; our lost call may have come after that, unseen."""
    planned = work.retirement.planned.status
    called_by = _intent(work).at + MADE_WITHIN
    if key.status != planned and not is_over(called_by, SETTLED, work.looked_at):
        raise unsettled("the key is disabled")
    require_status(work, key, planned)


def _after_revert(work: RetirementTask) -> None:
    """Ask again: reads may be old, and asking twice does no harm."""
    find_key(work)
    revert(work, "it was used while it was being disabled", {"how": _LOST})


def _after_enable(work: RetirementTask) -> None:
    """Ask again, as above."""
    find_key(work)
    give_back(work, {"how": _LOST})


def _after_delete(work: RetirementTask) -> None:
    """If it is gone, it is done; else every check is made again."""
    if read_keys(work).get(work.retirement.access_key_id) is None:
        note_deleted(work, "")
    elif not is_over(_intent(work).at, SETTLED, work.looked_at):
        raise unsettled("the key is deleted")
    else:
        delete(work)


def _after_create(work: RetirementTask) -> None:
    """Look for a key whose secret was lost: made after the announcement, never used, and alone."""
    intent = _intent(work)
    if not is_over(intent.at, SETTLED, work.now()):
        raise unsettled("a new key was made")
    keys = [key for key in read_keys(work).values() if key.access_key_id not in intent.keys_before]
    if not keys:
        work.record("outcome", "create", seen={"made": False, "why": _LOST}, intent=None)
        return
    orphan = keys[0]
    if len(keys) > 1 or not _is_ours(orphan, intent.at):
        _leave_alone(work, keys)
    use = work.iam.last_use(orphan.access_key_id)
    if use.at is not None:
        _leave_alone(work, keys)
    _wait_until_use_shows(work, orphan.access_key_id, orphan.created_at)
    discard(work, orphan.access_key_id, "its secret was lost on the way; nobody has it")


def _is_ours(key: SeenKey, announced: datetime) -> bool:
    return announced - APART - GRAIN <= key.created_at <= announced + MADE_WITHIN


def _leave_alone(work: RetirementTask, keys: list[SeenKey]) -> None:
    told = ", ".join(f"{key.access_key_id} of {format_instant(key.created_at)}" for key in keys)
    work.leave(
        f"a key appeared that may be somebody's ({told}) and was left alone: find out whose, plan again",
        seen={"keys": told},
    )
    raise RetirementEnded


def _wait_until_use_shows(work: RetirementTask, access_key_id: str, created_at: datetime) -> None:
    """Wait until the key is old enough to be called never used: a use may show up late."""
    due = over_at(created_at, USE_SHOWS)
    if work.now() < due:
        work.wait(f"the secret of {access_key_id} was lost; it is deleted when surely nobody uses it", due)
        raise Paused(work.retirement.note)


def lost_secret(work: RetirementTask) -> None:
    """Delete a replacement that was never handed over: nobody has its secret."""
    replacement = work.retirement.replacement
    assert replacement is not None  # noqa: S101 - for the type checker: set with this state
    discard(work, replacement.access_key_id, "its secret was lost before it was handed over")


def _after_hand_over(work: RetirementTask) -> None:
    """Ask the destination whether the secret arrived; a use by anybody says so, too."""
    replacement = work.retirement.replacement
    assert replacement is not None  # noqa: S101 - for the type checker: set with this state
    if replacement.access_key_id not in read_keys(work):
        if not is_over(replacement.created_at, SETTLED, work.looked_at):
            raise unsettled("the new key was made")
        note_discarded(work, "", "somebody else deleted it")
        return
    place = work.destination()
    try:
        arrived = place.holds(replacement.access_key_id, replacement.token)
    except HandoverError:
        arrived = None
    used = work.iam.last_use(replacement.access_key_id).at is not None
    if arrived or used:
        note_handed_over(work, DeliveredSecret(where=place.where))
    elif arrived is None or _intent(work).where != work.here():
        _leave_new_key(work, replacement.access_key_id, place.where)
    elif not is_over(_intent(work).at + work.tools.lease, _SIGNED_FOR, work.looked_at):
        # Whoever hands it over may write as long as it has the lock.
        raise unsettled("the secret was stored")
    else:
        discard(work, replacement.access_key_id, "the hand-over was interrupted and nobody uses the key")


def _leave_new_key(work: RetirementTask, access_key_id: str, where: str) -> None:
    """Wait for a use that would say it; then a person has to look, as the key may be what is read there."""
    replacement = work.retirement.replacement
    assert replacement is not None  # noqa: S101 - for the type checker: set with this state
    due = over_at(replacement.created_at, USE_SHOWS)
    if work.now() < due:
        work.wait(f"nobody knows whether the secret of {access_key_id} arrived at {where}", due)
        raise Paused(work.retirement.note)
    work.leave(
        f"nobody knows whether the secret of {access_key_id} is at {where}: look there;"
        " if it is not, delete that key; then plan again",
    )
    raise RetirementEnded


def _after_proof(work: RetirementTask) -> None:
    """Our own use may have come, or may still come, as late as AWS takes what was signed for the proof."""
    note_proof(work, None, _intent(work).at + PROOF_PATIENCE + _SIGNED_FOR)


def _after_discard(work: RetirementTask) -> None:
    """If somebody uses the key meanwhile, it stays; else it is deleted once more, if it is there at all."""
    access_key_id = _intent(work).access_key_id
    key = read_keys(work).get(access_key_id)
    if key is not None and work.iam.last_use(access_key_id).at is not None:
        _leave_alone(work, [key])
    discard(work, access_key_id, _LOST)


def _after_annotation(work: RetirementTask) -> None:
    """Let it be: a description is not worth asking AWS again."""
    work.record("outcome", "annotate", seen={"made": None, "why": "interrupted"}, intent=None)
