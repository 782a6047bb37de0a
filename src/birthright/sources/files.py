"""The offline source: an account from files that someone with access made and sent.

Files carry no time of their own. One that may be older than the report cannot prove that a user or
a key is gone, so it is not taken as a proof.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from birthright.errors import AnswerError, UsageError
from birthright.facts.answers import (
    ROOT_NAME,
    AccountAnswers,
    CredentialReport,
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

_Said = tuple[Status, int, list[str]]  # status, rows, lines of the detail

_ARN = re.compile(r"arn:([a-z0-9-]+):iam::([0-9]{12}):")


class _Files(msgspec.Struct, frozen=True):
    """The files of one account, read. None is a file that was not given."""

    report: CredentialReport
    users: UserListing | None
    keys: KeyListing | None
    names: dict[str, str]


def collect_files(report: Path, access_keys: Sequence[Path], users: Path | None) -> AccountFacts:
    """Read one account from a credential report and, where given, listings of users and keys.

    `report` is what `aws iam get-credential-report` prints, or its decoded CSV. Only users that
    `access_keys` name count as listed: the listing of a user without keys does not say whose it is.
    Raises UsageError for a file that is missing, empty, not what it should be, or of another
    account.
    """
    files = _Files(
        _read_report(report),
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
    return AccountFacts(principals, keys, tuple(_coverage(files, answers, notes)))


def _read_report(path: Path) -> CredentialReport:
    """Read the report; here a bad one is a bad file that the user named."""
    try:
        return parse_report_document(read_bytes(path))
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
    matches = (_ARN.match(arn) for arn in arns if arn)
    owners = {(match[1], match[2]) for match in matches if match}
    if len(owners) > 1:
        ids = ", ".join(sorted(":".join(owner) for owner in owners)[:3])
        raise UsageError(f"{path} mixes several accounts: {ids}", "give one account at a time")
    return owners


def _answers(files: _Files, account_id: str, partition: str) -> AccountAnswers:
    """Put together what the join needs."""
    return AccountAnswers(
        account_id,
        partition,
        report=files.report,
        users=files.users.users if files.users else None,
        users_complete=_proves_absence(files),
        keys=files.keys.keys if files.keys else {},
        unread_keys=_doubtful_users(files),
    )


def _proves_absence(files: _Files) -> bool:
    """Whether a user who is not in the users file is gone.

    An older file would not have a user made since. If the report has a user who is absent and newer
    than all times in the file, the file may be older than the report.
    """
    if files.users is None or not files.users.complete:
        return False
    listed = {user.user_name for user in files.users.users}
    absent = (u for u in files.report.users if u.user_name not in listed)
    return all(_is_older(u.created_at, files.users.newest) for u in absent if not _is_root(u))


def _doubtful_users(files: _Files) -> frozenset[str]:
    """Name the listed users who may have another key: the list is cut, or older than the report."""
    if files.keys is None:
        return frozenset()
    rows = {user.user_name: user for user in files.report.users}
    both = rows.keys() & files.keys.keys.keys()
    doubtful = {name for name in both if _shows_newer_key(rows[name], files.keys)}
    return files.keys.cut | doubtful


def _shows_newer_key(user: ReportUser, listing: KeyListing) -> bool:
    """Whether the report has a key of the user that is made after all that was listed."""
    times = (slot.last_rotated for slot in user.slots if slot.last_rotated)
    return any(not _is_older(time, listing.newest) for time in times)


def _is_older(moment: datetime | None, newest: datetime | None) -> bool:
    """Whether a thing of that time existed when a file with that newest time in it was made."""
    return moment is not None and newest is not None and moment <= newest


def _is_root(user: ReportUser) -> bool:
    return user.user_name == ROOT_NAME


def _coverage(files: _Files, answers: AccountAnswers, notes: JoinNotes) -> Iterable[Coverage]:
    """Say of each of the four questions what the files answered."""
    report_lines = [*files.report.problems, *notes.lines()]
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
        )


def _said_of_users(files: _Files) -> _Said:
    """Judge the users file: whole, cut, or perhaps from before the report."""
    if files.users is None:
        return "skipped", 0, ["no file of users was given"]
    rows = len(files.users.users)
    if not files.users.complete:
        return "partial", rows, ["its last page is missing"]
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
    if answers.unread_keys:
        lines.append(f"{_users(len(answers.unread_keys))} perhaps with more keys than it shows")
    if files.keys.has_lost_pages:
        lines.append("pages are missing")
    rows = sum(map(len, answers.keys.values()))
    return ("partial" if lines else "ok"), rows, lines


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
