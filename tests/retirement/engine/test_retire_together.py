"""Two at once, one that is told to stop, one that died: processes of the real command on one journal."""

import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from postgresql_helpers import SLOW_WITH_POSTGRESQL, place, postgresql_server, postgresql_url
from retire_helpers import ProcessJudge, Scene, scene

__all__ = ["place", "postgresql_server", "postgresql_url"]

SLOW = pytest.mark.slow
USERS = ("idle-1", "idle-2", "idle-3", "sm-1", "ex-1", "ps-1")
LATENCY_MS = 150.0


@pytest.fixture
def here(tmp_path: Path, place: str) -> Iterator[Scene]:
    """Give a scene with a plan for six users, once for each kind of journal."""
    with scene(tmp_path / "scene", journal=place) as made:
        yield populated(made)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Scene]:
    """Give the same with a journal in a file."""
    with scene(tmp_path / "scene") as made:
        yield populated(made)


def populated(made: Scene) -> Scene:
    """Add the users, and plan."""
    for name in USERS:
        (made.idle if name.startswith("idle") else made.busy)(name)
    made.make_plan()
    return made


def to_the_end(here: Scene) -> None:
    """Run until nothing is left to do, and judge."""
    here.box.latency.ms = 0
    for step in ({"minutes": 6}, {"minutes": 70}, {"minutes": 1}, {"days": 4}, {"days": 15}, {"days": 15}):
        here.advance(**step)
        here.use_new_keys()
        here.call("apply", "--due")
    assert set(here.states().values()) == {"deleted"}
    ProcessJudge(here).all()


@SLOW_WITH_POSTGRESQL
def test_two_at_once(here: Scene) -> None:
    """Each user is worked on by one of two; the other says by whom. Nothing happens twice."""
    here.box.latency.ms = LATENCY_MS
    children = [here.start("apply", "plan.json", "--yes") for _ in range(2)]
    ran = [here.finish(child) for child in children]
    told = "".join(one.err for one in ran)
    assert "is being worked on" in told, ran
    assert f"on {socket.gethostname()}, process " in told
    for one, other in zip(ran, reversed(children), strict=True):
        assert one.code == (3 if "is being worked on" in one.err else 0)
        assert set(re.findall(r"process (\d+) holds it until", one.err)) <= {str(other.pid)}
    created = [entry for entry in here.changes() if entry.effect[0] == "created"]
    assert len(created) == 3
    assert len(here.changes()) == 6
    to_the_end(here)


@SLOW_WITH_POSTGRESQL
def test_a_dead_holders_lock_is_taken_over_after_its_lease(here: Scene) -> None:
    """Until the lease is over the next run says who held it; then it goes on."""
    here.settings(lease="30s")
    here.box.latency.ms = LATENCY_MS
    listed = here.box.calls["ListAccessKeys"]
    assert here.kill_when(lambda: here.box.calls["ListAccessKeys"] > listed, "apply", "plan.json", "--yes")
    here.box.latency.ms = 0
    early = here.run("apply", "--due")
    assert early.code == 3
    assert re.search(
        r"^\S+, AKIA\w+: 111122223333/\S+ is being worked on: "
        rf"\S+ on {socket.gethostname()}, process \d+ holds it until \S+Z \(run it again",
        early.err,
        re.MULTILINE,
    )
    here.advance(seconds=32)
    late = here.run("apply", "--due")
    assert late.code == 0, late
    assert set(here.states().values()) == {"disabled", "proven"}
    to_the_end(here)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=SLOW)])
def test_told_to_stop(there: Scene, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM let what is in hand come to the end of its step: 130, and --due continues."""
    there.box.latency.ms = LATENCY_MS
    child = there.start("apply", "plan.json", "--yes")
    there.wait_for(lambda: there.box.calls["CreateAccessKey"] + there.box.calls["UpdateAccessKey"] >= 2)
    child.send_signal(number)
    ran = there.finish(child)
    assert ran.code == 130
    lines = [line for line in ran.err.splitlines() if line]
    assert lines[0] == "stopping: what is being worked on comes to the end of its step"
    assert lines[-1].startswith("interrupted; ")
    assert lines[-1].endswith("'birthright apply --due' continues")
    assert len(lines) == 2
    # Nobody's lock is left: the next run goes on at once.
    there.box.latency.ms = 0
    assert there.run("apply", "--due").code == 0
    assert set(there.states().values()) == {"disabled", "proven"}
    to_the_end(there)


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=SLOW), signal.SIGTERM])
def test_stopped_with_many_keys_left(tmp_path: Path, number: signal.Signals) -> None:
    """Of seventy keys those that nobody has begun with stay as they are; no replacement is made and lost."""
    with scene(tmp_path / "scene", latency_ms=30.0) as here:
        for index in range(70):
            here.busy(f"sm-{index}")
        here.settings(max_keys=100)
        here.make_plan()
        child = here.start("apply", "plan.json", "--yes")
        there = here.box.calls
        here.wait_for(lambda: there["CreateSecret"] >= 5)
        child.send_signal(number)
        ran = here.finish(child)
        assert ran.code == 130, ran
        created = [entry.effect[2] for entry in here.changes() if entry.effect[0] == "created"]
        assert 5 <= len(created) < 70
        assert set(created) <= set(here.handed_over())
        left = re.search(r"interrupted; (\d+) not looked at", ran.err)
        assert left
        assert 70 - int(left[1]) >= len(created)
        assert list(here.states().values()).count("open") == 70 - len(created)
        assert all(r.intent is None for r in here.journal.find())


def test_a_second_ctrl_c_does_not_wait(there: Scene) -> None:
    """While AWS does not answer, the second Ctrl-C ends the run at once; the next one continues."""
    there.box.faults.add("hang", action="UpdateAccessKey")
    child = there.start("apply", "plan.json", "--yes")
    try:
        there.wait_for(lambda: there.box.calls["UpdateAccessKey"] >= 3)
        child.send_signal(signal.SIGINT)
        assert child.stderr
        assert (child.stderr.readline(), child.stderr.readline()[:9]) == ("\n", "stopping:")
        asked = time.monotonic()
        child.send_signal(signal.SIGINT)
        ran = there.finish(child)
    finally:
        child.kill()
    assert (ran.code, ran.err) == (130, "birthright: interrupted\n")
    assert time.monotonic() - asked < 5
    there.box.faults.clear()
    to_the_end(there)


def test_the_same_plan_again(there: Scene) -> None:
    """A plan that was applied changes nothing when it is applied again, whatever became of its keys."""
    here = there
    here.box.people.use_key(here.of_plan("idle-1"))
    assert here.run("apply", "plan.json", "--yes").code == 1
    assert here.states()["idle-1"] == "stopped"
    assert here.call("undo", here.of_plan("idle-2")).code == 0
    assert here.call("undo", here.of_plan("sm-1")).code == 0
    before, states, steps = len(here.box.log), here.states(), len(list(here.journal.steps()))
    again = here.run("apply", "plan.json", "--yes")
    assert again.code in {0, 1}, again
    assert [entry for entry in here.box.log[before:] if entry.effect] == []
    assert here.states() == states
    # A note that a rotation still waits is news once.
    assert len(list(here.journal.steps())) <= steps + 2
    assert here.status_of(here.of_plan("idle-2")) == "Active"
