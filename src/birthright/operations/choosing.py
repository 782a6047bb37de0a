"""A scan as it was chosen, on the command line or in Python, becomes a typed request.

What was said replaces what the settings say; what would silently win over something else is refused.
"""

import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from birthright.aws.identifiers import is_role_name
from birthright.aws.role import Role
from birthright.errors import UsageError
from birthright.operations.requests import ScanChoice
from birthright.scans.request import (
    AccountSelection,
    ConcurrencyLimits,
    Judging,
    LiveAccount,
    ManyAccounts,
    ReadOptions,
    ReportFiles,
    Resume,
    ScanRequest,
    Source,
)
from birthright.settings import ScanSettings
from birthright.times import parse_duration

_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_SHORTEST, _LONGEST = timedelta(minutes=15), timedelta(hours=12)

_CALLER = ("profile", "region")
_LIVE = ("depth", "report_deadline", "max_in_flight", "all_users")
_FILES = ("credential_report", "access_keys", "users")
_ABOUT_FILES = ("report_time", "account_id")
_WHICH = ("org", "ou", "include", "exclude", "accounts", "profiles")
_HOW = ("role", "external_id", "session_name", "role_duration", "role_everywhere")
_MANY = (*_WHICH, *_HOW, "max_calls", "dask", "resume")


def check_choice(choice: ScanChoice, saved: str | None = None) -> None:
    """Refuse options of which one would silently win. Raises UsageError."""
    if saved:
        _exclude(choice, "from", ("raw", *_FILES, *_ABOUT_FILES, *_LIVE, *_CALLER, *_MANY))
    for name in (name for name in _FILES if getattr(choice, name)):
        _exclude(choice, _option(name), (*_LIVE, *_CALLER, *_MANY))
    alone = next((name for name in _ABOUT_FILES if getattr(choice, name)), None)
    if alone and not choice.is_offline:
        hint = "name them with --credential-report, --users or --access-keys"
        raise UsageError(f"--{_option(alone)} goes with files", hint)
    if choice.resume:
        _exclude(choice, "resume", ("raw", *_LIVE, *_WHICH, *_HOW))


def scan_request(choice: ScanChoice, settings: ScanSettings, judging: Judging) -> ScanRequest:
    """Put a request together. Raises UsageError."""
    source = _source(choice, settings)
    if isinstance(source, LiveAccount | ReportFiles):
        alone = next((name for name in (*_HOW, "include", "exclude", "max_calls", "dask")
                      if getattr(choice, name)), None)  # fmt: skip
        if alone:
            raise UsageError(f"--{_option(alone)} goes with --org, --accounts or --profiles")
    return ScanRequest(source, _reading(choice, settings), judging, choice.dask or settings.dask)


def _source(choice: ScanChoice, settings: ScanSettings) -> Source:
    profile, region = choice.profile or settings.profile, choice.region or settings.region
    if choice.resume:
        return Resume(choice.resume, choice.profile, choice.region, choice.max_calls)
    if choice.is_offline:
        return ReportFiles(
            choice.credential_report,
            choice.access_keys,
            choice.users,
            choice.report_time,
            choice.account_id,
        )
    if not _is_many(choice, settings):
        return LiveAccount(profile, region)
    return ManyAccounts(
        wanted=_accounts(choice, settings),
        role=_role(choice, settings),
        through_role=bool(_said(choice, settings, "role_everywhere")),
        options=_reading(choice, settings),
        limits=limits_of(_said(choice, settings, "max_calls") or ConcurrencyLimits().calls),
        region=region,
        profile=profile,
    )


def limits_of(calls: int) -> ConcurrencyLimits:
    """Say how much goes on at a time: at depth report an account has one call in flight."""
    return ConcurrencyLimits(calls=calls, working=max(calls, ConcurrencyLimits().working))


def _is_many(choice: ScanChoice, settings: ScanSettings) -> bool:
    if choice.org or choice.ou or choice.accounts or choice.profiles:
        return True
    if choice.org is False:
        return False
    return bool(settings.org or settings.ou or settings.accounts or settings.profiles)


def _reading(choice: ScanChoice, settings: ScanSettings) -> ReadOptions:
    depth = choice.depth or settings.depth or "keys"
    if choice.is_offline:
        depth = "keys" if choice.access_keys else "report"
    return ReadOptions(
        depth="report" if depth == "report" else "keys",
        report_deadline=_duration(choice, settings, "report_deadline", "5m"),
        max_in_flight=_said(choice, settings, "max_in_flight") or 50,
        all_users=bool(_said(choice, settings, "all_users")),
        raw=choice.raw,
    )


def _accounts(choice: ScanChoice, settings: ScanSettings) -> AccountSelection:
    """Say which accounts are read. What was chosen of them replaces what the settings say."""
    from birthright.fleet.accounts_file import load_accounts

    own = bool(choice.org or choice.ou or choice.accounts or choice.profiles)
    file = choice.accounts if own else settings.accounts
    profiles = _names(choice.profiles) if own else settings.profiles
    units = choice.ou if own else settings.ou
    org = bool(units or (choice.org if own else settings.org))
    if org + bool(file) + bool(profiles) > 1:
        raise UsageError("--org, --accounts and --profiles do not go together", "choose one of them")
    # The settings' filters are of the settings' accounts, or of the organization.
    filtered = not own or bool(choice.org or choice.ou)
    roles = {a.account.account_id: a.role for a in load_accounts(Path(file)) if a.role} if file else {}
    return AccountSelection(
        org=not file and not profiles,
        units=units,
        file=str(Path(file).resolve()) if file else None,
        roles=roles,
        profiles=profiles,
        include=choice.include or (settings.include if filtered else ()),
        exclude=choice.exclude or (settings.exclude if filtered else ()),
    )


def _names(text: str | None) -> tuple[str, ...]:
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if text is not None and (not names or len(set(names)) < len(names)):
        raise UsageError(f"--profiles {text!r} names none, or one twice", "--profiles work,private")
    return names


def _role(choice: ScanChoice, settings: ScanSettings) -> Role:
    name = _said(choice, settings, "role") or Role().name
    if not is_role_name(name):
        raise UsageError(
            f"--role {name[:80]!r} is no role's name", "birthright, or with a path: audit/birthright"
        )
    session = _said(choice, settings, "session_name") or Role().session_name
    if not _SESSION_NAME.fullmatch(session):
        raise UsageError(f"--session-name {session[:80]!r}: 2 to 64 letters, digits and +=,.@-_")
    duration = _duration(choice, settings, "role_duration", "1h")
    if not _SHORTEST <= duration <= _LONGEST:
        raise UsageError("--role-duration is not between 15m and 12h")
    return Role(name, _said(choice, settings, "external_id"), session, duration)


def _duration(choice: ScanChoice, settings: ScanSettings, name: str, default: str) -> timedelta:
    try:
        return parse_duration(_said(choice, settings, name) or default)
    except UsageError as error:
        raise UsageError(f"--{_option(name)}: {error.message}", error.hint) from error


def _said(choice: ScanChoice, settings: ScanSettings, name: str) -> Any:  # noqa: ANN401 - any field
    """Return what was chosen, or else the settings; False is said, nothing is not."""
    value = getattr(choice, name)
    return getattr(settings, name) if value is None or value == () else value


def _exclude(choice: ScanChoice, one: str, others: Iterable[str]) -> None:
    clash = next((name for name in others if getattr(choice, name)), None)
    if clash:
        raise UsageError(f"--{one} and --{_option(clash)} exclude each other")


def _option(name: str) -> str:
    return name.replace("_", "-")
