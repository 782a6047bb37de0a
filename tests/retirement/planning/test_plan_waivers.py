"""Keys that somebody accepted are not planned, and a plan says why."""

from datetime import date

import msgspec
import pytest

from birthright.findings.model import Document, Waiver, WaiverState, WaiverSummary
from birthright.retirement.model import Terms
from birthright.retirement.planning.candidates import PlanRequest
from birthright.retirement.planning.plan import build_plan
from plan_helpers import ACCOUNT, HANDOVER, NOW, document, finding, key_id, only, planned, used

ACCEPTED = Waiver("vendor rotates it", "ops@example.com", None, date(2026, 11, 1), date(2027, 1, 31))


@pytest.mark.parametrize("make", [finding, used])
def test_a_waived_key_is_refused(make: object) -> None:
    """It is shown, with until when, who and why; nothing of it is planned."""
    assert callable(make)
    item = only(planned(make(waiver=ACCEPTED)))
    assert (item.action, item.steps) == ("refuse", ())
    assert item.why == "waived until 2027-01-31 by ops@example.com: vendor rotates it"
    assert f"--key {key_id()}" in item.advice


def test_one_waived_finding_keeps_the_key() -> None:
    """Another policy that still fails does not plan it, whatever the waived one asks for."""
    waived = finding(waiver=ACCEPTED)
    other = finding(policy="access-key-unused", fingerprint="1" * 32)
    no_remedy = msgspec.structs.replace(waived, remedy="none")
    for accepted in (waived, no_remedy):
        assert only(planned(accepted, other)).action == "refuse"
        assert only(planned(accepted, other, policies=("access-key-unused",))).action == "refuse"
    assert only(planned(other)).action == "retire"


def test_naming_the_key_overrules() -> None:
    """Who names the key wants it; who names another, or its user, does not."""
    waived = finding(waiver=ACCEPTED)
    assert only(planned(waived, keys=(key_id(),))).action == "retire"
    assert only(planned(waived, users=("alice",))).action == "refuse"
    assert planned(waived, keys=(key_id(2),)).items == ()


def test_another_key_is_planned() -> None:
    """The waiver is the key's, not the user's."""
    two = planned(finding(waiver=ACCEPTED, user_keys=2), finding(access_key_id=key_id(2), user_keys=2))
    assert {item.access_key_id: item.action for item in two.items} == {
        key_id(1): "refuse",
        key_id(2): "retire",
    }


def test_the_waiver_that_lasts_longest_is_told() -> None:
    """Of several, in any order."""
    long = msgspec.structs.replace(ACCEPTED, expires=date(2027, 6, 1))
    both = [finding(waiver=ACCEPTED), finding(policy="access-key-unused", waiver=long)]
    for order in (both, both[::-1]):
        assert "until 2027-06-01" in only(planned(*order)).why


def test_hostile_words_stay_words() -> None:
    """A reason is somebody's text, and a plan is printed."""
    evil = msgspec.structs.replace(ACCEPTED, reason="\x1b[31m\u202e", owner="a\nb")
    why = only(planned(finding(waiver=evil))).why
    assert why.isprintable()


def _with_line(state: WaiverState, key: str) -> Document:
    line = WaiverSummary(
        "own-policy", ACCOUNT, "*", key, "why", "who", None, date(2026, 1, 1), date(2026, 12, 1), state, 0
    )
    return msgspec.structs.replace(document([finding()]), waivers=(line,))


@pytest.mark.parametrize(
    ("state", "action"), [("unread", "refuse"), ("unmatched", "retire"), ("expired", "retire")]
)
def test_a_waiver_of_a_policy_that_was_not_judged(state: WaiverState, action: str) -> None:
    """It still keeps its key, and no other; one that is over, or covers nothing any more, does not."""
    choices = PlanRequest(handover=HANDOVER)
    assert only(build_plan(_with_line(state, key_id()), Terms(), choices, NOW)).action == action
    assert only(build_plan(_with_line(state, key_id(2)), Terms(), choices, NOW)).action == "retire"
