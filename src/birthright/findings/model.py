"""What a scan says: findings, and the document around them (`birthright.findings/1`).

The published JSON Schema is `birthright/reports/findings-1.schema.json`; tests hold every output
against it. Times are UTC.
"""

from collections.abc import Collection
from datetime import date, datetime
from typing import Literal

import msgspec

from birthright.facts.coverage import is_whole, reach_of
from birthright.facts.model import Status
from birthright.policies.evaluator import Verdict
from birthright.policies.page import Risk

SCHEMA = "birthright.findings/1"

# retire: disable, wait, delete. rotate: make a second key, move over, then retire the first.
# review: a person has to look, because the key is root's or its use is not known. none: not a key's fault.
Remedy = Literal["retire", "rotate", "review", "none"]

# Against an earlier scan. new: not there before. reappeared: there once, then fixed, and there again.
State = Literal["new", "persisting", "fixed", "reappeared"]
# What the scan before did not have.
FRESH: frozenset[State] = frozenset({"new", "reappeared"})

# active: it covers a finding. expiring: it does, and ends soon. expired: it is over. unmatched: it covers
# nothing any more. unread: what it is about was not read, so nobody knows.
WaiverState = Literal["active", "expiring", "expired", "unmatched", "unread"]


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """One fact a verdict rests on: `value` as AWS said it in `source`, at `as_of`; None is "not known"."""

    fact: str
    value: str | int | bool | None
    source: str
    as_of: datetime | None = None


class Waiver(msgspec.Struct, frozen=True, gc=False):
    """Somebody's decision to accept a finding, through the day `expires` (UTC)."""

    reason: str
    owner: str
    ticket: str | None
    created: date
    expires: date


class Finding(msgspec.Struct, frozen=True, gc=False):
    """One policy's verdict on one subject.

    `fingerprint` names the same finding in every scan, on every machine, at every depth. `access_key_id`
    is None where only the credential report was read. `gap_seconds` is key creation minus user creation.
    `user_keys` is how many keys the user of this key has, active or not; None where they were not listed.
    `state` is how it stands against an earlier scan, `first_seen` the instant of the first scan that had it;
    both are None where nothing was compared. `waiver` is why a failure is accepted; None where it is not.
    `subject` names what is neither an access key, nor a user, nor an account; it is left out for these.
    """

    fingerprint: str
    policy: str
    verdict: Verdict
    risk: Risk
    account_id: str
    user_name: str | None
    user_arn: str | None
    access_key_id: str | None
    status: str | None
    created_at: datetime | None
    user_created_at: datetime | None
    gap_seconds: int | None
    ever_used: bool | None
    last_used_at: datetime | None
    console_password: bool | None
    remedy: Remedy
    reason: str
    evidence: tuple[Evidence, ...]
    user_keys: int | None = None
    state: State | None = None
    first_seen: datetime | None = None
    waiver: Waiver | None = None
    subject: str | msgspec.UnsetType = msgspec.UNSET


class DocumentScan(msgspec.Struct, frozen=True):
    """Which scan the findings are of.

    `finished`: every account that was asked for was tried. `complete`: and every answer came. `listed`: it
    is known which accounts were asked for; a scan may be cut short before. `notes`: what else it lacks.
    """

    id: str
    as_of: datetime
    tool_version: str
    depth: str
    finished: bool = True
    complete: bool = True
    listed: bool = True
    notes: tuple[str, ...] = ()


class Summary(msgspec.Struct, frozen=True, rename={"passed": "pass"}):
    """What was looked at, and how many findings there are of each verdict; `waived` is apart."""

    accounts: int
    principals: int
    access_keys: int
    fail: int
    unknown: int
    passed: int
    waived: int = 0


class CoverageSummary(msgspec.Struct, frozen=True):
    """What was asked of an account and whether it was answered.

    Of an account whose id is `unknown`, `account_name` is the profile that could not be used.
    """

    account_id: str
    source: str
    status: Status
    detail: str
    rows: int
    calls: int
    throttled: int
    seconds: float
    report_generated_at: datetime | None
    account_name: str | None = None


class PolicySummary(msgspec.Struct, frozen=True, rename={"passed": "pass"}):
    """One policy as it was run: its parameters, its counts, its page's digest (None is not known)."""

    id: str
    title: str
    risk: Risk
    effort: str
    parameters: dict[str, str]
    fail: int
    unknown: int
    passed: int
    waived: int = 0
    sha256: str | None = None


class AccountSummary(msgspec.Struct, frozen=True, rename={"passed": "pass"}):
    """What an account holds, as far as it was read, and how many findings of each verdict are its own.

    `active_access_keys` are those known to be active. `account_name` and `ou_path` (`/Workloads/Prod`, `/`
    for the organization's root) are None where they are not known.
    """

    account_id: str
    principals: int
    access_keys: int
    active_access_keys: int
    account_name: str | None = None
    ou_path: str | None = None
    fail: int = 0
    unknown: int = 0
    passed: int = 0
    waived: int = 0


class OuSummary(msgspec.Struct, frozen=True):
    """The accounts right in one organizational unit, added up; `unread` of them answered nothing."""

    ou_path: str
    accounts: int
    principals: int
    access_keys: int
    fail: int
    unknown: int
    unread: int
    waived: int = 0


class WaiverSummary(msgspec.Struct, frozen=True):
    """One entry of the waivers' file, how it stands, and how many findings it covers.

    `account` and `user` may be patterns (`*`, `?`). `access_key_id` is None where the policy is not about
    keys.
    """

    policy: str
    account: str
    user: str
    access_key_id: str | None
    reason: str
    owner: str
    ticket: str | None
    created: date
    expires: date
    state: WaiverState
    findings: int


class Changes(msgspec.Struct, frozen=True):
    """How the findings stand against an earlier scan: how many of each state.

    `unread` of the earlier ones are of subjects that this scan could not read: nobody knows whether they are
    fixed. Waived findings are counted as well. `since` is None where there is no earlier scan: all is new.
    """

    since: str | None
    since_as_of: datetime | None
    new: int
    persisting: int
    reappeared: int
    fixed: int
    unread: int


class PastScan(msgspec.Struct, frozen=True):
    """What one scan, judged by today's policies, said: failures by policy, the unknown ones together.

    `new` and `fixed` are against the scan before it; waived findings are among the failures.
    """

    id: str
    as_of: datetime
    complete: bool
    accounts: int
    failing: dict[str, int]
    unknown: int
    new: int
    fixed: int

    @property
    def fail(self) -> int:
        """All failures."""
        return sum(self.failing.values())


class Document(msgspec.Struct, frozen=True):
    """All that a scan says; what every report is made from.

    `findings` are in order and can be gone through again and again; of a large scan they are made anew each
    time, so that they are never all there (`stream.py`). `accounts` is empty in documents that were written
    before it was added; `ous` also where the accounts' units are not known. `waivers` are all that were
    looked at. `changes` is None, and `fixed` (findings of the earlier scan) and `history` (oldest first, this
    scan last) are empty, where nothing was compared. `unread` holds earlier failures that this scan could not
    see, for the next scan that is compared with this document; only where those came from a file.
    """

    schema: str
    scan: DocumentScan
    summary: Summary
    coverage: tuple[CoverageSummary, ...]
    policies: tuple[PolicySummary, ...]
    findings: Collection[Finding]
    accounts: tuple[AccountSummary, ...] = ()
    ous: tuple[OuSummary, ...] = ()
    waivers: tuple[WaiverSummary, ...] = ()
    changes: Changes | None = None
    fixed: tuple[Finding, ...] = ()
    history: tuple[PastScan, ...] = ()
    unread: tuple[Finding, ...] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if isinstance(self.findings, list):
            # As it comes from a file.
            msgspec.structs.force_setattr(self, "findings", tuple(self.findings))

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for was answered, and something was."""
        return self.scan.complete and is_whole(self.coverage) and self.read

    @property
    def read(self) -> bool:
        """Whether any account was read: where none was, nothing is in order."""
        return "read" in reach_of(self.coverage).values()
