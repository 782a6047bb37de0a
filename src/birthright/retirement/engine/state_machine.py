"""The state machine: what comes next for a retirement, and how far it goes now."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from birthright.errors import BirthrightError, CredentialsError, LockedError, ReadError, UsageError
from birthright.retirement.engine.preconditions import RetirementEnded, is_over
from birthright.retirement.engine.recovery import lost_secret, recover
from birthright.retirement.engine.removal import delete, disable, look
from birthright.retirement.engine.rotation import replace, watch, watch_quiet
from birthright.retirement.engine.task import Paused, RetirementTask
from birthright.retirement.model import Retirement, State

Step = Callable[[RetirementTask], None]


class Result(msgspec.Struct, frozen=True):
    """How far one retirement came. `waits` says what it waits for; `trouble` what has to be put right."""

    retirement: Retirement
    waits: str = ""
    trouble: BirthrightError | None = None


def advance(work: RetirementTask) -> Result:
    """Take a retirement as far as it goes now. Raises JournalError, LockedError."""
    if work.retirement.access_key_id in {work.account.own_key_id, *work.tools.own_key_ids}:
        error = CredentialsError("birthright runs with this very key", "use other credentials")
        return Result(work.retirement, str(error), error)
    return attempt(work, _go)


def attempt(work: RetirementTask, steps: Step) -> Result:
    """Take steps, and tell how far they led: to an end, to a wait, or into trouble."""
    try:
        steps(work)
    except RetirementEnded:
        pass
    except Paused as pause:
        return Result(work.retirement, pause.reason, pause.cause)
    except LockedError:
        raise
    except (ReadError, UsageError) as error:
        return Result(work.retirement, str(error), error)
    return Result(work.retirement, work.retirement.note if work.retirement.is_open else "")


def _go(work: RetirementTask) -> None:
    while (step := _next(work.retirement, work.now())) and not work.tools.stopping():
        step(work)


def _next(r: Retirement, now: datetime) -> Step | None:
    """Choose the next step; None while there is nothing to do."""
    if r.intent is not None:
        return recover
    if r.state == "open" and now >= r.plan.expires_at and not _has_begun(r):
        return _expire
    if r.state == "disabled" and r.disabled_at and not is_over(r.disabled_at, r.terms.quarantine, now):
        return look if r.due_at is None or now >= r.due_at else None
    steps: dict[State, Step] = {
        "open": disable if r.action == "retire" else replace,
        "created": lost_secret,
        "handed-over": watch,
        "proven": watch,
        "moved": watch_quiet,
        "disabled": delete,
    }
    return steps.get(r.state)


def _has_begun(r: Retirement) -> bool:
    """Whether something was done already: a note is only written from then on."""
    return bool(r.note)


def _expire(work: RetirementTask) -> None:
    work.end("stopped", "the plan expired before anything was done: plan again")
    raise RetirementEnded
