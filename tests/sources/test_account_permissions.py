"""The policy that is printed is enough for a scan, and every action in it is needed."""

from typing import Any, Literal

import pytest

from account_helpers import scan, statuses
from birthright.sandbox import Sandbox
from birthright.scans.request import ReadOptions
from birthright.sources.permissions import read_policy

Depth = Literal["report", "keys"]
DEPTHS: list[Depth] = ["report", "keys"]


def _statements(depth: str, partition: str = "aws") -> list[dict[str, Any]]:
    found = read_policy(depth, partition)["Statement"]
    assert isinstance(found, list)
    return found


def _actions(depth: str) -> list[str]:
    return [action for statement in _statements(depth) for action in statement["Action"]]


CASES = [(depth, dropped) for depth in DEPTHS for dropped in _actions(depth)]


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_policy_is_enough(depth: Depth) -> None:
    """A key that may do exactly what is printed reads everything, without a refusal."""
    with Sandbox.create(users=60).running() as box:
        facts = scan(box, ReadOptions(depth=depth), box.new_credentials("auditor", *_actions(depth)))
        assert set(statuses(facts).values()) == {"ok"}
        assert not box.errors
        assert {f"iam:{action}" for action in box.calls} == set(_actions(depth))


@pytest.mark.parametrize(("depth", "dropped"), CASES)
def test_the_policy_is_the_least(depth: Depth, dropped: str) -> None:
    """Without any one of its actions something is denied, and coverage names it."""
    with Sandbox.create(users=60).running() as box:
        allowed = [action for action in _actions(depth) if action != dropped]
        facts = scan(box, ReadOptions(depth=depth), box.new_credentials("auditor", *allowed))
        denied = [line for line in facts.coverage if line.status == "denied"]
        assert [dropped in line.detail for line in denied] == [True]


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_resources_are_of_the_partition(depth: Depth, partition: str) -> None:
    """What can be narrowed to users is, in the partition's own ARNs; the rest takes `*`."""
    for statement in _statements(depth, partition):
        assert statement["Effect"] == "Allow"
        assert statement["Resource"] in {"*", f"arn:{partition}:iam::*:user/*"}
        assert statement["Action"] == sorted(statement["Action"])
        assert not any("*" in action for action in statement["Action"])


@pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov"])
def test_other_partitions_are_read_and_named(partition: str) -> None:
    """Rows and coverage carry the partition that AWS's answers name."""
    with Sandbox.create(users=60, partition=partition).running() as box:
        facts = scan(box)
        assert {line.partition for line in facts.coverage} == {partition}
        assert {str(user.user_arn).split(":")[1] for user in facts.principals} == {partition}
