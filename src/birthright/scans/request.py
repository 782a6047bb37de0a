"""What a scan is asked for: which accounts, how they are read, and how their keys are judged.

Plain values, kept with the scan: the command line, the Python API and workers on other machines hand them
on as they are.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from birthright.aws.role import Role

IN_USE = timedelta(days=90)
Depth = Literal["report", "keys"]


class ReadOptions(msgspec.Struct, frozen=True):
    """How to collect. `all_users` lists the keys also of users that had none in the report.

    `raw` keeps the credential report as it came.
    """

    depth: Depth = "keys"
    report_deadline: timedelta = timedelta(minutes=5)
    max_in_flight: int = 50
    all_users: bool = False
    raw: bool = False


class Judging(msgspec.Struct, frozen=True):
    """Which policies judge a scan, and how; kept with the scan, so that it is judged the same again.

    `overrides` maps a policy's id to parameter values as a person wrote them; `in_use` is how recent a
    key's last use must be for it to count as in use.
    """

    policies: tuple[str, ...] = ()
    folder: str | None = None
    overrides: dict[str, dict[str, str]] = {}
    in_use: timedelta = IN_USE


class LiveAccount(msgspec.Struct, frozen=True):
    """One account, read with the caller's own credentials."""

    profile: str | None = None
    region: str | None = None


class ReportFiles(msgspec.Struct, frozen=True):
    """One account, read from files that someone with access made; at least one file.

    `report_time`: when the report (without one, the listings) was made, if the files do not say it.
    `account_id` names the account where its number was removed from the files.
    """

    credential_report: Path | None = None
    access_keys: tuple[Path, ...] = ()
    users: Path | None = None
    report_time: datetime | None = None
    account_id: str | None = None


class AccountSelection(msgspec.Struct, frozen=True):
    """Which accounts a scan is about; kept with it, so that it can be gone on with.

    One of `org`, `file` and `profiles` is given. `roles` are those that the file names, by account id.
    """

    org: bool = False
    units: tuple[str, ...] = ()
    file: str | None = None
    roles: dict[str, str] = {}
    profiles: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class ConcurrencyLimits(msgspec.Struct, frozen=True):
    """How much goes on at a time: calls in flight, accounts at work, and accounts begun and not yet kept."""

    calls: int = 256
    working: int = 256
    begun: int = 4096


class ManyAccounts(msgspec.Struct, frozen=True):
    """What a scan of many accounts was told; kept with it, so that it can be gone on with.

    `through_role`: the caller's own account is entered through the role, too.
    """

    wanted: AccountSelection
    role: Role = Role()
    through_role: bool = False
    options: ReadOptions = ReadOptions()
    limits: ConcurrencyLimits = ConcurrencyLimits()
    region: str | None = None
    profile: str | None = None


class Resume(msgspec.Struct, frozen=True):
    """A scan of many accounts that was cut short; only who asks, and how fast, may be said anew."""

    scan_id: str
    profile: str | None = None
    region: str | None = None
    max_calls: int | None = None


Source = LiveAccount | ReportFiles | ManyAccounts | Resume


class ScanRequest(msgspec.Struct, frozen=True):
    """Where the facts come from, how they are read, and how they are judged.

    `dask`: `local[:N]` processes or the URL of a Dask scheduler, for many accounts.
    """

    source: Source
    reading: ReadOptions = ReadOptions()
    judging: Judging = Judging()
    dask: str | None = None
