"""What could make birthright take away a key that somebody needs, or leave one off; one test a fact."""

import json
import os
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from birthright.aws.clock import AwsClock
from birthright.aws.session import AwsSession
from birthright.errors import UsageError
from birthright.retirement.engine.accounts import AccountDirectory
from birthright.retirement.engine.run import run_all, run_one
from birthright.retirement.engine.state_machine import Result, advance
from birthright.retirement.engine.task import RunContext
from birthright.retirement.engine.undo import undo
from birthright.retirement.handover import foreign
from birthright.retirement.model import PlanRef, Retirement, Terms
from birthright.sandbox.account import Key
from birthright.sandbox.direct import _Body
from birthright.sandbox.log import LogEntry
from retirement_world import LEASE, PLUG, START, Crash, World, folder

RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
LISTED = (
    '<ListAccessKeysResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
    "<ListAccessKeysResult>{}</ListAccessKeysResult></ListAccessKeysResponse>"
)
MEMBER = "<AccessKeyMetadata><member>{}</member></AccessKeyMetadata><IsTruncated>false</IsTruncated>"


class Lab(World):
    """A world without dice: nothing happens but what a test says.

    between: is asked at every boundary. dates: bends the Date of an answer, given the request's text.
    """

    def __init__(self, place: Path) -> None:
        self.between: Callable[[str], None] | None = None
        self.dates: Callable[[str], datetime | None] = lambda _: None
        self.aws_clock: AwsClock | None = None
        self.lease = LEASE
        super().__init__(random.Random(1), place)  # noqa: S311 - not for cryptography
        self.terms = Terms()
        self.box.cloud.delays.consistency = 0.0

    def _populate(self) -> None:
        """Add nobody."""

    def boundary(self, where: str) -> None:
        """Let happen what the test wants here."""
        if self.between is not None:
            self.between(where)

    def _tools(self, journal: Any, name: str) -> RunContext:  # noqa: ANN401 - the journal, made fragile
        tools = msgspec.structs.replace(super()._tools(journal, name), lease=self.lease)
        return msgspec.structs.replace(tools, now=self.aws_clock.now) if self.aws_clock else tools

    def doubt_time(self, patch: pytest.MonkeyPatch) -> None:
        """Take the time from the answers' Date headers, which `dates` may bend."""
        self.aws_clock = AwsClock(self.clock.now, lambda: self.clock.now().timestamp())
        patch.setattr(PLUG.accounts, "_clock", self.aws_clock)
        patch.setattr(PLUG.accounts.own.iam, "_clock", self.aws_clock)
        ask = self.aws

        def answer(request: Any, **about: object) -> Any:  # noqa: ANN401 - botocore's hook
            answered = ask(request, **about)
            if date := self.dates(text_of(request)):
                answered.headers["Date"] = f"{date:%a, %d %b %Y %H:%M:%S GMT}"
            return answered

        self.aws = answer

    def garble(self, user: str, body: str) -> None:
        """Answer ListAccessKeys for one user with this."""
        ask = self.aws

        def answer(request: Any, **about: object) -> Any:  # noqa: ANN401 - botocore's hook
            answered, text = ask(request, **about), text_of(request)
            if "Action=ListAccessKeys" in text and f"UserName={user}" in text:
                answered.raw = _Body(LISTED.format(body).encode())
            return answered

        self.aws = answer

    def add(self, name: str, action: str, used: int | None, **changes: object) -> Key:
        """Add a user with one key, planned for; `changes` are the retirement's fields."""
        key = self._key(name, 400, used)
        self._plan(key, action)
        self.planned[-1] = msgspec.structs.replace(self.planned[-1], **changes)
        return key

    def idle(self, name: str = "alice", **changes: object) -> Key:
        """Add a key to be retired, used 100 days ago."""
        return self.add(name, "retire", 100, **changes)

    def busy(self, name: str = "alice", **changes: object) -> Key:
        """Add a key to be rotated, used yesterday."""
        return self.add(name, "rotate", 1, **changes)

    def off(self, name: str = "alice") -> Key:
        """Add a key to be retired that is switched off already, used 200 days ago."""
        self._off(name)
        (key,) = self.box.account().users[name].keys.values()
        return key

    def begin(self) -> None:
        """Open all that is planned, and take it as far as it goes."""
        self.journal.begin(self.planned, "arn")
        self.work()

    def plan_again(self, key: Key, action: str = "retire", *, again: bool = False) -> list[Retirement]:
        """Begin a later plan for a key, with what AWS says now; return what was opened."""
        self.planned = []
        self._plan(key, action)
        (order,) = self.planned
        number = len(self.journal.find())
        plan = PlanRef(f"plan-{number}", "digest", self.clock.now() + timedelta(days=1))
        order = msgspec.structs.replace(order, id=f"r-later-{number}", plan=plan, opened_at=self.clock.now())
        opened, _ = self.journal.begin([order], "arn", again=again)
        return opened

    def later(self, **wait: float) -> Retirement:
        """Let time pass and run `apply --due`; return the last retirement."""
        self.clock.advance(timedelta(**wait))
        self.work()
        return self.last

    def give_back(self) -> Result:
        """Run `birthright undo` for the last retirement."""
        return run_one(self.last, undo, self._tools(self.journal, "undo"), PLUG.accounts)

    @property
    def last(self) -> Retirement:
        """Return the last retirement, as it stands."""
        return self.journal.find()[-1]

    @property
    def new_key(self) -> str:
        """Return the replacement of the last retirement."""
        assert self.last.replacement is not None
        return self.last.replacement.access_key_id

    def status(self, key_id: str) -> str:
        """Return a key's status; empty if it is gone."""
        key = self.box.account().credentials.get(key_id)
        return key.status if isinstance(key, Key) else ""

    def ours(self, action: str) -> list[LogEntry]:
        """Return what birthright changed by calls of this action."""
        return [e for e in self.box.log if e.action == action and e.effect and e.caller != "somebody"]

    def rename(self, user: str, name: str) -> None:
        """Rename a user, as iam:UpdateUser does."""
        users = self.box.account().users
        users[name] = users.pop(user)
        users[name].name = name
        for key in users[name].keys.values():
            key.user_name = name

    def crash_when(self, moment: Callable[[], bool]) -> None:
        """Let the process die at the first write of the journal for which this is so."""

        def between(where: str) -> None:
            if where == "journal" and moment():
                self.between = None
                raise Crash

        self.between = between

    def stall(self, call: str, seconds: float, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Hold the process up for so long between the announcement of this call and the call."""

        def between(where: str) -> None:
            if where == "journal" and self.announced(call):
                self.between = None
                self.clock.advance(timedelta(seconds=seconds))
                meanwhile()

        self.between = between

    def announced(self, call: str) -> bool:
        """Whether the journal's last step announces this call."""
        *_, step = self.journal.steps()
        return (step.kind, step.call) == ("intent", call)


def text_of(request: Any) -> str:  # noqa: ANN401 - botocore's request
    """Return a request's body."""
    body = request.body or b""
    return body if isinstance(body, str) else body.decode()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Give an empty lab, and a home with nothing in it."""
    monkeypatch.setattr(foreign, "PAUSES", (0.001,) * 4)
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with folder(tmp_path) as place:
        made = Lab(place)
        yield made
        made.close()


# A hand-over nobody can vouch for


def nobody_knows(lab: Lab, key_id: str) -> None:
    """See that nothing is done within an hour; then it stops, the new key stays and is named."""
    r = lab.later(minutes=10)
    assert (r.state, lab.status(key_id)) == ("created", "Active")
    assert f"nobody knows whether the secret of {key_id} arrived" in r.note
    r = lab.later(hours=1)
    assert (r.state, lab.status(key_id)) == ("stopped", "Active")
    assert f"nobody knows whether the secret of {key_id} is at " in r.note
    lab.later(days=30)
    assert lab.status(key_id) == "Active"
    assert len(lab.ours("CreateAccessKey")) == 1
    assert lab.ours("DeleteAccessKey") == []


def killed_command(lab: Lab) -> tuple[Key, str]:
    """Rotate by a program that stores the secret and is then killed; return both keys."""
    program, vault = Path("store").absolute(), Path("vault").absolute()
    program.write_text(f"#!/bin/sh\ncat > '{vault}'\nkill -9 $$\n")
    program.chmod(0o755)
    old = lab.busy(handover=f"command:{program}")
    lab.begin()
    told: str = json.loads(vault.read_text())["access_key_id"]
    assert told == lab.new_key
    return old, told


def test_a_program_killed_after_storing(lab: Lab) -> None:
    """Nobody knows what it stored: the new key is never deleted."""
    old, new = killed_command(lab)
    nobody_knows(lab, new)
    assert lab.status(old.access_key_id) == "Active"


def test_undo_does_not_hide_that_nobody_knows(lab: Lab) -> None:
    """The retirement is closed by undo, also twice: the note still says where to look for the secret."""
    _, new = killed_command(lab)
    nobody_knows(lab, new)
    for _ in range(2):
        undone = lab.give_back().retirement
        assert (undone.state, undone.note[:26]) == ("undone", "closed; the key is enabled")
        assert undone.note.count(f"nobody knows whether the secret of {new} is at ") == 1


def test_a_use_says_that_the_secret_arrived(lab: Lab) -> None:
    """Somebody who uses the new key has its secret: the rotation goes on to its end."""
    old, new = killed_command(lab)
    lab.clock.advance(timedelta(minutes=30))
    lab.box.people.use_key(new)
    assert lab.later(minutes=1).state == "handed-over"
    lab.clock.advance(timedelta(minutes=1))
    lab.box.people.use_key(new)
    for _ in range(3):
        lab.later(days=15)
    assert (lab.status(old.access_key_id), lab.status(new)) == ("", "Active")


def test_a_secret_that_cannot_be_described_later(lab: Lab) -> None:
    """The new key became AWSCURRENT, the answer was lost, then AWS denies to look: the key stays."""
    lab.busy(handover="existing-secret:prod/app")
    secrets = PLUG.accounts.own.client("secretsmanager")
    secrets.create_secret(Name="prod/app", SecretString=json.dumps({"db": "x"}))
    lab.box.faults.add("service-failure-after", action="PutSecretValue")
    lab.begin()
    lab.box.faults.clear()
    value = json.loads(lab.box.account().secrets["prod/app"].value() or "")
    assert value["access_key_id"] == lab.new_key
    lab.box.faults.add("access-denied", action="DescribeSecret")
    nobody_knows(lab, lab.new_key)


Move = Callable[[pytest.MonkeyPatch], None]


def move_home(patch: pytest.MonkeyPatch) -> None:
    """Become somebody with another home."""
    patch.setenv("HOME", str(Path("elsewhere").absolute()))


def move_folder(patch: pytest.MonkeyPatch) -> None:
    """Go to another folder."""
    Path("elsewhere").mkdir()
    patch.chdir("elsewhere")


def move_machine(patch: pytest.MonkeyPatch) -> None:
    """Run on another machine, where the same home is empty."""
    patch.setattr(socket, "gethostname", lambda: "another")
    shutil.rmtree(os.environ["HOME"])


def credentials(lab: Lab, path: Path) -> bool:
    """Whether the file has a key by now."""
    assert lab.journal
    return path.is_file() and "AKIA" in path.read_text()


@pytest.mark.parametrize(
    ("spec", "file", "move"),
    [
        ("profile:app", "home/.aws/credentials", move_home),
        ("profile:app", "home/.aws/credentials", move_machine),
        ("profile:app:creds", "creds", move_folder),
    ],
)
def test_a_profile_that_was_written_elsewhere(
    lab: Lab, spec: str, file: str, move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process died after writing; whoever goes on sees another file: the new key is not deleted."""
    path = Path(file).absolute()
    lab.busy(handover=spec)
    lab.crash_when(lambda: credentials(lab, path))
    lab.begin()
    assert lab.new_key in path.read_text()
    move(monkeypatch)
    nobody_knows(lab, lab.new_key)


@pytest.mark.parametrize(
    "spec", ["secrets-manager:birthright/{user_name}", "existing-secret:prod/app", "ssm:/k/{user_name}"]
)
def test_a_secret_that_was_stored_in_another_region(
    lab: Lab, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process died after storing; a run in another Region finds nothing, and does not delete the key."""
    lab.busy(handover=spec)
    if spec.startswith("existing"):
        secrets = PLUG.accounts.own.client("secretsmanager")
        secrets.create_secret(Name="prod/app", SecretString="{}")
    calls = ("CreateSecret", "PutSecretValue", "PutParameter")
    stored = sum(len(lab.ours(call)) for call in calls)
    lab.crash_when(lambda: lab.announced("hand-over") and sum(len(lab.ours(c)) for c in calls) > stored)
    lab.begin()
    assert lab.last.intent is not None
    assert lab.last.intent.call == "hand-over"
    for name, value in {**lab.box.environment(), "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(name, value)
    session = AwsSession(None, "ap-south-1")
    assert session.region != PLUG.accounts.own.client("secretsmanager").meta.region_name
    session.botocore.register("before-send", PLUG.answer)
    monkeypatch.setattr(PLUG, "_accounts", AccountDirectory(session, AwsClock(), sleep=PLUG.sleep))
    nobody_knows(lab, lab.new_key)


def test_a_secret_that_arrived(lab: Lab) -> None:
    """The process died after storing; the place says that it is there, and the rotation goes on."""
    lab.busy()
    lab.crash_when(lambda: lab.announced("hand-over") and bool(lab.ours("CreateSecret")))
    lab.begin()
    assert lab.last.state == "created"
    new = lab.new_key
    assert lab.later(minutes=6).state == "handed-over"
    lab.clock.advance(timedelta(minutes=1))
    lab.use_replacements()
    assert lab.later(minutes=1).state == "moved"
    assert (lab.status(new), len(lab.ours("CreateAccessKey"))) == ("Active", 1)


def test_a_secret_that_surely_did_not_arrive(lab: Lab) -> None:
    """The place says that it is not there, and it is not elsewhere: the key is deleted and made again."""
    old = lab.busy()
    lab.box.faults.add("lost", action="CreateSecret")
    lab.begin()
    lab.box.faults.clear()
    first = lab.new_key
    assert lab.later(minutes=6).state == "created"
    assert lab.status(first) == "Active"
    assert lab.later(minutes=15).state == "proven"
    assert (lab.status(first), lab.status(lab.new_key)) == ("", "Active")
    assert (lab.status(old.access_key_id), len(lab.ours("CreateAccessKey"))) == ("Active", 2)


@pytest.mark.parametrize(
    "handover", ["secrets-manager:birthright/{user_name}", "ssm:/birthright/{user_name}"]
)
@pytest.mark.parametrize(("moment", "minutes"), [(1, 7), (1, 30), (2, 7), (2, 30), (3, 7)])
def test_a_hand_over_that_was_held_up(lab: Lab, handover: str, moment: int, minutes: int) -> None:
    """The process sleeps, another one goes on, the first wakes up: the place has the key that there is.

    The third moment is between signing and sending: AWS takes nothing that was signed half an hour ago.
    """
    lab.busy(handover=handover)
    calls = count(1)

    def between(where: str) -> None:
        if where == "call" and lab.announced("hand-over") and next(calls) == moment:
            lab.between = None
            lab.clock.advance(timedelta(minutes=minutes))
            lab.work("second worker")

    lab.between = between
    lab.begin()
    assert lab.between is None
    assert lab.later(hours=1).state in {"handed-over", "proven"}
    account = lab.box.account()
    kept = [secret.value() for secret in account.secrets.values()]
    kept += [parameter.value for parameter in account.parameters.values()]
    assert [json.loads(value or "{}")["access_key_id"] for value in kept] == [lab.new_key]
    assert lab.status(lab.new_key) == "Active"


# Changes that come late


@pytest.mark.parametrize("action", ["UpdateAccessKey", "DeleteAccessKey"])
def test_a_throttled_change_does_not_go_out_late(lab: Lab, action: str) -> None:
    """While AWS asks to slow down somebody needs the key: it is neither disabled nor deleted any more."""
    key = lab.idle()
    if action == "DeleteAccessKey":
        lab.begin()
        lab.clock.advance(timedelta(days=15))
    struck = lab.box.calls[action]
    lab.box.faults.add("throttling", action=action, times=1)

    def between(where: str) -> None:
        if where == "call" and lab.box.calls[action] > struck:
            lab.between = None
            lab.clock.advance(timedelta(seconds=62))
            lab.box.people.set_status(key.access_key_id, "Active")
            lab.box.people.use_key(key.access_key_id)

    lab.between = between
    if action == "UpdateAccessKey":
        lab.begin()
    else:
        lab.work()
    assert lab.box.calls[action] == struck + 1
    for _ in range(3):
        lab.later(days=15)
    assert lab.status(key.access_key_id) == "Active"
    assert lab.last.state in {"stopped", "reclaimed"}


@pytest.mark.parametrize(("seconds", "made"), [(9, True), (11, False)])
def test_an_announcement_holds_for_ten_seconds(lab: Lab, seconds: int, made: bool) -> None:  # noqa: FBT001
    """Whoever is held up for longer between announcement and call does not make it; the next run does."""
    key = lab.idle()
    lab.begin()
    lab.stall("enable", seconds)
    lab.take_back(lab.last)
    assert lab.between is None
    assert (lab.status(key.access_key_id) == "Active") is made
    assert lab.give_back().retirement.state == "undone"
    assert lab.status(key.access_key_id) == "Active"


def test_a_lock_that_was_lost_meanwhile(lab: Lab) -> None:
    """A lease may be shorter than an announcement holds: what another run has given back stays on."""
    lab.lease = timedelta(seconds=4)
    key = lab.idle()

    def meanwhile() -> None:
        lab.work("second worker")
        assert lab.status(key.access_key_id) == "Inactive"
        assert lab.give_back().retirement.state == "undone"

    lab.stall("disable", 5, meanwhile)
    lab.begin()
    assert lab.between is None
    assert (lab.last.state, lab.status(key.access_key_id)) == ("undone", "Active")


@pytest.mark.parametrize(("seconds", "made"), [(29, True), (31, False)])
def test_a_look_holds_for_thirty_seconds(lab: Lab, seconds: int, made: bool) -> None:  # noqa: FBT001
    """Whoever is held up for longer between the last look and the announcement does not disable."""
    key = lab.idle()

    def between(where: str) -> None:
        if where == "call" and lab.box.calls["GetAccessKeyLastUsed"]:
            lab.between = None
            lab.clock.advance(timedelta(seconds=seconds))

    lab.between = between
    lab.begin()
    assert lab.between is None
    assert (lab.status(key.access_key_id) == "Inactive") is made
    assert lab.later(seconds=1).state == "disabled"


def test_a_file_is_not_written_late(lab: Lab) -> None:
    """The process sleeps before it writes a file, another one makes a new key: only that key's is there."""
    lab.busy(handover=f"age:{RECIPIENT}:keys/{{access_key_id}}.age")

    def meanwhile() -> None:
        lab.work("second worker")
        assert lab.last.state == "proven"

    lab.stall("hand-over", 30 * 60, meanwhile)
    lab.begin()
    assert lab.between is None
    assert len(lab.ours("CreateAccessKey")) == 2
    assert [path.stem for path in Path("keys").iterdir()] == [lab.new_key]


def test_a_refusal_clears_up_nothing(lab: Lab) -> None:
    """The answer to the disabling was lost, and the second try is refused: the first may have been made."""
    key = lab.idle()
    lab.box.faults.add("drop", action="UpdateAccessKey", times=1)
    lab.begin()
    lab.box.faults.add("access-denied", action="UpdateAccessKey", times=1)
    lab.later(seconds=1)
    assert (lab.last.state, lab.status(key.access_key_id)) == ("open", "Inactive")
    assert lab.later(seconds=1).state == "disabled"


@pytest.mark.parametrize(
    ("planned", "in_use", "used", "why"),
    [
        (100, timedelta(days=90), timedelta(minutes=10), "after the plan's facts"),
        (100, timedelta(minutes=30), timedelta(hours=1), "after the plan's facts"),
        (80, timedelta(days=90), None, "counts as in use"),
    ],
)
def test_a_key_in_use_is_not_off_for_a_moment(
    lab: Lab, planned: int, in_use: timedelta, used: timedelta | None, why: str
) -> None:
    """Used since the plan's facts, or within `in_use`: it is not disabled at all, not even to be reverted."""
    key = lab.add("alice", "retire", planned, terms=Terms(in_use=in_use))
    if used is not None:
        lab.box.people.use_key(key.access_key_id, at=lab.clock.now() - used)
    lab.begin()
    assert lab.last.state == "stopped"
    assert lab.last.note.startswith("not disabled: ")
    assert why in lab.last.note
    assert lab.ours("UpdateAccessKey") == []


def test_a_key_of_another_age(lab: Lab) -> None:
    """A key that was made at another time than the plan says is not the one that was planned for."""
    key = lab.idle()
    key.created_at += timedelta(seconds=1)
    lab.begin()
    assert (lab.last.state, lab.status(key.access_key_id)) == ("stopped", "Active")
    assert "not when the plan says" in lab.last.note


# Lost answers and stale reads


def test_undo_is_asked_for_again_whatever_reads_show(lab: Lab) -> None:
    """The disabling does not show yet, undo never reached AWS: the key is on in the end, however often."""
    key = lab.idle()
    lab.box.cloud.delays.consistency = 120
    lab.begin()
    lab.box.faults.add("lost", action="UpdateAccessKey", times=1)
    assert lab.give_back().retirement.state == "disabled"
    assert lab.later(seconds=1).state == "undone"
    assert lab.status(key.access_key_id) == "Active"
    for wait in (timedelta(0), timedelta(days=1)):
        lab.clock.advance(wait)
        assert lab.give_back().retirement.state == "undone"
        assert lab.status(key.access_key_id) == "Active"


def test_a_stale_read_does_not_hide_that_the_key_is_off(lab: Lab) -> None:
    """Reads still show the key as it was before we disabled it: undo enables it all the same."""
    key = lab.idle()
    lab.begin()
    key.status, read = "Active", lab.box.calls["ListAccessKeys"]

    def between(_: str) -> None:
        if lab.box.calls["ListAccessKeys"] > read:
            key.status, lab.between = "Inactive", None

    lab.between = between
    assert lab.give_back().retirement.state == "undone"
    assert key.status == "Active"
    assert lab.between is None


def test_a_lost_revert_is_made_again(lab: Lab) -> None:
    """Used at the last moment, both answers lost, reads stale: the key is on in the end."""
    key = lab.idle()
    lab.box.cloud.delays.consistency = 120
    lab.box.faults.add("drop", action="UpdateAccessKey", times=1)

    def between(where: str) -> None:
        if where == "call" and lab.announced("disable"):
            lab.between = None
            lab.box.people.use_key(key.access_key_id)

    lab.between = between
    lab.begin()
    assert lab.between is None
    lab.box.faults.add("lost", action="UpdateAccessKey", times=1)
    for seconds in (1, 1, 1):
        lab.later(seconds=seconds)
    assert (lab.last.state, lab.status(key.access_key_id)) == ("stopped", "Active")


def test_undo_leaves_alone_what_somebody_else_disabled(lab: Lab) -> None:
    """Somebody disabled the key before we did: undo closes the retirement and the key stays off."""
    key = lab.idle()
    lab.box.people.set_status(key.access_key_id, "Inactive")
    lab.begin()
    assert lab.last.state == "stopped"
    assert "disabled by somebody else" in lab.give_back().retirement.note
    assert lab.status(key.access_key_id) == "Inactive"
    assert lab.ours("UpdateAccessKey") == []


def switched_on(lab: Lab, key: Key, *, used: bool) -> None:
    """Begin; between our last look at the key and our call somebody switches it on, and may use it."""

    def between(where: str) -> None:
        if where == "call" and lab.announced("disable"):
            lab.between = dies
            lab.box.people.set_status(key.access_key_id, "Active")
            if used:
                lab.box.people.use_key(key.access_key_id)
            # Our call goes out some seconds later: in between reads show that the key is on.
            lab.clock.advance(timedelta(seconds=5))

    dies, lab.between = lab.between, between
    lab.begin()
    assert key.status == "Inactive"
    lab.between = None


def died_before_the_call_is_known(lab: Lab) -> None:
    """Let the process die when AWS has disabled the key, before it knows."""
    lab.crash_when(lambda: bool(lab.ours("UpdateAccessKey")))


def died_before_looking_back(lab: Lab) -> None:
    """Let the process die when the journal knows that the key is disabled."""
    lab.crash_when(lambda: bool(lab.journal.find()) and lab.last.disabled_at is not None)


def lost_its_answer(lab: Lab) -> None:
    """Lose AWS's answer that the key is disabled."""
    lab.box.faults.add("drop", action="UpdateAccessKey", times=1)


def lost_its_answer_and_died_while_reverting(lab: Lab) -> None:
    """Lose the answer; the next run will die before it asks for the key to be on again."""
    lost_its_answer(lab)


@pytest.mark.parametrize(
    "trouble",
    [
        died_before_the_call_is_known,
        died_before_looking_back,
        lost_its_answer,
        lost_its_answer_and_died_while_reverting,
    ],
)
def test_undo_gives_back_what_was_on_for_a_moment(lab: Lab, trouble: Callable[[Lab], None]) -> None:
    """A key planned as off was switched on and used right before we disabled it: undo enables it."""
    key = lab.off()
    trouble(lab)
    switched_on(lab, key, used=True)
    lab.clock.advance(timedelta(hours=6))
    if trouble is lost_its_answer_and_died_while_reverting:
        lab.crash_when(lambda: lab.announced("revert"))
        lab.work()
        lab.clock.advance(timedelta(hours=6))
    assert key.status == "Inactive"
    assert lab.give_back().retirement.state == "undone"
    assert (key.status, lab.last.note) == ("Active", "enabled again")


@pytest.mark.parametrize("trouble", [died_before_the_call_is_known, died_before_looking_back])
def test_undo_leaves_a_key_off_that_was_off(lab: Lab, trouble: Callable[[Lab], None]) -> None:
    """Switched on for a moment, and not used: IAM keeps no trace of that; it stays off, and undo says so."""
    key = lab.off()
    trouble(lab)
    switched_on(lab, key, used=False)
    lab.clock.advance(timedelta(hours=6))
    assert lab.give_back().retirement.state == "undone"
    assert (key.status, lab.last.note) == (
        "Inactive",
        "closed; the key stays disabled, as it was before the plan",
    )


def test_undo_says_that_a_key_is_on_again(lab: Lab) -> None:
    """Planned as off, in quarantine, then switched on by somebody: undo does not say that it stays off."""
    key = lab.off()
    lab.begin()
    assert lab.last.state == "disabled"
    lab.box.people.set_status(key.access_key_id, "Active")
    assert lab.give_back().retirement.state == "undone"
    assert (key.status, lab.last.note) == ("Active", "enabled again")
    assert lab.give_back().retirement.note == "closed; the key is enabled"


def test_a_key_that_was_off_and_is_used_in_quarantine(lab: Lab) -> None:
    """Somebody switches it on, uses it, and off: undo does not enable it, and nobody says so."""
    key = lab.off()
    lab.begin()
    lab.clock.advance(timedelta(days=2))
    lab.box.people.set_status(key.access_key_id, "Active")
    lab.box.people.use_key(key.access_key_id)
    lab.box.people.set_status(key.access_key_id, "Inactive")
    assert lab.later(days=13).state == "stopped"
    assert lab.last.note.endswith("; the key stays disabled, as it was before the plan")
    assert lab.give_back().retirement.note == "closed; the key stays disabled, as it was before the plan"
    assert key.status == "Inactive"


def test_a_stale_read_does_not_hide_that_our_lost_call_came_later(lab: Lab) -> None:
    """Reads show that somebody switched the key on, not yet that we disabled it: nobody says it is on."""
    key = lab.off()
    lab.box.cloud.delays.consistency = 20
    lost_its_answer(lab)
    switched_on(lab, key, used=True)
    lab.later(seconds=17)
    (shown,) = PLUG.accounts.own.iam.keys("alice")
    assert (shown.status, key.status) == ("Active", "Inactive")
    assert lab.last.state == "open"
    assert lab.later(minutes=6).state == "stopped"
    assert (key.status, lab.last.note[:14]) == ("Active", "enabled again:")


def test_undo_after_our_own_delete_went_through(lab: Lab) -> None:
    """The delete's answer was lost: undo says that it is deleted, not that somebody else did it."""
    key = lab.idle()
    lab.begin()
    lab.box.faults.add("drop", action="DeleteAccessKey", times=1)
    assert lab.later(days=15).state == "disabled"
    assert lab.status(key.access_key_id) == ""
    assert lab.give_back().retirement.state == "deleted"
    refused = lab.give_back().trouble
    assert isinstance(refused, UsageError)
    assert "cannot bring a deleted key back" in str(refused)


# Time


def once(lab: Lab, call: str, wrong: timedelta) -> Callable[[str], datetime | None]:
    """Bend the Date of the next answer to this call, and no other."""

    def bend(text: str) -> datetime | None:
        if f"Action={call}" not in text:
            return None
        lab.dates = lambda _: None
        return lab.clock.now() + wrong

    return bend


@pytest.mark.parametrize("call", ["GetCallerIdentity", "ListAccessKeys", "GetAccessKeyLastUsed"])
def test_one_wrong_date_ends_no_quarantine(lab: Lab, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that claims to come from next year deletes nothing, and does not lengthen the wait."""
    lab.doubt_time(monkeypatch)
    key = lab.idle()
    lab.begin()
    lab.clock.advance(timedelta(days=1))
    lab.dates = bend = once(lab, call, timedelta(days=365))
    PLUG.accounts._patient_identity(PLUG.accounts.own.client("sts"))
    for _ in range(3):
        lab.work()
    assert lab.dates is not bend
    assert (lab.last.state, lab.status(key.access_key_id)) == ("disabled", "Inactive")
    assert lab.later(days=13, minutes=1).state == "deleted"


def test_one_wrong_date_makes_nothing_wait_for_a_year(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody switches the key on while we make sure that it is off: the look ends all the same."""
    lab.doubt_time(monkeypatch)
    key = lab.idle()
    lab.dates = once(lab, "UpdateAccessKey", timedelta(days=365))

    def between(_: str) -> None:
        assert lab.box.calls["ListAccessKeys"] < 300, "it looks again and again"
        if lab.ours("UpdateAccessKey") and key.status == "Inactive":
            lab.box.people.set_status(key.access_key_id, "Active")

    lab.between = between
    lab.begin()
    lab.later(minutes=6)
    assert (lab.last.state, key.status) == ("reclaimed", "Active")


def test_one_wrong_date_hides_no_last_use(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Used right before it is switched off, while AWS's yes is dated next year: the old key is on again."""
    lab.doubt_time(monkeypatch)
    old = lab.busy()
    lab.begin()
    lab.clock.advance(timedelta(minutes=1))
    lab.use_replacements()
    lab.later(days=1)
    lab.dates = once(lab, "UpdateAccessKey", timedelta(days=365))

    def between(where: str) -> None:
        if where == "call" and lab.announced("disable"):
            lab.between = None
            lab.box.people.use_key(old.access_key_id)

    lab.between = between
    lab.later(days=3)
    assert lab.between is None
    assert (lab.last.state, old.status) == ("moved", "Active")


def test_one_wrong_date_makes_no_quarantine_longer(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's yes to the disabling is dated next year: the quarantine runs from now."""
    lab.doubt_time(monkeypatch)
    lab.idle()
    lab.dates = once(lab, "UpdateAccessKey", timedelta(days=365))
    lab.begin()
    assert lab.later(days=13, hours=23).state == "disabled"
    assert lab.later(hours=2).state == "deleted"


def test_one_wrong_date_settles_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right after a hand-over whose answer was lost the place may not show it: no Date shortens the wait."""
    lab.doubt_time(monkeypatch)
    lab.busy()
    lab.box.faults.add("lost", action="CreateSecret")
    lab.begin()
    lab.box.faults.clear()
    first = lab.new_key
    lab.dates = once(lab, "GetCallerIdentity", timedelta(days=365))
    PLUG.accounts._patient_identity(PLUG.accounts.own.client("sts"))
    lab.later(seconds=1)
    assert (lab.last.state, lab.status(first)) == ("created", "Active")


def test_a_date_of_last_month_begins_no_quarantine(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS says yes to the disabling with a Date of a month ago: the key is kept for the whole quarantine."""
    lab.doubt_time(monkeypatch)
    key = lab.add("alice", "retire", 390)
    lab.dates = lambda text: (
        lab.clock.now() - timedelta(days=30) if "Action=UpdateAccessKey" in text else None
    )
    lab.begin()
    lab.dates = lambda _: None
    for wait in ({"minutes": 10}, {"days": 13, "hours": 23}):
        assert lab.later(**wait).state == "disabled"
    assert lab.status(key.access_key_id) == "Inactive"
    assert lab.later(hours=1).state == "deleted"


@pytest.mark.parametrize("late", [0, 2, 4])
@pytest.mark.parametrize(("after", "state"), [(0, "proven"), (4, "proven"), (6 + 4, "moved")])
def test_our_own_proof_is_nobodys_use(
    lab: Lab, late: int, after: int, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the proof counts nor a use within 5 s, also if STS's Date was late; a later use does."""
    lab.doubt_time(monkeypatch)
    lab.busy()
    lab.dates = lambda text: (
        lab.clock.now() - timedelta(seconds=late) if "Action=GetCallerIdentity" in text else None
    )
    lab.begin()
    assert lab.last.state == "proven"
    lab.dates = lambda _: None
    if after:
        lab.clock.advance(timedelta(seconds=after))
        lab.use_replacements()
    assert lab.later(hours=1).state == state


@pytest.mark.parametrize("held_up", ["signed", "pausing"])
def test_a_proof_that_was_held_up_is_nobodys_use(
    lab: Lab, held_up: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process sleeps for 7 minutes, another one goes on, the first asks STS: nobody else has used it."""
    old, advance = lab.busy(), lab.clock.advance

    def sleep_long() -> None:
        lab.between = None
        monkeypatch.setattr(lab.clock, "advance", advance)
        lab.clock.advance(timedelta(minutes=7))
        lab.work("second worker")
        assert lab.last.state == "handed-over"

    def between(where: str) -> None:
        if where == "call" and lab.announced("prove"):
            sleep_long()

    if held_up == "signed":
        lab.between = between
    else:
        lab.box.faults.add("service-failure", action="GetCallerIdentity", times=1)
        monkeypatch.setattr(
            lab.clock, "advance", lambda by: sleep_long() if by == timedelta(seconds=2) else advance(by)
        )
    lab.begin()
    assert lab.clock.now() - START > timedelta(minutes=7)
    assert lab.later(days=5).state == "handed-over"
    assert old.status == "Active"
    lab.use_replacements()
    assert lab.later(hours=1).state == "moved"


# What people do meanwhile


def test_a_renamed_user(lab: Lab) -> None:
    """The key belongs to another name now: that is for a person to see, and not `gone`."""
    key = lab.idle()
    lab.begin()
    lab.rename("alice", "alicia")
    r = lab.later(days=15)
    assert (r.state, lab.status(key.access_key_id)) == ("stopped", "Inactive")
    assert "belongs to alicia now" in r.note


def test_a_deleted_key_is_gone(lab: Lab) -> None:
    """A key that nobody has any more is gone, and nobody has to look."""
    key = lab.idle()
    lab.begin()
    lab.box.people.delete_key(key.access_key_id)
    assert lab.later(days=15).state == "gone"


@pytest.mark.parametrize("deed", ["deleted", "Inactive"])
def test_a_replacement_that_is_not_there_any_more(lab: Lab, deed: str) -> None:
    """Without its replacement the old key is not deleted; the note says how to have it back: that works."""
    old = lab.busy()
    lab.begin()
    lab.clock.advance(timedelta(minutes=1))
    lab.use_replacements()
    lab.later(days=1)
    assert lab.later(days=4).state == "disabled"
    if deed == "deleted":
        lab.box.people.delete_key(lab.new_key)
    else:
        lab.box.people.set_status(lab.new_key, "Inactive")
    r = lab.later(days=15)
    assert (r.state, lab.status(old.access_key_id)) == ("stopped", "Inactive")
    assert f"'birthright undo {old.access_key_id}' enables it" in r.note
    assert lab.give_back().retirement.state == "undone"
    assert lab.status(old.access_key_id) == "Active"


def test_the_replacement_goes_while_the_old_key_is_being_disabled(lab: Lab) -> None:
    """The process died having announced the disabling, the replacement is deleted: the old key stays on."""
    old = lab.busy()
    lab.begin()
    lab.clock.advance(timedelta(minutes=1))
    lab.use_replacements()
    lab.later(days=1)
    lab.crash_when(lambda: lab.announced("disable"))
    lab.later(days=4)
    lab.box.people.delete_key(lab.new_key)
    # The disabling may have been made: first the key is asked to be on.
    assert lab.later(minutes=6).state == "moved"
    assert lab.later(minutes=6).state == "stopped"
    assert lab.status(old.access_key_id) == "Active"


@pytest.mark.parametrize(("lag", "looks"), [(0.5, 1), (3, 2), (20, 3)])
def test_a_use_that_shows_up_late(lab: Lab, lag: float, looks: int) -> None:
    """A key used right before it was disabled is given back by the look after 1 h, 4 h or 24 h."""
    lab.box.cloud.delays.last_use_lag = lag * 3600
    key = lab.idle()
    lab.box.people.use_key(key.access_key_id)
    lab.begin()
    for look, hours in enumerate((1, 3, 20), start=1):
        assert lab.last.state == "disabled"
        lab.later(hours=hours, seconds=1)
        if look == looks:
            break
    assert (lab.last.state, lab.status(key.access_key_id)) == ("stopped", "Active")
    assert "enabled again: it was used" in lab.last.note


def test_the_last_use_of_a_rotated_key_is_forgotten(lab: Lab) -> None:
    """AWS no longer knows when the old key was used: it stays on, and is not switched off and on."""
    old = lab.busy()
    lab.begin()
    lab.clock.advance(timedelta(minutes=1))
    lab.use_replacements()
    old.last_used_at = None
    for _ in range(4):
        lab.later(days=5)
    assert (lab.last.state, lab.status(old.access_key_id)) == ("moved", "Active")
    assert lab.ours("UpdateAccessKey") == []


# Other plans


def test_a_replacement_is_no_other_plans_business(lab: Lab) -> None:
    """A new key that nobody uses yet looks idle; while its rotation is open no plan retires it."""
    lab.busy()
    lab.begin()
    lab.clock.advance(timedelta(days=2))
    new = lab.box.account().credentials[lab.new_key]
    assert isinstance(new, Key)
    assert lab.plan_again(new) == []
    lab.later(days=15)
    assert new.status == "Active"


@pytest.mark.parametrize("back", ["undone", "reclaimed"])
def test_a_key_that_somebody_wanted_back(lab: Lab, back: str) -> None:
    """The next night's plan leaves it alone; only `--again` begins it anew."""
    key = lab.idle()
    lab.begin()
    if back == "undone":
        lab.give_back()
    else:
        lab.box.people.set_status(key.access_key_id, "Active")
        lab.later(days=15)
    assert lab.last.state == back
    lab.clock.advance(timedelta(days=1))
    assert lab.plan_again(key) == []
    lab.later(days=15)
    assert key.status == "Active"
    assert len(lab.plan_again(key, again=True)) == 1
    assert lab.later(seconds=1).state == "disabled"


# One key's trouble is no other's


@pytest.mark.parametrize(
    "handover",
    [
        "profile:app:~nosuchuser/creds",
        f"age:{RECIPIENT}:~nosuchuser/{{access_key_id}}.age",
        "nosuchkind:x",
        "age:",
        "",
    ],
)
def test_a_destination_that_cannot_be(lab: Lab, handover: str) -> None:
    """A hand-over that never works here stops its own key; all others go on."""
    lab.busy("aaa", handover=handover)
    lab.idle("bob")
    others_go_on(lab)
    assert lab.ours("CreateAccessKey") == []


@pytest.mark.parametrize("handover", ["profile:app", "command:/bin/cat"])
def test_a_folder_that_is_not_there_any_more(lab: Lab, handover: str) -> None:
    """Somebody removed the working folder: no new key is made and lost for that; all others go on."""
    lab.busy("aaa", handover=handover)
    lab.idle("bob")
    folder_now = Path("removed").absolute()
    folder_now.mkdir()
    os.chdir(folder_now)
    folder_now.rmdir()
    others_go_on(lab)
    assert lab.ours("CreateAccessKey") == []


@pytest.mark.parametrize(
    "body",
    [
        "<IsTruncated>false</IsTruncated>",
        "<AccessKeyMetadata/><IsTruncated>true</IsTruncated>",
        MEMBER.format("<AccessKeyId>{id}</AccessKeyId><Status>Active</Status>"),
        MEMBER.format("<Status>Active</Status><CreateDate>2026-01-01T00:00:00Z</CreateDate>"),
        MEMBER.format("<AccessKeyId>{id}</AccessKeyId><Status>Active</Status><CreateDate>x</CreateDate>"),
    ],
)
def test_answers_that_lack_what_they_should_have(lab: Lab, body: str) -> None:
    """A list of keys without a list, its next page, an id or a date stops its own key; all others go on."""
    key = lab.idle("aaa")
    lab.idle("bob")
    lab.garble("aaa", body.replace("{id}", key.access_key_id))
    others_go_on(lab)
    assert key.status == "Active"


def others_go_on(lab: Lab) -> None:
    """See that the first user's key has trouble, in one line, and the second's is disabled."""
    lab.journal.begin(lab.planned, "arn")
    tools = lab._tools(lab.journal, "worker")
    due = lab.journal.due(lab.clock.now())
    results = {r.retirement.user_name: r for r in run_all(due, advance, tools, PLUG.accounts, threads=1)}
    assert results["bob"].retirement.state == "disabled"
    assert results["aaa"].retirement.state == "open"
    assert results["aaa"].trouble is not None
    assert "\n" not in str(results["aaa"].trouble)


def test_a_key_that_somebody_made_after_a_crash_is_left_alone(lab: Lab) -> None:
    """The process died before it made a key; one that appeared minutes later is not taken for ours."""
    lab.busy()
    lab.crash_when(lambda: lab.announced("create"))
    lab.begin()
    lab.clock.advance(timedelta(minutes=3))
    theirs = lab.box.people.add_key("alice")
    ended = lab.later(hours=2)
    assert ended.state == "stopped"
    assert theirs.access_key_id in ended.note
    assert lab.status(theirs.access_key_id) == "Active"


def test_undo_does_not_hide_a_key_that_may_be_ours(lab: Lab) -> None:
    """The process died having made a key, and another one appeared: both stay named when the old is gone."""
    old = lab.busy()
    lab.crash_when(lambda: bool(lab.ours("CreateAccessKey")))
    lab.begin()
    (made,) = lab.ours("CreateAccessKey")
    lab.box.people.delete_key(old.access_key_id)
    lab.clock.advance(timedelta(minutes=3))
    theirs = lab.box.people.add_key("alice")
    assert lab.later(hours=2).state == "stopped"
    for _ in range(2):
        assert lab.give_back().retirement.state == "gone"
        for key_id in (made.effect[2], theirs.access_key_id):
            assert lab.last.note.count(key_id) == 1
            assert lab.status(key_id) == "Active"
