"""`birthright apply`: what it refuses before anything is changed, what it asks, and how it ends."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import time_machine

from birthright.retirement.planning.plan import digest_of
from birthright.retirement.planning.plan_file import save_plan
from cli_helpers import Ran
from retire_helpers import COMMAND, Scene, scene


@pytest.fixture(autouse=True)
def frozen(folder: Path) -> None:
    """Let the clock run: the sandbox moves its own."""
    assert folder.is_dir()
    assert not time_machine.escape_hatch.is_travelling()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    """Give a scene with a plan: one key to be retired, one to be rotated."""
    with scene(tmp_path / "scene") as made:
        made.idle("idle")
        made.busy("sm-a")
        made.make_plan()
        yield made


def refused(here: Scene, *arguments: object, code: int = 2) -> str:
    """Run apply; it says one line, and changes neither AWS nor the journal."""
    ran = here.call("apply", *arguments)
    assert ran.code == code, ran
    assert here.changes() == []
    assert here.journal.find() == []
    return ran.trouble


def test_one_thing_at_a_time(here: Scene) -> None:
    """A plan or --due, and not both."""
    assert "name a plan, or say --due" in refused(here)
    assert "name a plan, or say --due" in refused(here, here.plan_file, "--due")


def test_an_expired_plan(here: Scene) -> None:
    """A plan is good for a day, by AWS's clock and not by this machine's."""
    here.advance(hours=25)
    assert re.search(
        r"plan plan-\S+ expired at 20\S+Z \(make a new one", refused(here, here.plan_file, "--yes")
    )


@pytest.mark.parametrize("hours", [23, 25])
def test_this_machines_clock_does_not_matter(here: Scene, hours: int) -> None:
    """A clock that is two days late or early here makes no plan older or younger."""
    here.advance(hours=hours)
    for year in (2020, 2040):
        with time_machine.travel(datetime(year, 1, 1, tzinfo=UTC), tick=True):
            ran = here.call("apply", here.plan_file, "--yes")
        assert ran.code == (2 if hours > 24 else 0)
    assert bool(here.changes()) == (hours < 24)


def test_an_edited_plan(here: Scene) -> None:
    """Whoever changes a plan by hand has to plan again."""
    text = here.plan_file.read_text()
    assert '"P14D"' in text
    here.plan_file.write_text(text.replace('"P14D"', '"P1D"'))
    assert "was edited since it was made" in refused(here, here.plan_file, "--yes")


def test_no_plan_at_all(here: Scene) -> None:
    """A file that is missing, or is something else, is named."""
    assert "No such file" in refused(here, here.folder / "none.json", "--yes")
    assert "is not a plan" in refused(here, here.folder / "birthright.toml", "--yes")


def test_nobody_can_be_asked(here: Scene) -> None:
    """Without a terminal --yes is needed."""
    assert (
        refused(here, here.plan_file) == "nobody can be asked here (read the plan, then apply it with --yes)"
    )


def test_a_required_ticket(here: Scene) -> None:
    """Where a ticket is required, nothing goes without; it is in the journal."""
    here.settings(require_ticket=True)
    assert "--ticket" in refused(here, here.plan_file, "--yes")
    assert here.call("apply", here.plan_file, "--yes", "--ticket", "CHG-1", "--reason", "spring").code == 0
    assert {(r.ticket, r.reason) for r in here.journal.find()} == {("CHG-1", "spring")}


def test_nothing_due(here: Scene) -> None:
    """A run with nothing to do says so, asks AWS one question, and ends with 0."""
    calls = here.box.calls.total()
    ran = here.call("apply", "--due")
    assert ran == Ran(0, "Nothing is due.\n", "")
    assert here.box.calls.total() == calls + 1


def test_a_plan_that_changes_nothing(here: Scene) -> None:
    """A plan of refusals only is no question worth asking."""
    here.settings(protected=["*"])
    here.make_plan()
    assert here.call("apply", here.plan_file) == Ran(0, "The plan changes nothing.\n", "")


def test_another_accounts_credentials(here: Scene, tmp_path: Path) -> None:
    """One line for each key says which account the credentials are of, and what can be done."""
    with scene(tmp_path / "other", account_id="999988887777") as other:
        other.settings()
        ran = other.call("apply", here.plan_file, "--yes")
        assert ran.code == 3
        lines = ran.err.splitlines()
        assert len(lines) == 2
        for line in lines:
            assert "the credentials are of account 999988887777, not 111122223333" in line
            assert "--profile" in line
            assert "--role" in line
        assert other.changes() == []


def test_missing_credentials(here: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials nothing begins."""
    bare = {name: value for name, value in here.environment().items() if "KEY" not in name}
    monkeypatch.setattr(here, "environment", lambda: bare)
    assert "credentials" in refused(here, here.plan_file, "--yes", code=3)


def test_refused_credentials(here: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """With credentials that AWS does not know nothing begins."""
    wrong = {**here.environment(), "AWS_ACCESS_KEY_ID": "AKIANOBODY0000000000"}
    monkeypatch.setattr(here, "environment", lambda: wrong)
    assert refused(here, here.plan_file, "--yes", code=3)


def test_the_key_birthright_runs_with(here: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never touches the key it signs with and says so; all else goes on, other credentials finish it."""
    key = here.box.account().users["idle"].keys[here.of_plan("idle")]
    own = {"AWS_ACCESS_KEY_ID": key.access_key_id, "AWS_SECRET_ACCESS_KEY": key.secret}
    usual = here.environment()
    with monkeypatch.context() as patch:
        patch.setattr(here, "environment", lambda: {**usual, **own})
        ran = here.call("apply", here.plan_file, "--yes")
    assert here.done("idle") == []
    assert here.done("sm-a") == ["created"]
    assert "birthright runs with this very key" in ran.out + ran.err
    assert ran.code == 3
    # It was used, of course: it stops.
    assert here.call("apply", "--due").code == 1


def test_a_plan_of_another_partition(here: Scene) -> None:
    """A plan for keys of another partition than the credentials' changes nothing, and says why."""
    plan = here.plan
    items = tuple(
        msgspec.structs.replace(i, partition="aws-cn", user_arn=i.user_arn.replace("arn:aws:", "arn:aws-cn:"))
        for i in plan.items
    )
    moved = msgspec.structs.replace(plan, items=items, digest="")
    save_plan(here.plan_file, msgspec.structs.replace(moved, digest=digest_of(moved)))
    ran = here.call("apply", here.plan_file, "--yes")
    assert ran.code in {2, 3}, ran
    assert "aws-cn" in ran.err
    assert here.changes() == []


def test_roles_in_other_accounts(tmp_path: Path) -> None:
    """With --role the keys of several accounts are retired in one run; without it the others are told."""
    with scene(tmp_path / "scene", accounts=3) as here:
        here.idle("idle")
        here.make_plan()
        plan, second = here.plan, here.box.account("111122223334")
        user = next(user for user in second.users.values() if user.keys) if second.users else None
        now = here.box.clock.second()
        user = user or second.add_user("there", now)
        key = here.box.people.add_key(user.name, "111122223334")
        (item,) = plan.items
        other = msgspec.structs.replace(
            item,
            account_id="111122223334",
            user_name=user.name,
            user_arn=user.arn,
            access_key_id=key.access_key_id,
            facts=msgspec.structs.replace(item.facts, created_at=key.created_at),
        )
        both = msgspec.structs.replace(plan, items=(item, other), digest="")
        save_plan(here.plan_file, msgspec.structs.replace(both, digest=digest_of(both)))
        without = here.call("apply", here.plan_file, "--yes")
        assert without.code == 3
        assert "the credentials are of account 111122223333, not 111122223334" in without.err
        assert here.done("idle") == ["Inactive"]
        assert key.status == "Active"
        wrong = here.call("apply", "--due", "--role", "nobody")
        assert wrong.code == 3
        assert "sts:AssumeRole is denied" in wrong.err
        ran = here.call("apply", "--due", "--role", "birthright-retire")
        assert (ran.code, key.status) == (0, "Inactive"), ran
        step = next(s for s in here.journal.steps(here.of(user.name).id) if s.kind == "outcome")
        assert step.actor.startswith("arn:aws:sts::111122223334:assumed-role/birthright-retire/")
        here.advance(days=15)
        assert here.call("apply", "--due", "--role", "birthright-retire").code == 0
        assert key.access_key_id not in second.credentials


def test_a_person_counts_more_than_a_trouble(here: Scene) -> None:
    """1 where a person has to look, also if something else could not be done; 0 while all is well."""
    here.box.people.use_key(here.of_plan("idle"))
    here.box.faults.add("access-denied", action="CreateAccessKey")
    ran = here.call("apply", here.plan_file, "--yes")
    assert ran.code == 1
    assert "iam:CreateAccessKey is denied" in ran.err
    here.box.faults.clear()
    assert here.call("apply", "--due").code == 0


def test_progress_and_trouble_go_to_stderr(here: Scene) -> None:
    """What a program reads on standard output is the table only."""
    here.box.faults.add("access-denied", action="ListAccessKeys")
    ran = here.call("apply", here.plan_file, "--yes")
    assert ran.code == 3
    assert len(ran.err.splitlines()) == 2
    assert "denied" not in ran.out


def test_the_table_is_that_of_status(here: Scene) -> None:
    """Apply ends with where its keys stand: the user, the key, what is next and when."""
    ran = here.call("apply", here.plan_file, "--yes")
    assert (ran.code, ran.err) == (0, "")
    assert "Disabled: in quarantine (1)" in ran.out
    assert re.search(rf"idle\s+{here.of_plan('idle')}\s+in \d+ [hd] ", ran.out)
    assert re.search(rf"sm-a\s+{here.of_plan('sm-a')}\s+now", ran.out)


def on_a_terminal(here: Scene, answer: str) -> tuple[int, str]:
    """Apply the plan on a terminal and answer its question, if empty with SIGINT; give code and screen."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [*COMMAND, "apply", "plan.json"],
        cwd=here.folder,
        env={**here.environment(), "TERM": "xterm", "COLUMNS": "120"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown, ask_again, give_up = b"", 0.0, time.monotonic() + 30
    while time.monotonic() < give_up:
        if select.select([master], [], [], 0.05)[0]:
            try:
                shown += os.read(master, 4096)
            except OSError:
                break
        if b"[y/N]" in shown and time.monotonic() > ask_again:
            # A signal right before Python begins to read is seen with the next one only.
            ask_again = time.monotonic() + (60 if answer else 2)
            if answer:
                os.write(master, answer.encode())
            else:
                child.send_signal(signal.SIGINT)
    code = child.wait(timeout=10)
    os.close(master)
    return code, shown.decode()


@pytest.mark.parametrize(("answer", "expected"), [("n\n", 0), ("\n", 0), ("\x04", 130), ("", 130)])
def test_a_person_says_no(here: Scene, answer: str, expected: int) -> None:
    """The plan is shown and the question asked; no, no answer or Ctrl-C changes nothing."""
    code, shown = on_a_terminal(here, answer)
    assert "Change 2 keys in AWS? [y/N]" in shown
    assert here.of_plan("idle") in shown
    assert code == expected
    assert here.changes() == []
    assert here.journal.find() == []


def test_a_person_says_yes(here: Scene) -> None:
    """After a yes it goes, and the screen says how far."""
    code, shown = on_a_terminal(here, "y\n")
    assert code == 0
    assert "Disabled: in quarantine (1)" in shown
    assert here.states() == {"idle": "disabled", "sm-a": "proven"}


def test_status_json_is_what_apply_left(here: Scene) -> None:
    """A program reads how far it came."""
    assert here.call("apply", here.plan_file, "--yes").code == 0
    told = json.loads(here.call("status", "--format", "json").out)
    assert {r["user_name"]: r["state"] for r in told["retirements"]} == {"idle": "disabled", "sm-a": "proven"}
