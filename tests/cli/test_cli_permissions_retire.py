"""`permissions --for retire`: the policy of the settings, or of what the command line says."""

from pathlib import Path

import pytest

from birthright.retirement.permissions import retire_policy
from cli_helpers import Birthright


def test_the_default_is_that_of_the_settings(birthright: Birthright) -> None:
    """Without a file it is what birthright does without one: rotate, by way of Secrets Manager."""
    ran = birthright("permissions", "--for", "retire")
    assert ran.code == 0
    assert not ran.err
    assert ran.document == retire_policy("aws", ["secrets-manager:birthright/{user_name}"])


def test_the_file_says_where_secrets_go(birthright: Birthright, folder: Path) -> None:
    """Every destination of birthright.toml's table, or of another file's, is allowed."""
    (folder / "birthright.toml").write_text(
        '[retirement.handover]\n"ci-*" = "ssm:/ci/{user_name}"\n"*" = "existing-secret:app"\n'
    )
    (folder / "other.toml").write_text('[retirement]\nhandover = "command:x"\n')
    table = retire_policy("aws", ["ssm:/ci/{user_name}", "existing-secret:app"])
    assert birthright("permissions", "--for", "retire").document == table
    other = birthright("permissions", "--for", "retire", "--config", "other.toml")
    assert other.document == retire_policy("aws", ["command:x"])


def test_the_command_line_wins(birthright: Birthright) -> None:
    """--handover takes the place of the file's; the other options are those of the policy."""
    for options, expected in (
        (["--handover", "ssm:/x", "--handover", "command:x"], retire_policy("aws", ["ssm:/x", "command:x"])),
        (["--no-rotate"], retire_policy("aws", [], rotate=False)),
        (["--annotate", "--no-rotate"], retire_policy("aws", [], rotate=False, annotate=True)),
        (["--partition", "aws-cn"], retire_policy("aws-cn", ["secrets-manager"])),
    ):
        assert birthright("permissions", "--for", "retire", *options).document == expected


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--for", "retire", "--depth", "keys"], "--for retire has no --depth"),
        (["--handover", "ssm:/x"], "--for read has no --handover"),
        (["--no-rotate"], "--for read has no --no-rotate"),
        (["--annotate"], "--for read has no --annotate"),
        (["--for", "retire", "--handover", "vault:x"], "is no kind of hand-over destination"),
        (["--for", "retire", "--handover", "ssm:{user_name.__class__}"], "is no placeholder"),
        (["--for", "retire", "--partition", "aws:*"], "is not a partition"),
    ],
)
def test_what_is_refused(options: list[str], why: str, birthright: Birthright) -> None:
    """Options of the other purpose, and bad values, are one line and exit code 2."""
    ran = birthright("permissions", *options)
    assert ran.code == 2
    assert why in ran.trouble
