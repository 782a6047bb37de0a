"""The keys birthright itself runs with are left alone, however the configuration leads to them."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from birthright.aws.own_keys import own_keys
from birthright.sandbox.account import Key
from retire_helpers import Scene, scene

ROLE = "arn:aws:iam::111122223333:role/birthright-retire"
ADMIN = f"[profile admin]\nrole_arn = {ROLE}\nsource_profile = "


@pytest.fixture(autouse=True)
def frozen(folder: Path) -> None:
    """Let the clock run: the sandbox moves its own."""
    assert folder.is_dir()
    assert not time_machine.escape_hatch.is_travelling()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    """Give a scene in which two keys were planned to be retired."""
    with scene(tmp_path / "scene", accounts=2) as made:
        made.idle("idle")
        made.idle("robot")
        made.make_plan()
        yield made


def profiles(folder: Path, config: str, credentials: str) -> dict[str, str]:
    """Write AWS's two files; return what points at them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"AWS_CONFIG_FILE": folder / "config", "AWS_SHARED_CREDENTIALS_FILE": folder / "credentials"}
    for file, text in zip(files.values(), (config, credentials), strict=True):
        file.write_text(text)
    return {name: str(file) for name, file in files.items()}


def static(name: str, key: Key | str) -> str:
    """Write a profile that holds a key."""
    key_id, secret = (key.access_key_id, key.secret) if isinstance(key, Key) else (key, "x")
    return f"[{name}]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"


def run_as(here: Scene, patch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """Run commands with these variables in place of the sandbox's own credentials."""
    usual = {name: value for name, value in here.environment().items() if "KEY" not in name}
    patch.setattr(here, "environment", lambda: {**usual, **environment})


@pytest.mark.parametrize("between", [0, 1])
def test_the_source_of_a_role(here: Scene, monkeypatch: pytest.MonkeyPatch, between: int) -> None:
    """The key that a role is taken on with is left alone, code 3; other keys go on, and so do later runs."""
    robot = here.box.account().users["robot"].keys[here.of_plan("robot")]
    config = f"{ADMIN}source\n"
    if between:
        config = f"{ADMIN}step\n[profile step]\nrole_arn = {ROLE}\nsource_profile = source\n"
    usual = {**here.box.environment(), **profiles(here.folder / "aws", config, static("source", robot))}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del usual[name]
    with monkeypatch.context() as patch:
        run_as(here, patch, usual)
        ran = here.call("apply", here.plan_file, "--yes", "--profile", "admin")
        assert ran.code == 3, ran
        assert "birthright runs with this very key" in ran.err
        assert here.call("apply", "--due", "--profile", "admin").code == 3
    assert (here.done("robot"), here.done("idle")) == ([], ["Inactive"])
    assert robot.status == "Active"


def test_its_own_key_in_the_environment(here: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment is left alone, also where a profile is named beside it."""
    robot = here.box.account().users["robot"].keys[here.of_plan("robot")]
    own = {"AWS_ACCESS_KEY_ID": robot.access_key_id, "AWS_SECRET_ACCESS_KEY": robot.secret}
    with monkeypatch.context() as patch:
        run_as(here, patch, {**here.box.environment(), **own})
        ran = here.call("apply", here.plan_file, "--yes")
    assert ran.code == 3, ran
    assert here.done("robot") == []
    assert here.done("idle") == ["Inactive"]


def test_undo_looks_back(here: Scene) -> None:
    """A later plan found the key off, as an earlier one of ours had left it: undo still gives it back."""
    key_id = here.of_plan("idle")
    assert here.call("apply", here.plan_file, "--yes").code == 0
    # A use that AWS shows only now: the first retirement stops, and the key stays off.
    key = here.box.account().users["idle"].keys[key_id]
    assert here.of("idle").disabled_at is not None
    used_at = here.box.clock.second() + timedelta(minutes=1)
    key.last_used_at, key.last_used_service, key.last_used_region = used_at, "s3", "eu-west-1"
    here.advance(days=15)
    assert here.call("apply", "--due").code == 1
    assert (here.of("idle").state, key.status) == ("stopped", "Inactive")
    here.advance(days=100)
    here.make_plan("--user", "idle")
    assert here.call("apply", here.plan_file, "--yes").code == 0
    first, second = here.journal.find(user="idle")
    assert (second.planned.status, second.state) == ("Inactive", "disabled")
    ran = here.call("undo", key_id)
    assert (ran.code, key.status) == (0, "Active"), ran
    assert [here.journal.get(r.id).state for r in (first, second)] == ["undone", "undone"]


def test_wanted_back_and_planned_again(here: Scene) -> None:
    """The next plan leaves a key alone that was undone and says so; --again takes it."""
    key_id = here.of_plan("idle")
    assert here.call("apply", here.plan_file, "--yes").code == 0
    assert here.call("undo", key_id).code == 0
    here.make_plan("--user", "idle")
    ran = here.call("apply", here.plan_file, "--yes")
    assert ran.code == 0
    assert re.search(rf"left alone, as somebody wanted them back before \(--again\): {key_id}\n", ran.err)
    assert here.status_of(key_id) == "Active"
    assert here.call("apply", here.plan_file, "--yes", "--again").code == 0
    assert here.status_of(key_id) == "Inactive"


# What the configuration says


@pytest.mark.parametrize(
    ("config", "profile", "expected"),
    [
        ("", None, {"AKIADEFAULT"}),
        ("", "a", {"AKIADEFAULT", "AKIAA"}),
        ("[profile x]\nrole_arn = r\nsource_profile = a\n", "x", {"AKIADEFAULT", "AKIAA"}),
        (
            "[profile x]\nrole_arn = r\nsource_profile = y\n[profile y]\nrole_arn = r\nsource_profile = b\n",
            "x",
            {"AKIADEFAULT", "AKIAB"},
        ),
        ("[profile x]\nsource_profile = y\n[profile y]\nsource_profile = x\n", "x", {"AKIADEFAULT"}),
        ("[profile x]\nsource_profile = nobody\n", "x", {"AKIADEFAULT"}),
        ("[profile x]\nsource_profile =\n", "x", {"AKIADEFAULT"}),
        ("[profile x]\ns3 =\n  source_profile = b\n", "x", {"AKIADEFAULT"}),
        ("", "nobody", {"AKIADEFAULT"}),
        ("[default]\nrole_arn = r\nsource_profile = b\n", None, {"AKIADEFAULT", "AKIAB"}),
        ("not a configuration", "a", set()),
    ],
)
def test_what_the_files_say(
    folder: Path, monkeypatch: pytest.MonkeyPatch, config: str, profile: str | None, expected: set[str]
) -> None:
    """Every profile on the way from the chosen one counts; circles and gaps are no trouble."""
    known = static("default", "AKIADEFAULT") + static("a", "AKIAA") + static("b", "AKIAB")
    for name, value in profiles(folder / "aws", config, known).items():
        monkeypatch.setenv(name, value)
    assert set(own_keys(profile)) == expected


def test_what_the_environment_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment counts, and the profile that AWS_PROFILE names."""
    known = static("default", "AKIADEFAULT") + static("a", "AKIAA")
    for name, value in profiles(folder / "aws", "", known).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_PROFILE", "a")
    assert set(own_keys(None)) == {"AKIAENVIRONMENT", "AKIADEFAULT", "AKIAA"}


@pytest.mark.parametrize("file", ["config", "credentials"])
def test_files_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    """Configuration that is no text is no trouble: the environment's key is still known."""
    for name, value in profiles(folder / "aws", "", static("default", "AKIADEFAULT")).items():
        monkeypatch.setenv(name, value)
    (folder / "aws" / file).write_bytes(b"[default]\n\xff\xfe = \x00\n")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    assert "AKIAENVIRONMENT" in set(own_keys(None))
    os.environ.pop("AWS_ACCESS_KEY_ID")
    assert set(own_keys("x")) <= {"AKIADEFAULT"}
