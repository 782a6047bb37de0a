"""What a plan refuses: each reason once, with what to do; and what it does not refuse."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from birthright.findings.model import Finding
from birthright.retirement.model import Terms
from birthright.retirement.planning.plan import Item
from plan_helpers import ACCOUNT, AS_OF, days, evidence, finding, key_id, only, planned, used


def refused(*findings: Finding, **how: Any) -> Item:  # noqa: ANN401 - any choice
    """Return the first key's item, which must be a refusal that says what to do, and has no steps."""
    item = next(item for item in planned(*findings, **how).items if item.access_key_id in {key_id(), None})
    assert item.action == "refuse"
    assert item.why
    assert item.advice
    assert (item.steps, item.handover) == ((), None)
    return item


@pytest.mark.parametrize(
    "root", [{"user_name": "<root_account>"}, {"user_arn": f"arn:aws:iam::{ACCOUNT}:root"}]
)
def test_root_keys(root: dict[str, Any]) -> None:
    """Root's key is never touched, by whatever it is recognised."""
    assert "root user" in refused(finding(**root)).why


@pytest.mark.parametrize("pattern", ["alice", "al*", "arn:aws:iam::*:user/alice", "*"])
def test_protected_users(pattern: str) -> None:
    """A pattern protects by user name or ARN; its case counts."""
    item = refused(finding(), protected=("nobody", pattern))
    assert repr(pattern) in item.why
    assert "birthright.toml" in item.advice
    assert only(planned(finding(), protected=("Alice", "AL*"))).action == "retire"


def test_the_key_birthright_runs_with() -> None:
    """Its own key is not touched."""
    assert "birthright itself" in refused(finding(), own_key_ids=frozenset({key_id()})).why
    assert only(planned(finding(), own_key_ids=frozenset({key_id(2)}))).action == "retire"


@pytest.mark.parametrize("make", [finding, used])
def test_unknown_creation(make: Any) -> None:  # noqa: ANN401 - either
    """A key made nobody knows when is left alone."""
    assert "created" in refused(make(created_at=None)).why


@pytest.mark.parametrize(
    "facts",
    [
        {"ever_used": None, "last_used_at": None},
        {"ever_used": True, "last_used_at": None},
        {"ever_used": None, "last_used_at": days(200)},
        {"ever_used": False, "last_used_at": days(200)},
    ],
)
@pytest.mark.parametrize("remedy", ["retire", "rotate", "review"])
def test_unknown_last_use(facts: dict[str, Any], remedy: str) -> None:
    """A last use that is not known, or contradicts itself, refuses whatever the finding asks for."""
    assert "last used" in refused(finding(**facts, remedy=remedy)).why


def test_young_keys_that_show_no_use() -> None:
    """Never used counts from a day on, by the time AWS said so, which is the report's."""
    reported = AS_OF - timedelta(hours=2)
    young = finding(created_at=reported - timedelta(days=1, seconds=-1), user_created_at=days(500))
    assert "less than a day old" in refused(young).why
    old = msgspec.structs.replace(young, created_at=reported - timedelta(days=1))
    assert only(planned(old)).action == "retire"
    unseen = msgspec.structs.replace(young, evidence=())
    assert only(planned(unseen)).facts.as_of == AS_OF


@pytest.mark.parametrize("status", [None, "Expired", "active", "\x1b[31m"])
def test_other_statuses(status: str | None) -> None:
    """Only Active and Inactive are understood."""
    assert "active" in refused(finding(status=status)).why.lower()


def test_a_key_in_use_is_not_retired() -> None:
    """A finding judged with a shorter in_use does not make a plan that retires a key in use."""
    item = refused(used(60, remedy="retire"))
    assert "within 90 d" in item.why
    assert "in_use" in item.advice
    short = Terms(in_use=timedelta(days=60))
    assert only(planned(used(60, remedy="retire"), terms=short)).action == "retire"
    assert refused(used(60, remedy="retire"), terms=Terms(in_use=timedelta.max)).advice


def test_a_use_after_the_scan_counts_as_in_use() -> None:
    """A last use in the scan's future is a use."""
    assert "was used within" in refused(used(-1, remedy="retire")).why


def test_an_inactive_key_used_lately_waits() -> None:
    """A disabled key that was in use lately is deleted later; the advice says from when on."""
    item = refused(used(40, remedy="retire", status="Inactive"))
    assert "inactive, but" in item.why
    assert "after 2027-01-11T10:00:00Z" in item.advice
    far = Terms(in_use=timedelta.max)
    assert "shorter in_use" in refused(used(40, remedy="retire", status="Inactive"), terms=far).advice


def test_findings_that_disagree() -> None:
    """Two findings of one key that ask for different things, or see different facts, refuse it."""
    other = used(policy="access-key-not-rotated", remedy="retire")
    assert "disagree" in refused(used(), other).why
    assert "contradict" in refused(used(), used(2, policy="access-key-not-rotated")).why
    assert "contradict" in refused(finding(), finding(policy="x", user_name="bob")).why


def test_rotations_of_keys_that_are_not_in_use() -> None:
    """A rotation rests on an active key that was used."""
    assert "contradicts" in refused(finding(remedy="rotate")).why
    assert "contradicts" in refused(used(status="Inactive")).why


def test_keys_without_ids() -> None:
    """A scan of the report alone cannot be retired from; each key is still an item."""
    item = refused(finding(access_key_id=None, user_keys=None))
    assert "--depth keys" in item.advice
    several = [finding(access_key_id=None, created_at=days(300 + i), user_keys=None) for i in (0, 1)]
    assert [item.action for item in planned(*several).items] == ["refuse", "refuse"]
    assert "id is not one" in planned(finding(access_key_id="$(touch x)")).items[0].why


def test_findings_that_want_a_person() -> None:
    """A remedy of review is a refusal, whatever the facts."""
    assert "a person has to look" in refused(finding(remedy="review")).why
    both = refused(finding(), finding(policy="x", remedy="review"))
    assert "a person has to look" in both.why


@pytest.mark.parametrize(
    "who",
    [
        {"user_name": None},
        {"user_name": "a\nb"},
        {"user_name": "a b"},
        {"user_arn": "arn:aws:iam::111122223333:user/bob"},
        {"user_arn": "arn:aws:iam::999988887777:user/alice"},
        {"user_arn": "nonsense"},
        {"account_id": "unknown"},
    ],
)
def test_users_that_aws_could_not_have(who: dict[str, Any]) -> None:
    """A name, ARN and account that do not go together are damaged or forged."""
    assert "no such account, user and ARN" in refused(finding(**who)).why


def test_users_whose_arn_was_not_read() -> None:
    """Without the ARN nobody knows the partition."""
    assert "iam:ListUsers" in refused(finding(user_arn=None)).advice


def test_paths_and_partitions_are_understood() -> None:
    """The ARN of a user with a path, in any partition, is fine."""
    item = only(planned(finding(user_arn=f"arn:aws-us-gov:iam::{ACCOUNT}:user/a/b/alice")))
    assert (item.action, item.partition) == ("retire", "aws-us-gov")


@pytest.mark.parametrize("service", ["ses", "SES", " ses ", "ses-smtp", "SES-v2", "ses-"])
@pytest.mark.parametrize("ago", [1, 200])
def test_smtp_passwords(service: str, ago: int) -> None:
    """A key last used for ses may be an SMTP password; only --allow-ses plans it."""
    smtp = used(ago, evidence=evidence(service))
    assert "SMTP" in refused(smtp).why
    assert only(planned(smtp, allow_ses=True)).action == ("rotate" if ago == 1 else "retire")


@pytest.mark.parametrize("service", ["session", "sessions-ses", "sesame", "s3-ses"])
def test_other_services_are_no_smtp_passwords(service: str) -> None:
    """Only `ses` and what begins with `ses-` is SES."""
    assert only(planned(used(1, evidence=evidence(service)))).action == "rotate"


def test_unknown_services() -> None:
    """A used key whose service nobody says is treated like an SMTP password."""
    for unknown in (used(evidence=()), used(evidence=evidence(None))):
        item = refused(unknown)
        assert "which service" in item.why
        assert "evidence" in item.advice
    assert only(planned(used(evidence=()), allow_ses=True)).action == "rotate"


def beside(**facts: Any) -> Finding:  # noqa: ANN401 - any field of Finding
    """Make a passing finding of the same user's other key."""
    usual: dict[str, Any] = {"access_key_id": key_id(2), "verdict": "pass", "remedy": "none", "user_keys": 2}
    return used(**{**usual, **facts})


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"status": "Inactive"}, f"{key_id(2)} is inactive and could go first"),
        ({"ever_used": False, "last_used_at": None}, f"{key_id(2)} was never used and could go first"),
        (
            {"ever_used": False, "last_used_at": None, "created_at": days(3)},
            f"{key_id(2)} is new and not used yet",
        ),
        ({"ago": 30}, f"{key_id(2)} was last used 2026-10-23T10:00:00Z and could go first"),
        ({"ago": 0.1}, f"this key could go first: move what uses it over to {key_id(2)}"),
        ({"ever_used": None, "last_used_at": None}, f"find out whether {key_id(2)}"),
    ],
)
def test_a_second_key_in_the_way(other: dict[str, Any], says: str) -> None:
    """Both places taken: a rotation is refused, and it says which of the two could go first."""
    item = refused(used(user_keys=2), beside(**other))
    assert "has 2 keys" in item.why
    assert item.advice.startswith(says)


def test_a_second_key_that_the_findings_do_not_name() -> None:
    """A findings file without passes still says that a second key is there."""
    item = refused(used(user_keys=2))
    assert "has 2 keys" in item.why
    assert "birthright explain" in item.advice


def test_a_count_of_keys_that_is_not_known_or_too_low() -> None:
    """Without a count there may be a second key; findings that show more keys than counted are believed."""
    assert "how many keys" in refused(used(user_keys=None)).why
    assert "has 2 keys" in refused(used(user_keys=1), beside(user_keys=1)).why
    assert only(planned(finding(user_keys=2))).action == "retire"


def test_users_whose_secret_has_no_place_to_go() -> None:
    """A rotation needs a destination that takes this user; the others are planned."""
    item = refused(used(), handover={"bob": "secrets-manager:birthright/{user_name}"})
    assert "no place to go" in item.why
    assert only(planned(finding(), handover={"bob": "ssm:/x/{user_name}"})).action == "retire"
