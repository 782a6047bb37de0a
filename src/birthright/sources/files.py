"""The offline source: an account from files that someone with access made and sent.

Files carry no time of their own. One that may be older than the report cannot prove that a user or
a key is gone, so it is not taken as a proof.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from birthright.aws.identifiers import parse_arn
from birthright.errors import AnswerError, UsageError
from birthright.facts.answers import (
    ROOT_NAME,
    AccountAnswers,
    CredentialReport,
    ListedKey,
    ReportUser,
)
from birthright.facts.join import JoinNotes, join_account, keys_to_look_up
from birthright.facts.model import AccountFacts, Coverage, Status
from birthright.sources.listings import (
    KeyListing,
    UserListing,
    read_access_keys,
    read_bytes,
    read_users,
)
from birthright.sources.report import parse_report_document
from birthright.times import format_instant

_Said = tuple[Status, int, list[str]]  # status, rows, lines of the detail


class _Files(msgspec.Struct, frozen=True):
    """The files of one account, read. None is a file that was not given."""

    report: CredentialReport
    content: bytes
    users: UserListing | None
    keys: KeyListing | None
    names: dict[str, str]


def collect_files(
    report: Path, access_keys: Sequence[Path], users: Path | None, *, raw: bool = False
) -> AccountFacts:
    """Read one account from a credential report and, where given, listings of users and keys.

    `report` is what `aws iam get-credential-report` prints, or its decoded CSV. Only users that
    `access_keys` name count as listed: the listing of a user without keys does not say whose it is.
    `raw` keeps the report's file as it is.
    Raises UsageError for a file that is missing, empty, not what it should be, or of another
    account.
    """
    files = _Files(
        *_read_report(report),
        read_users(users) if users else None,
        read_access_keys(access_keys) if access_keys else None,
        {
            "GetCredentialReport": report.name,
            "ListUsers": users.name if users else "",
            "ListAccessKeys": ", ".join(path.name for path in access_keys),
        },
    )
    answers = _answers(files, *_account(files, report, users))
    principals, keys, notes = join_account(answers)
    coverage = tuple(_coverage(files, answers, notes))
    return AccountFacts(principals, keys, coverage, files.content if raw else None)


def _read_report(path: Path) -> tuple[CredentialReport, bytes]:
    """Read the report and its file's bytes; here a bad one is a bad file that the user named."""
    content = read_bytes(path)
    try:
        return parse_report_document(content), content
    except AnswerError as error:
        raise UsageError(f"{path}: {error.message}", error.hint) from error


def _account(files: _Files, report: Path, users: Path | None) -> tuple[str, str]:
    """Take account id and partition from the ARNs, which must all agree."""
    in_report = _owners(report, (user.user_arn for user in files.report.users))
    in_users = _owners(users, (u.user_arn for u in files.users.users)) if files.users else set()
    if in_report and in_users and in_report != in_users:
        first, second = (next(iter(found))[1] for found in (in_report, in_users))
        raise UsageError(f"{report} is of account {first}, {users} of {second}")
    for partition, account_id in in_report | in_users:
        return account_id, partition
    raise UsageError(f"{report}: no ARN in it says which account it is of")


def _owners(path: Path | None, arns: Iterable[str | None]) -> set[tuple[str, str]]:
    """Return the one pair (partition, account id) that the ARNs name, or none."""
    found = filter(None, map(parse_arn, filter(None, arns)))
    owners = {(arn.partition, arn.account_id) for arn in found if arn.service == "iam"}
    if len(owners) > 1:
        ids = ", ".join(sorted(":".join(owner) for owner in owners)[:3])
        raise UsageError(f"{path} mixes several accounts: {ids}", "give one account at a time")
    return owners


def _answers(files: _Files, account_id: str, partition: str) -> AccountAnswers:
    """Put together what the join needs."""
    rows = {user.user_name: user for user in files.report.users}
    listed = files.keys.keys if files.keys else {}
    return AccountAnswers(
        account_id,
        partition,
        report=files.report,
        users=files.users.users if files.users else None,
        users_complete=_proves_absence(files),
        keys={name: tuple(_agreed(key, rows.get(name)) for key in keys) for name, keys in listed.items()},
        unread_keys=_doubtful_users(files),
    )


def _agreed(key: ListedKey, row: ReportUser | None) -> ListedKey:
    """Forget a status that the report contradicts: nobody knows which of the two is newer."""
    slots = [slot for slot in row.slots if slot.last_rotated == key.created_at] if row else []
    active = key.status == "Active"
    if slots and all(slot.active is not None and slot.active != active for slot in slots):
        return msgspec.structs.replace(key, status=None)
    return key


def _proves_absence(files: _Files) -> bool:
    """Whether a user who is not in the users file is gone.

    An older file would not have a user made since. If the report has a user who is absent and newer
    than all times in the file, or newer than the file has them, the file may be older than the report.
    """
    if files.users is None or not files.users.complete:
        return False
    listed = {user.user_name: user for user in files.users.users}
    rows = [user for user in files.report.users if user.user_name != ROOT_NAME]
    absent = (user for user in rows if user.user_name not in listed)
    both = ((user.created_at, listed[user.user_name].created_at) for user in rows if user.user_name in listed)
    return all(_is_older(user.created_at, files.users.newest) for user in absent) and all(
        _is_older(in_report, in_file) for in_report, in_file in both if in_report and in_file
    )


def _doubtful_users(files: _Files) -> frozenset[str]:
    """Name the listed users who may have another key: the list is cut, or the report shows one."""
    if files.keys is None:
        return frozenset()
    keys = files.keys.keys
    rows = (user for user in files.report.users if user.user_name in keys)
    doubtful = {row.user_name for row in rows if _shows_another_key(row, keys[row.user_name])}
    return files.keys.cut | doubtful


def _shows_another_key(user: ReportUser, listed: Sequence[ListedKey]) -> bool:
    """Whether the report has, or may have, a key of the user that was not listed.

    A live listing would say that it is deleted; a file may be older than the key.
    """
    times = {key.created_at for key in listed} - {None}
    unlisted = [slot for slot in user.slots if slot.may_hold_key and slot.last_rotated not in times]
    # A last use without a date is that of an inactive key: one of those listed that no slot dates.
    dates = {slot.last_rotated for slot in user.slots}
    inactive = sum(key.status != "Active" and key.created_at not in dates for key in listed)
    undated = sum(slot.holds_key and slot.last_rotated is None and not slot.active for slot in unlisted)
    return len(unlisted) > min(undated, inactive) or (
        user.more_credentials and len(listed) <= len(user.slots)
    )


def _is_older(moment: datetime | None, newest: datetime | None) -> bool:
    """Whether a thing of that time existed when a file with that newest time in it was made."""
    return moment is not None and newest is not None and moment <= newest


def _coverage(files: _Files, answers: AccountAnswers, notes: JoinNotes) -> Iterable[Coverage]:
    """Say of each of the four questions what the files answered."""
    report_lines = [_made(files.report), *files.report.problems, *notes.lines()]
    report_status: Status = "partial" if files.report.problems else "ok"
    said = {
        "GetCredentialReport": (report_status, len(files.report.users), report_lines),
        "ListUsers": _said_of_users(files),
        "ListAccessKeys": _said_of_keys(files, answers),
        "GetAccessKeyLastUsed": _said_of_last_uses(answers),
    }
    for source, (status, rows, lines) in said.items():
        name = files.names.get(source)
        yield Coverage(
            answers.account_id,
            source,
            status,
            "; ".join([f"from file {name}", *lines] if name else lines),
            partition=answers.partition,
            rows=rows,
            # A file does not say when it was made; only the CLI's envelope of the report does.
            as_of=None,
            report_generated_at=files.report.generated_at if source == "GetCredentialReport" else None,
            sha256=hashlib.sha256(files.content).hexdigest() if source == "GetCredentialReport" else None,
        )


def _made(report: CredentialReport) -> str:
    if report.generated_at is None:
        return "when it was made is not known: ages are counted up to this scan"
    return f"made {format_instant(report.generated_at)}"


def instant_of(facts: AccountFacts, present: datetime) -> datetime:
    """Return the instant that the files speak of: the report's, or that of something newer in them.

    What an old report does not know of did not happen for it. Without the report's time it is `present`.
    """
    made = next((row.report_generated_at for row in facts.coverage if row.report_generated_at), None)
    if made is None:
        return present
    times = [made]
    for key in facts.access_keys:
        times += filter(None, (key.created_at, key.user_created_at, key.last_used_at))
    return min(present, max(times))


def _said_of_users(files: _Files) -> _Said:
    """Judge the users file: whole, cut, or perhaps from before the report."""
    if files.users is None:
        return "skipped", 0, ["no file of users was given"]
    rows = len(files.users.users)
    if not files.users.complete:
        return "partial", rows, ["not a whole listing: pages are missing, or users were picked out of it"]
    if not _proves_absence(files):
        return "partial", rows, ["may be older than the report: no user is taken for deleted"]
    return "ok", rows, []


def _said_of_keys(files: _Files, answers: AccountAnswers) -> _Said:
    """Judge the files of keys: they should name every user who has, or may have, one."""
    if files.keys is None:
        return "skipped", 0, ["no file of access keys was given"]
    lines = []
    unlisted = _unlisted(answers, files.report.users)
    if unlisted:
        lines.append(f"{_users(unlisted)} with keys in the report not in it")
    contradicted = _contradicted(files, answers)
    if contradicted:
        lines.append(f"{contradicted} with a status that the report contradicts")
    if answers.unread_keys:
        lines.append(f"{_users(len(answers.unread_keys))} perhaps with more keys than it shows")
    if files.keys.has_lost_pages:
        lines.append("pages are missing")
    rows = sum(map(len, answers.keys.values()))
    return ("partial" if lines else "ok"), rows, lines


def _contradicted(files: _Files, answers: AccountAnswers) -> int:
    """Count the keys whose status was forgotten."""
    before = files.keys.keys if files.keys else {}
    pairs = (pair for name, keys in answers.keys.items() for pair in zip(before[name], keys, strict=True))
    return sum(was.status != now.status for was, now in pairs)


def _unlisted(answers: AccountAnswers, users: tuple[ReportUser, ...]) -> int:
    """Count the users, still there, who may have keys that no file of keys shows."""
    listed_all = answers.users is not None and answers.users_complete
    there = {u.user_name for u in (answers.users if listed_all and answers.users else users)}
    there -= {ROOT_NAME, *answers.keys}
    return sum(user.may_have_keys and user.user_name in there for user in users)


def _said_of_last_uses(answers: AccountAnswers) -> _Said:
    """Count the keys that only a call to AWS could say more of."""
    missing = len(keys_to_look_up(answers))
    if missing:
        return "skipped", 0, [f"{missing} keys whose last use the report does not tell"]
    return "ok", 0, ["not needed"]


def _users(count: int) -> str:
    return f"{count} user{'' if count == 1 else 's'}"
