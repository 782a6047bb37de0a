"""The credential report's CSV: 22 columns, root first, LF, no final newline.

Columns, their order and their words are aws-facts' ("Credential report").
"""

import base64
import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from birthright.sandbox.account import (
    ACTIVE,
    ROOT_NAME,
    Certificate,
    Key,
    SandboxAccount,
    SandboxReport,
    User,
)
from birthright.sandbox.wire import instant

_KEY_COLUMNS = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
COLUMNS = (
    "user",
    "arn",
    "user_creation_time",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "password_next_rotation",
    "mfa_active",
    *(f"access_key_{slot}_{column}" for slot in (1, 2) for column in _KEY_COLUMNS),
    "cert_1_active",
    "cert_1_last_rotated",
    "cert_2_active",
    "cert_2_last_rotated",
)
EXTRA_COLUMN = "additional_credentials_info"  # documented, not seen in live accounts
_NO_KEY = ("false", "N/A", "N/A", "N/A", "N/A")
_NO_CERTIFICATE = ("false", "N/A")


@dataclass(frozen=True, slots=True)
class Style:
    """How the CSV is written, where AWS itself varies.

    zulu: dates end in `Z`, as live accounts show, instead of `+00:00`, as older samples do.
    extra_column: the documented 23rd column is there.
    root_booleans: root's password columns hold values instead of `not_supported`.
    """

    zulu: bool = False
    extra_column: bool = False
    root_booleans: bool = False


def make_report(
    account: SandboxAccount, started_at: datetime, seconds: float = 0.0, style: Style | None = None
) -> SandboxReport:
    """Take the report of what the account holds now; it can be fetched `seconds` later."""
    text = write_csv(account, style or Style())
    content = base64.b64encode(text.encode()).decode()
    return SandboxReport(content, started_at.replace(microsecond=0), started_at + timedelta(seconds=seconds))


def write_csv(account: SandboxAccount, style: Style) -> str:
    """Write the account's report as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*COLUMNS, EXTRA_COLUMN) if style.extra_column else COLUMNS)
    writer.writerow(_row(account.root, style))
    writer.writerows(_row(account.users[name], style) for name in account.names())
    return out.getvalue().removesuffix("\n")


def _row(user: User, style: Style) -> list[str]:
    date = _zulu if style.zulu else _offset
    keys = {key.slot: key for key in user.keys.values()}
    row = [user.name, user.arn, date(user.created_at), *_password(user, style, date)]
    row.append("true" if user.mfa else "false")
    for slot in (1, 2):
        row += _key(keys[slot], date) if slot in keys else _NO_KEY
    for place in (0, 1):
        row += _certificate(user.certificates[place : place + 1], date)
    return [*row, _more(user)] if style.extra_column else row


def _password(user: User, style: Style, date: Callable[[datetime], str]) -> tuple[str, ...]:
    """Write the four password columns; password_next_rotation is N/A without a password policy."""
    login = user.login
    used = "N/A" if login is None else "no_information"
    if login is not None and login.last_used_at is not None:
        used = date(login.last_used_at)
    if user.name == ROOT_NAME and not style.root_booleans:
        return ("not_supported", used, "not_supported", "not_supported")
    if login is None:
        return ("false", "N/A", "N/A", "N/A")
    return ("true", used, date(login.created_at), "N/A")


def _key(key: Key, date: Callable[[datetime], str]) -> tuple[str, ...]:
    """Write a key; an inactive one keeps its date (seen live; the documentation says N/A)."""
    used = date(key.last_used_at) if key.last_used_at else "N/A"
    active = "true" if key.status == ACTIVE else "false"
    return (active, date(key.created_at), used, key.last_used_region, key.last_used_service)


def _certificate(found: list[Certificate], date: Callable[[datetime], str]) -> tuple[str, ...]:
    if not found:
        return _NO_CERTIFICATE
    return ("true" if found[0].active else "false", date(found[0].created_at))


def _more(user: User) -> str:
    extra = sum(key.slot == 0 for key in user.keys.values())
    return f"{extra} more access keys: iam:ListAccessKeys" if extra else "N/A"


def _zulu(moment: datetime) -> str:
    return instant(moment)


def _offset(moment: datetime) -> str:
    return instant(moment)[:-1] + "+00:00"
