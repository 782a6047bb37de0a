"""Giving a key back: enable it again, at any time before it is deleted."""

from birthright.errors import UsageError
from birthright.retirement.advance import Result, attempt
from birthright.retirement.checks import SETTLED, Over, find_key, is_over, read_keys, unsettled
from birthright.retirement.model import WANTED_BACK, Retirement
from birthright.retirement.removal import give_back, note_deleted
from birthright.retirement.work import Work

_SWITCHING = frozenset({"disable", "confirm", "revert", "enable", "delete"})
_IN_THE_MAKING = frozenset({"create", "hand-over", "prove", "discard"})


def undo(work: Work) -> Result:
    """Enable the key if we disabled it, and close the retirement. Raises UsageError, JournalError."""
    return attempt(work, _undo)


def _undo(work: Work) -> None:
    r = work.retirement
    _refuse_impossible(r)
    keys = read_keys(work)
    if r.access_key_id not in keys and r.intent and r.intent.call == "delete":
        note_deleted(work, "")
        raise Over
    key = find_key(work, keys)
    if r.intent and r.intent.call == "delete" and not is_over(r.intent.at, SETTLED, work.looked_at):
        raise unsettled("the key is deleted or not")
    if r.planned.status == "Inactive":
        work.end("undone", "closed; the key stays disabled, as it was before")
        raise Over
    if not _is_ours(r):
        was = "is enabled" if key.status == "Active" else "was disabled by somebody else, and stays so"
        other = f"; its replacement {r.replacement.access_key_id} stays, too" if r.replacement else ""
        work.end("undone", f"closed; the key {was}{other}")
        raise Over
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
