"""`birthright.toml`: the same choices as on the command line, kept in a file."""

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from birthright.errors import UsageError
from birthright.times import parse_duration

DEFAULT = Path("birthright.toml")
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=3653)


class ScanSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[scan]`; durations as text like 5m. None: not said.

    `org`, `ou`, `include`, `exclude`, `accounts` (a file) and `profiles` say which accounts are read, `role`
    and what follows it how they are entered; `waivers` (a file), `since` and `fail_on` what becomes of the
    findings.
    """

    policy: tuple[str, ...] = ()
    policies: str | None = None
    depth: Literal["report", "keys"] | None = None
    profile: str | None = None
    region: str | None = None
    store: str | None = None
    report_deadline: str | None = None
    max_in_flight: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    all_users: bool | None = None
    org: bool | None = None
    ou: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    accounts: str | None = None
    profiles: tuple[str, ...] = ()
    role: str | None = None
    external_id: str | None = None
    session_name: str | None = None
    role_duration: str | None = None
    role_everywhere: bool | None = None
    max_calls: Annotated[int, msgspec.Meta(ge=1, le=5000)] | None = None
    dask: str | None = None
    waivers: str | None = None
    since: str | None = None
    fail_on: str | None = None


class RetirementSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[retirement]`; durations as text like 14d.

    in_use: how recent a key's last use must be for it to count as in use. quarantine: how long a key
    stays disabled before it is deleted. quiet: how long the old key of a rotation must be unused before
    it is disabled. deadline: when a rotation that waits is called overdue. max_keys, max_share: the
    most keys of one account in one plan, as a number and as a share of its active keys. protected:
    patterns of user names or user ARNs that are never touched. handover: where new secrets go, one
    destination for all, or a table of user name patterns (the first that matches). allow_ses: also
    keys last used by SES. lease: how long a lock is held by somebody who shows no life.
    journal: a file, or a database URL.
    """

    in_use: str = "90d"
    quarantine: str = "14d"
    quiet: str = "3d"
    deadline: str = "30d"
    max_keys: Annotated[int, msgspec.Meta(ge=1)] = 50
    max_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.25
    protected: tuple[str, ...] = ()
    handover: str | dict[str, str] = "secrets-manager:birthright/{user_name}"
    require_ticket: bool = False
    allow_ses: bool = False
    lease: str = "5m"
    journal: str | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. `[set.POLICY]` holds parameter values."""

    scan: ScanSettings = ScanSettings()
    set: dict[str, dict[str, str | int | bool]] = {}
    retirement: RetirementSettings = RetirementSettings()


def load_settings(path: Path | None) -> Settings:
    """Read the file named, or `birthright.toml` in the working directory if it is there.

    Raises UsageError naming the place and the field.
    """
    if path is None and not DEFAULT.exists():
        return Settings()
    path = path or DEFAULT
    try:
        settings = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Settings)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error
    for name in ("report_deadline", "role_duration"):
        if getattr(settings.scan, name) is not None:
            _check_duration(path, f"scan.{name}", getattr(settings.scan, name))
    for name in ("in_use", "quarantine", "quiet", "deadline", "lease"):
        _check_duration(path, f"retirement.{name}", getattr(settings.retirement, name))
    return settings


def _check_duration(path: Path, field: str, text: str) -> None:
    """Refuse a duration that cannot be read, or is no time at all or longer than anybody waits."""
    try:
        length = parse_duration(text)
    except UsageError as error:
        raise UsageError(f"{path}: {field}: {error.message}", error.hint) from error
    if not _SHORTEST <= length <= _LONGEST:
        raise UsageError(f"{path}: {field}: {text!r} is not between 1s and 3653d")
