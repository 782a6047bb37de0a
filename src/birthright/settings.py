"""`birthright.toml`: the same choices as on the command line, kept in a file."""

import tomllib
from pathlib import Path

import msgspec

from birthright.errors import UsageError

DEFAULT = Path("birthright.toml")


class ScanSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[scan]`; durations as text like 5m. None: not said."""

    policy: tuple[str, ...] = ()
    policies: str | None = None
    depth: str | None = None
    profile: str | None = None
    region: str | None = None
    store: str | None = None
    report_deadline: str | None = None
    max_in_flight: int | None = None
    all_users: bool | None = None


class RetirementSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[retirement]`; `in_use` is how recent a key's last use must be for it to count as in use."""

    in_use: str = "90d"


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
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Settings)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{path}: {error}") from error
