"""The rows of the three fact tables. Field order is column order; `schema.py` gives the Arrow types.

Times are aware datetimes in UTC, whole seconds. None is "not known" and never means "no".
"""

from datetime import datetime
from typing import Any, Final, Literal, get_args

import msgspec

# Stands for the id of an account that could not be read.
UNKNOWN = "unknown"

Status = Literal["ok", "partial", "denied", "failed", "skipped"]

# A key's status, in AWS's words. Answers and documents may hold a newer word; facts never do.
KeyStatus = Literal["Active", "Inactive", "Expired"]
ACTIVE: Final = "Active"
INACTIVE: Final = "Inactive"
KEY_STATUSES: frozenset[str] = frozenset(get_args(KeyStatus))


class Principal(msgspec.Struct, frozen=True, gc=False):
    """An IAM user or the root user.

    `in_report` and `in_listing` are None where that source was not read (to the end). Root is always
    a principal, also when the report that would describe it could not be read. `password_ever_used`
    False is the report's `no_information` or `N/A`: never, or not since 2014-10-20.
    """

    account_id: str
    user_arn: str | None
    user_name: str
    user_id: str | None = None
    path: str | None = None
    is_root: bool = False
    created_at: datetime | None = None
    console_password: bool | None = None
    password_ever_used: bool | None = None
    password_last_used_at: datetime | None = None
    password_last_changed_at: datetime | None = None
    mfa_active: bool | None = None
    active_certificates: int | None = None
    in_report: bool | None = None
    in_listing: bool | None = None


class AccessKey(msgspec.Struct, frozen=True, gc=False):
    """An access key.

    `access_key_id` is None if only the report was read. A row in which `access_key_id`, `slot` and
    `status` are all None stands for the keys of a user whose keys could not be read: there may be
    none or several, and every rule over it is unknown. `slot` is the report's column (1 or 2).
    `ever_used` False is AWS's `N/A` at the time of its source: `report` or `lookup`
    (GetAccessKeyLastUsed).
    """

    account_id: str
    user_arn: str | None
    user_name: str
    is_root: bool = False
    console_password: bool | None = None
    user_created_at: datetime | None = None
    access_key_id: str | None = None
    slot: int | None = None
    status: KeyStatus | None = None
    created_at: datetime | None = None
    created_source: Literal["listing", "report"] | None = None
    ever_used: bool | None = None
    last_used_at: datetime | None = None
    last_used_region: str | None = None
    last_used_service: str | None = None
    last_used_source: Literal["report", "lookup"] | None = None


class Coverage(msgspec.Struct, frozen=True, gc=False):
    """One kind of read of an account, and how it was answered. `source` is the AWS operation's name.

    `sha256` is the digest of the answers, in hexadecimal (see docs/evidence.md); None where there are
    none, and in scans from before digests were kept.
    """

    account_id: str
    source: str
    status: Status
    detail: str = ""
    account_name: str | None = None
    partition: str = "aws"
    rows: int = 0
    calls: int = 0
    throttled: int = 0
    seconds: float = 0.0
    as_of: datetime | None = None
    report_generated_at: datetime | None = None
    sha256: str | None = None


class Account(msgspec.Struct, frozen=True, gc=False):
    """An account that a scan was to read, whether it was read or not.

    `state` is Organizations' word (ACTIVE, SUSPENDED, PENDING_CLOSURE...), None where it was not asked.
    `ou_path` is like `/Workloads/Prod`, `/` for the organization's root, None where it is not known.
    """

    account_id: str
    account_name: str | None = None
    state: str | None = None
    ou_id: str | None = None
    ou_path: str | None = None
    source: Literal["ListAccounts", "file", "profile", "credentials"] = "credentials"


class AccountFacts(msgspec.Struct, frozen=True):
    """Everything known of one account after one collection.

    `report` is the credential report as it came, where it is to be kept. `others` are the rows of tables
    that have no field here, by the table's name.
    """

    principals: tuple[Principal, ...]
    access_keys: tuple[AccessKey, ...]
    coverage: tuple[Coverage, ...]
    report: bytes | None = None
    others: dict[str, tuple[msgspec.Struct, ...]] = {}

    def rows(self, table: str) -> tuple[Any, ...]:
        """Return the rows of a table."""
        return tuple(self.others[table] if table in self.others else getattr(self, table, ()))
