"""Troubles on demand: errors, cut answers, odd reports, throttling. Deterministic by seed."""

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from birthright.errors import UsageError
from birthright.sandbox.wire import AwsError, WireResponse

Kind = Literal[
    "lost",
    "service-failure",
    "service-failure-after",
    "limit-exceeded",
    "throttling",
    "expired-token",
    "access-denied",
    "report-expired",
    "report-never-completes",
    "report-body",
    "short-pages",
    "empty-pages",
    "cut",
    "malformed",
    "empty",
    "drop",
    "hang",
]

# Statuses and codes: botocore's iam model and aws-facts ("Throttling" is 400 in IAM, not 429).
ERRORS = {
    "service-failure": (500, "ServiceFailure", "The request processing has failed."),
    "limit-exceeded": (409, "LimitExceeded", "Too many requests for this account; try later."),
    "throttling": (400, "Throttling", "Rate exceeded"),
    "expired-token": (403, "ExpiredToken", "The security token included in the request is expired"),
    "report-expired": (410, "ReportExpired", "The credential report has expired."),
}
# Faults that strike when the call has had its effect already: the caller does not get the true answer.
AFTER_EFFECT = frozenset({"service-failure-after", "cut", "malformed", "empty", "drop", "hang"})
_DEFAULT_ACTION = {
    "limit-exceeded": "GenerateCredentialReport",
    "report-expired": "GetCredentialReport",
    "report-never-completes": "*CredentialReport",
    "report-body": "GetCredentialReport",
    "short-pages": "List*",
    "empty-pages": "List*",
}
_HASH_BYTES = 8


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One trouble, and which calls it strikes.

    kind: what happens. Before the call has any effect: `lost` closes without a word, and nothing is
        counted as AWS never saw the call; AWS's errors (`service-failure` is a 500). After its effect:
        `service-failure-after` answers 500 all the same; `cut` sends half of the announced body and
        closes; `malformed` sends half of the body as if it were whole; `empty` sends 200 and no body;
        `drop` closes without a word; `hang` never answers. In reads, `report-body` serves `body` as the
        report, `short-pages` gives at most `size` items a page; `empty-pages` puts an empty page that has
        a token before a page of Organizations.
    action: a pattern of action names; empty is the kind's own action, or every action.
    user: a pattern of the call's UserName, or of the secret or parameter it names (calls that name none
        match only `*`).
    account: a pattern of the id of the caller's account; for AssumeRole, of the role's account.
    accounts_share: the share of accounts whose calls are struck, 0 to 1. Which ones depends on the seed,
        `kind`, `action` and the account id alone: they are the same at every call and after a restart.
    after: so many matching calls are let through first.
    times: how many calls are struck, then the fault is gone; None is until it is cleared.
    share: the share of matching calls that are struck, 0 to 1.
    """

    kind: Kind
    action: str = ""
    user: str = "*"
    account: str = "*"
    accounts_share: float = 1.0
    after: int = 0
    times: int | None = None
    share: float = 1.0
    body: str = ""
    size: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.accounts_share <= 1):
            raise ValueError("share and accounts_share must be 0 to 1")
        if self.times is not None and self.times < 1:
            raise ValueError("times must be at least 1")
        self.action = self.action or _DEFAULT_ACTION.get(self.kind, "*")

    def matches(self, action: str, user: str) -> bool:
        """Whether this fault concerns such a call."""
        return fnmatchcase(action, self.action) and (self.user == "*" or fnmatchcase(user, self.user))


class Faults:
    """The troubles in force, in the order they were added."""

    def __init__(self, seed: int = 0) -> None:
        self._active: list[Fault] = []
        self._seed = seed
        self._random = random.Random(f"faults/{seed}")  # noqa: S311 - not for cryptography

    def __len__(self) -> int:
        return len(self._active)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._active)

    def add(self, kind: Kind, **details: object) -> Fault:
        """Put a trouble in force and return it; `details` are the fields of Fault."""
        try:
            fault = msgspec.convert({"kind": kind, **details}, Fault)
        except msgspec.ValidationError as error:
            raise UsageError(f"that fault is not understood: {error}") from None
        self.put([fault])
        return fault

    def put(self, faults: Iterable[Fault]) -> None:
        """Put already read faults in force, after those there are."""
        self._active = [*self._active, *faults]

    def clear(self) -> None:
        """End every trouble."""
        self._active = []

    def lose(self, action: str, user: str, account_id: str) -> bool:
        """Whether this call is lost on its way to AWS; counts the `lost` faults down."""
        lost = [fault for fault in self._active if fault.kind == "lost"]
        struck = [self._strikes(fault, action, user, account_id) for fault in lost]
        return True in struck

    def strike(self, action: str, user: str, account_id: str) -> tuple[Fault, ...]:
        """Return the other faults that strike this call, and count them down."""
        if not self._active:
            return ()
        there = [fault for fault in self._active if fault.kind != "lost"]
        return tuple(fault for fault in there if self._strikes(fault, action, user, account_id))

    def strikes_account(self, fault: Fault, account_id: str) -> bool:
        """Whether the fault concerns an account at all; `share`, `after` and `times` are left aside."""
        if fault.account != "*" and not fnmatchcase(account_id, fault.account):
            return False
        if fault.accounts_share >= 1:
            return True
        parts = f"{self._seed}/{fault.kind}/{fault.action}/{account_id}"
        found = hashlib.blake2b(parts.encode(), digest_size=_HASH_BYTES).digest()
        return int.from_bytes(found, "big") / (1 << 8 * _HASH_BYTES) < fault.accounts_share

    def _strikes(self, fault: Fault, action: str, user: str, account_id: str) -> bool:
        if not fault.matches(action, user) or not self.strikes_account(fault, account_id):
            return False
        if fault.after > 0:
            fault.after -= 1
            return False
        if fault.share < 1 and self._random.random() >= fault.share:
            return False
        if fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self._active = [other for other in self._active if other is not fault]
        return True


def failure_after(faults: Iterable[Fault]) -> AwsError | None:
    """Return the error that hides a call's effect from the caller, if the faults ask for one."""
    if any(fault.kind == "service-failure-after" for fault in faults):
        return AwsError(*ERRORS["service-failure"])
    return None


def refusal(faults: Iterable[Fault], denied: str) -> AwsError | None:
    """Return the error document the faults ask for, if any; `denied` is AccessDenied's message."""
    for fault in faults:
        if fault.kind == "access-denied":
            return AwsError(403, "AccessDenied", denied)
        if fault.kind in ERRORS:
            return AwsError(*ERRORS[fault.kind])
    return None


def spoil(response: WireResponse, faults: Iterable[Fault]) -> WireResponse:
    """Do to a finished answer what the faults of the connection do to it."""
    for fault in faults:
        match fault.kind:
            case "cut" | "drop" | "hang":
                response.deliver = fault.kind
            case "malformed":
                response.body = response.body[: len(response.body) // 2]
            case "empty":
                response.body = b""
            case _:
                pass
    return response


class Throttle:
    """A token bucket for each account and service: `rate` calls a second, at most `burst` at once.

    AWS publishes neither rate nor burst for IAM; it refuses per account. `rate` None lets all pass.
    STS has a much higher limit of its own, which is counted for the caller's account: `sts_rate`, with
    a burst of one second. Organizations lets all pass.
    Refused calls cost no token. `wall` counts real seconds, as callers wait in real time.
    """

    def __init__(self, wall: Callable[[], float] = time.monotonic) -> None:
        self.rate: float | None = None
        self.burst = 1.0
        self.sts_rate: float | None = None
        self.refused: Counter[str] = Counter()
        self._wall = wall
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def limit(self, rate: float | None, burst: float | None = None) -> None:
        """Set the rate, and the burst (by default one second's worth); buckets start full."""
        _more_than_none(rate)
        self.rate = rate
        self.burst = max(burst or rate or 1.0, 1.0)
        self._buckets = {}

    def limit_sts(self, rate: float | None) -> None:
        """Set STS's own rate; AWS's is 600."""
        _more_than_none(rate)
        self.sts_rate = rate

    def admit(self, account_id: str, service: str) -> bool:
        """Take a token; False is AWS's "Rate exceeded"."""
        rate, burst = self._limits(service)
        if rate is None:
            return True
        now, place = self._wall(), (account_id, service)
        tokens, seen = self._buckets.get(place, (burst, now))
        tokens = min(burst, tokens + (now - seen) * rate)
        admitted = tokens >= 1
        self._buckets[place] = (tokens - admitted, now)
        if not admitted:
            self.refused[account_id] += 1
        return admitted

    def _limits(self, service: str) -> tuple[float | None, float]:
        if service == "sts":
            return self.sts_rate, max(self.sts_rate or 1.0, 1.0)
        return (None, 1.0) if service == "organizations" else (self.rate, self.burst)


def _more_than_none(rate: float | None) -> None:
    if rate is not None and rate <= 0:
        raise UsageError("a throttle must let more than 0 calls a second pass")
