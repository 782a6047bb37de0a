"""Several accounts, entered through their roles."""

from collections.abc import Callable
from typing import Any

import pytest

from birthright.errors import UsageError
from birthright.sandbox import Sandbox, SandboxCredentials
from birthright.sandbox.population import ROLES

Make = Callable[..., Any]
Refused = Callable[..., tuple[str, int]]
BORN = "ci-deploy-born-with-key"


def enter(sts: Any, account_id: str, role: str = "birthright-retire") -> SandboxCredentials:  # noqa: ANN401
    arn = f"arn:aws:iam::{account_id}:role/{role}"
    made = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return SandboxCredentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def test_ids_count_up_and_accounts_are_made_on_demand() -> None:
    """Twenty accounts have twenty ids; each holds the same users with other ids and keys, once asked for."""
    box = Sandbox.create(users=20, accounts=20)
    assert box.account_ids[:2] + box.account_ids[-1:] == ("111122223333", "111122223334", "111122223352")
    assert list(box.cloud.accounts) == ["111122223333"]
    second, again = box.account("111122223334"), Sandbox.create(users=20, accounts=2).account("111122223334")
    assert {BORN, "rotated"} <= second.users.keys()
    assert second.users.keys() | {"birthright-scanner"} == box.account().users.keys()
    assert not second.credentials.keys() & box.account().credentials.keys()
    assert second.credentials.keys() == again.credentials.keys()
    with pytest.raises(UsageError):
        box.account("111122223353")


@pytest.mark.parametrize("role", ROLES)
def test_each_account_is_entered_by_its_roles(client: Make, refused: Refused, role: str) -> None:
    """The role's credentials see and change that account's keys and secrets, and no other's."""
    with Sandbox.create(users=5, accounts=20).running() as box:
        sts = client(box, "sts")
        for account_id in (box.account_ids[1], box.account_ids[19]):
            there = enter(sts, account_id, role)
            arn = f"arn:aws:sts::{account_id}:assumed-role/{role}/test"
            assert client(box, "sts", there).get_caller_identity()["Arn"] == arn
            made = client(box, "iam", there).create_access_key(UserName=BORN)["AccessKey"]
            client(box, "secretsmanager", there).create_secret(Name="a", SecretString="v")
            client(box, "ssm", there).put_parameter(Name="a", Value="v", Type="SecureString")
            account = box.account(account_id)
            assert made["AccessKeyId"] in account.users[BORN].keys
            assert account.secrets["a"].arn.split(":")[4] == account_id
            assert account.parameters["a"].value == "v"
            new = SandboxCredentials(made["AccessKeyId"], made["SecretAccessKey"])
            assert client(box, "sts", new).get_caller_identity()["Account"] == account_id
            entry = box.log[-1]
            assert (entry.account_id, entry.caller, entry.effect) == (
                account_id,
                arn,
                ("parameter-put", "a", "1"),
            )
        assert (dict(box.account().secrets), dict(box.account().parameters)) == ({}, {})
        beyond = f"arn:aws:iam::{int(box.account_ids[-1]) + 1}:role/{role}"
        denied = ("AccessDenied", 403)
        assert refused(sts.assume_role, RoleArn=beyond, RoleSessionName="test") == denied


def test_people_reach_every_account() -> None:
    """Keys are found wherever they are; users in the account named."""
    box = Sandbox.create(users=5, accounts=3)
    other = box.account_ids[2]
    key = box.people.add_key(BORN, other)
    box.people.use_key(key.access_key_id)
    box.people.delete_key(key.access_key_id)
    assert {entry.account_id for entry in box.log} == {other}


@pytest.mark.parametrize(
    ("first", "accounts"), [("111122223333", 0), ("999999999999", 2), ("0" * 12, 60_000)]
)
def test_impossible_numbers_are_refused(first: str, accounts: int) -> None:
    """There are 1 to 50,000 accounts, and no id has thirteen digits."""
    with pytest.raises(UsageError):
        Sandbox.create(users=0, cases=False, account_id=first, accounts=accounts)
