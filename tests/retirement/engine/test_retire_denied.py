"""The permissions that `birthright permissions --for retire` prints: enough, and each one needed.

Every denial ends in one clear line that names the action, leaves nothing half-done, and goes on when the
permission is there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from birthright.sandbox.population import SCANNER, SCANNER_KEY
from cli_helpers import Ran
from retire_helpers import HANDOVERS, ProcessJudge, Scene, scene

RETIRE = ["ListAccessKeys", "GetAccessKeyLastUsed", "UpdateAccessKey", "DeleteAccessKey", "CreateAccessKey"]
# User -> where the new secret goes, and what is asked for there when the destination is new.
DESTINATIONS = {
    "sm-a": ["secretsmanager:CreateSecret", "secretsmanager:DescribeSecret", "secretsmanager:TagResource"],
    "ex-a": ["secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue"],
    "ps-a": ["ssm:DescribeParameters", "ssm:PutParameter", "ssm:AddTagsToResource"],
}
# One write at each place, and one look; the others are slow tests.
WITH_EVERY_CHANGE = {"secretsmanager:CreateSecret", "secretsmanager:PutSecretValue", "ssm:PutParameter",
                     "ssm:DescribeParameters"}  # fmt: skip
# Seen before a key is made, so that nothing needs to be taken back.
LOOKS = {"secretsmanager:DescribeSecret", "ssm:DescribeParameters"}
DAYS: tuple[dict[str, float], ...] = ({}, {"minutes": 1}, {"days": 4}, {"days": 15})


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    """Serve an account that nobody lives in yet."""
    with scene(tmp_path / "scene") as made:
        yield made


def spec_of(user: str) -> str:
    """Return where a user's new secret goes."""
    return HANDOVERS.get(f"{user[:3]}*", HANDOVERS["*"])


def printed(here: Scene, *options: str) -> set[str]:
    """Return the actions that the command prints."""
    policy: dict[str, Any] = here.call("permissions", "--for", "retire", *options).document
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def allow(here: Scene, actions: set[str]) -> None:
    """Let birthright's own key do these things and nothing else."""
    here.box.account().users[SCANNER].keys[SCANNER_KEY].allow = tuple(sorted(actions))


def steps(here: Scene, *, begun: bool = False) -> Iterator[Ran]:
    """Go through the whole flow, a run at a time; people use the new keys."""
    for step in DAYS:
        here.advance(**step)
        here.use_new_keys()
        yield here.call("apply", "--due") if step or begun else here.call("apply", here.plan_file, "--yes")


def intact(here: Scene) -> None:
    """Nothing is made and lost, nothing is off without a record, and the journal is whole."""
    readable = here.handed_over()
    for entry in here.changes():
        if entry.effect[0] == "created":
            assert not here.status_of(entry.effect[2]) or entry.effect[2] in readable
        if entry.effect[-1] == "Inactive":
            assert here.of(entry.effect[1]).disabled_at is not None
    assert here.journal.verify().problem is None


def finished(here: Scene) -> None:
    """Take all that is open to its end, and judge."""
    for ran in steps(here, begun=True):
        assert (ran.code, ran.err) == (0, "")
    assert set(here.states().values()) == {"deleted"}
    ProcessJudge(here).all()


@pytest.mark.parametrize("user", DESTINATIONS)
def test_what_is_printed_is_enough(here: Scene, user: str) -> None:
    """With exactly these permissions an unused key is deleted and one in use is rotated."""
    here.idle("idle")
    here.busy(user)
    here.make_plan()
    allow(here, printed(here, "--handover", spec_of(user)))
    assert [ran.code for ran in steps(here)] == [0, 0, 0, 0]
    assert here.states() == {"idle": "deleted", user: "deleted"}
    assert set(here.box.errors) <= {"ResourceNotFoundException"}  # the secret was not there yet
    ProcessJudge(here).all()


def test_without_rotation_less_is_enough(here: Scene) -> None:
    """Deleting only, with descriptions: what `--no-rotate --annotate` prints."""
    key = here.idle("idle")
    here.make_plan("--annotate")
    allow(here, printed(here, "--no-rotate", "--annotate"))
    assert [ran.code for ran in steps(here)] == [0, 0, 0, 0]
    assert here.states() == {"idle": "deleted"}
    assert "deleted by birthright" in here.box.account().users["idle"].tags[key.access_key_id]
    assert not here.box.errors


def test_secrets_that_stay_here_need_nothing_more(here: Scene, tmp_path: Path) -> None:
    """A profile in a credentials file asks AWS for nothing but the keys."""
    spec = f"profile:{{user_name}}:{tmp_path}/credentials"
    here.settings(handover=spec)
    here.busy("sm-a")
    here.make_plan()
    actions = printed(here, "--handover", spec)
    assert actions == {f"iam:{action}" for action in RETIRE}
    allow(here, actions)
    assert here.call("apply", here.plan_file, "--yes").code == 0
    replacement = here.of("sm-a").replacement
    assert replacement
    assert replacement.access_key_id in (tmp_path / "credentials").read_text()
    here.advance(minutes=1)
    here.box.people.use_key(replacement.access_key_id)
    for step in ({"minutes": 1}, {"days": 4}, {"days": 15}):
        here.advance(**step)
        assert here.call("apply", "--due").code == 0
    assert here.states() == {"sm-a": "deleted"}


@pytest.mark.parametrize("action", RETIRE)
def test_each_permission_on_keys_denied(here: Scene, action: str) -> None:
    """The run ends with 3 and a line for each key that names the action; with it, the run goes on."""
    here.idle("idle")
    here.busy("sm-a")
    here.make_plan()
    all_of_them = printed(here)
    allow(here, all_of_them - {f"iam:{action}"})
    denied = []
    for ran in steps(here):
        intact(here)
        if ran.code:
            denied.append(ran)
            allow(here, all_of_them)
            again = here.call("apply", "--due")
            assert (again.code, again.err) == (0, "")
            allow(here, all_of_them - {f"iam:{action}"})
    assert denied
    for ran in denied:
        assert ran.code == 3
        assert ran.out
        lines = ran.err.splitlines()
        assert len(lines) == ran.err.count(f"iam:{action} is denied")
        assert all("AKIA" in line and "permissions --for retire" in line for line in lines), lines
    assert here.states() == {"idle": "deleted", "sm-a": "deleted"}
    ProcessJudge(here).all()


@pytest.mark.parametrize(
    ("user", "action"),
    [
        pytest.param(user, action, marks=[] if action in WITH_EVERY_CHANGE else [pytest.mark.slow])
        for user, actions in DESTINATIONS.items()
        for action in actions
    ],
)
def test_each_permission_of_a_destination_denied(here: Scene, user: str, action: str) -> None:
    """The new key is not made, or deleted again; who reads it is told which action is missing."""
    here.busy(user)
    here.make_plan()
    all_of_them = printed(here, "--handover", spec_of(user))
    allow(here, all_of_them - {action})
    ran = here.call("apply", here.plan_file, "--yes")
    told = here.of(user).note + ran.err
    assert action in told
    assert len(ran.err.splitlines()) <= 1
    intact(here)
    assert here.status_of(here.of_plan(user)) == "Active"
    if action in LOOKS:
        assert (ran.code, here.done(user)) == (3, [])
    else:
        assert (ran.code, here.done(user)) == (1, ["created", "deleted"])
        allow(here, {"*"})
        here.make_plan()
        allow(here, all_of_them)
        assert here.call("apply", here.plan_file, "--yes").code == 0
    allow(here, all_of_them)
    finished(here)


def test_neither_handed_over_nor_deleted(here: Scene) -> None:
    """A new key that gets nowhere and may not be deleted is deleted as soon as that is allowed."""
    here.busy("sm-a")
    here.make_plan()
    all_of_them = printed(here)
    allow(here, all_of_them - {"secretsmanager:CreateSecret", "iam:DeleteAccessKey"})
    ran = here.call("apply", here.plan_file, "--yes")
    assert ran.code == 3
    assert "iam:DeleteAccessKey" in ran.err
    (made,) = [entry.effect[2] for entry in here.changes()]
    shown = here.call("status")
    assert made in shown.out
    assert here.call("apply", "--due").code == 3
    allow(here, all_of_them)
    assert here.call("apply", "--due").code == 0
    assert here.done("sm-a") == ["created", "deleted", "created"]
    finished(here)


@pytest.mark.parametrize(
    ("user", "action"),
    [
        ("sm-a", "secretsmanager:PutSecretValue"),
        ("ps-a", "ssm:AddTagsToResource"),
        pytest.param("ps-a", "ssm:PutParameter", marks=pytest.mark.slow),
    ],
)
def test_the_second_rotation_of_a_user(here: Scene, user: str, action: str) -> None:
    """What only the next hand-over to the same place needs is told, too, and nothing is lost."""
    here.busy(user)
    here.make_plan()
    assert [ran.code for ran in steps(here)] == [0, 0, 0, 0]
    first = here.handed_over()
    here.advance(days=400)
    here.use_new_keys()
    here.advance(hours=5)
    here.make_plan()
    all_of_them = printed(here, "--handover", spec_of(user))
    allow(here, all_of_them - {action})
    ran = here.call("apply", here.plan_file, "--yes")
    intact(here)
    assert action in here.of(user).note + ran.err
    if action == "ssm:AddTagsToResource":
        assert ran.code == 0
        assert here.handed_over().keys() != first.keys()
    else:
        assert (ran.code, here.handed_over()) == (1, first)


def test_a_description_that_is_denied_stops_nothing(here: Scene) -> None:
    """Without iam:TagUser keys go without a description."""
    here.idle("idle")
    here.make_plan("--annotate")
    allow(here, printed(here) - {"iam:TagUser"})
    assert [ran.code for ran in steps(here)] == [0, 0, 0, 0]
    assert here.states() == {"idle": "deleted"}
