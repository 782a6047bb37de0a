"""`birthright undo`: gives back what was disabled, and says plainly where it cannot."""

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


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    """Give a scene where a plan was applied: a key that is off now, one that was off before, a rotation."""
    with scene(tmp_path / "scene") as made:
        made.idle("idle")
        made.idle("off", 200, "Inactive")
        made.busy("sm-a")
        made.make_plan()
        assert made.call("apply", made.plan_file, "--yes").code == 0
        yield made


def undo(here: Scene, user: str) -> str:
    """Undo a user's retirement; return what was printed, in one line."""
    ran = here.call("undo", here.of_plan(user))
    assert (ran.code, ran.err) == (0, ""), ran
    assert here.of(user).state == "undone"
    return " ".join(ran.out.split())


def refused(here: Scene, key_id: str) -> str:
    """Fail to undo; nothing is changed in AWS."""
    before = here.changes()
    ran = here.call("undo", key_id)
    assert ran.code == 2
    assert here.changes() == before
    return ran.err


def test_a_disabled_key_is_given_back(here: Scene) -> None:
    """It is on again, the retirement is over, and no later run touches it."""
    assert "enabled again" in undo(here, "idle")
    assert here.done("idle") == ["Inactive", "Active"]
    here.advance(days=15)
    assert here.call("apply", "--due").code == 0
    assert here.done("idle") == ["Inactive", "Active"]
    assert here.call("journal", "verify").code == 0


def test_at_the_last_moment(here: Scene) -> None:
    """It works as long as the key is there, also when its deletion is due."""
    here.advance(days=30)
    undo(here, "idle")
    assert here.status_of(here.of_plan("idle")) == "Active"


def test_a_key_that_was_off_before_stays_off(here: Scene) -> None:
    """Undo gives back what was there, and no more."""
    assert "stays disabled, as it was before" in undo(here, "off")
    assert here.status_of(here.of_plan("off")) == "Inactive"
    here.advance(days=15)
    here.call("apply", "--due")
    assert here.status_of(here.of_plan("off")) == "Inactive"
    assert "enabled" not in undo(here, "off")
    assert here.status_of(here.of_plan("off")) == "Inactive"


def test_a_deleted_key(here: Scene) -> None:
    """Nobody can bring it back, and that is said."""
    here.advance(days=15)
    assert here.call("apply", "--due").code == 0
    assert "AWS cannot bring a deleted key back" in refused(here, here.of_plan("idle"))


def test_a_key_that_somebody_else_deleted(here: Scene) -> None:
    """It is gone, undone or not."""
    here.box.people.delete_key(here.of_plan("idle"))
    assert "gone" in refused(here, here.of_plan("idle")) or here.of("idle").state == "gone"
    assert "deleted" in refused(here, here.of_plan("idle"))


def test_an_unknown_key(here: Scene) -> None:
    """A typing error is not taken for a key."""
    assert "knows no retirement of AKIANOBODY0000000000" in refused(here, "AKIANOBODY0000000000")


def test_the_replacements_id_is_not_the_key(here: Scene) -> None:
    """Only the key that was to go can be given back."""
    replacement = here.of("sm-a").replacement
    assert replacement
    assert "knows no retirement of" in refused(here, replacement.access_key_id)


def test_a_rotation_that_waits(here: Scene) -> None:
    """The old key stays, and so does the new one that somebody may use; nothing else happens."""
    assert "its replacement" in undo(here, "sm-a")
    here.use_new_keys()
    here.advance(days=40)
    here.call("apply", "--due")
    assert here.done("sm-a") == ["created"]


def test_a_rotation_whose_old_key_is_off(here: Scene) -> None:
    """Both keys are on afterwards."""
    here.advance(minutes=1)
    here.use_new_keys()
    here.advance(days=4)
    assert here.call("apply", "--due").code == 0
    assert here.of("sm-a").state == "disabled"
    undo(here, "sm-a")
    assert here.done("sm-a") == ["created", "Inactive", "Active"]


def test_twice(here: Scene) -> None:
    """The second time nothing is left to undo: nothing changes."""
    undo(here, "idle")
    undo(here, "idle")
    assert here.done("idle") == ["Inactive", "Active"]


def test_reclaimed(here: Scene) -> None:
    """What somebody else has switched on needs no undo."""
    here.box.people.set_status(here.of_plan("idle"), "Active")
    assert "enabled" in undo(here, "idle")
    assert here.done("idle") == ["Inactive"]


def test_denied(here: Scene) -> None:
    """AWS's refusal is one line, and the key can be given back when it is allowed."""
    here.box.faults.add("access-denied", action="UpdateAccessKey")
    ran = here.call("undo", here.of_plan("idle"))
    assert ran.code == 3
    assert "iam:UpdateAccessKey is denied" in ran.err
    assert len(ran.err.splitlines()) == 1
    here.box.faults.clear()
    undo(here, "idle")


def test_the_answer_is_lost(here: Scene) -> None:
    """Whether it worked is not known, which is said; the next run finds out, or the next undo."""
    here.box.faults.add("drop", action="UpdateAccessKey", times=1)
    ran = here.call("undo", here.of_plan("idle"))
    assert ran.code == 3
    assert here.status_of(here.of_plan("idle")) == "Active"
    here.advance(minutes=6)
    here.call("apply", "--due")
    assert here.of("idle").state == "undone"
    assert here.done("idle") == ["Inactive", "Active"]


def test_a_replacement_in_the_making(here: Scene, tmp_path: Path) -> None:
    """While nobody knows where a new secret went, --due has to clear that up first."""
    with scene(tmp_path / "making") as other:
        other.busy("sm-b")
        other.make_plan()
        other.box.faults.add("drop", action="CreateAccessKey", times=1)
        assert other.call("apply", other.plan_file, "--yes").code == 3
        assert "run 'birthright apply --due' first" in refused(other, other.of_plan("sm-b"))
        other.advance(minutes=70)
        assert other.call("apply", "--due").code == 0
        undo(other, "sm-b")
        assert here.folder != other.folder


def test_who_undid_it_is_in_the_journal(here: Scene) -> None:
    """An auditor sees the caller, the call and AWS's request."""
    undo(here, "idle")
    steps = json.loads(here.call("journal", "show", here.of_plan("idle"), "--format", "json").out)
    steps = steps["steps"] if isinstance(steps, dict) else steps
    (ended,) = [step for step in steps if step["kind"] == "ended"]
    assert ended["call"] == "enable"
    assert ended["actor"].endswith(":user/birthright-scanner")
    assert ended["request_id"]
