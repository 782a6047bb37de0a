"""`permissions --for security-hub`: what a push of findings needs, and nothing else."""

import pytest

from birthright.aws.session import AwsSession
from birthright.delivery.permissions import push_policy
from birthright.delivery.security_hub import push
from cli_helpers import Birthright
from hub_helpers import SecurityHub, failure, report


def test_it_is_printed(birthright: Birthright) -> None:
    """Findings are imported for the account's own product; reading them cannot be narrowed."""
    ran = birthright("permissions", "--for", "security-hub", "--partition", "aws-cn")
    assert (ran.code, ran.err) == (0, "")
    assert ran.document == push_policy("aws-cn")
    importing, reading = ran.document["Statement"]
    assert importing["Resource"] == "arn:aws-cn:securityhub:*:*:product/*/default"
    assert reading["Resource"] == "*"


def test_it_is_what_a_push_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each action that is allowed is asked for, and no other (who one is, everybody may ask)."""
    asked: set[str] = set()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with SecurityHub().running() as hub:
        monkeypatch.setenv("AWS_ENDPOINT_URL", hub.url)
        session = AwsSession()
        session.botocore.register(
            "before-call.securityhub", lambda model, **_: asked.add(f"securityhub:{model.name}")
        )
        push(report([failure(1)]), session)
    statements = push_policy("aws")["Statement"]
    assert isinstance(statements, list)
    assert asked == {action for statement in statements for action in statement["Action"]}


@pytest.mark.parametrize("option", [["--depth", "keys"], ["--role", "x"], ["--no-rotate"], ["--tags"]])
def test_what_is_refused(option: list[str], birthright: Birthright) -> None:
    """Options of another purpose are one line and exit code 2."""
    ran = birthright("permissions", "--for", "security-hub", *option)
    assert ran.code == 2
    assert f"--for security-hub has no {option[0]}" in ran.trouble
