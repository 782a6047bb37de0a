"""`birthright waive`: accept one failing finding until a day, in a file that is reviewed in git."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birthright.cli.common import config_option, source_option, store_option
from birthright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from birthright.findings.model import Document, Finding
    from birthright.settings import Settings
    from birthright.waivers.file import WaiverEntry

_PREFIX = re.compile(r"[0-9a-f]{6,32}")
_MOST = 5
_GIT_SECONDS = 5


@click.command("waive")
@click.argument("fingerprint")
@click.option("--reason", required=True, metavar="TEXT", help="Why it is accepted; one line.")
@click.option(
    "--expires",
    required=True,
    metavar="DATE|DURATION",
    help="The last day it holds, UTC, like 2027-01-31 or 90d; at most 366 days from now.",
)
@click.option("--owner", metavar="WHO", help="Who answers for it (default: git's user.email).")
@click.option("--ticket", metavar="TEXT", help="Where it was decided.")
@click.option(
    "--waivers",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file to add it to (default: ./waivers.yaml; made if it is not there).",
)
@source_option
@click.option("--account", metavar="ID", help="Look in this account only.")
@store_option
@config_option
def command(fingerprint: str, **options: Any) -> int:  # noqa: ANN401 - click hands over what it parsed
    """Accept a failing finding until a day.

    Adds an entry to waivers.yaml and keeps everything else in it. It is bound to the key's id: a new key
    of the same user is not covered. The finding is still shown, counted as waived, and its key is not
    planned for retirement. To end it earlier, take the entry out of the file.

    \b
    birthright waive 3f2a91 --reason "vendor rotates it" --expires 2027-01-31
    """  # noqa: D301 - click wants the control character itself
    from birthright.cli.output import check_output, tell
    from birthright.settings import load_settings
    from birthright.times import now
    from birthright.waivers.edit import NoPlaceError, add_waiver, entry_text

    settings = load_settings(options["config"])
    file = _file(options["waivers"], settings)
    check_output(file, "--waivers")
    today = now().date()
    expires = _expires(options["expires"], today)
    owner = options["owner"] if options["owner"] is not None else _git_email()
    _check_words(options["reason"], owner, options["ticket"])
    prefix = _prefix(fingerprint)
    finding = _found(_document(options, settings, file, today), prefix, options["account"])
    one = _waiving(finding, owner=owner, created=today, expires=expires, options=options)
    try:
        add_waiver(file, one)
    except NoPlaceError:
        tell(entry_text(one))
        raise
    days = (expires - today).days
    tell(f"{entry_text(one)}\nAdded to {file}. It holds through {expires} UTC, {days} d.")
    return 0


def _file(named: Path | None, settings: "Settings") -> Path:
    from birthright.waivers.file import DEFAULT

    in_settings = Path(settings.scan.waivers).expanduser() if settings.scan.waivers else None
    return named or in_settings or DEFAULT


def _expires(text: str, today: "date") -> "date":
    """Read a day, or how long from today. Raises UsageError."""
    from datetime import date

    from birthright.times import parse_duration
    from birthright.waivers.file import LONGEST

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


def _git_email() -> str:
    """Ask git who works here. Raises UsageError if it does not say."""
    import shutil
    import subprocess

    git = shutil.which("git")
    said = ""
    if git:
        try:
            said = subprocess.run(  # noqa: S603 - the user's own git
                [git, "config", "user.email"],
                capture_output=True,
                check=False,
                encoding="utf-8",
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=_GIT_SECONDS,
            ).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            said = ""
    if not said:
        raise UsageError("who answers for it is not known: git has no user.email", "say --owner")
    return said


def _check_words(reason: str, owner: str, ticket: str | None) -> None:
    """Refuse words that cannot stand in the file, before a scan is judged. Raises UsageError."""
    from birthright.waivers.file import wrong_text

    for option, text in (("--reason", reason), ("--owner", owner), ("--ticket", ticket)):
        for wrong in wrong_text(text) if text is not None else ():
            raise UsageError(f"{option}: {wrong}")


def _document(options: dict[str, Any], settings: "Settings", file: Path, today: "date") -> "Document":
    """Read the findings, waived as the file says now."""
    from birthright.findings.read import load_document
    from birthright.waivers.apply import waive
    from birthright.waivers.file import load_waivers

    waivers = load_waivers(file) if file.exists() else ()
    source = options["source"]
    if source.endswith(".json") or Path(source).is_file():
        document = load_document(Path(source))
    else:
        document = _judged(options, settings)
    return waive(document, waivers, today)


def _judged(options: dict[str, Any], settings: "Settings") -> "Document":
    from birthright.cli.common import judge, open_store, pages_of, saved_selection
    from birthright.scans.record import load_info, scan_dir

    place = open_store(options["store"], settings)
    info = load_info(place, options["source"])
    selection = saved_selection(info)
    folder = scan_dir(place, info.id)
    return judge(folder, info, pages_of(selection), selection, passes=True)


def _prefix(text: str) -> str:
    """Return what a fingerprint begins with. Raises UsageError."""
    prefix = text.lower()
    if not _PREFIX.fullmatch(prefix):
        hint = "six characters or more of one, hexadecimal, as 'birthright scan --format csv' shows it"
        raise UsageError(f"{prefix[:40]!r} is no fingerprint", hint)
    return prefix


def _found(document: "Document", prefix: str, account: str | None) -> "Finding":
    """Find the one finding that is meant, which must fail and not be waived. Raises UsageError."""
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


def _names(findings: "Iterable[Finding]") -> str:
    names = [finding.fingerprint for finding in findings]
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")


def _check(finding: "Finding") -> None:
    from birthright.waivers.apply import is_of_key

    if finding.verdict != "fail":
        why = "it passes" if finding.verdict == "pass" else "nobody could read what it says"
        raise UsageError(f"finding {finding.fingerprint} does not fail: {why}", "only failures are waived")
    if finding.waiver:
        until = f"until {finding.waiver.expires} by {finding.waiver.owner}"
        raise UsageError(f"finding {finding.fingerprint} is waived already, {until}", "change that entry")
    if finding.access_key_id is None and is_of_key(finding):
        hint = "scan again with --depth keys; the ids of root's keys are never read"
        raise UsageError(f"the id of the key that {finding.fingerprint} is about was not read", hint)


def _waiving(
    finding: "Finding", *, owner: str, created: "date", expires: "date", options: dict[str, Any]
) -> "WaiverEntry":
    """Make the entry. Raises UsageError where the finding says what cannot stand in the file."""
    from birthright.waivers.file import WaiverEntry, problems

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
        reason=options["reason"].strip(),
        owner=owner.strip(),
        ticket=None if options["ticket"] is None else options["ticket"].strip(),
        created=created,
        expires=expires,
    )
    for name, wrong in problems(one):
        raise UsageError(f"the finding's {name}: {wrong}")
    return one
