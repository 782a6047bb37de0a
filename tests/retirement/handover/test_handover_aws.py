"""Secrets Manager and Parameter Store, with moto as the judge."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from birthright.errors import CredentialsError, HandoverError, UsageError
from birthright.retirement.handover.interface import NewSecret, Owner
from birthright.retirement.handover.registry import destination

Client = Callable[[str], Any]
ACCOUNT = "123456789012"
NAME = "birthright/alice"
PARAMETER = "ssm:/birthright/{user_name}"


def _value(parcel: NewSecret) -> dict[str, str]:
    return {
        "access_key_id": parcel.access_key_id,
        "secret_access_key": parcel.secret.reveal(),
        "user_name": "alice",
        "account_id": ACCOUNT,
    }


def _tags(answer: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in answer}


def test_a_secret_is_made_and_tagged(owner: Owner, parcel: NewSecret, client: Client) -> None:
    """The first hand-over makes the secret; the value says whose key it is, the tags who made it."""
    place = destination("secrets-manager", owner)
    place.check()
    assert place.holds(parcel.access_key_id, parcel.token) is False
    delivered = place.deliver(parcel)
    assert delivered.where == place.where == f"Secrets Manager secret {NAME}"
    assert delivered.request_id
    assert place.holds(parcel.access_key_id, parcel.token) is True
    got = client("secretsmanager").get_secret_value(SecretId=NAME)
    assert json.loads(got["SecretString"]) == _value(parcel)
    assert got["VersionId"] == parcel.token
    assert _tags(client("secretsmanager").describe_secret(SecretId=NAME)["Tags"]) == {
        "managed-by": "birthright",
        "user": "alice",
        "access-key-id": parcel.access_key_id,
        "ticket": "CHG-1_ urgent",
    }


def test_the_next_key_becomes_current(
    owner: Owner, parcel: NewSecret, later: NewSecret, client: Client
) -> None:
    """A secret of birthright's own gets a new version, the one before stays, and the tags follow."""
    place = destination("secrets-manager", owner)
    place.deliver(parcel)
    place.check()
    place.deliver(later)
    secrets = client("secretsmanager")
    assert json.loads(secrets.get_secret_value(SecretId=NAME)["SecretString"]) == _value(later)
    before = secrets.get_secret_value(SecretId=NAME, VersionStage="AWSPREVIOUS")
    assert json.loads(before["SecretString"]) == _value(parcel)
    assert _tags(secrets.describe_secret(SecretId=NAME)["Tags"])["access-key-id"] == later.access_key_id


@pytest.mark.parametrize("spec", ["secrets-manager", f"existing-secret:{NAME}"])
def test_a_repeat_changes_nothing(spec: str, owner: Owner, parcel: NewSecret, client: Client) -> None:
    """The same parcel again is one version only."""
    destination("secrets-manager", owner).deliver(parcel)
    for _ in range(2):
        destination(spec, owner).deliver(parcel)
    versions = client("secretsmanager").describe_secret(SecretId=NAME)["VersionIdsToStages"]
    assert versions == {parcel.token: ["AWSCURRENT"]}


def test_a_secret_for_each_key(owner: Owner, parcel: NewSecret, later: NewSecret, client: Client) -> None:
    """With the key id in its name every key has its own secret."""
    place = destination("secrets-manager:k/{access_key_id}", owner)
    place.check()
    for each in (parcel, later):
        assert place.deliver(each).where.endswith(f"k/{each.access_key_id}")
        assert place.holds(each.access_key_id, each.token)
    assert len(client("secretsmanager").list_secrets()["SecretList"]) == 2


def test_other_peoples_secrets_are_left_alone(
    owner: Owner, bob: Owner, parcel: NewSecret, client: Client
) -> None:
    """A secret that birthright did not make, or made for another user, is refused before and at delivery."""
    client("secretsmanager").create_secret(Name=NAME, SecretString="mine")
    destination("secrets-manager:shared", bob).deliver(parcel)
    for spec, name, hint in (
        ("secrets-manager", NAME, f"existing-secret:{NAME}"),
        ("secrets-manager:shared", "shared", "put {user_name}"),
    ):
        place = destination(spec, owner)
        before = client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
        for call in (place.check, lambda place=place: place.deliver(parcel)):
            with pytest.raises(HandoverError) as caught:
                call()
            assert caught.value.certain
            assert hint in caught.value.hint
        assert client("secretsmanager").get_secret_value(SecretId=name)["SecretString"] == before


@pytest.mark.parametrize("spec", ["secrets-manager", f"existing-secret:{NAME}"])
def test_a_secret_about_to_be_deleted(spec: str, owner: Owner, parcel: NewSecret, client: Client) -> None:
    """It is refused, with the command that keeps it."""
    destination("secrets-manager", owner).deliver(parcel)
    client("secretsmanager").delete_secret(SecretId=NAME)
    place = destination(spec, owner)
    with pytest.raises(HandoverError, match=f"restore-secret --secret-id {NAME}") as caught:
        place.check()
    assert caught.value.certain


def test_an_existing_secret_gets_a_version(owner: Owner, parcel: NewSecret, client: Client) -> None:
    """By name or ARN the new value is AWSCURRENT and the old AWSPREVIOUS; tags are left alone."""
    secrets = client("secretsmanager")
    arn = secrets.create_secret(Name="app", SecretString="old")["ARN"]
    for spec in ("existing-secret:app", f"existing-secret:{arn}"):
        place = destination(spec, owner)
        place.check()
        place.deliver(parcel)
        assert place.holds(parcel.access_key_id, parcel.token) is True
        assert place.holds(parcel.access_key_id, "another" + parcel.token[7:]) is False
    assert json.loads(secrets.get_secret_value(SecretId="app")["SecretString"]) == _value(parcel)
    assert secrets.get_secret_value(SecretId="app", VersionStage="AWSPREVIOUS")["SecretString"] == "old"
    assert not secrets.describe_secret(SecretId="app").get("Tags")


def test_an_existing_secret_must_be_there(owner: Owner, parcel: NewSecret) -> None:
    """One that is missing or in another region is refused beforehand; delivery does not make it."""
    place = destination("existing-secret:none", owner)
    with pytest.raises(HandoverError, match="there is no secret none in region eu-west-1"):
        place.check()
    with pytest.raises(HandoverError, match="ResourceNotFoundException") as caught:
        place.deliver(parcel)
    assert caught.value.certain
    far = destination(f"existing-secret:arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:x-AbCdEf", owner)
    with pytest.raises(HandoverError, match="--region us-east-1"):
        far.check()


@pytest.mark.parametrize(
    "arn", ["aws:secretsmanager:eu-west-1:999999999999", "aws-cn:secretsmanager:x:" + ACCOUNT]
)
def test_a_secret_of_another_account(arn: str, owner: Owner) -> None:
    """A secret of another account or partition is refused before anybody is asked."""
    with pytest.raises(UsageError, match=f"is not of account {ACCOUNT}"):
        destination(f"existing-secret:arn:{arn}:secret:x-AbCdEf", owner)


def test_a_parameter_is_made(owner: Owner, parcel: NewSecret, client: Client) -> None:
    """It is a SecureString with tags; its description tells which key it holds."""
    place = destination(PARAMETER, owner)
    place.check()
    assert place.holds(parcel.access_key_id, parcel.token) is False
    assert place.deliver(parcel).where == place.where == "SSM parameter /birthright/alice"
    assert place.holds(parcel.access_key_id, parcel.token) is True
    parameter = client("ssm").get_parameter(Name="/birthright/alice", WithDecryption=True)["Parameter"]
    assert parameter["Type"] == "SecureString"
    assert json.loads(parameter["Value"]) == _value(parcel)
    tags = client("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId="/birthright/alice")
    assert _tags(tags["TagList"])["managed-by"] == "birthright"


def test_a_parameter_of_our_own_is_overwritten(
    owner: Owner, parcel: NewSecret, later: NewSecret, client: Client
) -> None:
    """The next key replaces the value and the description; the version before stays in the history."""
    place = destination(PARAMETER, owner)
    place.deliver(parcel)
    place.check()
    place.deliver(later)
    assert place.holds(later.access_key_id, later.token) is True
    assert place.holds(parcel.access_key_id, parcel.token) is False
    parameter = client("ssm").get_parameter(Name="/birthright/alice", WithDecryption=True)["Parameter"]
    assert json.loads(parameter["Value"]) == _value(later)
    assert parameter["Version"] == 2
    tags = client("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId="/birthright/alice")
    assert _tags(tags["TagList"])["access-key-id"] == later.access_key_id


def test_other_peoples_parameters_are_left_alone(
    owner: Owner, bob: Owner, parcel: NewSecret, client: Client
) -> None:
    """One without our description, or with another user's, is refused before and at delivery."""
    client("ssm").put_parameter(Name="foreign", Value="x", Type="String", Description="by birthright")
    destination("ssm:shared", bob).deliver(parcel)
    for name, why in (("foreign", "did not make it"), ("shared", "another user")):
        place = destination(f"ssm:{name}", owner)
        for call in (place.check, lambda place=place: place.deliver(parcel)):
            with pytest.raises(HandoverError, match=why) as caught:
                call()
            assert caught.value.certain
        assert place.holds(parcel.access_key_id, parcel.token) is False


def test_a_client_that_cannot_be_had(owner: Owner, parcel: NewSecret) -> None:
    """Failing to reach the account at all is certain, and told in its own words."""

    def denied(service: str) -> Any:  # noqa: ANN401 - botocore's clients have no type
        raise CredentialsError(f"no role for {service}", "ask somebody")

    away = msgspec.structs.replace(owner, client=denied)
    with pytest.raises(HandoverError, match="no role for secretsmanager"):
        destination("existing-secret:x", away).check()
    place = destination("secrets-manager", away)
    with pytest.raises(HandoverError, match="no role for secretsmanager") as caught:
        place.deliver(parcel)
    assert caught.value.certain
    with pytest.raises(HandoverError, match="no role for secretsmanager") as caught:
        place.holds(parcel.access_key_id, parcel.token)
    assert not caught.value.certain
