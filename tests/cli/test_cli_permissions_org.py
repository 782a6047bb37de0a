"""`permissions --for org`: what whoever scans an organization needs besides the role in its accounts."""

import pytest

from birthright.sources.permissions import organization_policy
from cli_helpers import Birthright


@pytest.mark.parametrize(
    ("options", "role", "tags"),
    [
        ([], "birthright", False),
        (["--tags"], "birthright", True),
        (["--role", "/audit/deep/reader"], "audit/deep/reader", False),
    ],
)
def test_it_is_printed(options: list[str], role: str, tags: bool, birthright: Birthright) -> None:  # noqa: FBT001
    """Reading the organization, with its tags only if they are asked for, and taking on that one role."""
    ran = birthright("permissions", "--for", "org", "--partition", "aws-cn", *options)
    assert (ran.code, ran.err) == (0, "")
    assert ran.document == organization_policy("aws-cn", role, tags=tags)
    reading, taking_on = ran.document["Statement"]
    assert ("organizations:ListTagsForResource" in reading["Action"]) == tags
    assert taking_on["Action"] == ["sts:AssumeRole"]
    assert taking_on["Resource"] == f"arn:aws-cn:iam::*:role/{role}"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--for", "org", "--depth", "keys"], "--for org has no --depth"),
        (["--for", "org", "--no-rotate"], "--for org has no --no-rotate"),
        (["--role", "x"], "--for read has no --role"),
        (["--for", "retire", "--tags"], "--for retire has no --tags"),
        (["--for", "org", "--role", "*"], "is no role's name"),
        (["--for", "org", "--role", "arn:aws:iam::111122223333:role/x"], "is no role's name"),
        (["--for", "org", "--role", "a*/b"], "is no role's name"),
        (["--for", "org", "--role", ""], "is no role's name"),
        (["--for", "org", "--partition", "*"], "is not a partition"),
    ],
)
def test_what_is_refused(options: list[str], why: str, birthright: Birthright) -> None:
    """Options of another purpose, and bad values, are one line and exit code 2."""
    ran = birthright("permissions", *options)
    assert ran.code == 2
    assert why in ran.trouble
