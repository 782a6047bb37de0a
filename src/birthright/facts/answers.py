"""What the sources read, before it is joined: one struct per kind of answer.

Times are aware datetimes in UTC, whole seconds. None is "not known", which includes a cell that
could not be parsed and `not_supported`; it never means "no". Field meanings are AWS's own
(credential report columns; ListUsers, ListAccessKeys and GetAccessKeyLastUsed responses).
"""

from datetime import datetime

import msgspec

ROOT_NAME = "<root_account>"


class LastUse(msgspec.Struct, frozen=True, gc=False):
    """When a key was last used. `ever_used` False is AWS's `N/A`: never, or not since 2015-04-22."""

    ever_used: bool | None = None
    at: datetime | None = None
    region: str | None = None
    service: str | None = None


class ReportSlot(msgspec.Struct, frozen=True, gc=False):
    """One of the report's two key columns of a user.

    `last_rotated` is None both for `N/A` (no key, or an inactive one of unknown age, which its last use
    shows) and for a cell that could not be read; `readable` is False then, and the user may have a key.
    """

    active: bool | None = None
    last_rotated: datetime | None = None
    last_use: LastUse = LastUse()
    readable: bool = True

    @property
    def holds_key(self) -> bool:
        """Whether the report says that there is a key in this slot."""
        return self.last_rotated is not None or self.active is True or self.last_use.ever_used is True

    @property
    def may_hold_key(self) -> bool:
        """Whether a key in this slot cannot be ruled out."""
        return self.holds_key or self.active is None or not self.readable


class ReportUser(msgspec.Struct, frozen=True, gc=False):
    """One row of the credential report."""

    user_name: str
    user_arn: str | None = None
    created_at: datetime | None = None
    console_password: bool | None = None
    password_ever_used: bool | None = None
    password_last_used_at: datetime | None = None
    password_last_changed_at: datetime | None = None
    mfa_active: bool | None = None
    active_certificates: int | None = None
    slots: tuple[ReportSlot, ...] = (ReportSlot(active=False), ReportSlot(active=False))
    more_credentials: bool = False

    @property
    def may_have_keys(self) -> bool:
        """Whether the user has, or may have, an access key."""
        return self.more_credentials or any(slot.may_hold_key for slot in self.slots)


class CredentialReport(msgspec.Struct, frozen=True):
    """A whole report. `problems` says, a line each, which cells could not be read."""

    users: tuple[ReportUser, ...]
    generated_at: datetime | None = None
    problems: tuple[str, ...] = ()


class ListedUser(msgspec.Struct, frozen=True, gc=False):
    """One user of ListUsers."""

    user_name: str
    user_arn: str
    user_id: str | None = None
    path: str | None = None
    created_at: datetime | None = None
    password_last_used_at: datetime | None = None


class ListedKey(msgspec.Struct, frozen=True, gc=False):
    """One key of ListAccessKeys. `status` is AWS's word, also an undocumented one."""

    user_name: str
    access_key_id: str
    status: str | None = None
    created_at: datetime | None = None


class AccountAnswers(msgspec.Struct, frozen=True):
    """All that was read of one account.

    `report` None: no report could be read. `users` None: the users were not listed. Where the listing broke
    off, `users` holds those that came before, and `users_complete` is False.
    `keys` holds, per user name whose keys were listed, that user's keys (an empty tuple is a fact:
    none). `last_uses` holds what GetAccessKeyLastUsed returned, per key id. `unread_keys` names the users
    whose keys could not be listed.
    """

    account_id: str
    partition: str = "aws"
    report: CredentialReport | None = None
    users: tuple[ListedUser, ...] | None = None
    users_complete: bool = True
    keys: dict[str, tuple[ListedKey, ...]] = {}
    unread_keys: frozenset[str] = frozenset()
    last_uses: dict[str, LastUse] = {}
