"""The offline source: an account from files that someone with access made and sent.

Files carry no time of their own. One that may be older than the report cannot prove that a user or
a key is gone, so it is not taken as a proof. A report without its time was made at some time between the
newest time in it and now.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from birthright.aws.identifiers import is_account_id, is_partition, parse_arn, partition_of
from birthright.errors import AnswerError, UsageError
from birthright.facts.answers import (
    ROOT_NAME,
    AccountAnswers,
    CredentialReport,
    ListedKey,
    ListedUser,
    ReportUser,
)
from birthright.facts.join import JoinNotes, join_account, keys_to_look_up
from birthright.facts.model import ACTIVE, AccountFacts, Coverage, Status
from birthright.scans.request import ReportFiles
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

_TO_ACCOUNT = re.compile(r"(arn:[a-z0-9-]+:iam::)[^:]*:")  # also where the account number was removed
_SKEW = timedelta(minutes=5)  # by so much clocks may differ: AWS takes no request beyond it

_U = TypeVar("_U", ReportUser, ListedUser)


class CollectedFiles(NamedTuple):
    """An account from files; its facts are of some time from `as_of_earliest` (None: `as_of`) to `as_of`."""

    facts: AccountFacts
    as_of: datetime
    as_of_earliest: datetime | None


class _Files(msgspec.Struct, frozen=True):
    """The files of one account, read. None is a file that was not given; `present` is when they are read."""

    request: ReportFiles
    present: datetime
    report: CredentialReport | None
    content: bytes
    users: UserListing | None
    keys: KeyListing | None

    @property
    def rows(self) -> tuple[ReportUser, ...]:
        """The users of the report, if there is one."""
        return self.report.users if self.report else ()

    @property
    def made(self) -> datetime | None:
        """When the report was made; without one, when the listings were."""
        return self.report.generated_at if self.report else self.request.report_time


def collect_files(request: ReportFiles, present: datetime, *, raw: bool = False) -> CollectedFiles:
    """Read one account from a credential report, and listings of users and keys, or some of them.

    The report is what `aws iam get-credential-report` prints, its decoded CSV, or a dump of boto3's answer.
    Only users that the files of keys name count as listed. `present` is the time now; `raw` keeps the
    report's file as it is.
    Raises UsageError for a file that is missing, empty, not what it should be, or of another
    account, and for a `report_time` that cannot be.
    """
    path = request.credential_report
    report, content = _read_report(path) if path else (None, b"")
    users = read_users(request.users) if request.users else None
    listed = read_access_keys(request.access_keys) if request.access_keys else None
    files = _timed(_Files(request, present, report, content, users, listed))
    answers = _answers(files, *_account(files))
    principals, keys, notes = join_account(answers)
    coverage = tuple(_coverage(files, answers, notes))
    facts = AccountFacts(principals, keys, coverage, files.content if raw and files.report else None)
    return CollectedFiles(facts, *_instants(files))


def _read_report(path: Path) -> tuple[CredentialReport, bytes]:
    """Read the report and its file's bytes; here a bad one is a bad file that the user named."""
    content = read_bytes(path)
    try:
        return parse_report_document(content), content
    except AnswerError as error:
        raise UsageError(f"{path}: {error.message}", error.hint) from error


def _timed(files: _Files) -> _Files:
    """Give the report its stated time, unless the files or the clock contradict it. Raises UsageError."""
    stated, report = files.request.report_time, files.report
    if stated is None:
        return files
    newest = _newest(_report_times(files) if report else _listed_times(files), files.present)
    named = f"--report-time {format_instant(stated)}"
    if report and report.generated_at:
        own = format_instant(report.generated_at)
        raise UsageError(f"{named}: the report says itself when it was made, {own}")
    if stated > files.present:
        raise UsageError(f"{named} is in the future")
    if newest and newest > stated:
        raise UsageError(f"{named}: the files have a later time, {format_instant(newest)}")
    return msgspec.structs.replace(
        files, report=report and msgspec.structs.replace(report, generated_at=stated)
    )


def _account(files: _Files) -> tuple[str, str]:
    """Take account id and partition from the ARNs, which must all agree, or as they are stated."""
    report, users, stated = files.request.credential_report, files.request.users, files.request.account_id
    if stated and not is_account_id(stated):
        raise UsageError(f"--account-id {stated[:40]!r} is not the id of an account", "it has 12 digits")
    arns = [user.user_arn for user in files.rows if user.user_arn]
    listed = [user.user_arn for user in files.users.users] if files.users else []
    in_report, in_users = _owners(report, arns), _owners(users, listed)
    if in_report and in_users and in_report != in_users:
        first, second = (next(iter(found))[1] for found in (in_report, in_users))
        raise UsageError(f"{report} is of account {first}, {users} of {second}")
    for partition, account_id in in_report | in_users:
        if stated not in {None, account_id}:
            raise UsageError(f"{report or users} is of account {account_id}, not {stated}")
        return account_id, partition
    if not stated:
        named = report or users or files.request.access_keys[0]
        raise UsageError(f"{named}: no ARN in it says which account it is of", "say it with --account-id")
    partitions = filter(None, map(partition_of, (*arns, *listed)))
    return stated, next(filter(is_partition, partitions), "aws")


def _owners(path: Path | None, arns: Iterable[str]) -> set[tuple[str, str]]:
    """Return the one pair (partition, account id) that the ARNs name, or none."""
    found = filter(None, map(parse_arn, arns))
    owners = {(arn.partition, arn.account_id) for arn in found if arn.service == "iam"}
    if len(owners) > 1:
        ids = ", ".join(sorted(":".join(owner) for owner in owners)[:3])
        raise UsageError(f"{path} mixes several accounts: {ids}", "give one account at a time")
    return owners


def _answers(files: _Files, account_id: str, partition: str) -> AccountAnswers:
    """Put together what the join needs; ARNs without their account number get it back if it was stated."""
    rows = {user.user_name: user for user in files.rows}
    listed = files.keys.keys if files.keys else {}
    report, users = files.report, files.users.users if files.users else None
    if files.request.account_id:
        report = report and msgspec.structs.replace(report, users=_owned(report.users, account_id))
        users = users and _owned(users, account_id)
    return AccountAnswers(
        account_id,
        partition,
        report=report,
        users=users,
        users_complete=_proves_absence(files),
        keys={name: tuple(_agreed(key, rows.get(name)) for key in keys) for name, keys in listed.items()},
        unread_keys=_doubtful_users(files),
    )


def _owned(users: tuple[_U, ...], account_id: str) -> tuple[_U, ...]:
    """Write the account's number into the users' ARNs."""
    arns = (u.user_arn and _TO_ACCOUNT.sub(rf"\g<1>{account_id}:", u.user_arn, count=1) for u in users)
    return tuple(msgspec.structs.replace(u, user_arn=arn) for u, arn in zip(users, arns, strict=True))


def _agreed(key: ListedKey, row: ReportUser | None) -> ListedKey:
    """Forget a status that the report contradicts: which of the two is newer is unknown."""
    slots = [slot for slot in row.slots if slot.last_rotated == key.created_at] if row else []
    active = key.status == ACTIVE
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
    rows = [user for user in files.rows if user.user_name != ROOT_NAME]
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
    rows = (user for user in files.rows if user.user_name in keys)
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
    inactive = sum(key.status != ACTIVE and key.created_at not in dates for key in listed)
    undated = sum(slot.holds_key and slot.last_rotated is None and not slot.active for slot in unlisted)
    return len(unlisted) > min(undated, inactive) or (
        user.more_credentials and len(listed) <= len(user.slots)
    )


def _is_older(moment: datetime | None, newest: datetime | None) -> bool:
    """Whether a thing of that time existed when a file with that newest time in it was made."""
    return moment is not None and newest is not None and moment <= newest


def _coverage(files: _Files, answers: AccountAnswers, notes: JoinNotes) -> Iterable[Coverage]:
    """Say of each of the four questions what the files answered."""
    said = {
        "GetCredentialReport": _said_of_report(files, notes),
        "ListUsers": _said_of_users(files),
        "ListAccessKeys": _said_of_keys(files, answers),
        "GetAccessKeyLastUsed": _said_of_last_uses(answers),
    }
    report, users, keys = files.request.credential_report, files.request.users, files.request.access_keys
    paths = {"GetCredentialReport": [report], "ListUsers": [users], "ListAccessKeys": keys}
    for source, (status, rows, lines) in said.items():
        name = ", ".join(path.name for path in paths.get(source, ()) if path)
        of_report = source == "GetCredentialReport" and files.report is not None
        yield Coverage(
            answers.account_id,
            source,
            status,
            "; ".join([f"from file {name}", *lines] if name else lines),
            partition=answers.partition,
            rows=rows,
            # A file does not say when it was made; only the CLI's envelope of the report does.
            as_of=None,
            report_generated_at=files.made if of_report else None,
            sha256=hashlib.sha256(files.content).hexdigest() if of_report else None,
        )


def _said_of_report(files: _Files, notes: JoinNotes) -> _Said:
    """Judge the report: whole, and of a time that can be."""
    if files.report is None:
        return "skipped", 0, ["no credential report was given"]
    odd = [*_future(files), *files.report.problems]
    return "partial" if odd else "ok", len(files.rows), [_made(files), *odd, *notes.lines()]


def _made(files: _Files) -> str:
    if files.made:
        return f"made {format_instant(files.made)}"
    _, earliest = _instants(files)
    since = f"between {format_instant(earliest)} and this scan" if earliest else "before this scan"
    return f"made {since}: when is not known, --report-time says it"


def _future(files: _Files) -> Iterator[str]:
    """Say which times of the report cannot be."""
    if files.made and files.made > files.present + _SKEW:
        yield "that is in the future"
    last = min(files.made or files.present, files.present) + _SKEW
    late = [moment for moment in _report_times(files) if moment and moment > last]
    if late:
        yield f"times in it are later than it can be, like {format_instant(max(late))}"


def _instants(files: _Files) -> tuple[datetime, datetime | None]:
    """Return the instant that the files speak of, and the earliest that it may be if that is not known.

    It is the report's, or that of something newer in the listings. What an old report does not know of did
    not happen for it. Times in the future say nothing.
    """
    listed = _newest(_listed_times(files), files.present)
    if files.made:
        return min(files.present, max(files.made, listed or files.made)), None
    return files.present, _newest(_report_times(files), files.present) or listed


_Times = Iterator[datetime | None]


def _report_times(files: _Files) -> _Times:
    for user in files.rows:
        yield from (user.created_at, user.password_last_used_at, user.password_last_changed_at)
        yield from (moment for slot in user.slots for moment in (slot.last_rotated, slot.last_use.at))


def _listed_times(files: _Files) -> _Times:
    for user in files.users.users if files.users else ():
        yield from (user.created_at, user.password_last_used_at)
    for keys in files.keys.keys.values() if files.keys else ():
        yield from (key.created_at for key in keys)


def _newest(moments: _Times, present: datetime) -> datetime | None:
    """Return the latest of the times that are known and not in the future."""
    return max((moment for moment in moments if moment and moment <= present), default=None)


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
    unlisted = _unlisted(answers, files.rows)
    if unlisted:
        lines.append(f"{_users(unlisted)} {'with keys in the report ' if files.report else ''}not in it")
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
    if answers.report is None:
        return len(there)
    return sum(user.may_have_keys and user.user_name in there for user in users)


def _said_of_last_uses(answers: AccountAnswers) -> _Said:
    """Count the keys that only a call to AWS could say more of."""
    missing = len(keys_to_look_up(answers))
    if missing:
        return "skipped", 0, [f"{missing} keys whose last use the report does not tell"]
    return "ok", 0, ["not needed"]


def _users(count: int) -> str:
    return f"{count} user{'' if count == 1 else 's'}"
