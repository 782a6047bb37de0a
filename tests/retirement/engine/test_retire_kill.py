"""`kill -9` at any moment: the real command, continued to the end, judged by the sandbox's own log."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from retire_helpers import ProcessJudge, Scene, scene

LATENCY_MS = 8.0
# What passes before each part of the flow, how often it is killed, and after how many calls at most:
# the plan is applied; what was uncertain is cleared up; the old keys were quiet; the quarantine is over.
PARTS: tuple[tuple[dict[str, float], int, int], ...] = (
    ({}, 4, 14),
    ({"minutes": 70}, 1, 8),
    ({"days": 4}, 3, 6),
    ({"days": 15}, 5, 8),
)
# Thirteen kills in each of the four populations, and one in each test below: 58.
LEASE = {"minutes": 6}  # is over then, and every reader of IAM sees every change
DISABLED = {"idle", "idle-100", "off", "back"}
ROTATED = {"sm-a", "sm-b", "ex-a", "ps-a"}


@pytest.fixture
def populated(tmp_path: Path) -> Iterator[Scene]:
    """Give a scene with a plan: keys that nobody uses, and one in use for each kind of destination."""
    with scene(tmp_path / "scene", latency_ms=LATENCY_MS) as made:
        made.idle("idle")
        made.idle("idle-100", 100)
        made.idle("off", 200, "Inactive")
        made.idle("back")
        for name in sorted(ROTATED):
            made.busy(name)
        made.make_plan()
        yield made


def kill(here: Scene, choose: random.Random, calls: int, *arguments: str) -> int:
    """Kill a run up to so many calls after it began, or a little later; return how often that was tried."""
    for tried in range(1, 10):
        after = here.box.calls.total() + (choose.randint(1, calls) if tried == 1 else 1)
        later = choose.choice((0.0, choose.uniform(0, 0.01), choose.uniform(0, 0.05)))
        if here.kill_when(lambda after=after: here.box.calls.total() >= after, *arguments, later=later):  # type: ignore[misc]
            return tried
    raise AssertionError("it always ends before it can be killed")


def live(here: Scene, choose: random.Random) -> None:
    """Let people do what they do between two runs: keys in use are used, also the old ones now and then."""
    here.advance(**choose.choice((LEASE, {"minutes": 20})))
    if choose.random() < 0.5:
        here.use_new_keys()
    old = choose.choice([item for item in here.planned if item.action == "rotate"])
    if choose.random() < 0.2 and "Inactive" not in here.done(old.user_name):
        here.box.people.use_key(old.access_key_id)


def to_the_end(here: Scene) -> None:
    """Run without being killed until nothing is left to do."""
    for step in (LEASE, {"minutes": 70}, {"minutes": 1}, {"days": 4}, {"days": 15}):
        here.advance(**step)
        here.use_new_keys()
        here.call("apply", "--due")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments(populated: Scene, seed: int) -> None:
    """Killed thirteen times at any moment, all ends as planned: nothing in use goes, nothing is lost."""
    choose, command = random.Random(seed), ["apply", "plan.json", "--yes"]  # noqa: S311 - to be repeatable
    (given_back,) = populated.box.account().users["back"].keys
    for step, kills, calls in PARTS:
        populated.advance(**step)
        for _ in range(kills):
            kill(populated, choose, calls, *command)
            assert populated.journal.verify().problem is None
            live(populated, choose)
            command = ["apply", "--due"]
        populated.advance(**LEASE)
        populated.call(*command)
        if populated.states()["back"] == "disabled":
            populated.box.people.set_status(given_back, "Active")
    judge_the_end(populated)


def judge_the_end(here: Scene) -> None:
    """Continue, and judge what became of everything."""
    to_the_end(here)
    ended = here.states()
    assert {name: ended[name] for name in ROTATED} == dict.fromkeys(ROTATED, "deleted")
    assert {ended[name] for name in DISABLED - {"back"}} == {"deleted"}
    assert ended["back"] in {"reclaimed", "deleted", "stopped"}
    ProcessJudge(here).all()
    verified = here.run("journal", "verify")
    assert verified.code == 0, verified


@pytest.mark.parametrize(
    "action",
    [
        "CreateAccessKey",
        "UpdateAccessKey",
        pytest.param("CreateSecret", marks=pytest.mark.slow),
        pytest.param("PutSecretValue", marks=pytest.mark.slow),
        pytest.param("PutParameter", marks=pytest.mark.slow),
        pytest.param("DeleteAccessKey", marks=pytest.mark.slow),
    ],
)
def test_killed_right_after_a_call(populated: Scene, action: str) -> None:
    """Killed when AWS has made a change and before the answer is written down, it goes on all the same."""
    here, killed = populated, False
    for step in ({}, {"minutes": 70}, {"minutes": 1}, {"days": 4}, {"days": 15}):
        here.advance(**step)
        here.use_new_keys()
        before = here.box.calls[action]
        command = ["apply", "--due"] if step else ["apply", "plan.json", "--yes"]
        killed = here.kill_when(lambda before=before: here.box.calls[action] > before, *command)  # type: ignore[misc]
        if killed:
            break
    assert killed
    judge_the_end(here)
