"""The AWS CLI's commands of a plan: whatever a value is, a shell splits them into the right words."""

import shlex

import pytest

from birthright.retirement.handover.interface import AwsCliExample
from birthright.retirement.planning import aws_cli

HOSTILE = ("$(touch x)", "a b", "it's", "`x`", "a;b", "a\nb", "*", "")


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_one_word(value: str) -> None:
    """A user's name, a description and a destination reach the AWS CLI as they are."""
    disable = shlex.split(aws_cli.disable(value, "AKIA"))
    describe = shlex.split(aws_cli.describe("ann", "AKIA", value))
    example = AwsCliExample("ssm", "put-parameter", "name", "value")
    hand_over = shlex.split(aws_cli.hand_over(example, f"/x/{value}"))
    assert disable[2:5] == ["update-access-key", "--user-name", value]
    assert disable[5:] == ["--access-key-id", "AKIA", "--status", "Inactive"]
    assert describe[-2:] == ["--tags", f"Key=AKIA,Value={value}"]
    assert hand_over[3:5] == ["--name", f"/x/{value}"]


def test_a_value_that_begins_with_a_hyphen_is_no_option() -> None:
    """It is joined to its option."""
    words = shlex.split(aws_cli.list_keys("-rf it's"))
    assert words == ["aws", "iam", "list-access-keys", "--user-name=-rf it's"]
