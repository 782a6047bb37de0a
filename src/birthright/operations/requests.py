"""What operations are asked for: frozen values that the command line and the Python API both make.

A field that is None, empty or False was not said; the settings, and then the defaults, stand in for it.
"""

from datetime import date, datetime
from pathlib import Path

import msgspec

from birthright.findings.grading import ANY, FailOn
from birthright.scans.request import Depth
from birthright.secret import Secret
from birthright.waivers.file import WaiverEntry


class PolicyChoice(msgspec.Struct, frozen=True):
    """Policies by id, a folder with pages of one's own, and `POLICY.PARAMETER=VALUE` texts."""

    policies: tuple[str, ...] = ()
    folder: Path | None = None
    parameters: tuple[str, ...] = ()


class WaiverChoice(msgspec.Struct, frozen=True):
    """Which file says what is accepted: the one named, the settings' or ./waivers.yaml; or `none` at all."""

    file: Path | None = None
    none: bool = False


class ScanChoice(msgspec.Struct, frozen=True):
    """Which accounts are read, and how. Durations are texts like 90s or 5m; `profiles` are comma-separated.

    `resume` is an unfinished scan's id or `latest`. `credential_report`, `access_keys` and `users` are files
    to read instead of AWS; `report_time` and `account_id` what they do not say themselves.
    """

    profile: str | None = None
    region: str | None = None
    depth: str | None = None
    report_deadline: str | None = None
    max_in_flight: int | None = None
    all_users: bool | None = None
    raw: bool = False
    credential_report: Path | None = None
    access_keys: tuple[Path, ...] = ()
    users: Path | None = None
    report_time: datetime | None = None
    account_id: str | None = None
    resume: str | None = None
    org: bool | None = None
    ou: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    accounts: str | None = None
    profiles: str | None = None
    role: str | None = None
    external_id: str | None = None
    session_name: str | None = None
    role_duration: str | None = None
    role_everywhere: bool | None = None
    max_calls: int | None = None
    dask: str | None = None

    @property
    def is_offline(self) -> bool:
        """Whether one account is read from files."""
        return bool(self.credential_report or self.access_keys or self.users)


class OutcomeChoice(msgspec.Struct, frozen=True):
    """What becomes of the findings: files, their format, what counts as failing, who is notified."""

    files: tuple[Path, ...] = ()
    form: str | None = None
    passes: bool = False
    since: str | None = None
    fail_on: str | None = None
    notify: tuple[str, ...] = ()


class AssessRequest(msgspec.Struct, frozen=True):
    """What a report holds.

    `waivers` is None where there is no file of them. `since`: `last`, a scan's id, or a file of findings.
    `passes`: whether passes are listed; `charted` names policies whose passes are there for charts only.
    """

    waivers: tuple[WaiverEntry, ...] | None = None
    since: str | None = None
    passes: bool = False
    charted: frozenset[str] = frozenset()
    evidence: bool = True


class DeliveryRequest(msgspec.Struct, frozen=True):
    """Where a report goes. `form` None: each file's ending says it, and the terminal's form is shown."""

    files: tuple[Path, ...] = ()
    form: str | None = None
    fail_on: FailOn = ANY
    urls: tuple[Secret, ...] = ()


class CallerChoice(msgspec.Struct, frozen=True):
    """Who changes AWS: a local profile, and the role to assume in accounts that are not its own."""

    profile: str | None = None
    region: str | None = None
    role: str | None = None
    external_id: str | None = None


class PlanChoice(msgspec.Struct, frozen=True):
    """Which findings are planned for, and how. `expires` is a duration like 24h."""

    source: str = "latest"
    policies: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    handover: str | None = None
    allow_ses: bool = False
    annotate: bool = False
    expires: str = "24h"


class ApplyRequest(msgspec.Struct, frozen=True):
    """How a plan is applied: its ticket and reason for the journal, and what this machine hands secrets to.

    `again`: also keys that were restored after an earlier plan.
    """

    ticket: str = ""
    reason: str = ""
    handover: str | None = None
    again: bool = False


class WaiveRequest(msgspec.Struct, frozen=True):
    """A finding to accept, by the beginning of its fingerprint. `expires` is the last day it holds, UTC."""

    fingerprint: str
    reason: str
    owner: str
    expires: date
    ticket: str | None = None
    account: str | None = None
    source: str = "latest"


class BundleChoice(msgspec.Struct, frozen=True):
    """What a bundle holds: credential reports as they came (`raw`), access key ids masked (`mask`)."""

    raw: bool = False
    mask: bool = False


class RetirementQuery(msgspec.Struct, frozen=True):
    """Which retirements of the journal; an empty field does not narrow. `key` is the old or the new key."""

    key: str = ""
    account: str = ""
    user: str = ""
    ticket: str = ""
    open_only: bool = False


class PermissionsChoice(msgspec.Struct, frozen=True):
    """What a policy has to allow: `depth` for scans, `role` and `tags` for organizations, else retiring.

    `handover`: the destinations of new secrets; none named: those of the settings.
    """

    depth: Depth = "keys"
    role: str = "birthright"
    tags: bool = False
    partition: str = "aws"
    handover: tuple[str, ...] = ()
    rotate: bool = True
    annotate: bool = False
