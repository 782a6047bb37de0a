"""What a sandbox is made with."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from birthright.errors import UsageError
from birthright.sandbox.faults import Fault
from birthright.sandbox.organization import Fields, State
from birthright.sandbox.report_csv import Style

ACCOUNT_ID = "111122223333"
_MOST_ACCOUNTS = 50_000  # in an organization
_NO_ACCOUNT_ID = 10**12


class SandboxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a sandbox, its limits, its delays and its address. Raises UsageError.

    users: how many users besides the scanner's own; the named cases come first.
    seed, account_id, partition, cases: what the account holds (see `population`).
    accounts: how many accounts, with ids counting up from `account_id` and a population each, made when
    first asked for; all but the first are entered through their roles.
    allow: what the scanner may do, as patterns (`iam:List*`); None is everything.
    longest_session: seconds, of every role (AWS: 3,600, up to 43,200).

    organization: whether the accounts are one organization, the first its management account; None is yes
    where there are several. account_states: how many accounts are in a state other than ACTIVE; None is
    one SUSPENDED and one PENDING_CLOSURE where there are ten accounts or more and `cases` is true.
    account_fields: whether Organizations answers `both`, only `state` or only `status`. delegates: accounts
    that may list as the management account may.

    throttle, burst: calls a second per account and service; None is no limit. They leave out STS, which
    has `sts_throttle` per calling account (AWS: 600), and Organizations.
    latency_ms, jitter_ms: how long each answer is held back; jitter is added, evenly spread.
    faults: in force from the start.

    clock: where the sandbox's time starts (UTC); None is now. `frozen` makes it stand still.
    report: `cached` starts with a report two hours old, `none` without. report_style: how the CSV is
    written. report_seconds: how long a report takes to be made.
    consistency_seconds: how long a new key is not yet accepted, and ListAccessKeys shows how things were.
    last_use_lag_seconds: how long a use is not shown. last_use_span_seconds: how long after a recorded use
    no other is recorded (AWS: 900).

    listen, port, allow_remote: where to listen; port 0 is any free one.
    """

    users: int = 100
    seed: int = 1
    account_id: str = ACCOUNT_ID
    accounts: int = 1
    partition: str = "aws"
    cases: bool = True
    allow: tuple[str, ...] | None = None
    longest_session: int = 3600

    organization: bool | None = None
    account_states: Mapping[State, int] | None = None
    account_fields: Fields = "both"
    delegates: Sequence[str] = ()

    throttle: float | None = None
    burst: float | None = None
    sts_throttle: float | None = None
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    faults: Sequence[Fault] = ()

    clock: datetime | None = None
    frozen: bool = False
    report: Literal["cached", "none"] = "cached"
    report_style: Style = Style()
    report_seconds: float = 0.0
    consistency_seconds: float = 0.0
    last_use_lag_seconds: float = 0.0
    last_use_span_seconds: float = 0.0

    listen: str = "127.0.0.1"
    port: int = 0
    allow_remote: bool = False

    def __post_init__(self) -> None:
        _only_loopback(self.listen, allow_remote=self.allow_remote)
        if not re.fullmatch(r"\d{12}", self.account_id, re.ASCII):
            raise UsageError(f"{self.account_id!r} is not an account id", "it has 12 digits")
        last = int(self.account_id) + self.accounts
        if not 1 <= self.accounts <= _MOST_ACCOUNTS or last > _NO_ACCOUNT_ID:
            there = f"{self.accounts} accounts from {self.account_id} on"
            raise UsageError(f"there cannot be {there}", f"1 to {_MOST_ACCOUNTS}")

    @property
    def account_ids(self) -> tuple[str, ...]:
        """The ids of all accounts, the first one's first."""
        return tuple(f"{int(self.account_id) + number:012d}" for number in range(self.accounts))

    @property
    def is_organization(self) -> bool:
        """Whether the accounts are one organization."""
        return self.accounts > 1 if self.organization is None else self.organization


def _only_loopback(listen: str, *, allow_remote: bool) -> None:
    """Its credentials are public: whoever reaches it may do anything to it."""
    try:
        loopback = ipaddress.ip_address(listen).is_loopback
    except ValueError:
        raise UsageError(f"{listen!r} is not an IP address") from None
    if not loopback and not allow_remote:
        raise UsageError(f"{listen} is not loopback", "listen on 127.0.0.1 or ::1")
