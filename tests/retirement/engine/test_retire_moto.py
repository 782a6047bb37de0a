"""A second judge: moto's server. The same flow through the real commands, to the same ends."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import time_machine
from moto.iam.models import AccessKey, AccessKeyLastUsed, iam_backends
from moto.server import ThreadedMotoServer

from birthright.retirement.journal.opening import open_journal
from birthright.retirement.model import Retirement
from cli_helpers import Ran, in_process

ACCOUNT = "123456789012"
REGION = "us-east-1"
_LATER = 11 * 60.0  # seconds; the waits of these settings are over then
SETTINGS = """
[retirement]
quarantine = "10m"
quiet = "10m"
max_share = 1.0
[retirement.handover]
"ex-*" = "existing-secret:app/{user_name}"
"ps-*" = "ssm:/birthright/{user_name}"
"*" = "secrets-manager:birthright/{user_name}"
"""


class Moto:
    """A server of moto's with an account, and a folder to run commands in."""

    def __init__(self, url: str, folder: Path, clock: time_machine.Traveller) -> None:
        self.folder = folder
        self.clock = clock
        (folder / "birthright.toml").write_text(SETTINGS)
        self.environment = {
            "HOME": str(folder),
            "BIRTHRIGHT_STORE": str(folder / "store"),
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's clients have no type
        """Make boto3's own client."""
        return boto3.session.Session().client(
            service,
            region_name=REGION,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def add(self, name: str, used: float) -> str:
        """Add a user with a key made at once, 400 days ago, last used so many days ago; return its id.

        moto's credential report says that it is of 2015: "never used" is too old to be planned with.
        """
        iam = self.client("iam")
        iam.create_user(UserName=name)
        key_id: str = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
        backend = iam_backends[ACCOUNT]["aws"]
        old = datetime.now(UTC).replace(microsecond=0, tzinfo=None) - timedelta(days=400)
        backend.get_user(name).create_date = old
        self.key(name, key_id).create_date = old
        self.use(name, key_id, used)
        return key_id

    def key(self, name: str, key_id: str) -> AccessKey:
        """Return moto's own object."""
        keys: list[AccessKey] = iam_backends[ACCOUNT]["aws"].get_user(name).access_keys
        return next(key for key in keys if key.access_key_id == key_id)

    def use(self, name: str, key_id: str, ago: float = 0) -> None:
        """Use a key so many days ago: moto does not note it by itself."""
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=ago)
        self.key(name, key_id).last_used = AccessKeyLastUsed(at, "s3", REGION)

    def statuses(self, name: str) -> dict[str, str]:
        """Return a user's keys and their status, as AWS says."""
        listed = self.client("iam").list_access_keys(UserName=name)["AccessKeyMetadata"]
        return {key["AccessKeyId"]: key["Status"] for key in listed}

    def call(self, *arguments: object) -> Ran:
        """Run a command."""
        return in_process(self.environment, *arguments, "--config", self.folder / "birthright.toml")

    def plan(self) -> Path:
        """Scan and plan. moto does not know the service of a last use."""
        assert self.call("scan").code == 1
        plan = self.folder / "plan.json"
        planned = self.call("plan", "--allow-ses", "-o", plan)
        assert planned.code == 0, planned
        return plan

    def retirements(self) -> dict[str, Retirement]:
        """Return the retirements by user, and check the journal."""
        with open_journal(str(self.folder / "store" / "journal.sqlite")) as journal:
            assert journal.verify().problem is None
            return {r.user_name: r for r in journal.find()}

    def states(self) -> dict[str, str]:
        """Return the states by user."""
        return {name: r.state for name, r in self.retirements().items()}

    def due(self) -> dict[str, str]:
        """Let the waits pass and go on; return the states by user."""
        self.clock.shift(_LATER)
        ran = self.call("apply", "--due")
        assert ran.code == 0, ran
        return self.states()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve moto."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def moto(url: str, tmp_path: Path) -> Iterator[Moto]:
    """Give an account of moto's without users; moto serves from this process, so its time is ours."""
    with time_machine.travel(datetime.now(UTC), tick=True) as clock:
        yield Moto(url, tmp_path, clock)
    iam_backends[ACCOUNT]["aws"].users.clear()
    iam_backends[ACCOUNT]["aws"].access_keys.clear()


def test_unused_keys_are_deleted_and_used_ones_rotated(moto: Moto) -> None:
    """Scan, plan, apply and three more runs: the same ends as in the sandbox."""
    keys = {"idle-200": moto.add("idle-200", 200), "idle-100": moto.add("idle-100", 100)}
    rotated = {name: moto.add(name, 1) for name in ("sm-a", "ex-a", "ps-a")}
    secrets = moto.client("secretsmanager")
    secrets.create_secret(Name="app/ex-a", SecretString="{}")
    ran = moto.call("apply", moto.plan(), "--yes", "--ticket", "CHG-7")
    assert (ran.code, ran.err) == (0, ""), ran
    states = moto.states()
    assert states == {**dict.fromkeys(keys, "disabled"), **dict.fromkeys(rotated, "proven")}
    new = {name: r.replacement.access_key_id for name, r in moto.retirements().items() if r.replacement}
    read: dict[str, Callable[[], str]] = {
        "sm-a": lambda: secrets.get_secret_value(SecretId="birthright/sm-a")["SecretString"],
        "ex-a": lambda: secrets.get_secret_value(SecretId="app/ex-a")["SecretString"],
        "ps-a": lambda: moto.client("ssm").get_parameter(Name="/birthright/ps-a", WithDecryption=True)[
            "Parameter"
        ]["Value"],
    }
    for name, value in read.items():
        told = json.loads(value())
        assert told["access_key_id"] == new[name]
        assert told["secret_access_key"] == moto.key(name, new[name]).secret_access_key
        assert moto.statuses(name) == {rotated[name]: "Active", new[name]: "Active"}
    states = moto.due()
    assert states == {**dict.fromkeys(keys, "deleted"), **dict.fromkeys(rotated, "proven")}
    moto.clock.shift(_LATER)  # a use so soon after the proof could be our own
    for name in rotated:
        moto.use(name, new[name])
    states = moto.due()
    assert states == {**dict.fromkeys(keys, "deleted"), **dict.fromkeys(rotated, "disabled")}
    assert set(moto.due().values()) == {"deleted"}
    assert [moto.statuses(name) for name in keys] == [{}, {}]
    assert [moto.statuses(name) for name in rotated] == [{new[name]: "Active"} for name in rotated]
    assert moto.call("apply", "--due").out == "Nothing is due.\n"


def test_undo(moto: Moto) -> None:
    """A disabled key is given back, and one that somebody switched on again stays."""
    undone, reclaimed = moto.add("undone", 100), moto.add("reclaimed", 100)
    assert moto.call("apply", moto.plan(), "--yes").code == 0
    assert moto.statuses("undone") == {undone: "Inactive"}
    ran = moto.call("undo", undone)
    assert ran.code == 0, ran
    moto.client("iam").update_access_key(UserName="reclaimed", AccessKeyId=reclaimed, Status="Active")
    moto.clock.shift(_LATER)
    ran = moto.call("apply", "--due")
    assert ran.code == 1
    assert moto.states() == {"undone": "undone", "reclaimed": "reclaimed"}
    assert moto.statuses("undone") == {undone: "Active"}
    assert moto.statuses("reclaimed") == {reclaimed: "Active"}


def test_a_use_after_the_plan_stops(moto: Moto) -> None:
    """A key that is used between plan and apply stays as it is."""
    key_id = moto.add("late", 100)
    plan = moto.plan()
    moto.use("late", key_id)
    assert moto.call("apply", plan, "--yes").code == 1
    assert moto.retirements()["late"].state == "stopped"
    assert moto.statuses("late") == {key_id: "Active"}
