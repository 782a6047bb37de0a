"""Secrets Manager as boto3 sees it; what moto gets right is asked of both."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from birthright.sandbox import Sandbox
from birthright.sandbox.direct import attach
from birthright.sandbox.faults import Kind

Make = Callable[..., Any]
Refused = Callable[..., tuple[str, int]]
OLD, NEW, THIRD = (str(uuid.UUID(int=number)) for number in (1, 2, 3))
NAME = "birthright/alice"


@pytest.fixture(params=["sandbox", "moto"])
def secrets(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give a Secrets Manager client of the sandbox, then one of moto."""
    if request.param == "moto":
        with mock_aws():
            yield boto3.session.Session().client(
                "secretsmanager", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
            )
        return
    box = Sandbox.create(users=1)
    key = box.credentials
    client = boto3.session.Session().client(
        "secretsmanager",
        "us-east-1",
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
    )
    attach(client, box)
    yield client
    client.close()


def stages(client: Any) -> dict[str, list[str]]:  # noqa: ANN401 - a boto3 client
    found: dict[str, list[str]] = client.describe_secret(SecretId=NAME)["VersionIdsToStages"]
    return found


def test_a_secret_is_made_and_read(secrets: Any) -> None:  # noqa: ANN401
    """What is created is described with its tags and read back; the ARN ends in six characters."""
    tags = [{"Key": "user", "Value": "alice"}]
    made = secrets.create_secret(
        Name=NAME, SecretString="v1", Tags=tags, ClientRequestToken=OLD, Description="for alice"
    )
    arn, _, suffix = made["ARN"].rpartition("-")
    assert arn.endswith(f":secret:{NAME}")
    assert len(suffix) == 6
    assert (made["Name"], made["VersionId"]) == (NAME, OLD)
    shown = secrets.describe_secret(SecretId=NAME)
    assert (shown["Tags"], shown["Description"]) == (tags, "for alice")
    assert shown["VersionIdsToStages"] == {OLD: ["AWSCURRENT"]}
    assert "DeletedDate" not in shown
    for secret_id in (NAME, made["ARN"], arn):
        got = secrets.get_secret_value(SecretId=secret_id)
        assert (got["SecretString"], got["VersionId"], got["ARN"]) == ("v1", OLD, made["ARN"])


def test_stages_move_as_values_are_put(secrets: Any) -> None:  # noqa: ANN401
    """Each new value is AWSCURRENT, the one before it AWSPREVIOUS, older ones have no stage."""
    secrets.create_secret(Name=NAME, SecretString="v1", ClientRequestToken=OLD)
    put = secrets.put_secret_value(SecretId=NAME, SecretString="v2", ClientRequestToken=NEW)
    assert (put["VersionId"], put["VersionStages"]) == (NEW, ["AWSCURRENT"])
    assert stages(secrets) == {OLD: ["AWSPREVIOUS"], NEW: ["AWSCURRENT"]}
    assert secrets.get_secret_value(SecretId=NAME, VersionStage="AWSPREVIOUS")["SecretString"] == "v1"
    assert secrets.get_secret_value(SecretId=NAME, VersionId=OLD)["SecretString"] == "v1"
    secrets.put_secret_value(SecretId=NAME, SecretString="v3", ClientRequestToken=THIRD)
    left = {version: names for version, names in stages(secrets).items() if names}  # moto shows empty ones
    assert left == {NEW: ["AWSPREVIOUS"], THIRD: ["AWSCURRENT"]}


def test_the_current_stage_can_be_moved_back(secrets: Any) -> None:  # noqa: ANN401
    """UpdateSecretVersionStage moves AWSCURRENT, and AWSPREVIOUS to where it was."""
    secrets.create_secret(Name=NAME, SecretString="v1", ClientRequestToken=OLD)
    secrets.put_secret_value(SecretId=NAME, SecretString="v2", ClientRequestToken=NEW)
    secrets.update_secret_version_stage(
        SecretId=NAME, VersionStage="AWSCURRENT", MoveToVersionId=OLD, RemoveFromVersionId=NEW
    )
    assert stages(secrets) == {OLD: ["AWSCURRENT"], NEW: ["AWSPREVIOUS"]}


def test_a_taken_name(secrets: Any, refused: Refused) -> None:  # noqa: ANN401
    """Another creation under the name is ResourceExistsException."""
    secrets.create_secret(Name=NAME, SecretString="v1", ClientRequestToken=OLD)
    taken = {"Name": NAME, "SecretString": "v1", "ClientRequestToken": NEW}
    assert refused(secrets.create_secret, **taken) == ("ResourceExistsException", 400)


def test_what_is_not_there(secrets: Any, refused: Refused) -> None:  # noqa: ANN401
    """Unknown secrets, and stages nobody has, are ResourceNotFoundException (with 404 in moto)."""
    gone = "ResourceNotFoundException"
    assert refused(secrets.get_secret_value, SecretId=NAME)[0] == gone
    assert refused(secrets.describe_secret, SecretId=NAME)[0] == gone
    assert refused(secrets.put_secret_value, SecretId=NAME, SecretString="x")[0] == gone
    secrets.create_secret(Name=NAME)
    assert refused(secrets.get_secret_value, SecretId=NAME)[0] == gone


def test_a_scheduled_deletion(secrets: Any, refused: Refused) -> None:  # noqa: ANN401
    """A secret marked for deletion is described with a date, and not read."""
    secrets.create_secret(Name=NAME, SecretString="v1")
    secrets.delete_secret(SecretId=NAME, RecoveryWindowInDays=7)
    assert secrets.describe_secret(SecretId=NAME)["DeletedDate"]
    assert refused(secrets.get_secret_value, SecretId=NAME) == ("InvalidRequestException", 400)


def test_a_deletion_at_once(secrets: Any, refused: Refused) -> None:  # noqa: ANN401
    """Forced, the secret is gone and its name free."""
    secrets.create_secret(Name=NAME, SecretString="v1")
    secrets.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
    assert refused(secrets.describe_secret, SecretId=NAME)[0] == "ResourceNotFoundException"
    assert secrets.create_secret(Name=NAME, SecretString="v2")["Name"] == NAME


def test_tokens_make_writes_repeatable(box: Sandbox, client: Make, refused: Refused) -> None:
    """The same token and value again changes nothing; another value is ResourceExistsException."""
    sm = client(box, "secretsmanager")
    for _ in range(2):
        assert sm.create_secret(Name=NAME, SecretString="v1", ClientRequestToken=OLD)["VersionId"] == OLD
    other = {"SecretString": "other", "ClientRequestToken": OLD}
    assert refused(sm.create_secret, Name=NAME, **other) == ("ResourceExistsException", 400)
    for _ in range(2):
        sm.put_secret_value(SecretId=NAME, SecretString="v2", ClientRequestToken=NEW)
    assert refused(sm.put_secret_value, SecretId=NAME, **other) == ("ResourceExistsException", 400)
    again = sm.put_secret_value(SecretId=NAME, SecretString="v1", ClientRequestToken=OLD)
    assert again["VersionStages"] == ["AWSPREVIOUS"]
    secret = box.account().secrets[NAME]
    assert (secret.value(), secret.value("AWSPREVIOUS")) == ("v2", "v1")
    assert [entry.effect[0] for entry in box.log if entry.effect] == ["secret-created", "secret-put"]


def test_wrong_inputs_have_their_codes(box: Sandbox, client: Make, refused: Refused) -> None:
    """Names, tokens, sizes, windows and stages out of bounds are InvalidParameterException."""
    sm, wrong = client(box, "secretsmanager"), ("InvalidParameterException", 400)
    sm.create_secret(Name=NAME, SecretString="v1", ClientRequestToken=OLD)
    assert refused(sm.create_secret, Name="a b") == wrong
    assert refused(sm.put_secret_value, SecretId=NAME) == wrong
    short = {"SecretId": NAME, "SecretString": "x", "ClientRequestToken": "x" * 32}
    assert sm.put_secret_value(**short)["VersionId"] == "x" * 32
    assert refused(sm.put_secret_value, SecretId=NAME, SecretString="é" * 32_769) == wrong
    stage = {"SecretId": NAME, "VersionStage": "AWSCURRENT"}
    assert refused(sm.update_secret_version_stage, **stage, MoveToVersionId=OLD) == wrong
    assert refused(sm.update_secret_version_stage, **stage, RemoveFromVersionId="x" * 32) == wrong
    assert refused(sm.delete_secret, SecretId=NAME, RecoveryWindowInDays=6) == wrong


def test_a_pending_version_does_not_move_the_current_one(box: Sandbox, client: Make) -> None:
    """A value put under another stage leaves AWSCURRENT where it is; moved later, all is consistent."""
    sm = client(box, "secretsmanager")
    sm.create_secret(Name=NAME, SecretString="v1", ClientRequestToken=OLD)
    pending = {"SecretString": "v2", "ClientRequestToken": NEW, "VersionStages": ["AWSPENDING"]}
    sm.put_secret_value(SecretId=NAME, **pending)
    assert stages(sm) == {OLD: ["AWSCURRENT"], NEW: ["AWSPENDING"]}
    sm.update_secret_version_stage(
        SecretId=NAME, VersionStage="AWSCURRENT", MoveToVersionId=NEW, RemoveFromVersionId=OLD
    )
    assert stages(sm) == {OLD: ["AWSPREVIOUS"], NEW: ["AWSCURRENT", "AWSPENDING"]}


def test_a_secret_goes_when_its_time_has_come(box: Sandbox, client: Make, refused: Refused) -> None:
    """Until then it is not written or made anew; then it is gone, and a new one has another ARN."""
    sm = client(box, "secretsmanager")
    first = sm.create_secret(Name=NAME, SecretString="v1")["ARN"]
    sm.delete_secret(SecretId=NAME)
    marked = ("InvalidRequestException", 400)
    assert refused(sm.put_secret_value, SecretId=NAME, SecretString="v2") == marked
    assert refused(sm.create_secret, Name=NAME, SecretString="v2") == marked
    box.clock.advance(timedelta(days=31))
    assert refused(sm.describe_secret, SecretId=NAME) == ("ResourceNotFoundException", 400)
    assert sm.create_secret(Name=NAME, SecretString="v1")["ARN"] != first


def test_secrets_belong_to_a_region(box: Sandbox, session: boto3.Session, client: Make) -> None:
    """The same name in two Regions is two secrets."""
    client(box, "secretsmanager").create_secret(Name=NAME, SecretString="here")
    key = box.credentials
    there = session.client(
        "secretsmanager",
        region_name="eu-west-1",
        endpoint_url=box.url,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
    )
    assert ":eu-west-1:" in there.create_secret(Name=NAME, SecretString="there")["ARN"]
    there.close()
    secret_states = box.account().secret_states
    assert {region: state.secrets[NAME].value() for region, state in secret_states.items()} == {
        "us-east-1": "here",
        "eu-west-1": "there",
    }


def test_tags_need_a_permission_of_their_own(client: Make, refused: Refused) -> None:
    """CreateSecret with tags asks for secretsmanager:TagResource, too; without tags it does not."""
    with Sandbox.create(users=1, allow=("secretsmanager:CreateSecret",)).running() as box:
        sm = client(box, "secretsmanager")
        tags = [{"Key": "a", "Value": "b"}]
        assert refused(sm.create_secret, Name=NAME, Tags=tags) == ("AccessDeniedException", 400)
        assert box.account().secrets == {}
        assert sm.create_secret(Name=NAME)["Name"] == NAME
        assert refused(sm.get_secret_value, SecretId=NAME) == ("AccessDeniedException", 400)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("service-failure", ("InternalServiceError", 500)),
        ("service-failure-after", ("InternalServiceError", 500)),
        ("throttling", ("ThrottlingException", 400)),
        ("access-denied", ("AccessDeniedException", 400)),
        ("expired-token", ("ExpiredTokenException", 400)),
    ],
)
def test_troubles_speak_json(
    box: Sandbox, client: Make, refused: Refused, kind: Kind, code: tuple[str, int]
) -> None:
    """The faults' errors have the JSON services' names and statuses; after the effect it is there."""
    box.faults.add(kind, times=1)
    sm = client(box, "secretsmanager")
    assert refused(sm.create_secret, Name=NAME, SecretString="v1") == code
    assert (NAME in box.account().secrets) == (kind == "service-failure-after")
    assert (box.calls, box.errors) == ({"CreateSecret": 1}, {code[0]: 1})


def test_inactive_keys_do_not_authenticate(box: Sandbox, client: Make, refused: Refused) -> None:
    """A key that is off is UnrecognizedClientException; a use is the service's."""
    other = box.new_credentials("other", "*")
    sm = client(box, "secretsmanager", other)
    sm.create_secret(Name=NAME)
    key = box.account().users["other"].keys[other.access_key_id]
    assert key.last_used_service == "secretsmanager"
    key.status = "Inactive"
    assert refused(sm.create_secret, Name=NAME) == ("UnrecognizedClientException", 400)
