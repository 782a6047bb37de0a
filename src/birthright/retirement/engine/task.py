"""One retirement while it is worked on: its lock, its journal, and the call between two records.

Every change of AWS goes through `Work.carry_out`:
 1. the announcement is in the journal, committed and synced;
 2. the lock is still ours, and the announcement is fresh;
 3. AWS is asked, once;
 4. a refusal is recorded; an outcome nobody knows leaves the announcement standing, and the next run
    finds out; success is recorded by the caller, together with what it means.
"""

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from birthright.errors import HandoverError, LockedError, ReadError, UncertainError, UsageError
from birthright.retirement.engine.accounts import RetiringAccount
from birthright.retirement.engine.iam import Go, Iam
from birthright.retirement.handover.interface import Destination, Owner
from birthright.retirement.handover.registry import destination, parse_spec
from birthright.retirement.journal.journal import Journal, Lock, Record
from birthright.retirement.model import Intent, Retirement, State

T = TypeVar("T")

_NEVER = datetime.min.replace(tzinfo=UTC)

# A call that was announced longer ago is not made any more: what it would do may not be right by now.
FRESH = timedelta(seconds=10)
# Nor one that rests on a look at AWS longer ago than this: a process can be held up at any point.
_LOOK_HOLDS = timedelta(seconds=30)
_RESTING_ON_A_LOOK = frozenset({"disable", "delete", "create"})
# How long a new key may take until AWS accepts it everywhere: for so long it is tried.
PROOF_PATIENCE = timedelta(seconds=60)


class Paused(Exception):  # noqa: N818 - no error: the retirement goes on at the next run
    """It cannot go on now, for a reason that may pass; `cause` is the error behind it."""

    def __init__(self, reason: str, cause: ReadError | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause


class RunContext(msgspec.Struct, frozen=True, kw_only=True):
    """What all retirements of a run share.

    now: AWS's time, UTC. sleep: seconds; returns early when the run is told to stop. stopping: whether
    it is. holder: who holds the locks, for people. own_key_ids: the long-lived keys behind the
    credentials in use, which are left alone.
    """

    journal: Journal
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    stopping: Callable[[], bool]
    holder: str
    lease: timedelta
    own_key_ids: frozenset[str] = frozenset()


class RetirementTask:
    """One retirement, locked, with the account it is in. `retirement` is always what the journal says.

    looked_at: a moment right before the user's keys were read the last time, UTC.
    """

    def __init__(
        self, retirement: Retirement, tools: RunContext, account: RetiringAccount, lock: Lock
    ) -> None:
        self.retirement = retirement
        self.tools = tools
        self.account = account
        self.looked_at = _NEVER
        self._lock = lock

    @property
    def iam(self) -> Iam:
        """The account's IAM."""
        return self.account.iam

    def here(self) -> str:
        """Name what the destination rests on without saying so: this machine and folder, or the Region."""
        if parse_spec(self.retirement.handover or "")[0].scope == "aws":
            return str(self.account.client("secretsmanager").meta.region_name)
        try:
            return " ".join((socket.gethostname(), str(Path.home()), str(Path.cwd())))
        except (OSError, RuntimeError):
            raise UsageError("the working folder or the home is not there", "run it elsewhere") from None

    def now(self) -> datetime:
        """Return the present by AWS's clock, UTC."""
        return self.tools.now()

    def destination(self, *, writing: bool = False) -> Destination:
        """Return the place where the replacement's secret goes. Raises UsageError.

        writing: AWS is only asked while the lock is ours. Whoever has it next may have deleted the key.
        """
        r = self.retirement
        owner = Owner(
            account_id=r.account_id,
            partition=r.partition,
            user_name=r.user_name,
            user_arn=r.user_arn,
            client=self._locked_client if writing else self.account.client,
        )
        return destination(r.handover or "", owner)

    def record(
        self, kind: str, call: str = "", request_id: str = "", *, seen: dict[str, object] | None = None,
        **changes: Any,  # noqa: ANN401 - as many types as the retirement has
    ) -> None:  # fmt: skip
        """Append to the journal; `changes` are fields of the retirement. Raises JournalError, LockedError."""
        record = Record(
            kind=kind,
            at=self.now(),
            actor=self.account.identity.arn,
            call=call,
            request_id=request_id,
            detail=seen or {},
            changes=changes,
        )
        self.retirement = self.tools.journal.append(self._lock, self.retirement, record)

    def end(
        self, state: State, note: str, call: str = "", request_id: str = "", *,
        seen: dict[str, object] | None = None,
        **changes: Any,  # noqa: ANN401 - as many types as the retirement has
    ) -> None:  # fmt: skip
        """Record that the retirement is over; `changes` are further fields of it.

        What is unresolved since an earlier end, before an undo, stays in the note.
        """
        kind = "stopped" if state in {"stopped", "reclaimed"} else "ended"
        note = "; ".join(filter(None, (note, self.retirement.unresolved)))
        over: dict[str, object] = {"state": state, "note": note, "ended_at": self.now()}
        self.record(kind, call, request_id, seen=seen, **over, **changes, intent=None, due_at=None)

    def leave(self, what: str, *, seen: dict[str, object] | None = None) -> None:
        """Stop, with something that a person has to look at whatever becomes of the key later."""
        self.end("stopped", what, seen=seen, unresolved=what)

    def wait(self, note: str, due_at: datetime) -> None:
        """Record why the retirement waits and until when, if that is news."""
        if (note, due_at) != (self.retirement.note, self.retirement.due_at):
            self.record("observed", note=note, due_at=due_at)

    def carry_out(self, intent: Intent, act: Callable[[Go], T], seen: dict[str, object]) -> T:
        """Announce a call, make it, and return its answer; `act` asks right before it whether it may go.

        If it is not made, what was announced before and is not cleared up yet stands again. Raises Paused
        if AWS refuses, or if nobody knows what came of it.
        """
        before = self.retirement.intent
        self.record("intent", intent.call, seen={"key": intent.access_key_id, **seen}, intent=intent)
        if not self._may_go(intent):
            self.record("outcome", intent.call, seen={"made": False, "why": "too late"}, intent=before)
            raise Paused("it took too long to announce the change; nothing was done")
        try:
            return act(partial(self._may_go, intent))
        except UncertainError as error:
            raise Paused(f"{error.message}; the next run finds out what came of it", error) from None
        except HandoverError:
            raise
        except ReadError as error:
            refusal = {"made": False, "why": error.message, "code": error.code}
            self.record("outcome", intent.call, seen=refusal, intent=before)
            raise Paused(str(error), error) from None

    def _locked_client(self, service: str) -> Any:  # noqa: ANN401 - botocore makes its clients at run time
        if not self._lock.is_mine(self.now()):
            raise LockedError(f"the lock of {self.retirement.subject} was lost", "run it again: it continues")
        return self.account.client(service)

    def _may_go(self, intent: Intent) -> bool:
        now = self.now()
        if intent.call in _RESTING_ON_A_LOOK and now - self.looked_at > _LOOK_HOLDS:
            return False
        patience = PROOF_PATIENCE if intent.call == "prove" else FRESH
        return self._lock.is_mine(now) and now - intent.at <= patience
