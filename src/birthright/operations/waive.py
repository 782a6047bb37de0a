"""Accepts one failing finding until a day, by an entry in the waivers' file."""

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from birthright.errors import UsageError
from birthright.findings.model import Document, Finding
from birthright.operations.assess import load_findings
from birthright.operations.requests import WaiveRequest
from birthright.operations.workspace import Workspace
from birthright.times import parse_duration
from birthright.waivers.apply import is_of_key, waive
from birthright.waivers.edit import NoPlaceError, add_waiver, entry_text
from birthright.waivers.file import DEFAULT, LONGEST, WaiverEntry, load_waivers, problems, wrong_text

__all__ = ["NoPlaceError", "add_waiver", "entry_for", "entry_text", "expiry_of", "place_of_waivers"]

_PREFIX = re.compile(r"[0-9a-f]{6,32}")
_MOST = 5


def place_of_waivers(named: Path | None, workspace: Workspace) -> Path:
    """Choose the file that an entry is added to; it need not exist yet."""
    said = workspace.settings.scan.waivers
    return named or (Path(said).expanduser() if said else DEFAULT)


def expiry_of(text: str, today: date) -> date:
    """Read the last day of a waiver: a date, or how long from today, UTC. Raises UsageError."""
    hint = "write it like 2027-01-31 or 90d"
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            day = date.fromisoformat(text)
        else:
            day = today + parse_duration(text)
    except (ValueError, UsageError, OverflowError) as error:
        raise UsageError(f"--expires {text[:40]!r} is neither a date nor a duration", hint) from error
    if day <= today:
        raise UsageError(f"--expires: {day} is not after today, {today} UTC", hint)
    if day - today > LONGEST:
        raise UsageError(
            f"--expires: {day} is more than {LONGEST.days} days from now", "look at it again then"
        )
    return day


def entry_for(workspace: Workspace, request: WaiveRequest, file: Path, today: date) -> WaiverEntry:
    """Make the entry for the one finding that is meant, which must fail and not be waived yet.

    Raises UsageError, StoreError.
    """
    _check_words(request)
    prefix = _prefix(request.fingerprint)
    document = load_findings(workspace, request.source)
    waivers = load_waivers(file) if file.exists() else ()
    document = waive(document, waivers, document.scan.as_of.date())
    return _entry(_found(document, prefix, request.account), request, today)


def _check_words(request: WaiveRequest) -> None:
    """Refuse words that cannot stand in the file, before a scan is judged. Raises UsageError."""
    said = (("--reason", request.reason), ("--owner", request.owner), ("--ticket", request.ticket))
    for option, text in said:
        for wrong in wrong_text(text) if text is not None else ():
            raise UsageError(f"{option}: {wrong}")


def _prefix(text: str) -> str:
    """Return what a fingerprint begins with. Raises UsageError."""
    prefix = text.lower()
    if not _PREFIX.fullmatch(prefix):
        hint = "six characters or more of one, hexadecimal, as 'birthright scan --format csv' shows it"
        raise UsageError(f"{prefix[:40]!r} is no fingerprint", hint)
    return prefix


def _found(document: Document, prefix: str, account: str | None) -> Finding:
    """Find the one finding that is meant. Raises UsageError."""
    found = [
        f for f in document.findings if f.fingerprint.startswith(prefix) and account in {None, f.account_id}
    ]
    if not found:
        where = f" in account {account!r}" if account else ""
        hint = "'birthright scan --format csv' lists every failure's fingerprint"
        raise UsageError(f"scan {document.scan.id} knows no fingerprint {prefix!r}{where}", hint)
    if len(found) > 1:
        raise UsageError(f"{prefix!r} is the beginning of several: {_names(found)}", "write more of it")
    _check(found[0])
    return found[0]


def _names(findings: Iterable[Finding]) -> str:
    names = [finding.fingerprint for finding in findings]
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")


def _check(finding: Finding) -> None:
    if finding.verdict != "fail":
        why = "it passes" if finding.verdict == "pass" else "could not read what it says"
        raise UsageError(f"finding {finding.fingerprint} does not fail: {why}", "only failures are waived")
    if finding.waiver:
        until = f"until {finding.waiver.expires} by {finding.waiver.owner}"
        raise UsageError(f"finding {finding.fingerprint} is waived already, {until}", "change that entry")
    if finding.access_key_id is None and is_of_key(finding):
        hint = "scan again with --depth keys; the ids of root's keys are never read"
        raise UsageError(f"the id of the key that {finding.fingerprint} is about was not read", hint)


def _entry(finding: Finding, request: WaiveRequest, today: date) -> WaiverEntry:
    if finding.user_name and {*"*?"} & {*finding.user_name}:
        raise UsageError(
            f"the finding's user: {finding.user_name!r} would be a pattern", "IAM has no such user"
        )
    one = WaiverEntry(
        policy=finding.policy,
        account=finding.account_id,
        # What is about a whole account has no user.
        user=finding.user_name or "*",
        access_key_id=finding.access_key_id,
        reason=request.reason.strip(),
        owner=request.owner.strip(),
        ticket=None if request.ticket is None else request.ticket.strip(),
        created=today,
        expires=request.expires,
    )
    for name, wrong in problems(one):
        raise UsageError(f"the finding's {name}: {wrong}")
    return one
