"""Giving a key back: enable it again, at any time before it is deleted."""

from birthright.errors import UsageError
from birthright.facts.model import INACTIVE
from birthright.retirement.engine.iam import SeenKey
from birthright.retirement.engine.preconditions import (
    SETTLED,
    RetirementEnded,
    find_key,
    is_over,
    late_use,
    read_keys,
    unsettled,
)
from birthright.retirement.engine.recovery import MADE_WITHIN
from birthright.retirement.engine.removal import give_back, note_deleted, was_on
from birthright.retirement.engine.state_machine import Result, attempt
from birthright.retirement.engine.task import RetirementTask
from birthright.retirement.model import WANTED_BACK, Retirement

_SWITCHING = frozenset({"disable", "confirm", "revert", "enable", "delete"})
_SWITCHING_ON = frozenset({"revert", "enable"})
_IN_THE_MAKING = frozenset({"create", "hand-over", "prove", "discard"})


def undo(work: RetirementTask) -> Result:
    """Enable the key if we disabled it, and close the retirement. Raises UsageError, JournalError."""
    return attempt(work, _undo)


def _undo(work: RetirementTask) -> None:
    r = work.retirement
    _refuse_impossible(r)
    keys = read_keys(work)
    if r.access_key_id not in keys and r.intent and r.intent.call == "delete":
        note_deleted(work, "")
        raise RetirementEnded
    key = find_key(work, keys)
    if r.intent and r.intent.call == "delete" and not is_over(r.intent.at, SETTLED, work.looked_at):
        raise unsettled("the key is deleted or not")
    if not _is_ours(r) or _was_off(work, key):
        other = f"; its replacement {r.replacement.access_key_id} stays, too" if r.replacement else ""
        work.end("undone", f"closed; the key {_stands(r, key)}{other}", seen={"status": key.status})
        raise RetirementEnded
    # Asked for whatever reads show: they may be old.
    give_back(work, {"status": key.status})


def _refuse_impossible(r: Retirement) -> None:
    if r.state == "deleted":
        raise UsageError(
            f"{r.access_key_id} is deleted", "AWS cannot bring a deleted key back: make a new one"
        )
    if r.state == "created" or (r.intent and r.intent.call in _IN_THE_MAKING):
        raise UsageError(
            f"a replacement of {r.access_key_id} is in the making", "run 'birthright apply --due' first"
        )


def _is_ours(r: Retirement) -> bool:
    """Whether it was we who disabled the key, or may have been."""
    if r.state in WANTED_BACK:
        return False
    return r.disabled_at is not None or (r.intent is not None and r.intent.call in _SWITCHING)


def _was_off(work: RetirementTask, key: SeenKey) -> bool:
    """Whether the key was off before we came, for all that can be known.

    Not if it is seen to be on, or was used around when we disabled it: somebody had switched it on, and
    our disabling took it away.
    """
    r = work.retirement
    asked_to_be_on = r.intent is not None and r.intent.call in _SWITCHING_ON
    if not r.planned.is_inactive or key.status != INACTIVE or asked_to_be_on:
        return False
    disabled_at = r.disabled_at or (r.intent.at if r.intent else work.now())
    use = work.iam.last_use(key.access_key_id)
    if not late_use(r, use, disabled_at) or not was_on(r, use, disabled_at):
        return True
    # Used when our call was long over, it was switched on and off by somebody else.
    return use.at is None or use.at > disabled_at + MADE_WITHIN + SETTLED


def _stands(r: Retirement, key: SeenKey) -> str:
    if key.status != INACTIVE:
        return "is enabled"
    if r.planned.is_inactive:
        return "stays disabled, as it was before the plan"
    return "was disabled by somebody else, and stays so"
