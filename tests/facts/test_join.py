"""The slot join, rule by rule and as properties over any answers."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birthright.facts.answers import (
    ROOT_NAME,
    AccountAnswers,
    CredentialReport,
    LastUse,
    ListedKey,
    ListedUser,
    ReportSlot,
    ReportUser,
)
from birthright.facts.join import JoinNotes, join_account, keys_to_look_up
from birthright.facts.model import AccessKey, Principal

ID = "111122223333"
BORN = datetime(2026, 1, 1, 10, tzinfo=UTC)
MADE, LATER, USED = (BORN + timedelta(**d) for d in ({"seconds": 1}, {"days": 9}, {"days": 20}))
ARN = f"arn:aws:iam::{ID}:user/ann"
NEVER = LastUse(ever_used=False)
RECENT = LastUse(ever_used=True, at=USED, region="eu-west-1", service="s3")
EMPTY = ReportSlot(active=False, last_use=NEVER)
ROOT = ReportUser(ROOT_NAME, created_at=BORN, mfa_active=True)


def slot(
    made: datetime | None = MADE,
    use: LastUse = RECENT,
    *,
    active: bool | None = True,
    readable: bool = True,
) -> ReportSlot:
    return ReportSlot(active, made, use, readable)


def row(*slots: ReportSlot, name: str = "ann", **fields: object) -> ReportUser:
    two = (*slots, EMPTY, EMPTY)[:2]
    base = ReportUser(
        name, ARN.replace("ann", name), BORN, console_password=True, mfa_active=False, slots=two
    )
    return msgspec.structs.replace(base, **fields)


def user(name: str = "ann", made: datetime | None = BORN, **fields: object) -> ListedUser:
    base = ListedUser(name, ARN.replace("ann", name), f"AIDA{name}", "/", made)
    return msgspec.structs.replace(base, **fields)


def key(n: int, made: datetime | None = MADE, status: str | None = "Active") -> ListedKey:
    return ListedKey("ann", f"AKIA{n}", status, made)


def answers(*rows: ReportUser, **fields: object) -> AccountAnswers:
    base = AccountAnswers(ID, "aws", CredentialReport((ROOT, *rows)))
    return msgspec.structs.replace(base, **fields)


def ann(given_answers: AccountAnswers) -> tuple[Principal, list[AccessKey], JoinNotes]:
    principals, keys, notes = join_account(given_answers)
    (principal,) = (p for p in principals if p.user_name == "ann")
    return principal, [k for k in keys if k.user_name == "ann"], notes


def brief(keys: Iterable[AccessKey]) -> list[tuple[str | None, int | None, bool | None]]:
    return [(k.access_key_id, k.slot, k.ever_used) for k in keys]


# --- listed keys meet slots


def test_a_listed_key_takes_its_last_use_from_its_slot() -> None:
    """Status and time come from the listing, the last use from the slot of the same second."""
    _, keys, _ = ann(answers(row(EMPTY, slot()), keys={"ann": (key(1, status="Inactive"),)}))
    assert keys == [
        AccessKey(
            ID,
            ARN,
            "ann",
            console_password=True,
            user_created_at=BORN,
            access_key_id="AKIA1",
            slot=2,
            status="Inactive",
            created_at=MADE,
            created_source="listing",
            ever_used=True,
            last_used_at=USED,
            last_used_region="eu-west-1",
            last_used_service="s3",
            last_used_source="report",
        )
    ]


A, B, GONE = slot(), slot(use=NEVER, active=False), slot(LATER)
ON, OFF = key(1), key(2, status="Inactive")


@pytest.mark.parametrize(
    ("slots", "listed", "expected"),
    [
        pytest.param((A,), (ON,), [("AKIA1", 1, True)], id="one and one"),
        pytest.param((A,), (key(1, status="Inactive"),), [("AKIA1", 1, True)], id="disabled since"),
        pytest.param((A,), (key(1, LATER),), [("AKIA1", None, None)], id="replaced since"),
        pytest.param((A,), (), [], id="deleted since"),
        pytest.param((A,), (key(1, None),), [("AKIA1", None, None)], id="no creation time"),
        pytest.param(
            (A, GONE),
            (key(2, LATER), ON),
            [("AKIA1", 1, True), ("AKIA2", 2, True)],
            id="two seconds, any order",
        ),
        pytest.param(
            (B, A),
            (ON, OFF),
            [("AKIA1", 2, True), ("AKIA2", 1, False)],
            id="one second, told apart by status",
        ),
        pytest.param(
            (A, slot(use=NEVER)),
            (ON, key(2)),
            [("AKIA1", None, None), ("AKIA2", None, None)],
            id="one second, both active",
        ),
        pytest.param(
            (A, slot(use=NEVER)),
            (ON, OFF),
            [("AKIA1", None, None), ("AKIA2", None, None)],
            id="one second, one disabled since",
        ),
        pytest.param((A, B), (ON,), [("AKIA1", 1, True)], id="two slots, one key left"),
        pytest.param(
            (A, slot(active=None)),
            (ON, OFF),
            [("AKIA1", 1, True), ("AKIA2", None, None)],
            id="a status that could not be read",
        ),
        pytest.param(
            (A, GONE),
            (ON, key(2, LATER), key(3, USED), key(4, USED)),
            [
                ("AKIA1", 1, True),
                ("AKIA2", 2, True),
                ("AKIA3", None, None),
                ("AKIA4", None, None),
            ],
            id="more than two keys",
        ),
        pytest.param((B,), (key(1, status="Expired"),), [("AKIA1", 1, False)], id="a newer status word"),
    ],
)
def test_matching(
    slots: tuple[ReportSlot, ...],
    listed: tuple[ListedKey, ...],
    expected: list[tuple[str | None, int | None, bool | None]],
) -> None:
    """A slot is a key's if they share the second, and the status where several keys do."""
    _, keys, _ = ann(answers(row(*slots), keys={"ann": listed}))
    assert brief(keys) == expected
    assert [k.status for k in keys] == [k.status for k in sorted(listed, key=lambda k: k.access_key_id)]


def test_a_look_up_wins_over_the_report() -> None:
    """GetAccessKeyLastUsed is asked after the report was made, so it is newer."""
    found = LastUse(ever_used=True, at=USED + timedelta(days=1), region="us-east-1", service="ses")
    _, keys, _ = ann(answers(row(A), keys={"ann": (ON,)}, last_uses={"AKIA1": found}))
    assert (keys[0].last_used_at, keys[0].last_used_source) == (found.at, "lookup")
    assert (keys[0].last_used_service, keys[0].slot) == ("ses", 1)


def test_a_look_up_without_an_answer_leaves_the_report() -> None:
    """A look-up that said nothing does not hide what the report says."""
    _, keys, _ = ann(answers(row(A), keys={"ann": (ON,)}, last_uses={"AKIA1": LastUse()}))
    assert (keys[0].last_used_at, keys[0].last_used_source) == (USED, "report")


def test_what_must_be_looked_up() -> None:
    """Keys without a slot, with several, or with one that does not say: no others."""
    ambiguous = answers(row(A, A), keys={"ann": (key(2), key(1))})
    assert keys_to_look_up(ambiguous) == ["AKIA1", "AKIA2"]
    assert ann(ambiguous)[2].ambiguous_keys == ("AKIA1", "AKIA2")
    assert keys_to_look_up(answers(row(A), keys={"ann": (ON, key(2, LATER))})) == ["AKIA2"]
    assert keys_to_look_up(answers(row(slot(use=LastUse())), keys={"ann": (ON,)})) == ["AKIA1"]
    assert keys_to_look_up(answers(row(A, GONE), keys={"ann": (ON, key(2, LATER))})) == []
    assert keys_to_look_up(AccountAnswers(ID, keys={"ann": (ON,)})) == ["AKIA1"]
    assert keys_to_look_up(answers(row(A))) == []


# --- keys that nobody listed


def test_slots_are_keys_where_nobody_listed_them() -> None:
    """At depth report each slot that holds a key is a row without an id."""
    _, keys, _ = ann(answers(row(B, GONE)))
    assert brief(keys) == [(None, 1, False), (None, 2, True)]
    assert [(k.status, k.created_at) for k in keys] == [("Inactive", MADE), ("Active", LATER)]
    assert {k.created_source for k in keys} == {k.last_used_source for k in keys} == {"report"}


def test_denied_keys_come_from_the_report() -> None:
    """A user whose keys could not be listed has the report's."""
    _, keys, notes = ann(answers(row(A), unread_keys=frozenset({"ann"})))
    assert brief(keys) == [(None, 1, True)]
    assert notes == JoinNotes()


@pytest.mark.parametrize(
    ("doubtful", "status", "made"),
    [
        (slot(active=None, readable=False), None, MADE),
        (slot(None, active=True, readable=False), "Active", None),
        (slot(None, active=False, readable=False), "Inactive", None),
        (slot(None, active=None), None, None),
        (slot(None, active=True), "Active", None),
    ],
)
def test_an_unreadable_slot_is_a_row(doubtful: ReportSlot, status: str | None, made: datetime | None) -> None:
    """Where a key cannot be ruled out there is a row with what is known, so that no rule passes."""
    _, keys, _ = ann(answers(row(EMPTY, doubtful)))
    assert [(k.slot, k.status, k.created_at) for k in keys] == [(2, status, made)]


NOBODY_READ = [(None, None, None)]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(answers(unread_keys=frozenset({"ann"})), id="denied and not in the report"),
        pytest.param(answers(users=(user(),)), id="listed, keys not asked, not in the report"),
        pytest.param(AccountAnswers(ID, users=(user(),)), id="no report, keys not asked"),
        pytest.param(answers(row(A), users=(user(made=LATER),)), id="recreated, keys not asked"),
        pytest.param(answers(row(more_credentials=True)), id="more keys than slots"),
    ],
)
def test_keys_nobody_could_read(case: AccountAnswers) -> None:
    """A user of whose keys nothing was read has one row that is unknown in everything."""
    _, keys, notes = ann(case)
    assert brief(keys) == NOBODY_READ
    assert (keys[0].status, keys[0].created_at, keys[0].created_source) == (None, None, None)
    assert notes.unread == 1


def test_a_list_of_keys_that_was_cut() -> None:
    """Keys that were seen are rows, and one more stands for those that may follow."""
    _, keys, _ = ann(answers(row(A), keys={"ann": (ON,)}, unread_keys=frozenset({"ann"})))
    assert brief(keys) == [("AKIA1", 1, True), *NOBODY_READ]


# --- users


def test_a_user_deleted_since_the_report() -> None:
    """A user absent from a complete listing stays a principal, without keys."""
    principal, keys, notes = ann(answers(row(A), users=()))
    assert (principal.in_report, principal.in_listing) == (True, False)
    assert keys == []
    assert notes.lines() == ("1 user in the report deleted since it was made",)


def test_an_unfinished_listing_proves_no_deletion() -> None:
    """A user absent from a listing that was cut may be there, with the report's keys."""
    principal, keys, notes = ann(answers(row(A), users=(), users_complete=False))
    assert principal.in_listing is None
    assert brief(keys) == [(None, 1, True)]
    assert notes == JoinNotes()


def test_a_listed_key_proves_its_user() -> None:
    """A key that was listed is a fact, also if its user is not in the list of users."""
    _, keys, _ = ann(answers(row(A), users=(), keys={"ann": (ON,)}))
    assert brief(keys) == [("AKIA1", 1, True)]


def test_a_user_newer_than_the_report() -> None:
    """A user whom only the listing knows is judged from the listing."""
    principal, keys, notes = ann(answers(users=(user(),), keys={"ann": (ON,)}))
    assert (principal.in_report, principal.in_listing) == (False, True)
    assert (principal.created_at, principal.path, principal.user_id) == (BORN, "/", "AIDAann")
    assert principal.console_password is None
    assert [(k.access_key_id, k.user_created_at, k.ever_used) for k in keys] == [("AKIA1", BORN, None)]
    assert notes.newer_than_report == 1


def test_a_recreated_user_has_nothing_of_its_namesake() -> None:
    """When the creation times differ the report's row is another user's."""
    principal, keys, notes = ann(
        answers(row(A), users=(user(made=MADE),), keys={"ann": (ON,)}),
    )
    assert principal.created_at == MADE
    assert principal.console_password is principal.mfa_active is None
    assert principal.in_report is False
    assert brief(keys) == [("AKIA1", None, None)]
    assert keys[0].user_created_at == MADE
    assert notes.lines() == ("1 user deleted and created again since the report was made",)


def test_a_creation_time_that_only_one_source_knows() -> None:
    """An unreadable time on one side is no sign of another user."""
    principal, _, notes = ann(answers(row(created_at=None), users=(user(),)))
    assert (principal.created_at, principal.console_password) == (BORN, True)
    assert ann(answers(row(), users=(user(made=None),)))[0].created_at == BORN
    assert notes.recreated == 0


def test_the_password_use_is_the_later_one() -> None:
    """ListUsers' time may be newer than the report's; either proves that the password was used."""
    listed = user(password_last_used_at=LATER)
    older = row(password_ever_used=True, password_last_used_at=MADE)
    for report_row in (older, row(password_ever_used=False)):
        principal, _, _ = ann(answers(report_row, users=(listed,)))
        assert (principal.password_ever_used, principal.password_last_used_at) == (True, LATER)


def test_an_arn_nobody_said_is_unknown() -> None:
    """A user known only by the name of its keys has no ARN made up for it."""
    principal, keys, _ = ann(answers(keys={"ann": (ON,)}))
    assert principal.user_arn is keys[0].user_arn is None


# --- root


def test_root_and_its_keys_come_from_the_report() -> None:
    """Root is first, is never in a listing, and its slots are its keys."""
    root = msgspec.structs.replace(ROOT, slots=(slot(BORN), EMPTY))
    case = AccountAnswers(ID, "aws-cn", CredentialReport((row(), root)), users=(user(),))
    principals, keys, _ = join_account(case)
    assert principals[0] == Principal(
        ID,
        f"arn:aws-cn:iam::{ID}:root",
        ROOT_NAME,
        is_root=True,
        created_at=BORN,
        mfa_active=True,
        in_report=True,
    )
    assert [(k.is_root, k.created_at, k.user_created_at, k.slot) for k in keys] == [(True, BORN, BORN, 1)]


@pytest.mark.parametrize(("report", "in_report"), [(None, None), (CredentialReport((row(),)), False)])
def test_root_without_a_row(report: CredentialReport | None, *, in_report: bool | None) -> None:
    """Without its row root is a principal of whom all is unknown, and so are its keys."""
    principals, keys, _ = join_account(AccountAnswers(ID, report=report))
    arn = f"arn:aws:iam::{ID}:root"
    assert principals[0] == Principal(ID, arn, ROOT_NAME, is_root=True, in_report=in_report)
    assert keys[0] == AccessKey(ID, arn, ROOT_NAME, is_root=True)


# --- properties

times = st.sampled_from([None, BORN, MADE, LATER])
uses = st.sampled_from([NEVER, RECENT, LastUse()])
any_slot = st.builds(
    ReportSlot, st.sampled_from([True, False, None]), times, uses, st.sampled_from([True, False])
)
NAMES = ["ann", "bob", "cy", "di"]


@st.composite
def any_answers(draw: st.DrawFn) -> AccountAnswers:
    def some() -> list[str]:
        return draw(st.lists(st.sampled_from(NAMES), unique=True))

    def row_of(name: str) -> ReportUser:
        two = (draw(any_slot), draw(any_slot))
        return row(*two, name=name, created_at=draw(times), more_credentials=draw(st.booleans()))

    def keys_of(name: str) -> tuple[ListedKey, ...]:
        number = draw(st.integers(0, 4))
        statuses = st.sampled_from(["Active", "Inactive", "Expired"])
        return tuple(ListedKey(name, f"AKIA{name}{i}", draw(statuses), draw(times)) for i in range(number))

    keys = {name: keys_of(name) for name in some()}
    rows = [row_of(name) for name in some()] + draw(st.sampled_from([[], [ROOT]]))
    ids = [k.access_key_id for listed in keys.values() for k in listed]
    return AccountAnswers(
        ID,
        report=draw(st.none() | st.just(CredentialReport(tuple(rows)))),
        users=draw(st.none() | st.just(tuple(user(n, draw(times)) for n in some()))),
        users_complete=draw(st.booleans()),
        keys=keys,
        unread_keys=frozenset(some()),
        last_uses={i: draw(uses) for i in ids if draw(st.booleans())},
    )


def shuffled(draw: st.DrawFn, case: AccountAnswers) -> AccountAnswers:
    def mix(items: Iterable[object]) -> tuple[object, ...]:
        return tuple(draw(st.permutations(list(items))))

    rows = [
        msgspec.structs.replace(r, slots=mix(r.slots)) for r in (case.report.users if case.report else ())
    ]
    return msgspec.structs.replace(
        case,
        report=CredentialReport(mix(rows)) if case.report else None,  # type: ignore[arg-type]
        users=None if case.users is None else mix(case.users),
        keys={name: mix(case.keys[name]) for name in mix(case.keys)},  # type: ignore[index]
    )


def without_slots(keys: Iterable[AccessKey]) -> list[AccessKey]:
    plain = [msgspec.structs.replace(k, slot=k.slot and 0) for k in keys]
    return sorted(plain, key=repr)


@st.composite
def answers_twice(draw: st.DrawFn) -> tuple[AccountAnswers, AccountAnswers]:
    case = draw(any_answers())
    return case, shuffled(draw, case)


@given(answers_twice())
def test_the_order_of_answers_does_not_matter(cases: tuple[AccountAnswers, AccountAnswers]) -> None:
    """Rows, slots and keys in any order give the same facts; slots only change their number."""
    case, again = cases
    principals, keys, notes = join_account(case)
    other_principals, other_keys, other_notes = join_account(again)
    assert other_principals == principals
    assert without_slots(other_keys) == without_slots(keys)
    assert other_notes == notes
    assert keys_to_look_up(again) == keys_to_look_up(case)


@given(any_answers())
def test_every_key_and_user_is_there_once(case: AccountAnswers) -> None:
    """Each listed key is one row, each named user one principal; no slot is taken twice."""
    principals, keys, _ = join_account(case)
    listed = sorted(k.access_key_id for user_keys in case.keys.values() for k in user_keys)
    assert sorted(k.access_key_id for k in keys if k.access_key_id) == listed
    names = [p.user_name for p in principals]
    assert names[0] == ROOT_NAME
    assert names[1:] == sorted(set(names[1:]))
    taken = [(k.user_name, k.slot) for k in keys if k.slot]
    assert len(taken) == len(set(taken))


@given(any_answers())
def test_a_key_has_a_source_or_nothing(case: AccountAnswers) -> None:
    """A row without a source is unknown in everything, and a last use has a source if it is known."""
    for k in join_account(case)[1]:
        facts = (k.access_key_id, k.slot, k.status, k.created_at)
        assert (k.created_source is not None) or facts == (None, None, None, None)
        assert (k.last_used_source is None) == (k.ever_used is None)


@given(any_answers())
def test_nobody_who_may_have_keys_is_lost(case: AccountAnswers) -> None:
    """Every user who may be there has key rows, unless a source says that there are none."""
    principals, keys, _ = join_account(case)
    with_rows = {k.user_name for k in keys}
    rows = {r.user_name: r for r in (case.report.users if case.report else ())}
    for p in principals:
        listed = case.keys.get(p.user_name) == () and p.user_name not in case.unread_keys
        gone = p.in_listing is False and p.user_name in rows
        none = p.in_report is True and not rows[p.user_name].may_have_keys
        assert p.user_name in with_rows or listed or gone or none
