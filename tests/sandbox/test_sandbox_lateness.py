"""AWS takes its time: listings that are behind, and uses that are shown late."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from birthright.sandbox import Sandbox
from birthright.sandbox.account import Key, KeyUse
from birthright.sandbox.changes import Delays, listed, shown_use, use

Make = Callable[..., Any]
Refused = Callable[..., tuple[str, int]]
BORN = "ci-deploy-born-with-key"
START = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_listing_is_behind(client: Make, refused: Refused) -> None:
    """For consistency_seconds a new key is not listed, an old status is, a deleted key is; writes know."""
    with Sandbox.create(users=5, consistency_seconds=10, clock=START, frozen=True).running() as box:
        iam = client(box)

        def shown() -> dict[str, str]:
            keys = iam.list_access_keys(UserName=BORN)["AccessKeyMetadata"]
            return {key["AccessKeyId"]: key["Status"] for key in keys}

        (old,) = shown()
        new = iam.create_access_key(UserName=BORN)["AccessKey"]["AccessKeyId"]
        assert shown() == {old: "Active"}
        assert refused(iam.create_access_key, UserName=BORN) == ("LimitExceeded", 409)
        box.clock.advance(timedelta(seconds=10))
        assert shown() == {old: "Active", new: "Active"}
        iam.update_access_key(UserName=BORN, AccessKeyId=old, Status="Inactive")
        assert shown()[old] == "Active"
        box.clock.advance(timedelta(seconds=9))
        assert shown()[old] == "Active"
        iam.delete_access_key(UserName=BORN, AccessKeyId=old)
        box.clock.advance(timedelta(seconds=1))
        assert shown()[old] == "Inactive"
        assert refused(iam.delete_access_key, UserName=BORN, AccessKeyId=old) == ("NoSuchEntity", 404)
        box.clock.advance(timedelta(seconds=9))
        assert shown() == {new: "Active"}


def test_at_once_by_default(box: Sandbox, client: Make) -> None:
    """Without the dial nothing is remembered of how things were."""
    iam = client(box)
    iam.create_access_key(UserName=BORN)
    assert len(iam.list_access_keys(UserName=BORN)["AccessKeyMetadata"]) == 2
    assert box.account().users[BORN].changes == []


@given(steps=st.lists(st.tuples(st.sampled_from("cads"), st.integers(0, 7)), max_size=25))
def test_a_listing_is_the_state_of_some_seconds_ago(steps: list[tuple[str, int]]) -> None:
    """Whatever happens, ListAccessKeys shows exactly what was true `consistency_seconds` earlier."""
    box = Sandbox.create(users=0, cases=False, consistency_seconds=10, clock=START, frozen=True)
    user = box.account().add_user("alice", START)
    history: list[tuple[datetime, dict[str, str]]] = [(START, {})]
    for what, seconds in steps:
        box.clock.advance(timedelta(seconds=seconds))
        keys = sorted(user.keys)
        if what == "c" and len(keys) < 2:
            box.people.add_key("alice")
        elif what == "d" and keys:
            box.people.delete_key(keys[0])
        elif keys:
            box.people.set_status(keys[-1], "Active" if what == "a" else "Inactive")
        now = box.clock.now()
        history.append((now, {key.access_key_id: key.status for key in user.keys.values()}))
        past = [state for at, state in history if at <= now - timedelta(seconds=10)]
        seen = listed(user, now, box.cloud.delays)
        assert {name: status for name, (_, status) in seen.items()} == (past[-1] if past else {})


def test_a_use_is_shown_late(client: Make) -> None:
    """Within last_use_lag_seconds the use before it is shown; then the new one, as it was."""
    with Sandbox.create(users=5, last_use_lag_seconds=60, clock=START, frozen=True).running() as box:
        key = box.new_credentials("other").access_key_id

        def shown() -> dict[str, Any]:
            answer: dict[str, Any] = client(box).get_access_key_last_used(AccessKeyId=key)[
                "AccessKeyLastUsed"
            ]
            return answer

        box.people.use_key(key, "s3", "eu-west-1")
        assert shown() == {"ServiceName": "N/A", "Region": "N/A"}
        box.clock.advance(timedelta(seconds=60))
        first = {"LastUsedDate": START, "ServiceName": "s3", "Region": "eu-west-1"}
        assert shown() == first
        box.people.use_key(key, "sqs", "eu-west-1")
        assert shown() == first
        box.clock.advance(timedelta(seconds=60))
        assert shown()["ServiceName"] == "sqs"
        assert [entry.effect[3] for entry in box.log] == ["s3", "sqs"]


def test_only_the_first_use_of_a_span_is_recorded(client: Make) -> None:
    """With last_use_span_seconds=900 a use ten minutes after the last one recorded leaves no trace."""
    with Sandbox.create(users=5, last_use_span_seconds=900, clock=START, frozen=True).running() as box:
        key, iam = box.new_credentials("other").access_key_id, client(box)
        box.people.use_key(key, "s3")
        for minutes, service in ((10, "s3"), (5, "sqs")):
            box.clock.advance(timedelta(minutes=minutes))
            box.people.use_key(key, "sqs")
            shown = iam.get_access_key_last_used(AccessKeyId=key)["AccessKeyLastUsed"]
            assert shown["ServiceName"] == service


@given(gaps=st.lists(st.integers(0, 50), max_size=30), lag=st.integers(1, 90))
def test_the_use_shown_is_the_last_one_old_enough(gaps: list[int], lag: int) -> None:
    """However close the uses are, the newest that is at least the lag old is shown, and little is kept."""
    key, dials, now = Key("AKIA", "alice", START), Delays(last_use_lag=lag), START
    uses = [KeyUse()]
    for number, gap in enumerate(gaps):
        now += timedelta(seconds=gap)
        uses.append(KeyUse(now, "eu-west-1", f"s{number}"))
        use(key, uses[-1], dials)
        old = [one for one in uses if one.at is None or (now - one.at).total_seconds() >= lag]
        assert shown_use(key, now, dials) == old[-1]
        assert len(key.earlier_uses or ()) <= len(uses) - len(old) + 1
