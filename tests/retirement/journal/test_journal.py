"""What the journal keeps, finds, locks and refuses; in both databases."""

import threading
from datetime import timedelta, timezone

import msgspec
import pytest
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from birthright.errors import JournalError, LockedError
from birthright.retirement.journal.journal import Journal
from birthright.retirement.model import Intent, Replacement, Retirement
from birthright.secret import Secret
from journal_helpers import ACTOR, LEASE, NOW, filled, opened, order, record, run


def test_a_retirement_is_opened_once(journal: Journal) -> None:
    """A key with an open retirement is not opened again, also not twice in one call."""
    first, again = order(1), order(2, access_key_id=order(1).access_key_id)
    assert journal.begin([first, again, order(3)], ACTOR) == ([first, order(3)], [first])
    assert journal.begin([again, order(4)], ACTOR) == ([order(4)], [first])
    other = order(5, access_key_id=first.access_key_id, account_id="444455556666")
    assert journal.begin([other], ACTOR) == ([other], [])
    assert [step.kind for step in journal.steps()] == ["opened"] * 4


def test_a_key_can_be_retired_again_after_an_end(journal: Journal) -> None:
    """Only an open retirement stands in the way of another plan."""
    lock, retirement = opened(journal)
    journal.append(lock, retirement, record(changes={"state": "stopped"}))
    plan = msgspec.structs.replace(retirement.plan, id="plan-2")
    again = order(2, access_key_id=retirement.access_key_id, plan=plan)
    assert journal.begin([again], ACTOR) == ([again], [])
    assert [found.id for found in journal.find(key=again.access_key_id)] == [retirement.id, again.id]


def test_the_same_plan_begins_nothing_twice(journal: Journal) -> None:
    """A key that was given back is not taken again by the plan that took it the first time."""
    lock, retirement = opened(journal)
    undone = journal.append(lock, retirement, record(changes={"state": "undone"}))
    again = order(2, access_key_id=retirement.access_key_id)
    assert journal.begin([again, order(3)], ACTOR) == ([order(3)], [undone])


def test_what_somebody_wanted_back_is_begun_again_only_on_purpose(journal: Journal) -> None:
    """Another plan leaves alone a key that was reclaimed, unless it is told to; then that is settled."""
    lock, retirement = opened(journal)
    reclaimed = journal.append(lock, retirement, record(changes={"state": "reclaimed"}))
    plans = [msgspec.structs.replace(retirement.plan, id=f"plan-{n}") for n in (2, 3)]
    again, later = (
        order(n, access_key_id=retirement.access_key_id, plan=plan) for n, plan in enumerate(plans, 2)
    )
    assert journal.begin([again], ACTOR) == ([], [reclaimed])
    assert journal.begin([again], ACTOR, again=True) == ([again], [])
    journal.append(journal.lock(again.subject, "me", NOW, LEASE), again, record(changes={"state": "stopped"}))
    assert journal.begin([later], ACTOR) == ([later], [])


def test_the_replacement_of_an_open_rotation_is_no_other_plans_business(journal: Journal) -> None:
    """A plan that names the new key of a rotation gets the rotation, and begins nothing."""
    lock, retirement = opened(journal)
    replacement = Replacement(access_key_id="AKIANEW", created_at=NOW)
    rotating = journal.append(
        lock, retirement, record(changes={"state": "created", "replacement": replacement})
    )
    assert journal.begin([order(2, access_key_id="AKIANEW")], ACTOR) == ([], [rotating])


def test_the_database_itself_refuses_a_second_open_retirement(journal: Journal, place: str) -> None:
    """A program that does not look first meets the unique index."""
    journal.begin([order()], ACTOR)
    columns = "account_id, user_name, access_key_id, state, is_open, has_intent, ticket, opened_at, data"
    with pytest.raises(DBAPIError, match=r"(?i)unique"):
        run(place, [f"insert into retirements (id, {columns}) select 'x', {columns} from retirements"])  # noqa: S608


def test_nothing_is_begun_if_one_order_cannot_be(journal: Journal) -> None:
    """An order whose id is taken leaves no step and no retirement of the whole call."""
    journal.begin([order(1)], ACTOR)
    with pytest.raises(JournalError):
        journal.begin([order(2), order(3, id=order(1).id)], ACTOR)
    assert len(list(journal.steps())) == len(journal.find()) == journal.verify().steps == 1


def test_what_is_appended_is_there(journal: Journal) -> None:
    """A step comes back as it was written, with what it changed, structs and durations too."""
    lock, retirement = opened(journal)
    intent = Intent(call="create", at=NOW, keys_before=("AKIA1",))
    replacement = Replacement(access_key_id="AKIANEW", created_at=NOW, handed_over_at=NOW)
    changes = {"state": "created", "intent": intent, "replacement": replacement, "due_at": NOW}
    written = record(1.5, call="iam:CreateAccessKey", request_id="req", detail={"n": [1]}, changes=changes)
    changed = journal.append(lock, retirement, written)
    assert changed == msgspec.structs.replace(retirement, **changes)
    assert journal.get(retirement.id) == changed
    first, second = journal.steps()
    assert msgspec.convert(first.changes, Retirement) == retirement
    assert (second.seq, second.at, second.call, second.request_id) == (
        2,
        written.at,
        "iam:CreateAccessKey",
        "req",
    )
    assert second.detail == {"n": [1]}
    assert second.changes["intent"] == msgspec.json.decode(msgspec.json.encode(intent))
    assert (second.previous, first.previous) == (first.digest, "")
    assert list(journal.steps(retirement.id)) == [first, second]
    assert not list(journal.steps("no such"))


def test_finding(journal: Journal) -> None:
    """Every filter narrows; a key is found by its replacement's id too; the oldest comes first."""
    late = order(3, opened_at=NOW + timedelta(days=1), ticket="CHG-2", account_id="444455556666")
    journal.begin([late], ACTOR)
    lock, first = opened(journal, 1)
    new = Replacement(access_key_id="AKIANEW", created_at=NOW)
    journal.append(lock, first, record(changes={"replacement": new, "state": "deleted"}))

    def ids(**filters: object) -> list[str]:
        return [found.id for found in journal.find(**filters)]  # type: ignore[arg-type]

    assert ids() == [first.id, late.id]
    assert ids(key="AKIANEW") == ids(key=first.access_key_id) == ids(user="user-1") == [first.id]
    assert ids(ticket="CHG-2") == ids(account="444455556666") == ids(open_only=True) == [late.id]
    assert not ids(ticket="CHG-2", user="user-1")
    with pytest.raises(JournalError, match="no such"):
        journal.get("no such")


def test_what_is_due(journal: Journal) -> None:
    """Due: open, and with no time set, its time come, or an intent left; what has waited longest first."""
    hour = timedelta(hours=1)
    orders = [
        order(1, due_at=NOW + hour),
        order(2, due_at=NOW),
        order(3, due_at=NOW - hour),
        order(4),
        order(5, due_at=NOW + hour, intent=Intent(call="disable", at=NOW)),
        order(6, due_at=NOW - hour, state="deleted"),
    ]
    journal.begin(orders, ACTOR)
    assert [found.user_name for found in journal.due(NOW)] == ["user-4", "user-3", "user-2", "user-5"]
    assert len(journal.due(NOW + hour)) == 5


def test_a_lock_keeps_others_out_until_its_lease_is_over(journal: Journal) -> None:
    """The second is told by whom and until when; at the end of the lease it takes over."""
    first = journal.lock("s", "ann on host-1", NOW, LEASE)
    with pytest.raises(LockedError, match=r"ann on host-1 holds it until 2026-11-22T10:01:00Z"):
        journal.lock("s", "ben", NOW + LEASE - timedelta(microseconds=1), LEASE)
    assert first.is_mine(NOW + LEASE - timedelta(microseconds=1))
    assert not first.is_mine(NOW + LEASE)
    second = journal.lock("s", "ben", NOW + LEASE, LEASE)
    journal.release(first)
    with pytest.raises(LockedError, match="ben"):
        journal.lock("s", "ann", NOW + LEASE, LEASE)
    journal.release(second)
    journal.lock("s", "ann", NOW, LEASE)


def test_every_step_extends_the_lock(journal: Journal) -> None:
    """The lease runs from the last step on, here and in the journal; a clock set back takes nothing."""
    lock, retirement = opened(journal)
    journal.append(lock, retirement, record(50))
    assert lock.expires_at == NOW + timedelta(seconds=110)
    journal.append(lock, retirement, record(-100))
    with pytest.raises(LockedError, match=r"10:01:50Z"):
        journal.lock(retirement.subject, "ben", NOW + LEASE, LEASE)


@pytest.mark.parametrize("taken", [True, False])
def test_a_lost_lock_stops_the_next_step(journal: Journal, taken: bool) -> None:  # noqa: FBT001
    """Whoever lost the lock writes nothing any more, whether or not somebody else has it."""
    lock, retirement = opened(journal)
    if taken:
        journal.lock(retirement.subject, "ben on host-2", NOW + LEASE, LEASE)
    else:
        journal.release(lock)
    with pytest.raises(LockedError, match=r"lost.*ben on host-2" if taken else "lost"):
        journal.append(lock, retirement, record(changes={"note": "x"}))
    assert lock.expires_at == NOW + LEASE
    assert journal.get(retirement.id) == retirement
    assert journal.verify().steps == 1


def test_a_retirement_that_moved_is_not_overwritten(journal: Journal) -> None:
    """A step made from an old state, or for a retirement that is not there, is refused and leaves nothing."""
    lock, retirement = opened(journal)
    moved = journal.append(lock, retirement, record(1, changes={"note": "one"}))
    for old in (retirement, msgspec.structs.replace(moved, id="no such")):
        with pytest.raises(JournalError, match="moved"):
            journal.append(lock, old, record(2, changes={"note": "two"}))
    assert journal.get(retirement.id) == moved
    assert journal.verify().steps == 2


def test_equal_values_written_differently_are_equal(journal: Journal) -> None:
    """An instant in another time zone is the same instant."""
    lock, retirement = opened(journal, due_at=NOW)
    east = NOW.astimezone(timezone(timedelta(hours=5)))
    same = msgspec.structs.replace(retirement, due_at=east, opened_at=east)
    changed = journal.append(lock, same, record(changes={"note": "x"}))
    assert changed.due_at == NOW
    assert journal.verify().problem is None


@pytest.mark.parametrize("changes", [{"state": "asleep"}, {"due_at": "soon"}, {"no_such_field": 1}])
def test_a_change_of_a_wrong_kind_is_never_written(journal: Journal, changes: dict[str, object]) -> None:
    """What could not be read back is refused before it is written."""
    lock, retirement = opened(journal)
    with pytest.raises((JournalError, TypeError)):
        journal.append(lock, retirement, record(changes=changes))
    assert journal.verify().steps == 1


def test_a_secret_cannot_be_written(journal: Journal) -> None:
    """A Secret in a record is refused, and not shown."""
    lock, retirement = opened(journal)
    with pytest.raises(TypeError) as caught:
        journal.append(lock, retirement, record(detail={"secret": Secret("hunter2")}))
    assert "hunter2" not in str(caught.value)
    assert journal.verify().steps == 1


def test_text_that_is_none(journal: Journal) -> None:
    """A ticket of bytes that are no UTF-8 is one clear error."""
    with pytest.raises(JournalError, match="UTF-8"):
        journal.begin([order(ticket="\udcff")], ACTOR)


def test_steps_are_append_only(journal: Journal, place: str) -> None:
    """The database refuses to change or delete a step."""
    filled(journal)
    says = "never changed"
    statements = ["delete from steps", "update steps set actor = 'eve' where seq = 1"]
    if "://" in place:
        statements.append("truncate steps")
    for statement in statements:
        with pytest.raises(SQLAlchemyError, match=says):
            run(place, [statement])
    assert journal.verify().problem is None


def test_threads_share_a_journal(journal: Journal) -> None:
    """Eight threads append at once; the chain stays whole and nothing is lost."""
    worked = [opened(journal, number) for number in range(8)]
    failures: list[BaseException] = []

    def work(number: int) -> None:
        lock, retirement = worked[number]
        try:
            for step in range(20):
                retirement = journal.append(lock, retirement, record(step, changes={"note": str(step)}))
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert journal.verify() == msgspec.structs.replace(journal.verify(), steps=168, problem=None)


def test_a_reader_does_not_stop_a_writer(journal: Journal) -> None:
    """Steps are read bit by bit while others are written; the reader sees one moment."""
    lock, retirement = opened(journal)
    for number in range(3):
        retirement = journal.append(lock, retirement, record(number))
    reading = journal.steps()
    next(reading)
    journal.append(lock, retirement, record(9))
    assert len(list(reading)) == 3
