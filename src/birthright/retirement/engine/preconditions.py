"""What is read again right before a change, and what it means for the retirement.

Every function reads AWS and returns, or ends the retirement because something moved and raises Over.
"""

from datetime import datetime, timedelta
from typing import NoReturn

from birthright.errors import AccessDeniedError, RefusedError
from birthright.facts.model import ACTIVE, INACTIVE, KeyStatus
from birthright.retirement.engine.iam import KeyLastUse, SeenKey
from birthright.retirement.engine.task import Paused, RetirementTask
from birthright.retirement.model import Retirement
from birthright.times import format_instant

# AWS's times are cut to the second, so a wait is over one second after it seems to be.
GRAIN = timedelta(seconds=1)
# After this long every reader of IAM sees a change.
SETTLED = timedelta(minutes=5)
# A use may show up late; a key that shows none for this long was not used when it was made.
USE_SHOWS = timedelta(hours=1)

_LOOKS = 60  # until a change is seen
_LOOK_AGAIN = 0.5  # seconds


class RetirementEnded(Exception):  # noqa: N818 - no error: the retirement has ended, and the journal says how
    """The retirement has ended."""


def is_over(since: datetime, wait: timedelta, now: datetime) -> bool:
    """Whether a wait that began at `since` is over."""
    return now >= over_at(since, wait)


def over_at(since: datetime, wait: timedelta) -> datetime:
    """Return when a wait is over."""
    return since + wait + GRAIN


def read_keys(work: RetirementTask) -> dict[str, SeenKey]:
    """Read the user's keys, by id; what they show is of `work.looked_at`, or later. Raises ReadError."""
    before = work.now()
    keys = {key.access_key_id: key for key in work.iam.keys(work.retirement.user_name)}
    # The answer may have shown that the clock was early.
    work.looked_at = min(before, work.now())
    return keys


def find_key(work: RetirementTask, keys: dict[str, SeenKey] | None = None) -> SeenKey:
    """Find the key, with the creation time that was planned; else the retirement is over."""
    r = work.retirement
    key = (read_keys(work) if keys is None else keys).get(r.access_key_id)
    if key is None:
        end_missing(work)
    if key.created_at != r.planned.created_at:
        made = format_instant(key.created_at)
        work.end("stopped", f"the key was made {made}, not when the plan says: plan again")
        raise RetirementEnded
    return key


def end_missing(work: RetirementTask) -> NoReturn:
    """End the retirement of a key that its user does not have: it is deleted, or the user was renamed."""
    require_not_renamed(work)
    work.end("gone", "somebody else deleted the key")
    raise RetirementEnded


def require_not_renamed(work: RetirementTask) -> None:
    """Stop if the key is another user's now."""
    r = work.retirement
    try:
        owner = work.iam.last_use(r.access_key_id).user_name
    except (AccessDeniedError, RefusedError):
        # AWS answers this to questions about keys that are not there.
        owner = ""
    if owner and owner != r.user_name:
        work.end("stopped", f"the key belongs to {owner} now, and is as it was left: plan again")
        raise RetirementEnded


def require_status(work: RetirementTask, key: SeenKey, expected: str | None) -> None:
    """Stop if somebody switched the key on or off since the plan was made."""
    if key.status != expected:
        work.end(
            "stopped",
            f"the key is {key.status}, not {expected} as planned: plan again",
            seen={"status": key.status},
        )
        raise RetirementEnded


def require_inactive(work: RetirementTask, key: SeenKey) -> None:
    """Stop if somebody switched the key, which we had disabled, on again."""
    if key.status != INACTIVE:
        work.end("reclaimed", "somebody switched the key on again; it stays", seen={"status": key.status})
        raise RetirementEnded


def require_replacement(work: RetirementTask, keys: dict[str, SeenKey]) -> None:
    """Stop if the user would be left without a key: the replacement of a rotation is there and on."""
    trouble = replacement_trouble(work, keys)
    if trouble:
        back = undo_hint(work.retirement) if work.retirement.disabled_at else ": plan again"
        work.end("stopped", f"{trouble}{back}")
        raise RetirementEnded


def replacement_trouble(work: RetirementTask, keys: dict[str, SeenKey]) -> str:
    """Say what is wrong with the replacement; empty if nothing is, or there is none yet."""
    replacement = work.retirement.replacement
    if replacement is None:
        return ""
    new = keys.get(replacement.access_key_id)
    if new is None and not is_over(replacement.created_at, SETTLED, work.looked_at):
        raise unsettled("the new key was made")
    if new is not None and new.status == ACTIVE:
        return ""
    did = "deleted" if new is None else f"made {new.status}"
    return f"somebody has {did} the replacement {replacement.access_key_id}"


def undo_hint(r: Retirement) -> str:
    """Say that the key is off, and how it is given back; one that was off when planned is not."""
    if r.planned.is_inactive:
        return "; the key stays disabled, as it was before the plan"
    return f"; the old key stays disabled: 'birthright undo {r.access_key_id}' enables it"


def late_use(r: Retirement, use: KeyLastUse, by: datetime) -> str:
    """Say which use of the old key forbids that it is off by `by`; empty if none does."""
    if use.at is None:
        return "AWS does not know the planned last use any more" if r.planned.last_used_at else ""
    told = f"it was used {told_use(use)}"
    if r.action == "rotate":
        return told if by - use.at < r.terms.quiet + GRAIN else ""
    if r.planned.last_used_at is None or use.at > r.planned.last_used_at:
        return f"{told}, after the plan's facts"
    return f"{told}, which counts as in use" if by - use.at < r.terms.in_use else ""


def told_use(use: KeyLastUse) -> str:
    """Write a last use for people: when, by which service, where."""
    if use.at is None:
        return "never"
    place = f" by {use.service} in {use.region}" if use.service and use.service != "N/A" else ""
    return f"{format_instant(use.at)}{place}"


def seen_facts(key: SeenKey, use: KeyLastUse) -> dict[str, object]:
    """Put what was read into a journal record's words."""
    return {
        "status": key.status,
        "created_at": format_instant(key.created_at),
        "last_used_at": format_instant(use.at) if use.at else None,
        "last_used_service": use.service,
        "last_used_region": use.region,
    }


def patiently(work: RetirementTask, access_key_id: str, status: KeyStatus | None) -> SeenKey | None:
    """Read until the key has that status (None: is not listed), through IAM's eventual consistency.

    Returns the key as last seen. Raises ReadError.
    """
    # Looks are counted: AWS's time may jump.
    for _ in range(_LOOKS):
        key = read_keys(work).get(access_key_id)
        if (key.status if key else None) == status or work.tools.stopping():
            break
        work.tools.sleep(_LOOK_AGAIN)
    return key


def unsettled(what: str) -> Paused:
    """Make the pause for reads that do not show a change yet."""
    return Paused(f"AWS's answers do not show yet that {what}; the next run looks again")
