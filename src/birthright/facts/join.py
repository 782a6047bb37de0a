"""Where the credential report and the listings become one account; slots meet keys only here.

The report knows passwords, MFA, root and two unnamed key slots, up to four hours ago. The listings
know the users and keys of now. A user's listed keys are the truth about which keys there are; the
report adds when they were used. What neither says stays None, and a user whose keys could not be
read gets a key row that is unknown in everything, so that no rule passes it.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from birthright.facts.answers import (
    ROOT_NAME,
    AccountAnswers,
    LastUse,
    ListedKey,
    ListedUser,
    ReportSlot,
    ReportUser,
)
from birthright.facts.model import ACTIVE, INACTIVE, KEY_STATUSES, AccessKey, Principal

_UNKNOWN_USE = LastUse()
_START = datetime.min.replace(tzinfo=UTC)


class JoinNotes(msgspec.Struct, frozen=True):
    """Where the sources disagree. Counts are users; `ambiguous_keys` are access key ids."""

    deleted_since_report: int = 0
    newer_than_report: int = 0
    recreated: int = 0
    unread: int = 0
    stale: int = 0
    unknown_statuses: int = 0
    ambiguous_keys: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Return a line for each kind of disagreement that there is."""
        counted = (
            (self.deleted_since_report, "in the report deleted since it was made"),
            (self.newer_than_report, "not in the report"),
            (self.recreated, "deleted and created again since the report was made"),
            (self.unread, "with keys that could not be read"),
            (self.stale, "listed from before the report: a name was used again"),
            (self.unknown_statuses, "with a key of a status that is not known here"),
        )
        lines = [f"{n} user{'' if n == 1 else 's'} {what}" for n, what in counted if n]
        if self.ambiguous_keys:
            keys = ", ".join(self.ambiguous_keys)
            lines.append(f"created in the same second, not told apart by the report: {keys}")
        return tuple(lines)


def join_account(
    answers: AccountAnswers,
) -> tuple[tuple[Principal, ...], tuple[AccessKey, ...], JoinNotes]:
    """Join all that was read of one account into its rows.

    Root comes first, then users by name; keys by user, creation time, and id or slot. The order in
    which AWS gave rows, keys and slots does not matter.
    """
    subjects = _subjects(answers)
    principals = tuple(_principal(answers, subject) for subject in subjects)
    matches = {s.name: _matched(answers, s) for s in subjects if s.name in answers.keys}
    keys: list[AccessKey] = []
    for subject, principal in zip(subjects, principals, strict=True):
        keys += _key_rows(answers, subject, principal, matches)
    return principals, tuple(keys), _notes(answers, subjects, keys, matches)


def keys_to_look_up(answers: AccountAnswers) -> list[str]:
    """Return the ids of the listed keys of which the report cannot say when they were last used.

    They match no slot, or more than one, or one whose last use could not be read. Sorted.
    """
    return sorted(
        key.access_key_id
        for subject in _subjects(answers)
        for key, slot in _matched(answers, subject)
        if slot is None or slot[1].last_use.ever_used is None
    )


class _Subject(NamedTuple):
    """One user; `row` is the report's only if it describes this user, not a namesake before."""

    name: str
    row: ReportUser | None
    listed: ListedUser | None
    recreated: bool = False
    in_listing: bool | None = None
    gone: bool = False
    stale: bool = False


_Slot = tuple[int, ReportSlot]
_Match = tuple[ListedKey, _Slot | None]


def _subjects(answers: AccountAnswers) -> list[_Subject]:
    """Gather every user that any answer names, root first."""
    rows = {user.user_name: user for user in answers.report.users} if answers.report else {}
    listed = {user.user_name: user for user in answers.users or ()}
    names = {*rows, *listed, *answers.keys, *answers.unread_keys} - {ROOT_NAME}
    root = _Subject(ROOT_NAME, rows.get(ROOT_NAME), None)
    users = (_subject(answers, n, rows.get(n), listed.get(n)) for n in sorted(names))
    return [root, *users]


def _subject(
    answers: AccountAnswers, name: str, row: ReportUser | None, listed: ListedUser | None
) -> _Subject:
    """Decide whether the report's row is this user's, and whether the user is still there."""
    if row and listed and row.created_at and listed.created_at and listed.created_at < row.created_at:
        # A name is used again, and the younger user is the one that is there: this listing is the older.
        return _Subject(name, row, None, stale=True)
    recreated = bool(
        row and listed and row.created_at and listed.created_at and row.created_at != listed.created_at
    )
    listed_all = answers.users is not None and answers.users_complete
    in_listing = True if listed else False if listed_all else None
    # A key that was listed proves its user, whatever the list of users says.
    gone = row is not None and in_listing is False and not answers.keys.get(name)
    return _Subject(name, None if recreated else row, listed, recreated, in_listing, gone)


def _principal(answers: AccountAnswers, subject: _Subject) -> Principal:
    """Make the principal's row: what ListUsers says goes before the older report."""
    row = subject.row or ReportUser(subject.name)
    listed = subject.listed or ListedUser(subject.name, row.user_arn or "")
    is_root = subject.name == ROOT_NAME
    used_at = max(filter(None, (row.password_last_used_at, listed.password_last_used_at)), default=None)
    return Principal(
        account_id=answers.account_id,
        user_arn=_root_arn(answers) if is_root else listed.user_arn or None,
        user_name=subject.name,
        user_id=listed.user_id,
        path=listed.path,
        is_root=is_root,
        created_at=listed.created_at or row.created_at,
        console_password=row.console_password,
        password_ever_used=True if used_at else row.password_ever_used,
        password_last_used_at=used_at,
        password_last_changed_at=row.password_last_changed_at,
        mfa_active=row.mfa_active,
        active_certificates=row.active_certificates,
        in_report=None if answers.report is None else subject.row is not None,
        in_listing=subject.in_listing,
    )


def _root_arn(answers: AccountAnswers) -> str:
    """Name the account's root user."""
    return f"arn:{answers.partition}:iam::{answers.account_id}:root"


def _key_rows(
    answers: AccountAnswers,
    subject: _Subject,
    principal: Principal,
    matches: dict[str, list[_Match]],
) -> list[AccessKey]:
    """Make the rows of one principal's keys, in order; none for a user deleted since the report."""
    if subject.gone:
        return []
    blank = AccessKey(
        account_id=principal.account_id,
        user_arn=principal.user_arn,
        user_name=principal.user_name,
        is_root=principal.is_root,
        console_password=principal.console_password,
        user_created_at=principal.created_at,
    )
    rows = list(_known_rows(answers, subject, blank, matches.get(subject.name)))
    rows.sort(key=_key_order)
    return [*rows, blank] if _has_unread_keys(answers, subject) else rows


def _key_order(key: AccessKey) -> tuple[datetime, str, int]:
    """Order the keys of one user: by creation (unknown first), then id, then slot."""
    return key.created_at or _START, key.access_key_id or "", key.slot or 0


def _has_unread_keys(answers: AccountAnswers, subject: _Subject) -> bool:
    """Whether the user may have keys of which nothing was read.

    That is so when the listing broke off or, where there is none, when the report does not describe the user
    or mentions more keys than its two slots hold.
    """
    if subject.name in answers.keys:
        return subject.name in answers.unread_keys
    return subject.row is None or subject.row.more_credentials


def _known_rows(
    answers: AccountAnswers, subject: _Subject, blank: AccessKey, matches: list[_Match] | None
) -> Iterator[AccessKey]:
    """Make a row for each listed key or, without a listing, for each slot that has one."""
    if matches is not None:
        for key, slot in matches:
            yield _listed_row(blank, key, slot, answers.last_uses.get(key.access_key_id))
    elif subject.row is not None:
        for number, report_slot in enumerate(subject.row.slots, start=1):
            if report_slot.may_hold_key:
                yield _slot_row(blank, number, report_slot)


def _listed_row(blank: AccessKey, key: ListedKey, slot: _Slot | None, lookup: LastUse | None) -> AccessKey:
    """Make the row of a listed key; a look-up of its last use is newer than the report's."""
    looked_up = lookup is not None and lookup.ever_used is not None
    use = lookup if lookup and looked_up else slot[1].last_use if slot else _UNKNOWN_USE
    return msgspec.structs.replace(
        blank,
        access_key_id=key.access_key_id,
        slot=slot and slot[0],
        # A word that AWS has not documented may mean anything, also active.
        status=key.status if key.status in KEY_STATUSES else None,
        created_at=key.created_at,
        created_source="listing",
        **_use_columns(use, "lookup" if looked_up else "report"),
    )


def _slot_row(blank: AccessKey, number: int, slot: ReportSlot) -> AccessKey:
    """Make the row of a key that only the report knows."""
    # The report calls every status but this one inactive.
    status = None if slot.active is None else ACTIVE if slot.active else INACTIVE
    return msgspec.structs.replace(
        blank,
        slot=number,
        status=status,
        created_at=slot.last_rotated,
        created_source="report",
        **_use_columns(slot.last_use, "report"),
    )


def _use_columns(use: LastUse, source: str) -> dict[str, object]:
    """Spread a last use over its columns; an unknown one has no source."""
    return {
        "ever_used": use.ever_used,
        "last_used_at": use.at,
        "last_used_region": use.region,
        "last_used_service": use.service,
        "last_used_source": None if use.ever_used is None else source,
    }


def _matched(answers: AccountAnswers, subject: _Subject) -> list[_Match]:
    """Pair each listed key of a user with its slot; None if there is none, or more than one.

    A slot and a key are one if they share the second and nothing else does. Where others do, active
    ones and inactive ones are looked at apart: statuses can have changed since the report, but then
    the numbers no longer fit and the match stays open.
    """
    slots = _slots_by_second(subject.row)
    keys = _unique(answers.keys.get(subject.name, ()))
    return [(key, _slot_of(key, keys, slots)) for key in keys]


def _unique(keys: tuple[ListedKey, ...]) -> tuple[ListedKey, ...]:
    """Drop repetitions of a key: pages may overlap while keys are being made."""
    return tuple({key.access_key_id: key for key in keys}.values())


def _slots_by_second(row: ReportUser | None) -> dict[datetime, list[_Slot]]:
    """Group a row's numbered slots by the second in which their key was made."""
    slots: dict[datetime, list[_Slot]] = defaultdict(list)
    for number, slot in enumerate(row.slots if row else (), start=1):
        if slot.last_rotated is not None:
            slots[slot.last_rotated].append((number, slot))
    return slots


def _slot_of(key: ListedKey, keys: tuple[ListedKey, ...], slots: dict[datetime, list[_Slot]]) -> _Slot | None:
    """Find the one slot that can only be this key's."""
    if key.created_at is None:
        return None
    candidates = slots.get(key.created_at, [])
    rivals = [other for other in keys if other.created_at == key.created_at]
    if len(candidates) > 1 or len(rivals) > 1:
        active = key.status == ACTIVE
        candidates = [slot for slot in candidates if slot[1].active is active]
        rivals = [other for other in rivals if (other.status == ACTIVE) is active]
    return candidates[0] if len(candidates) == len(rivals) == 1 else None


def _is_odd(answers: AccountAnswers, key: AccessKey) -> bool:
    """Whether AWS gave this key a status that is none of the words it documents."""
    if key.status is not None:
        return False
    said = {listed.access_key_id: listed.status for listed in answers.keys.get(key.user_name, ())}
    return said.get(key.access_key_id or "") is not None


def _ambiguous(subject: _Subject, matches: list[_Match]) -> Iterator[str]:
    """Name the keys for which there are slots of their second, none of them surely theirs."""
    times = {slot.last_rotated for slot in subject.row.slots} if subject.row else set()
    for key, slot in matches:
        if slot is None and key.created_at in times - {None}:
            yield key.access_key_id


def _notes(
    answers: AccountAnswers,
    subjects: list[_Subject],
    keys: list[AccessKey],
    matches: dict[str, list[_Match]],
) -> JoinNotes:
    """Count what people want to know about the join."""
    users = subjects[1:]
    new = [s for s in users if s.row is None and not s.recreated]
    unread = {key.user_name for key in keys if key.created_source is None}
    return JoinNotes(
        deleted_since_report=sum(s.gone for s in users),
        newer_than_report=len(new) if answers.report else 0,
        recreated=sum(s.recreated for s in users),
        unread=len(unread - {ROOT_NAME}),
        stale=sum(s.stale for s in users),
        unknown_statuses=len({key.user_name for key in keys if _is_odd(answers, key)}),
        ambiguous_keys=tuple(sorted(i for s in users for i in _ambiguous(s, matches.get(s.name, [])))),
    )
