"""A retirement's calls against the sandbox: no trouble is read as an answer, no change is asked twice."""

import time
from collections.abc import Callable

import pytest
from botocore.config import Config
from botocore.model import OperationModel
from botocore.session import Session

from birthright.aws.clock import AwsClock
from birthright.aws.thread_pacing import ThreadPacer
from birthright.errors import AccessDeniedError, ReadError, RefusedError, ThrottledError, UncertainError
from birthright.retirement.engine.iam import Go, Iam
from birthright.sandbox.direct import attach
from birthright.sandbox.faults import Kind
from birthright.sandbox.sandbox import Sandbox

# What may pass by itself, and hides whether a change was made.
LOST: tuple[Kind, ...] = (
    "lost", "drop", "hang", "cut", "malformed", "empty", "service-failure", "service-failure-after",
)  # fmt: skip
NOT_DONE = {"lost", "service-failure"}


def go() -> bool:
    """Let every change go."""
    return True


class Place:
    """An account where alice has one key, used once; `asked` names the calls in order."""

    def __init__(self) -> None:
        self.box = Sandbox.create(users=0, cases=False)
        now = self.box.clock.second()
        self.box.account().add_user("alice", now)
        self.key_id = self.box.people.add_key("alice").access_key_id
        self.box.people.use_key(self.key_id)
        self.asked: list[str] = []
        self.slept: list[float] = []
        credentials = self.box.credentials
        client = Session().create_client(
            "iam",
            region_name="us-east-1",
            endpoint_url="http://127.0.0.1:1",
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            config=Config(retries={"total_max_attempts": 1}),
        )
        client.meta.events.register_first("before-call", self._note)
        attach(client, self.box)
        self.now = 0.0
        self.pace = ThreadPacer(self._sleep, lambda: self.now)
        self.iam = Iam(client, AwsClock(self.box.clock.now, time.monotonic), self.pace, self._sleep)

    def _note(self, model: OperationModel, **_: object) -> None:
        self.asked.append(model.name)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    @property
    def status(self) -> str:
        """Read the key's status in the account itself."""
        return self.box.account().users["alice"].keys[self.key_id].status

    def effects(self, call: str) -> int:
        """Count what such a call changed."""
        return sum(bool(entry.effect) for entry in self.box.log if entry.action == call)


CHANGES: dict[str, Callable[[Place], object]] = {
    "UpdateAccessKey": lambda place: place.iam.set_status(go, "alice", place.key_id, "Inactive"),
    "DeleteAccessKey": lambda place: place.iam.delete(go, "alice", place.key_id),
    "CreateAccessKey": lambda place: place.iam.create(go, "alice"),
    "TagUser": lambda place: place.iam.tag(go, "alice", place.key_id, "disabled"),
}


@pytest.fixture
def place() -> Place:
    """Make an account."""
    return Place()


@pytest.mark.parametrize("kind", [*LOST, "throttling"])
def test_a_read_that_fails_is_asked_again(place: Place, kind: Kind) -> None:
    """One trouble in a read is gone the next time, and the answer is the true one."""
    place.box.faults.add(kind, times=1)
    assert [key.access_key_id for key in place.iam.keys("alice")] == [place.key_id]
    place.box.faults.add(kind, times=1)
    assert place.iam.last_use(place.key_id).at is not None
    assert place.asked == ["ListAccessKeys"] * 2 + ["GetAccessKeyLastUsed"] * 2
    assert place.slept


@pytest.mark.parametrize("kind", LOST)
def test_trouble_that_lasts_is_never_an_answer(place: Place, kind: Kind) -> None:
    """Empty, cut and odd answers never mean "no keys" or "never used", however long they last."""
    place.box.faults.add(kind)
    with pytest.raises(ReadError):
        place.iam.keys("alice")
    with pytest.raises(ReadError):
        place.iam.last_use(place.key_id)
    assert len(place.asked) == 12


@pytest.mark.parametrize("call", CHANGES)
@pytest.mark.parametrize("kind", LOST)
def test_a_change_is_asked_once(place: Place, kind: Kind, call: str) -> None:
    """After a change that got no answer nobody knows what came of it, and it is not asked again."""
    place.box.faults.add(kind, action=call)
    with pytest.raises(UncertainError) as raised:
        CHANGES[call](place)
    assert place.asked == [call]
    assert place.effects(call) == (kind not in NOT_DONE)
    assert call in raised.value.message


@pytest.mark.parametrize("call", CHANGES)
def test_a_throttled_change_is_asked_again(place: Place, call: str) -> None:
    """A change that AWS throttled was not made, so it is asked again, and made once."""
    place.box.faults.add("throttling", action=call, times=3)
    CHANGES[call](place)
    assert place.asked == [call] * 4
    assert place.effects(call) == 1
    assert place.pace.refused == 3


def test_throttling_that_never_ends_is_told(place: Place) -> None:
    """At some point it is given up, and the key is as it was."""
    place.box.faults.add("throttling")
    with pytest.raises(ThrottledError):
        CHANGES["UpdateAccessKey"](place)
    assert place.status == "Active"


@pytest.mark.parametrize("call", CHANGES)
def test_what_is_denied_is_asked_once(place: Place, call: str) -> None:
    """A denial is an answer: it names the permission, and nothing changed."""
    place.box.faults.add("access-denied")
    with pytest.raises(AccessDeniedError, match=f"iam:{call}"):
        CHANGES[call](place)
    with pytest.raises(AccessDeniedError):
        place.iam.keys("alice")
    with pytest.raises(AccessDeniedError):
        place.iam.last_use(place.key_id)
    assert place.asked == [call, "ListAccessKeys", "GetAccessKeyLastUsed"]
    assert place.effects(call) == 0


def test_who_does_not_exist_has_no_keys(place: Place) -> None:
    """Only AWS's own word that there is no such user means that there are no keys."""
    assert place.iam.keys("nobody") == ()
    with pytest.raises(RefusedError):
        place.iam.delete(go, "nobody", place.key_id)


def test_pages_are_followed(place: Place) -> None:
    """Every page is read, and trouble between two pages loses none."""
    second = place.box.people.add_key("alice").access_key_id
    place.box.faults.add("short-pages", size=1)
    place.box.faults.add("empty", after=1, times=1)
    assert {key.access_key_id for key in place.iam.keys("alice")} == {place.key_id, second}
    assert place.asked == ["ListAccessKeys"] * 3


def test_a_key_nobody_used_was_never_used(place: Place) -> None:
    """AWS's answer that it knows of no use is the one way to be never used."""
    unused = place.box.people.add_key("alice").access_key_id
    assert place.iam.last_use(unused).at is None


def test_changes_work_and_tell_aws_request(place: Place) -> None:
    """A key is switched, made and deleted, each with AWS's request id."""
    made = place.iam.create(go, "alice")
    assert made.request_id
    assert made.secret.reveal() not in repr(made)
    assert place.iam.set_status(go, "alice", place.key_id, "Inactive")
    assert place.status == "Inactive"
    assert place.iam.delete(go, "alice", place.key_id)
    assert [key.access_key_id for key in place.iam.keys("alice")] == [made.access_key_id]


@pytest.mark.parametrize("call", CHANGES)
def test_a_run_that_ends_asks_nothing_more(call: str) -> None:
    """While AWS's throttle is waited for, an end of the run leaves the change unasked, and says so."""
    place = Place()
    place.box.faults.add("throttling", times=1)
    place.iam.keys("alice")
    place.asked.clear()
    place.pace._sleep = lambda _: None  # the run is told to end: whoever sleeps wakes up
    with pytest.raises(ThrottledError, match="stopped"):
        CHANGES[call](place)
    assert not place.asked


@pytest.mark.parametrize("call", CHANGES)
def test_a_change_that_may_not_go_any_more_is_not_asked(place: Place, call: str) -> None:
    """Whether a change may go is asked before every attempt: one that came too late is not made."""
    place.box.faults.add("throttling", action=call)
    left = iter([True, True, False])
    acts: dict[str, Callable[[Go], object]] = {
        "UpdateAccessKey": lambda may: place.iam.set_status(may, "alice", place.key_id, "Inactive"),
        "DeleteAccessKey": lambda may: place.iam.delete(may, "alice", place.key_id),
        "CreateAccessKey": lambda may: place.iam.create(may, "alice"),
        "TagUser": lambda may: place.iam.tag(may, "alice", place.key_id, "disabled"),
    }
    with pytest.raises(ThrottledError):
        acts[call](lambda: next(left))
    assert place.asked == [call] * 2
    assert place.effects(call) == 0
