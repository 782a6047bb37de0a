"""Plans: which items, by which steps, within which limits; deterministic, and never against a guard."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birthright.errors import UsageError
from birthright.findings.model import Evidence, Finding, Waiver
from birthright.findings.stream import LazyFindings
from birthright.retirement.model import Terms
from birthright.retirement.planning.candidates import PlanRequest
from birthright.retirement.planning.filters import unmatched
from birthright.retirement.planning.plan import Item, Plan, build_plan, digest_of
from plan_helpers import (
    ACCOUNT,
    AS_OF,
    HANDOVER,
    NOW,
    REPORTED,
    days,
    document,
    evidence,
    finding,
    key_id,
    only,
    planned,
    used,
)


def test_the_remedy_decides() -> None:
    """A key that is not in use is retired; one in use is rotated, with a place for its secret."""
    retire, rotate = only(planned(used(100))), only(planned(used(1)))
    assert (retire.action, retire.why, retire.handover) == (
        "retire",
        "not in use: last used 100 d ago for s3 in us-east-1",
        None,
    )
    assert (rotate.action, rotate.why) == ("rotate", "in use: last used 1 d ago for s3 in us-east-1")
    assert rotate.handover == HANDOVER
    assert only(planned(finding())).why == "not in use: never used"


def test_facts_are_what_the_findings_say() -> None:
    """An item carries the facts with the instant at which the last use was known."""
    facts = only(planned(used(100))).facts
    assert (facts.status, facts.created_at, facts.last_used_at) == ("Active", days(365), days(100))
    assert (facts.last_used_service, facts.last_used_region) == ("s3", "us-east-1")
    assert facts.as_of == REPORTED


def test_several_findings_on_a_key_are_one_item() -> None:
    """The item names them all: what birthright is about first, then by risk."""
    item = only(
        planned(
            used(100, policy="access-key-unused", fingerprint="1" * 32, risk="medium"),
            used(100, policy="access-key-not-rotated", fingerprint="2" * 32),
            used(100),
        )
    )
    policies = [ref.policy for ref in item.findings]
    assert policies == ["access-key-created-with-user", "access-key-unused", "access-key-not-rotated"]


def test_only_failures_with_a_remedy_are_planned() -> None:
    """Passes, unknowns and findings that no retirement mends make no items."""
    others = [
        finding(verdict="pass", remedy="none"),
        finding(verdict="unknown"),
        finding(remedy="none", policy="root-access-key"),
    ]
    assert planned(*others).items == ()


def test_the_steps_of_a_retirement() -> None:
    """Look, disable, wait, look, delete: each with its command."""
    steps = only(planned(finding(), terms=Terms(quarantine=timedelta(days=7)))).steps
    key = f"--access-key-id {key_id()}"
    assert [(step.after, step.cli.splitlines()[0]) for step in steps] == [
        ("", f"aws iam get-access-key-last-used {key}"),
        ("", f"aws iam update-access-key --user-name alice {key} --status Inactive"),
        ("7 d later", "aws iam list-access-keys --user-name alice"),
        ("", f"aws iam delete-access-key --user-name alice {key}"),
    ]


def test_an_inactive_key_is_disabled_again() -> None:
    """So that the quarantine begins at a time somebody wrote down."""
    item = only(planned(finding(status="Inactive")))
    assert item.action == "retire"
    assert item.why == "inactive already: never used"
    assert item.steps[1].what == "disable it once more, for the record"


def test_the_steps_of_a_rotation() -> None:
    """Create, hand over, prove, wait for quiet, disable, wait, delete; with --annotate the description."""
    steps = only(planned(used(), annotate=True)).steps
    operations = [line.split()[2] for step in steps for line in step.cli.splitlines()]
    assert operations == [
        "list-access-keys",
        "create-access-key",
        "create-secret",
        "get-caller-identity",
        "get-access-key-last-used",
        "get-access-key-last-used",
        "update-access-key",
        "tag-user",
        "list-access-keys",
        "get-access-key-last-used",
        "delete-access-key",
    ]
    waits = [step.after for step in steps if step.after]
    assert waits[0].startswith("when somebody uses the new key and this one has been quiet for 3 d; ")
    assert waits[1:] == ["14 d later"]


@pytest.mark.parametrize(
    ("spec", "command"),
    [
        ("secrets-manager:", "aws secretsmanager create-secret --name birthright/alice"),
        ("secrets-manager:x/{access_key_id}", "aws secretsmanager create-secret --name x/NEW_ACCESS_KEY_ID"),
        ("existing-secret:prod/{user_name}", "aws secretsmanager put-secret-value --secret-id prod/alice"),
        ("ssm:/k/{user_name}", "aws ssm put-parameter --name /k/alice --type SecureString"),
        ("profile:{user_name}", ""),
    ],
)
def test_hand_overs_have_commands_without_secrets(spec: str, command: str) -> None:
    """What AWS keeps is written by the AWS CLI from a file; the others are told in words only."""
    step = only(planned(used(), handover=spec)).steps[2]
    assert step.what.startswith("hand the new secret over: ")
    assert step.cli.startswith(command)
    assert bool(step.cli) == bool(command)
    assert not command or step.cli.endswith("file://NEW_KEY.json")


@pytest.mark.parametrize("name", ["-rf", "a=b", "a,b", "a+b@c.d"])
def test_commands_are_one_word_a_value(name: str) -> None:
    """Whatever a user is called, the shell sees one word, and no option."""
    shown = [step.cli for step in only(planned(used(200, user_name=name))).steps]
    commands = [shlex.split(line) for lines in shown for line in lines.splitlines()]
    about = [words for words in commands if "user-name" in " ".join(words)]
    assert {words[2] for words in about} == {"list-access-keys", "update-access-key", "delete-access-key"}
    for words in about:
        assert f"--user-name={name}" in words or words[words.index("--user-name") + 1] == name
    for words in commands:
        assert all(word.startswith("--") for word in words if word.startswith("-"))


def many(number: int, **values: Any) -> list[Finding]:  # noqa: ANN401 - any field of Finding
    """Make so many users with a key each, used 91, 92, ... days ago."""
    return [used(91 + i, user_name=f"u{i:03}", access_key_id=key_id(i), **values) for i in range(number)]


def kept(plan: Plan) -> list[str | None]:
    """Name the keys that are not refused."""
    return [item.access_key_id for item in plan.items if item.action != "refuse"]


def test_at_most_max_keys_an_account() -> None:
    """What is beyond is refused: the keys used last, in every account on its own."""
    other = many(2, account_id="9" * 12)
    plan = planned(*many(5), *other, max_keys=3)
    assert kept(plan) == [key_id(2), key_id(3), key_id(4), key_id(0), key_id(1)]
    refused = plan.of("refuse")
    assert {item.why for item in refused} == {"3 keys of this account are in this plan already (max_keys)"}
    assert "raise max_keys" in refused[0].advice


@pytest.mark.parametrize(
    ("active", "share", "number"),
    [(100, 0.29, 29), (40, 0.25, 10), (3, 0.25, 1), (0, 0.25, 1), (7, 0.25, 1), (8, 0.25, 2), (30, 1.0, 30)],
)
def test_at_most_a_share_of_the_active_keys(active: int, share: float, number: int) -> None:
    """The share is rounded down, exactly, and one key is always allowed."""
    assert len(kept(planned(*many(40), active=active, max_share=share))) == number


def test_inactive_keys_are_no_part_of_the_share() -> None:
    """Deleting a disabled key takes nothing from what is active; max_keys counts it."""
    plan = planned(*many(10, status="Inactive"), active=4)
    assert len(kept(plan)) == 10
    assert len(kept(planned(*many(10, status="Inactive"), active=4, max_keys=3))) == 3


def test_what_is_least_missed_is_kept() -> None:
    """Never used first, then least recently used, whatever the order of the findings."""
    findings = [
        used(10, user_name="a", access_key_id=key_id(1)),
        used(300, user_name="b", access_key_id=key_id(2)),
        finding(user_name="z", access_key_id=key_id(3)),
        used(20, user_name="c", access_key_id=key_id(4)),
    ]
    for number, wanted in ((1, {3}), (2, {2, 3}), (3, {2, 3, 4})):
        for order in (findings, findings[::-1]):
            assert set(kept(planned(*order, max_keys=number))) == set(map(key_id, wanted))


def test_without_counts_one_key_at_a_time() -> None:
    """A findings file of before accounts were counted gives one key an account, and says why."""
    plan = planned(*many(3), active=None)
    assert kept(plan) == [key_id(2)]
    assert "do not say how many keys" in plan.of("refuse")[0].why


def test_filters() -> None:
    """Policies, accounts, users and keys narrow the plan; siblings are still known."""
    two = [finding(policy="a"), used(user_name="bob", access_key_id=key_id(2), policy="b", user_keys=2)]
    assert kept(planned(*two, policies=("a",))) == [key_id()]
    assert kept(planned(*two, users=("al*", "x"))) == [key_id()]
    assert kept(planned(*two, keys=(key_id(),))) == [key_id()]
    assert kept(planned(*two, accounts=("1*",))) == [key_id()]
    assert planned(*two, accounts=("9*",)).items == ()
    assert planned(*two, users=("AL*",)).items == ()


def test_hand_overs_that_never_work_are_wrong_usage() -> None:
    """A bad destination is told before anything is planned, also if nothing is rotated."""
    for handover in ("nowhere:x", {"bob": "nowhere:x"}):
        with pytest.raises(UsageError, match="hand-over"):
            planned(finding(), handover=handover)


@pytest.mark.parametrize("length", [timedelta(0), timedelta.max])
def test_an_expiry_must_be_some_day(length: timedelta) -> None:
    """Neither at once nor beyond the calendar."""
    with pytest.raises(UsageError, match="expire"):
        planned(finding(), expires=length)


def test_the_same_plan_again() -> None:
    """The same findings at the same time make the same plan; a second later it has another name."""
    findings = [used(), finding(user_name="bob", access_key_id=key_id(2))]
    plan = planned(*findings)
    assert planned(*reversed(findings)) == plan
    assert plan.id.startswith("plan-20261122T100500Z-")
    assert plan.digest == digest_of(plan)
    assert plan.expires_at == NOW + timedelta(hours=24)
    later = build_plan(
        document(findings), Terms(), PlanRequest(handover=HANDOVER), NOW + timedelta(seconds=1)
    )
    assert later.id != plan.id


ACCEPTED = Waiver("why", "who", None, date(2026, 1, 1), date(2027, 1, 1))


class Streamed(LazyFindings):
    """Findings that come one after another, as those of an organization do; `rounds` counts how often."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self._findings = findings
        self.rounds = 0

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        self.rounds += 1
        return iter(self._findings)


def test_a_plan_of_findings_that_are_never_all_there() -> None:
    """It is the same plan, made in one round, an account at a time: siblings, waivers, limits and places."""
    accounts, waiver = [f"{number:012}" for number in range(1, 4)], ACCEPTED
    found = [
        one
        for place, account in enumerate(accounts)
        for one in (
            used(account_id=account, user_name="ann", access_key_id=key_id(10 * place), user_keys=2),
            used(
                100, account_id=account, user_name="ann", access_key_id=key_id(10 * place + 1), verdict="pass"
            ),
            used(account_id=account, user_name="bob", access_key_id=key_id(10 * place + 2)),
            finding(account_id=account, user_name="eve", access_key_id=key_id(10 * place + 3)),
            finding(account_id=account, user_name="eve", access_key_id=None),
            finding(account_id=account, user_name="joe", access_key_id=key_id(10 * place + 4), waiver=waiver),
        )
    ]
    streamed = Streamed(found)
    request = PlanRequest(handover="profile:work", max_keys=2)
    whole, lazy = (
        build_plan(msgspec.structs.replace(document(found), findings=some), Terms(), request, NOW)
        for some in (tuple(found), streamed)
    )
    assert lazy == whole
    assert {item.action for item in lazy.items} == {"retire", "rotate", "refuse"}
    assert any("goes to the same place" in item.why for item in lazy.items)
    assert any("waived" in item.why for item in lazy.items)
    assert streamed.rounds == 1


def test_filters_that_match_nothing_are_named() -> None:
    """Each is held against all failing findings; these are made again only if the plan does not show it."""
    found = [used(user_name="ann"), used(user_name="bob", access_key_id=key_id(2), account_id="4" * 12)]
    streamed = Streamed(found)
    filled = msgspec.structs.replace(document(found), findings=streamed)

    def missing(**filters: tuple[str, ...]) -> tuple[str, ...]:
        request = PlanRequest(handover=HANDOVER, **filters)  # type: ignore[arg-type]
        plan = build_plan(filled, Terms(), request, NOW)
        streamed.rounds = 0
        return unmatched(filled, request, plan)

    assert missing(users=("a*",), keys=(key_id(),), accounts=(ACCOUNT,)) == ()
    assert streamed.rounds == 0
    assert missing(users=("ann",), accounts=("4*",)) == ()
    assert streamed.rounds == 1
    assert missing(users=("bob", "eve"), policies=("x",), keys=("AKIA",)) == (
        "--policy x",
        "--user eve",
        "--key AKIA",
    )


moments = st.none() | st.integers(-3, 400).map(days) | st.datetimes(timezones=st.just(UTC))
names = st.sampled_from(["alice", "bob", "<root_account>", "smtp", "a\x1b[31m", "", None])
services = st.sampled_from(["s3", "ses", None])


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    """Make any finding, plausible or not."""
    name, service = draw(names), draw(services)
    told = draw(
        st.sampled_from(
            [(), evidence(service), (Evidence("ever_used", value=False, source="x", as_of=REPORTED),)]
        )
    )
    usual = {
        "user_name": name,
        "access_key_id": draw(st.none() | st.integers(1, 4).map(key_id)),
        "account_id": draw(st.sampled_from([ACCOUNT, "9" * 12, "unknown"])),
        "policy": draw(st.sampled_from(["p", "q"])),
        "verdict": draw(st.sampled_from(["fail", "fail", "fail", "pass", "unknown"])),
        "status": draw(st.sampled_from(["Active", "Active", "Inactive", "Expired", None])),
        "created_at": draw(moments),
        "user_created_at": draw(moments),
        "ever_used": draw(st.sampled_from([True, True, False, False, None])),
        "last_used_at": draw(moments),
        "remedy": draw(st.sampled_from(["retire", "rotate", "review", "none"])),
        "evidence": told,
        "user_keys": draw(st.sampled_from([None, 1, 1, 2])),
    }
    if draw(st.integers(0, 5)) == 0:
        usual["user_arn"] = draw(st.none() | st.just("arn:aws:iam::111122223333:root"))
    return finding(**usual)


def holds(item: Item, given_: list[Finding], terms: Terms) -> bool:
    """Say, apart from the guards' own words, whether a key may be touched as the item says."""
    same = [f for f in given_ if (f.account_id, f.access_key_id) == (item.account_id, item.access_key_id)]
    asks = [f for f in same if f.verdict == "fail" and f.remedy != "none"]
    facts = item.facts
    known = facts.created_at is not None and item.user_arn.endswith(f":user/{item.user_name}")
    last = facts.last_used_at
    if facts.ever_used is False:
        used_rightly = (
            last is None
            and facts.as_of is not None
            and facts.created_at is not None
            and facts.as_of - facts.created_at >= timedelta(days=1)
        )
    else:
        used_rightly = facts.ever_used is True and last is not None and facts.last_used_service == "s3"
    if item.action == "retire":
        fits = facts.status in {"Active", "Inactive"} and (last is None or AS_OF - last >= terms.in_use)
    else:
        fits = facts.status == "Active" and facts.ever_used is True
        fits = fits and all(f.user_keys == 1 for f in asks)
    return (
        item.user_name in {"alice", "bob", "smtp"}
        and known
        and used_rightly
        and fits
        and {f.remedy for f in asks} == {item.action}
    )


@pytest.mark.usefixtures("in_rounds")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(findings(), max_size=6), st.sampled_from([0, 1, 90, 400]), st.integers(1, 3), st.integers(0, 9)
)
def test_no_document_makes_a_plan_against_a_guard(
    given_: list[Finding], in_use: int, max_keys: int, active: int
) -> None:
    """Whatever the findings say, keys that are touched pass every guard, within the limits."""
    terms = Terms(in_use=timedelta(days=in_use))
    plan = planned(*given_, terms=terms, max_keys=max_keys, active=active)
    touched = [item for item in plan.items if item.action != "refuse"]
    assert all(holds(item, given_, terms) for item in touched)
    for account in {item.account_id for item in touched}:
        here = [item for item in touched if item.account_id == account]
        assert len(here) <= max_keys
        assert sum(item.facts.status == "Active" for item in here) <= max(1, active // 4)
    named = [(item.account_id, item.access_key_id) for item in plan.items if item.access_key_id]
    assert len(set(named)) == len(named)
    assert all(item.why and item.advice for item in plan.of("refuse"))
    assert planned(*given_, terms=terms, max_keys=max_keys, active=active) == plan
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_time_at_its_ends() -> None:
    """The first and last instants of the calendar break nothing."""
    for moment in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(microsecond=0, tzinfo=UTC)):
        planned(
            used(created_at=moment, last_used_at=moment), finding(created_at=moment, access_key_id=key_id(2))
        )
