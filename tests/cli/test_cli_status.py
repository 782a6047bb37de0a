"""`birthright status`: where everything stands, for people and for programs, without asking AWS."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine

from retire_helpers import Scene, scene


@pytest.fixture(autouse=True)
def frozen(folder: Path) -> None:
    """Let the clock run: the sandbox moves its own."""
    assert folder.is_dir()
    assert not time_machine.escape_hatch.is_travelling()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Give a scene where something of everything happened: each user is in the state of that name."""
    with scene(tmp_path_factory.mktemp("status") / "scene") as made:
        for name in ("deleted", "reclaimed", "gone"):
            made.idle(name)
        made.make_plan()
        assert made.call("apply", made.plan_file, "--yes", "--ticket", "CHG-1").code == 0
        made.box.people.set_status(made.of_plan("reclaimed"), "Active")
        made.box.people.delete_key(made.of_plan("gone"))
        made.advance(days=15)
        assert made.call("apply", "--due").code == 1
        for name in ("disabled", "stopped", "undone"):
            made.idle(name)
        for name in ("proven", "moved"):
            made.busy(name)
        made.advance(hours=5)
        made.make_plan("--user", "[!rg]*")
        made.box.people.use_key(made.of_plan("stopped"))
        assert made.call("apply", made.plan_file, "--yes", "--ticket", "CHG-2").code == 1
        assert made.call("undo", made.of_plan("undone")).code == 0
        made.advance(minutes=1)
        made.box.people.use_key(made.of("moved").replacement.access_key_id)  # type: ignore[union-attr]
        assert made.call("apply", "--due").code == 0
        yield made


STATES = {"deleted", "reclaimed", "gone", "disabled", "stopped", "undone", "proven", "moved"}


def told(here: Scene, *options: str) -> dict[str, str]:
    """Return the states by user that the JSON tells."""
    document = json.loads(here.call("status", "--format", "json", *options).out)
    assert document["schema"] == "birthright.status/1"
    return {one["user_name"]: one["state"] for one in document["retirements"]}


def test_every_state_is_shown(here: Scene) -> None:
    """Programs get every retirement and every field; whoever asks where things stand gets 0."""
    assert told(here) == {name: name for name in STATES}
    ran = here.call("status", "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    one = next(r for r in json.loads(ran.out)["retirements"] if r["user_name"] == "disabled")
    assert {"terms", "plan", "planned", "findings", "ticket", "due_at", "disabled_at", "note"} <= one.keys()


def test_the_table(here: Scene) -> None:
    """People get what a person has to look at first, then what waits, then what has ended."""
    ran = here.call("status")
    assert (ran.code, ran.err) == (0, "")
    titles = ["Stopped", "Reclaimed", "Replaced", "Disabled", "Deleted", "Undone"]
    places = [ran.out.index(f"{title}") for title in titles]
    assert places == sorted(places)
    assert "8 retirements, 3 still open" in ran.out
    for name in STATES:
        assert here.of(name).access_key_id in ran.out
    assert max(map(len, ran.out.splitlines())) <= 120


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--open",), {"disabled", "proven", "moved"}),
        (("--ticket", "CHG-1"), {"deleted", "reclaimed", "gone"}),
        (("--user", "moved"), {"moved"}),
        (("--account", "111122223333"), STATES),
        (("--account", "999988887777"), set()),
        (("--ticket", "CHG-1", "--user", "moved"), set()),
    ],
)
def test_filters(here: Scene, options: tuple[str, ...], expected: set[str]) -> None:
    """All that is asked for has to fit."""
    assert set(told(here, *options)) == expected


def test_an_account_without_retirements(here: Scene) -> None:
    """Nothing found is told, and no failure."""
    ran = here.call("status", "--account", "999988887777")
    assert (ran.code, ran.out, ran.err) == (0, "No retirement.\n", "")


def test_one_key(here: Scene) -> None:
    """A key is found by its own id, and by that of its replacement."""
    moved = here.of("moved")
    assert moved.replacement
    assert told(here, moved.access_key_id) == {"moved": "moved"}
    assert told(here, moved.replacement.access_key_id) == {"moved": "moved"}


def test_a_key_that_nobody_knows(here: Scene) -> None:
    """A typing error is told apart from a key that waits."""
    ran = here.call("status", "AKIANOBODY0000000000")
    assert ran.code == 2
    assert "knows no key AKIANOBODY0000000000" in ran.trouble


def test_what_waits_and_why(here: Scene) -> None:
    """A rotation says who still uses what, and until when it waits."""
    ran = here.call("status", here.of("moved").access_key_id)
    assert "the new key is in use" in " ".join(ran.out.split())
    assert "s3 in eu-west-1" in " ".join(ran.out.split())


def test_no_journal_yet(here: Scene) -> None:
    """Before anything was applied there is no journal, and nothing is made."""
    place = here.folder / "other.sqlite"
    ran = here.call("status", "--journal", place)
    assert ran.code in {2, 4}
    assert str(place) in ran.trouble
    assert not place.exists()


def test_aws_is_not_asked(here: Scene) -> None:
    """Status reads the journal only."""
    before = here.box.calls.total()
    here.call("status")
    assert here.box.calls.total() == before


def test_an_overdue_rotation(tmp_path: Path) -> None:
    """A rotation whose old key is still used after the deadline stays, and says who uses it."""
    with scene(tmp_path / "scene") as here:
        here.busy("busy")
        here.make_plan()
        assert here.call("apply", here.plan_file, "--yes").code == 0
        here.advance(days=31)
        here.box.people.use_key(here.of_plan("busy"), service="dynamodb", region="eu-central-1")
        assert here.call("apply", "--due").code == 0
        shown = " ".join(here.call("status").out.split())
        assert "overdue" in shown
        assert "dynamodb in eu-central-1" in shown
        assert here.status_of(here.of_plan("busy")) == "Active"
