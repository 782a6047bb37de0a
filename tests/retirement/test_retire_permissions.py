"""The policy for retiring is what the calls need, on as little as can be named."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from moto import mock_aws

from birthright.errors import UsageError
from birthright.retirement.handover.interface import NewSecret, Owner
from birthright.retirement.handover.registry import KINDS, destination
from birthright.retirement.permissions import retire_policy
from birthright.secret import Secret

ACCOUNT = "123456789012"
IAM = {"iam:ListAccessKeys", "iam:GetAccessKeyLastUsed", "iam:UpdateAccessKey", "iam:DeleteAccessKey"}
AGE = "age1lc4x8sqzugav6kt5kncdwwl4pcl82yec7pct8660a2st5nlm5ucsaeqgts"
SPECS = {
    "secrets-manager": "secrets-manager:birthright/{user_name}",
    "existing-secret": "existing-secret:app/{user_name}",
    "ssm": "ssm:/birthright/{user_name}",
    "age": f"age:{AGE}:{{folder}}/{{access_key_id}}",
    "profile": "profile:{user_name}:{folder}/credentials",
    "command": "command:cat",
}


def _allowed(*arguments: Any, **options: Any) -> dict[str, set[str]]:  # noqa: ANN401 - passed on
    """Return each action with its resources."""
    policy = retire_policy(*arguments, **options)
    statements: Any = policy["Statement"]
    found: dict[str, set[str]] = {}
    for statement in statements:
        resources = statement["Resource"]
        for action in statement["Action"]:
            assert action not in found
            found[action] = {resources} if isinstance(resources, str) else set(resources)
    return found


def test_deleting_only() -> None:
    """Without rotation four actions on users are enough, whatever the hand-over."""
    assert _allowed("aws", ["secrets-manager"], rotate=False) == {
        action: {"arn:aws:iam::*:user/*"} for action in IAM
    }
    assert _allowed("aws", ["secrets-manager"], rotate=False, annotate=True).keys() - IAM == {"iam:TagUser"}


def test_rotation_adds_the_destinations_of_that_partition_and_account() -> None:
    """What can be narrowed is, to names as they are in that account."""
    specs = [SPECS["secrets-manager"], "existing-secret:app", "ssm:/a/{user_name}", "command:x"]
    found = _allowed("aws-cn", specs, account_id=ACCOUNT)
    secrets = f"arn:aws-cn:secretsmanager:*:{ACCOUNT}:secret"
    users = f"arn:aws-cn:iam::{ACCOUNT}:user/*"
    parameter = f"arn:aws-cn:ssm:*:{ACCOUNT}:parameter/a/*"
    assert found == {
        **{action: {users} for action in {*IAM, "iam:CreateAccessKey"}},
        "secretsmanager:CreateSecret": {f"{secrets}:birthright/*-??????"},
        "secretsmanager:TagResource": {f"{secrets}:birthright/*-??????"},
        "secretsmanager:DescribeSecret": {f"{secrets}:birthright/*-??????", f"{secrets}:app-??????"},
        "secretsmanager:PutSecretValue": {f"{secrets}:birthright/*-??????", f"{secrets}:app-??????"},
        "ssm:PutParameter": {parameter},
        "ssm:AddTagsToResource": {parameter},
        "ssm:DescribeParameters": {"*"},
    }


def test_an_arn_is_named_with_and_without_its_ending() -> None:
    """Six letters after a hyphen may be AWS's ending, or the end of the name."""
    arn = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:my-secret"
    found = _allowed("aws", [f"existing-secret:{arn}"])
    assert found["secretsmanager:PutSecretValue"] == {arn, f"{arn}-??????"}


def test_statements_have_names_of_their_own() -> None:
    """Every Sid is unique and of letters and digits, as IAM wants; users come first."""
    specs = [spec.replace("{folder}", "/keys") for spec in SPECS.values()]
    statements: Any = retire_policy("aws", specs, annotate=True)["Statement"]
    sids = [statement["Sid"] for statement in statements]
    assert sids[0] == "RetireKeys"
    assert len(set(sids)) == len(sids)
    assert all(re.fullmatch(r"[A-Za-z0-9]+", sid) for sid in sids)


def test_a_bad_spec_is_refused() -> None:
    """A policy is printed for destinations that work only."""
    with pytest.raises(UsageError, match="no kind"):
        retire_policy("aws", ["nonsense"])


@pytest.fixture
def calls() -> Iterator[tuple[Callable[[str], Any], set[str]]]:
    """Make clients of moto's; note the operations that they are asked for."""
    seen: set[str] = set()
    made: dict[str, Any] = {}
    session = botocore.session.Session()
    session.set_credentials("testing", "testing")

    def client(service: str) -> Any:  # noqa: ANN401 - botocore's clients have no type
        if service not in made:
            made[service] = session.create_client(service, region_name="eu-west-1")
            made[service].meta.events.register(
                "before-call", lambda model, **_: seen.add(f"{service}:{model.name}")
            )
        return made[service]

    with mock_aws():
        yield client, seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_destination_asks_for_what_it_declares(
    kind: str,
    calls: tuple[Callable[[str], Any], set[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Two hand-overs, checked and asked for, make each call that is allowed, and no other."""
    client, seen = calls
    client("iam").create_user(UserName="alice")
    client("secretsmanager").create_secret(Name="app/alice", SecretString="old")
    keys = [client("iam").create_access_key(UserName="alice")["AccessKey"] for _ in range(2)]
    seen.clear()
    spec = SPECS[kind].replace("{folder}", str(tmp_path_factory.mktemp("f")))
    owner = Owner(account_id=ACCOUNT, partition="aws", user_name="alice", user_arn="", client=client)
    for number, key in enumerate(keys):
        place = destination(spec, owner)
        place.check()
        token = f"0b1c9c1e-1f3a-4b1e-9d6f-5a3f0f6f7d2{number}"
        secret = Secret(key["SecretAccessKey"])
        place.deliver(NewSecret(access_key_id=key["AccessKeyId"], secret=secret, token=token))
        assert place.holds(key["AccessKeyId"], token) in {True, None}
    assert seen == (_allowed("aws", [spec]).keys() - IAM - {"iam:CreateAccessKey"}) | (seen & IAM)
