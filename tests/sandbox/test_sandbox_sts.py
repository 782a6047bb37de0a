"""STS and permissions."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.client import BaseClient

from birthright.sandbox import Sandbox, SandboxCredentials, SandboxOptions
from birthright.sandbox.account import SandboxAccount, SandboxRole
from birthright.sandbox.population import Population

Make = Callable[..., Any]
Refused = Callable[..., tuple[str, int]]

ROLE = "arn:aws:iam::111122223333:role/birthright"


def assume(sts: BaseClient, **more: int) -> SandboxCredentials:
    made = sts.assume_role(RoleArn=ROLE, RoleSessionName="test", **more)["Credentials"]
    return SandboxCredentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def test_an_assumed_role_works_until_it_expires(box: Sandbox, client: Make, refused: Refused) -> None:
    """Temporary credentials act as the role, and end by the sandbox's clock."""
    credentials = assume(client(box, "sts"), DurationSeconds=900)
    identify = client(box, "sts", credentials).get_caller_identity
    assert identify()["Arn"] == "arn:aws:sts::111122223333:assumed-role/birthright/test"
    assert client(box, "iam", credentials).list_users()["Users"]
    box.clock.advance(timedelta(seconds=900))
    assert refused(identify) == ("ExpiredToken", 403)


def test_expiry_is_told(client: Make) -> None:
    """Expiration is the sandbox's present and the duration asked for."""
    start = datetime(2026, 11, 22, 12, tzinfo=UTC)
    with Sandbox.create(users=1, clock=start, frozen=True, longest_session=43_200).running() as box:
        made = client(box, "sts").assume_role(RoleArn=ROLE, RoleSessionName="test", DurationSeconds=43_200)
        assert made["Credentials"]["Expiration"] == start + timedelta(hours=12)


@pytest.mark.parametrize("token", ["", "another"])
def test_temporary_credentials_need_their_token(
    box: Sandbox, client: Make, refused: Refused, token: str
) -> None:
    """Without their own session token temporary credentials open nothing."""
    made = assume(client(box, "sts"))
    bare = SandboxCredentials(made.access_key_id, made.secret_access_key, token)
    identify = client(box, "sts", bare).get_caller_identity
    assert refused(identify) == ("InvalidClientTokenId", 403)


def test_not_any_role_can_be_assumed(box: Sandbox, client: Make, refused: Refused) -> None:
    """Unlike in moto: unknown roles, unknown accounts and wrong external ids are AccessDenied."""
    box.account().roles["guarded"] = SandboxRole("guarded", external_id="secret")
    take = client(box, "sts").assume_role
    names = ("111122223333:role/none", "999999999999:role/birthright", "111122223333:role/guarded")
    for name in names:
        arn = f"arn:aws:iam::{name}"
        assert refused(take, RoleArn=arn, RoleSessionName="test") == ("AccessDenied", 403)
    guarded = f"arn:aws:iam::{names[2]}"
    assert take(RoleArn=guarded, RoleSessionName="test", ExternalId="secret")["Credentials"]


def test_durations_have_bounds(box: Sandbox, client: Make, refused: Refused) -> None:
    """At most twelve hours, and one hour from a role's own session."""
    sts = client(box, "sts")
    params = {"RoleArn": ROLE, "RoleSessionName": "test", "DurationSeconds": 43_201}
    assert refused(sts.assume_role, **params) == ("ValidationError", 400)
    chained = client(box, "sts", assume(sts))
    params["DurationSeconds"] = 3601
    assert refused(chained.assume_role, **params) == ("ValidationError", 400)


def test_a_role_has_a_longest_session(client: Make, refused: Refused) -> None:
    """One hour, unless the sandbox is told more."""
    with Sandbox.create(users=0).running() as box:
        take = client(box, "sts").assume_role
        params = {"RoleArn": ROLE, "RoleSessionName": "test", "DurationSeconds": 3601}
        assert refused(take, **params) == ("ValidationError", 400)
    with Sandbox.create(users=0, longest_session=7200).running() as box:
        assert assume(client(box, "sts"), DurationSeconds=7200).session_token


def test_a_role_is_found_by_its_path(box: Sandbox, client: Make, refused: Refused) -> None:
    """`birthright-audit` lies under /security/: without its path, or with another, there is no such role."""
    sts, account = client(box, "sts"), "arn:aws:iam::111122223333:role"
    made = sts.assume_role(RoleArn=f"{account}/security/birthright-audit", RoleSessionName="test")
    arn = "arn:aws:sts::111122223333:assumed-role/birthright-audit/test"
    assert made["AssumedRoleUser"]["Arn"] == arn
    for other in ("/birthright-audit", "/audit/birthright-audit", "/security/birthright"):
        there = {"RoleArn": f"{account}{other}", "RoleSessionName": "test"}
        assert refused(sts.assume_role, **there) == ("AccessDenied", 403)


@pytest.mark.parametrize("name", ["a b", "a/b", "x" * 65])
def test_session_names_have_a_form(box: Sandbox, client: Make, refused: Refused, name: str) -> None:
    """Two to 64 letters, digits and `+=,.@_-`."""
    take = client(box, "sts").assume_role
    assert refused(take, RoleArn=ROLE, RoleSessionName=name) == ("ValidationError", 400)


def test_a_role_that_is_gone_allows_nothing(box: Sandbox, client: Make, refused: Refused) -> None:
    """Sessions of a deleted role are refused everything that asks for a permission."""
    iam = client(box, "iam", assume(client(box, "sts")))
    del box.account().roles["birthright"]
    assert refused(iam.list_users) == ("AccessDenied", 403)


def test_a_role_must_name_the_user(box: Sandbox, client: Make, refused: Refused) -> None:
    """A role has no keys of its own."""
    iam = client(box, "iam", assume(client(box, "sts")))
    assert refused(iam.list_access_keys) == ("ValidationError", 400)


def test_an_account_is_made_when_it_is_asked_for(box: Sandbox, client: Make, refused: Refused) -> None:
    """Other accounts come into being by the first AssumeRole, and are reached by its credentials."""
    people = Population(SandboxOptions(users=3, seed=9), box.clock.second())

    def build(account_id: str) -> SandboxAccount | None:
        if not account_id.startswith("2"):
            return None
        return people.account(account_id, scanner=False).account

    box.cloud.accounts.build = build
    role = {"RoleArn": ROLE.replace("111122223333", "222200000001"), "RoleSessionName": "test"}
    made = client(box, "sts").assume_role(**role)["Credentials"]
    there = SandboxCredentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])
    users = client(box, "iam", there).list_users()["Users"]
    assert {user["Arn"].split(":")[4] for user in users} == {"222200000001"}
    role["RoleArn"] = ROLE.replace("111122223333", "333300000001")
    assert refused(client(box, "sts").assume_role, **role) == ("AccessDenied", 403)


def test_permissions_are_kept(client: Make, refused: Refused) -> None:
    """A caller limited to patterns gets AccessDenied for the rest; identity needs no permission."""
    with Sandbox.create(users=1, allow=("iam:List*", "iam:getuser")).running() as box:
        iam = client(box)
        assert iam.list_users()["Users"]
        assert iam.get_user()["User"]
        assert refused(iam.generate_credential_report) == ("AccessDenied", 403)
        assert refused(iam.delete_user, UserName="ci-deploy-born-with-key") == ("AccessDenied", 403)
        assert client(box, "sts").get_caller_identity()["Account"] == box.account_id


def test_roles_may_be_limited_too(box: Sandbox, client: Make, refused: Refused) -> None:
    """A role's permissions are its own, not those of who assumed it."""
    box.account().roles["birthright"].allow = ("iam:ListUsers",)
    iam = client(box, "iam", assume(client(box, "sts")))
    assert iam.list_users()["Users"]
    assert refused(iam.get_user, UserName="rotated") == ("AccessDenied", 403)
