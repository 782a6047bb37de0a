"""The chain: both databases tell the same, and whatever is tampered with is named."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.retirement.journal.encoding import instant_text, json_text, read_retirement
from birthright.retirement.journal.journal import Journal
from birthright.retirement.journal.opening import open_journal
from birthright.retirement.model import Intent, Replacement, Terms
from journal_helpers import ACTOR, LEASE, NOW, filled, order, record, tamper
from postgresql_helpers import PostgreSQL

_words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
_instants = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_durations = st.timedeltas(timedelta(), timedelta(days=9999))
_plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3),
    max_leaves=5,
)
_changes = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(["open", "created", "disabled", "deleted", "stopped"]),
        "due_at": st.none() | _instants,
        "note": _words,
        "ticket": _words,
        "terms": st.builds(Terms, in_use=_durations, quiet=_durations),
        "intent": st.none() | st.builds(Intent, call=_words, at=_instants, keys_before=st.just(("A", "B"))),
        "replacement": st.none()
        | st.builds(Replacement, access_key_id=_words, created_at=_instants, proven=st.booleans()),
    },
)
_actions = st.lists(
    st.tuples(st.integers(0, 2), _instants, _words, st.dictionaries(_words, _plain, max_size=2), _changes),
    max_size=8,
)


def _play(journal: Journal, names: list[str], actions: list[Any]) -> list[Any]:
    """Do the same things in a journal and return all it can tell."""
    orders = [order(number, user_name=name) for number, name in enumerate(names)]
    journal.begin(orders, ACTOR)
    locks = [journal.lock(found.id, "ann", NOW, LEASE) for found in orders]
    now = list(orders)
    for number, at, call, detail, changes in actions:
        step = record(at=at, call=call, detail=detail, changes=changes)
        now[number] = journal.append(locks[number], now[number], step)
        assert journal.get(now[number].id) == now[number]
    told = [list(journal.steps()), journal.find(), journal.find(open_only=True), journal.due(NOW)]
    return [*told, journal.verify()]


@pytest.fixture(scope="module")
def pair(
    postgresql_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Journal, ...]]:
    """Open a journal in each database, once: making one takes longer than an example."""
    places = (str(tmp_path_factory.mktemp("pair") / "journal.sqlite"), postgresql_server.new_database())
    journals = tuple(open_journal(place) for place in places)
    for place in places:
        tamper(place)
    yield journals
    for journal in journals:
        journal.close()


@pytest.mark.usefixtures("in_rounds")
@settings(max_examples=17)
@given(names=st.tuples(_words, _words, _words).map(list), actions=_actions)
def test_both_databases_tell_the_same(
    pair: tuple[Journal, ...], names: list[str], actions: list[Any]
) -> None:
    """Any sequence of steps gives the same steps, digests, retirements and check in both databases."""
    told = []
    for journal in pair:
        _empty(journal)
        told.append(_play(journal, names, actions))
    assert told[0] == told[1]
    assert told[0][-1].problem is None
    assert told[0][-1].steps == 3 + len(actions)


def _empty(journal: Journal) -> None:
    with journal._writer._engine.begin() as connection:
        for table in ("steps", "retirements", "locks"):
            connection.exec_driver_sql(f"delete from {table}")  # noqa: S608
        connection.exec_driver_sql("update chain set seq = 0, digest = ''")


@given(st.builds(Terms, in_use=_durations), _instants)
def test_retirements_survive_their_text(terms: Terms, at: datetime) -> None:
    """Durations and instants come back to the microsecond; texts of instants are ordered as the instants."""
    retirement = order(terms=terms, opened_at=at)
    assert read_retirement(json_text(retirement)) == retirement
    assert len(instant_text(at)) == 27
    assert (instant_text(at) < instant_text(NOW)) == (at < NOW)


_TEXTS = (
    "retirement_id",
    "at",
    "kind",
    "actor",
    "call",
    "request_id",
    "detail",
    "changes",
    "previous",
    "digest",
)


@pytest.fixture
def seven(place: str) -> str:
    """Return the place of a journal of seven steps; its first retirement has the steps 1 to 5."""
    with open_journal(place) as journal:
        filled(journal)
        assert journal.verify().problem is None
        assert journal.verify().steps == 7
    return place


def _problem(place: str) -> tuple[int, str]:
    with open_journal(place) as journal:
        found = journal.verify()
    return found.steps, found.problem or ""


def test_any_column_of_any_step(seven: str) -> None:
    """A step whose text was changed in any column is named, and those before it are counted as whole."""
    for seq in (7, 4, 1):
        for column in _TEXTS:
            tamper(
                seven,
                f"create table kept as select seq, {column} as was from steps",  # noqa: S608
                f"update steps set {column} = {column} || 'x' where seq = {seq}",  # noqa: S608
            )
            steps, problem = _problem(seven)
            assert (steps, problem.partition(" was changed")[0].split()[:2]) == (seq - 1, ["step", str(seq)])
            assert "retirement-" in problem
            tamper(
                seven,
                f"update steps set {column} = (select was from kept where kept.seq = steps.seq)",  # noqa: S608
                "drop table kept",
            )
    assert _problem(seven) == (7, "")


@pytest.mark.parametrize(
    ("statements", "steps", "says"),
    [
        (["delete from steps where seq = 3"], 2, "step 3 is missing"),
        (["delete from steps where seq = 1"], 0, "step 1 is missing"),
        (["update steps set seq = 30 where seq = 3"], 2, "step 3 is missing"),
        (["delete from steps where seq > 5"], 5, "step 6 is missing, and all up to the last, 7"),
        (["delete from steps", "delete from retirements"], 0, "step 1 is missing"),
        (["update chain set seq = 6"], 7, "head is step 6"),
        (["update chain set digest = ''"], 7, "head is step 7"),
        (["delete from chain"], 7, "0 heads"),
        (
            [
                "update steps set seq = 30 where seq = 3",
                "update steps set seq = 3 where seq = 4",
                "update steps set seq = 4 where seq = 30",
            ],
            2,
            "step 3 of retirement retirement-1 was changed",
        ),
        (["delete from retirements where id = 'retirement-2'"], 7, "retirement-2 has steps, but is gone"),
        (["update retirements set state = 'deleted'"], 7, "retirement-1 is not the sum of its steps: state"),
        (["update retirements set is_open = not is_open"], 7, "is_open"),
        (["update retirements set has_intent = not has_intent"], 7, "has_intent"),
        (["update retirements set due_at = 'x'"], 7, "due_at"),
        (["update retirements set replacement_key_id = 'x'"], 7, "replacement_key_id"),
        (["update retirements set account_id = 'x'"], 7, "account_id"),
        (["update retirements set id = 'x' where id = 'retirement-1'"], 7, "gone itself|x has no steps"),
        (["update retirements set data = 'x'"], 7, "retirement-1 cannot be read"),
        (["update retirements set data = replace(data, 'yearly', 'daily')"], 7, "sum of its steps: reason"),
    ],
)
def test_what_was_taken_away_moved_or_changed(
    seven: str, statements: list[str], steps: int, says: str
) -> None:
    """The first broken link is named: a hole, a lost tail, another order, another story."""
    tamper(seven, *statements)
    found, problem = _problem(seven)
    assert found == steps
    assert any(word in problem for word in says.split("|")), problem


def test_a_step_made_anew_does_not_fit_its_neighbour(seven: str) -> None:
    """Somebody who knows how digests are made can change one step, and is caught at the next."""
    from birthright.retirement.journal.encoding import digest_of

    with open_journal(seven) as journal:
        third = list(journal.steps())[2]
    row = {
        "seq": third.seq, "retirement_id": third.retirement_id, "at": instant_text(third.at),
        "kind": third.kind, "actor": "arn:eve", "call": "", "request_id": "",
        "detail": json_text(third.detail),
        "changes": json_text(third.changes), "previous": third.previous,
    }  # fmt: skip
    anew = f"actor = 'arn:eve', digest = '{digest_of(row)}'"
    tamper(seven, f"update steps set {anew} where seq = 3")  # noqa: S608
    steps, problem = _problem(seven)
    assert steps == 3
    assert "step 4 of retirement retirement-1 does not follow step 3" in problem
