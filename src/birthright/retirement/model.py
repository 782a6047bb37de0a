"""What a retirement is: the plan's items, the states a key goes through, the durations agreed on.

Times are UTC. These values are kept in plans and in the journal; a field is only ever added.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from birthright.facts.model import INACTIVE

# What a plan does with a key.
Action = Literal["retire", "rotate", "refuse"]

# open: agreed on, nothing done. created: a replacement exists, its secret only in memory.
# handed-over: the replacement's secret is at its destination. proven: AWS accepts the replacement.
# moved: somebody else uses the replacement. disabled: the old key is off, the quarantine runs.
# The rest are ends: deleted; reclaimed: somebody switched the key on again; stopped: something moved,
# a person has to look; undone: by `birthright undo`; gone: somebody else deleted the key.
State = Literal[
    "open",
    "created",
    "handed-over",
    "proven",
    "moved",
    "disabled",
    "deleted",
    "reclaimed",
    "stopped",
    "undone",
    "gone",
]
ENDS: frozenset[State] = frozenset({"deleted", "reclaimed", "stopped", "undone", "gone"})
# Ends by the will of a person, which another plan does not overrule by itself.
WANTED_BACK: frozenset[State] = frozenset({"reclaimed", "undone"})


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The durations agreed on.

    in_use: how recent a last use must be for the key to count as in use.
    quarantine: how long a key stays disabled before it is deleted.
    quiet: how long the old key must have been unused, with its replacement in use, to be disabled.
    deadline: after how long a rotation whose old key is still used is called overdue.
    """

    in_use: timedelta = timedelta(days=90)
    quarantine: timedelta = timedelta(days=14)
    quiet: timedelta = timedelta(days=3)
    deadline: timedelta = timedelta(days=30)


class KeyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan knows of a key: AWS's words, as of `as_of`; None is "not known".

    `as_of` is the instant the last use is known for: the credential report's time, or the scan's.
    """

    status: str | None
    created_at: datetime | None
    user_created_at: datetime | None
    ever_used: bool | None
    last_used_at: datetime | None
    last_used_region: str | None
    last_used_service: str | None
    as_of: datetime | None

    @property
    def is_inactive(self) -> bool:
        """Whether the key was inactive already; one of unknown status is not."""
        return self.status == INACTIVE


class FindingRef(msgspec.Struct, frozen=True):
    """The finding that asks for the retirement."""

    policy: str
    fingerprint: str
    reason: str


class PlanRef(msgspec.Struct, frozen=True):
    """Which plan a retirement comes from. `expires_at`: it must have begun by then."""

    id: str
    digest: str
    expires_at: datetime


class Replacement(msgspec.Struct, frozen=True, kw_only=True):
    """The new key of a rotation. Its secret is nowhere here.

    token: the unique name of this hand-over; destinations keep it, so that they can be asked for it.
    destination: where the secret is, in words. proof_ended_at: our own last use of the key was not
    later. proven: whether it was accepted. first_used_at: the first use by somebody else that was seen.
    """

    access_key_id: str
    created_at: datetime
    token: str = ""
    destination: str = ""
    handed_over_at: datetime | None = None
    proof_ended_at: datetime | None = None
    proven: bool = False
    first_used_at: datetime | None = None


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was announced and whose outcome is not known yet.

    call: `disable`, `confirm` (read back that it is off), `revert` (enable, as it was used at the last
    moment), `delete`, `enable` (undo), `create`, `hand-over`, `prove`, `discard` (delete a replacement
    nobody has), `annotate`.
    access_key_id: the key concerned. keys_before: the user's key ids before a creation. where: from
    which machine, folder and Region a hand-over went, as its destination may mean another place elsewhere.
    """

    call: str
    at: datetime
    access_key_id: str = ""
    token: str = ""
    keys_before: tuple[str, ...] = ()
    where: str = ""


class Retirement(msgspec.Struct, frozen=True, kw_only=True):
    """One key's retirement as it stands; the sum of its journal steps.

    due_at: when there is something to do next; None once it has ended. disabled_at: when AWS said yes
    to our disabling the key, by AWS's clock. note: one sentence on where it stands, for people.
    unresolved: what a person has to look at whatever becomes of the key, such as another key that may be
    nobody's; every note from then on ends with it.
    handover: where a replacement's secret goes, as written in the plan; None for `retire`.
    """

    id: str
    account_id: str
    partition: str
    user_name: str
    user_arn: str
    access_key_id: str
    action: Literal["retire", "rotate"]
    terms: Terms
    plan: PlanRef
    planned: KeyFacts
    findings: tuple[FindingRef, ...] = ()
    handover: str | None = None
    annotate: bool = False
    ticket: str = ""
    reason: str = ""
    opened_at: datetime
    opened_by: str
    state: State = "open"
    due_at: datetime | None = None
    intent: Intent | None = None
    replacement: Replacement | None = None
    disabled_at: datetime | None = None
    ended_at: datetime | None = None
    note: str = ""
    unresolved: str = ""

    @property
    def is_open(self) -> bool:
        """Whether there is still something to do or to wait for."""
        return self.state not in ENDS

    @property
    def is_left_off(self) -> bool:
        """Whether the key, if it was disabled, was not given back or deleted since."""
        return self.state not in {"undone", "reclaimed", "deleted", "gone"}

    @property
    def subject(self) -> str:
        """What is locked while it is worked on: the user, as a rotation concerns all the user's keys."""
        return f"{self.account_id}/{self.user_name}"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the journal.

    seq: its place in the chain, from 1. kind: `opened`, `intent`, `outcome`, `observed`, `stopped`,
    `ended` or `note`. actor: the ARN that STS gave for the caller. call: the AWS call or hand-over
    concerned, empty where there is none. request_id: AWS's. detail: what was seen or said, plain
    values, no secret. changes: the fields of the retirement that the step sets, as plain values.
    digest: SHA-256 over the step and the digest before it, hexadecimal.
    """

    seq: int
    retirement_id: str
    at: datetime
    kind: str
    actor: str
    call: str = ""
    request_id: str = ""
    detail: dict[str, object] = {}
    changes: dict[str, object] = {}
    previous: str = ""
    digest: str = ""
