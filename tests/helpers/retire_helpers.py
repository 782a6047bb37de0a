"""Real commands on a sandbox: a scene with people, a folder with settings, and a judge of what was done.

Commands run as processes of their own, which can be killed, or in this process, which is quicker.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import time_machine

from birthright.errors import UsageError
from birthright.retirement.journal.opening import open_journal
from birthright.retirement.model import Retirement, Terms
from birthright.retirement.planning.plan import Plan
from birthright.retirement.planning.plan_file import load_plan
from birthright.sandbox.account import Key
from birthright.sandbox.log import LogEntry
from birthright.sandbox.sandbox import Sandbox
from cli_helpers import Ran, in_process
from retirement_invariants import Judge

if TYPE_CHECKING:
    from birthright.retirement.journal.journal import Journal
    from retirement_world import World

COMMAND = [sys.executable, "-m", "birthright"]
HANDOVERS = {
    "ex-*": "existing-secret:app/{user_name}",
    "ps-*": "ssm:/birthright/{user_name}",
    "*": "secrets-manager:birthright/{user_name}",
}
# Three of all policies are enough to find every key of a scene, and quicker.
POLICIES = [
    *("--policy", "access-key-created-with-user"),
    *("--policy", "access-key-not-rotated"),
    *("--policy", "access-key-inactive"),
]
_PATIENCE = 60.0  # seconds


class Scene:
    """A running sandbox and a folder beside it.

    folder: where the commands run; plan.json, birthright.toml and the store are in it. box: the sandbox,
    which runs. first_seq: the last thing in its log that the plan knows of. outputs: all that commands
    wrote. arguments: the command lines that `ps` showed. secrets: of all keys that were seen.
    """

    def __init__(self, folder: Path, box: Sandbox, journal: str = "") -> None:
        self.folder = folder
        self.box = box
        self.place = journal or str(folder / "store" / "journal.sqlite")
        self.first_seq = 0
        self.outputs: list[str] = []
        self.arguments: list[str] = []
        self.secrets: set[str] = set()
        for name in ("home", "tmp"):
            (folder / name).mkdir()
        self.settings()

    # What there is

    def settings(self, **values: object) -> None:
        """Write birthright.toml: `[retirement]` with these values, and no limit to how many keys."""
        usual: dict[str, object] = {"max_share": 1.0, "journal": self.place}
        lines = [f"{name} = {json.dumps(value)}" for name, value in {**usual, **values}.items()]
        places = [f"{json.dumps(users)} = {json.dumps(spec)}" for users, spec in HANDOVERS.items()]
        table = [] if "handover" in values else ["[retirement.handover]", *places]
        (self.folder / "birthright.toml").write_text("\n".join(["[retirement]", *lines, *table, ""]))

    def idle(self, name: str, used: float | None = None, status: str = "Active") -> Key:
        """Add a user whose key was made with the user 400 days ago, last used so many days ago, if ever."""
        now = self.box.clock.second()
        account = self.box.account()
        account.add_user(name, now - timedelta(days=400))
        key = self.box.people.add_key(name)
        key.created_at = now - timedelta(days=400)
        if used is not None:
            self.box.people.use_key(key.access_key_id, at=now - timedelta(days=used))
        if status != "Active":
            self.box.people.set_status(key.access_key_id, status)
        return key

    def busy(self, name: str, used: float = 1) -> Key:
        """Add a user whose key is in use; for `ex-...` the secret that holds it, too."""
        key = self.idle(name, used)
        if name.startswith("ex-"):
            self.client("secretsmanager").create_secret(Name=f"app/{name}", SecretString="{}")
        return key

    def client(self, service: str) -> Any:  # noqa: ANN401 - botocore's clients have no type
        """Make a client with the caller's own credentials."""
        import botocore.session

        session = botocore.session.Session()
        credentials = self.box.credentials
        return session.create_client(
            service,
            region_name=self.box.region,
            endpoint_url=self.box.url,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
        )

    def make_plan(self, *options: str) -> Plan:
        """Scan and plan; what happened up to now is what the plan knows."""
        with time_machine.travel(self.box.clock.now(), tick=True):
            scanned = self.call("scan", *POLICIES)
            planned = self.call("plan", "-o", self.plan_file, *options)
        assert scanned.code in {0, 1}, scanned.err
        assert planned.code in {0, 1}, planned.err
        self.first_seq = self.box.log[-1].seq
        return self.plan

    @property
    def plan_file(self) -> Path:
        """Where the plan is."""
        return self.folder / "plan.json"

    @property
    def plan(self) -> Plan:
        """The plan that was made."""
        return load_plan(self.plan_file)

    @property
    def planned(self) -> list[Any]:
        """The plan's items that are not refused."""
        return [item for item in self.plan.items if item.action != "refuse"]

    @property
    def terms(self) -> Terms:
        """The durations that were agreed on."""
        return self.plan.terms

    @cached_property
    def journal(self) -> "Journal":
        """The journal, opened by this process."""
        return open_journal(self.place)

    def states(self) -> dict[str, str]:
        """Return each user's state; of several retirements the last one's."""
        return {r.user_name: r.state for r in self.journal.find()}

    def of(self, user: str) -> Retirement:
        """Return a user's last retirement."""
        return self.journal.find(user=user)[-1]

    def of_plan(self, user: str) -> str:
        """Return the key of a user's one item of the plan."""
        (item,) = [item for item in self.planned if item.user_name == user]
        key_id: str = item.access_key_id
        return key_id

    def status_of(self, key_id: str) -> str:
        """Return a key's status in AWS; empty if it is gone."""
        key = self.box.account().credentials.get(key_id)
        return key.status if isinstance(key, Key) else ""

    # Commands

    def environment(self) -> dict[str, str]:
        """Return what a process needs; no proxy, no configuration of anybody's."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
        places = {"HOME": "home", "TMPDIR": "tmp", "BIRTHRIGHT_STORE": "store"}
        ours = {name: str(self.folder / place) for name, place in places.items()}
        return {**kept, **ours, **self.box.environment(), "AWS_EC2_METADATA_DISABLED": "true"}

    def call(self, *arguments: object) -> Ran:
        """Run a command in this process."""
        with chdir(self.folder):
            ran = in_process(self.environment(), *arguments, "--config", self.folder / "birthright.toml")
        self._note(ran.out, ran.err)
        return ran

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start a command as a process of its own."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env={**self.environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, child: "subprocess.Popen[str]") -> Ran:
        """Wait for a process to end by itself, or by the signal it got."""
        out, err = child.communicate(timeout=_PATIENCE)
        self._note(out, err)
        return Ran(child.returncode, out, err)

    def run(self, *arguments: str) -> Ran:
        """Run a command as a process to its end."""
        return self.finish(self.start(*arguments))

    def kill_when(self, moment: Callable[[], bool], *arguments: str, later: float = 0.0) -> bool:
        """Start a command, kill it with SIGKILL `later` seconds after a moment; False if it ended first."""
        child = self.start(*arguments)
        self.wait_for(lambda: moment() or child.poll() is not None)
        time.sleep(later)
        with suppress(OSError):
            self.arguments.append(Path(f"/proc/{child.pid}/cmdline").read_text())
        child.kill()
        return self.finish(child).code == -signal.SIGKILL

    def wait_for(self, moment: Callable[[], bool]) -> None:
        """Wait until something is so, looking a thousand times a second."""
        give_up = time.monotonic() + _PATIENCE
        while not moment():
            assert time.monotonic() < give_up, "it did not happen"
            time.sleep(0.001)

    def _note(self, *texts: str) -> None:
        self.outputs += texts
        self.note_secrets()

    # People

    def note_secrets(self) -> None:
        """Remember the secrets of all keys that there are."""
        self.secrets |= {
            key.secret for key in list(self.box.account().credentials.values()) if isinstance(key, Key)
        } - {self.box.credentials.secret_access_key}

    def handed_over(self) -> dict[str, str]:
        """Return the secrets that can be read at their destinations, by key id."""
        account = self.box.account()
        texts = [secret.value() or "{}" for secret in account.secrets.values()]
        texts += [parameter.value for parameter in account.parameters.values()]
        told = [json.loads(text) for text in texts]
        return {one["access_key_id"]: one["secret_access_key"] for one in told if "access_key_id" in one}

    def use_new_keys(self) -> None:
        """Let whoever reads the destinations use what is in them."""
        for key_id in sorted(self.handed_over()):
            with suppress(UsageError):
                self.box.people.use_key(key_id)

    def advance(self, **step: float) -> None:
        """Move the sandbox's clock, and with it birthright's."""
        self.box.clock.advance(timedelta(**step))

    def changes(self, user: str = "") -> list[LogEntry]:
        """Return what birthright changed in IAM, one user's or all."""
        since = [entry for entry in self.box.log if entry.seq > self.first_seq]
        ours = [e for e in since if e.service == "iam" and e.caller != "somebody" and e.effect]
        return [e for e in ours if not user or e.effect[1] == user]

    def done(self, user: str) -> list[str]:
        """Return in words what birthright did to a user's keys: created, Inactive, Active, deleted."""
        return [e.effect[4] if e.effect[0] == "status" else e.effect[0] for e in self.changes(user)]


class ProcessJudge(Judge):
    """Judges a scene by the sandbox's log."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(cast("World", scene))
        self.scene = scene
        # Of a key that was planned twice the last retirement counts.
        self.retirements = list(self.by_key.values())

    def all(self) -> None:
        """Judge everything."""
        super().all()
        self.nothing_twice()
        self.no_secret_anywhere()

    def _not_in_use(self, retirement: Retirement, disabling: LogEntry) -> None:
        """Judge a retired key: not used after the plan's last use, and not within `in_use`."""
        known = retirement.planned.last_used_at or datetime.min.replace(tzinfo=UTC)
        for used in self.uses[retirement.access_key_id]:
            if used <= disabling.at:
                assert used.replace(microsecond=0) <= known, f"{retirement.access_key_id} was used {used}"
                assert disabling.at - used >= retirement.terms.in_use

    def made_keys(self) -> None:
        """Every key that was made is gone, or its secret can be read at its destination."""
        readable = self.scene.handed_over()
        for entry in self.ours:
            if entry.effect[0] == "created":
                key = self.scene.box.account().credentials.get(entry.effect[2])
                assert key is None or readable.get(key.access_key_id) == key.secret, f"{entry} is lost"

    def converged(self) -> None:
        """Another run changes nothing, neither in AWS nor in the journal."""
        before, steps = len(self.scene.box.log), len(self.steps)
        self.scene.call("apply", "--due")
        assert len(self.scene.box.log) == before, "AWS was changed again"
        assert len(list(self.scene.journal.steps())) == steps, "the journal goes on and on"

    def nothing_twice(self) -> None:
        """Nothing was switched, made or deleted twice, but for what somebody had undone in between."""
        for entry in self.ours:
            again = [e for e in self.ours if e.effect == entry.effect and e.seq > entry.seq]
            for other in again[:1]:
                between = self.log[entry.seq - self.log[0].seq : other.seq - self.log[0].seq]
                assert any(_switched(e, entry.effect[2], "Active") for e in between), f"{entry} and {other}"

    def no_secret_anywhere(self) -> None:
        """No secret in any file that was left, in what was written, or in what `ps` showed."""
        assert self.scene.secrets
        files = [path for path in self.scene.folder.rglob("*") if path.is_file()]
        texts = [path.read_bytes() for path in files]
        texts += [text.encode() for text in (*self.scene.outputs, *self.scene.arguments)]
        for secret in self.scene.secrets:
            assert not any(secret.encode() in text for text in texts)


def _switched(entry: LogEntry, key_id: str, status: str) -> bool:
    return entry.effect[:1] == ("status",) and (entry.effect[2], entry.effect[4]) == (key_id, status)


@contextmanager
def scene(folder: Path, journal: str = "", **dials: Any) -> Iterator[Scene]:  # noqa: ANN401 - a sandbox's dials
    """Serve an empty account, and give the scene around it."""
    folder.mkdir(exist_ok=True)
    with Sandbox.create(users=0, cases=False, report="none", **dials).running() as box:
        made = Scene(folder, box, journal)
        yield made
        made.journal.close()
