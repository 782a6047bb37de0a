"""Identifiers are what AWS's own documentation says they are; what only looks like one is refused."""

from collections.abc import Callable

import pytest

from birthright.aws.identifiers import (
    Arn,
    UserArn,
    account_of_role_arn,
    is_access_key_id,
    is_account_id,
    is_partition,
    is_role_name,
    is_user_name,
    parse_arn,
    parse_user_arn,
    partition_of,
    role_arn,
)

ONE = "111122223333"


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (is_account_id, [ONE, "0" * 12], ["", "1" * 11, "1" * 13, "\u0661" * 12, ONE + "\n", " " + ONE]),
        (is_access_key_id, ["AKIAIOSFODNN7EXAMPLE", "A" * 128], ["A" * 15, "A" * 129, "AKIA-OSFODNN7EXAMPLE",
                                                                "AKIAIOSFODNN7EXAMPLÉ"]),
        (is_partition, ["aws", "aws-cn", "aws-us-gov", "aws-iso-b", "aws-eusc"], ["", "AWS", "aws-", "gcp"]),
        (is_user_name, ["ann", "a.b+c=d,e@f-g_h", "x" * 128], ["", "x" * 129, "a b", "a/b", "é", "ann\n"]),
        (is_role_name, ["birthright", "audit/birthright", "/a/b/c", "x" * 64],
         ["", "x" * 65, "a b", "a*/b", "a?/b", f"arn:aws:iam::{ONE}:role/x", "p" * 520 + "/" + "x" * 64]),
    ],
)  # fmt: skip
def test_what_is_an_identifier(check: Callable[[str], bool], good: list[str], bad: list[str]) -> None:
    """Digits and letters are ASCII, lengths are IAM's, and a line end makes a text another one."""
    assert [text for text in good if not check(text)] == []
    assert [text for text in bad if check(text)] == []


def test_an_arn_has_parts() -> None:
    """A resource may hold colons; an ARN without an account, or another text, has no parts."""
    assert parse_arn(f"arn:aws-cn:sts::{ONE}:assumed-role/a/b:c") == Arn(
        "aws-cn", "sts", "", ONE, "assumed-role/a/b:c"
    )
    assert parse_arn(f"arn:aws:ssm:eu-west-1:{ONE}:parameter/x") == Arn(
        "aws", "ssm", "eu-west-1", ONE, "parameter/x"
    )
    for text in ("", ONE, "arn:aws:s3:::bucket", "arn:aws:iam::aws:policy/x", f"arn::iam::{ONE}:root"):
        assert parse_arn(text) is None


def test_a_users_arn_names_the_user_without_the_path() -> None:
    """Root, roles and users of other services are no IAM users."""
    assert parse_user_arn(f"arn:aws:iam::{ONE}:user/ann") == UserArn("aws", ONE, "ann")
    assert parse_user_arn(f"arn:aws-us-gov:iam::{ONE}:user/a/b/ann") == UserArn("aws-us-gov", ONE, "ann")
    for text in (f"arn:aws:iam::{ONE}:root", f"arn:aws:iam::{ONE}:role/user/a", f"arn:aws:sts::{ONE}:user/a",
                 f"arn:aws:iam:us-east-1:{ONE}:user/ann", f"arn:aws:iam::{ONE}:user/", "ann"):  # fmt: skip
        assert parse_user_arn(text) is None


def test_a_roles_arn_names_its_account() -> None:
    """What could match several roles, or is no role's, names none."""
    assert account_of_role_arn(f"arn:aws:iam::{ONE}:role/audit/birthright") == ONE
    for text in (f"arn:aws:iam::{ONE}:role//x", f"arn:aws:iam::{ONE}:role/*", f"arn:aws:iam::{ONE}:user/x",
                 f"arn:other:iam::{ONE}:role/x", f"arn:aws:sts::{ONE}:role/x", "birthright"):  # fmt: skip
        assert account_of_role_arn(text) is None
    for name in ("birthright", "/audit/birthright"):
        assert account_of_role_arn(role_arn("aws-cn", ONE, name)) == ONE


def test_the_partition_of_what_may_be_no_arn() -> None:
    """A partition is known even where the account is not; nothing else has one."""
    assert partition_of("arn:aws-cn:iam::aws:policy/x") == "aws-cn"
    assert [partition_of(text) for text in (None, "", "arn:", "user/ann", "x:aws:iam")] == [None] * 5
