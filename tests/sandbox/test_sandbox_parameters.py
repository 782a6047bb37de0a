"""Parameter Store as boto3 sees it; what moto gets right is asked of both."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from birthright.sandbox import Sandbox
from birthright.sandbox.direct import attach

Make = Callable[..., Any]
Refused = Callable[..., tuple[str, int]]
NAME = "/birthright/alice"
TAGS = [{"Key": "user", "Value": "alice"}]
SECURE = {"Name": NAME, "Type": "SecureString"}


@pytest.fixture(params=["sandbox", "moto"])
def ssm(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give a client of the sandbox's Parameter Store, then one of moto's."""
    if request.param == "moto":
        with mock_aws():
            yield boto3.session.Session().client(
                "ssm", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
            )
        return
    box = Sandbox.create(users=1)
    key = box.credentials
    client = boto3.session.Session().client(
        "ssm",
        "us-east-1",
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
    )
    attach(client, box)
    yield client
    client.close()


def test_a_parameter_is_put_and_read(ssm: Any) -> None:  # noqa: ANN401
    """A SecureString reads back when decrypted, is not shown otherwise, and keeps its tags."""
    made = ssm.put_parameter(**SECURE, Value="v1", Description="for alice", Tags=TAGS)
    assert made["Version"] == 1
    got = ssm.get_parameter(Name=NAME, WithDecryption=True)["Parameter"]
    assert (got["Value"], got["Type"], got["Version"]) == ("v1", "SecureString", 1)
    assert got["ARN"].endswith(f":parameter{NAME}")
    assert ssm.get_parameter(Name=NAME)["Parameter"]["Value"] != "v1"
    tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=NAME)["TagList"]
    assert tags == TAGS


def test_a_parameter_is_found_by_name(ssm: Any) -> None:  # noqa: ANN401
    """DescribeParameters by name gives that one, without its value; of an unknown name nothing."""
    for name in (NAME, "/birthright/bob"):
        ssm.put_parameter(Name=name, Value="v", Type="String", Description=name)

    def named(name: str) -> list[dict[str, Any]]:
        filters = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
        found: list[dict[str, Any]] = ssm.describe_parameters(ParameterFilters=filters)["Parameters"]
        return found

    (shown,) = named(NAME)
    assert (shown["Name"], shown["Description"], shown["Version"]) == (NAME, NAME, 1)
    assert "Value" not in shown
    assert named("/birthright/carol") == []
    assert len(ssm.describe_parameters()["Parameters"]) == 2


def test_a_value_is_overwritten_only_when_asked(ssm: Any, refused: Refused) -> None:  # noqa: ANN401
    """A taken name is ParameterAlreadyExists; with Overwrite there is a next version, the old one stays."""
    ssm.put_parameter(**SECURE, Value="v1")
    assert refused(ssm.put_parameter, **SECURE, Value="v2") == ("ParameterAlreadyExists", 400)
    assert ssm.put_parameter(**SECURE, Value="v2", Overwrite=True)["Version"] == 2
    read = {"WithDecryption": True}
    assert ssm.get_parameter(Name=NAME, **read)["Parameter"]["Value"] == "v2"
    assert ssm.get_parameter(Name=f"{NAME}:1", **read)["Parameter"]["Value"] == "v1"


def test_tags_are_added_later(ssm: Any, refused: Refused) -> None:  # noqa: ANN401
    """AddTagsToResource adds and overwrites; tags with Overwrite are refused."""
    ssm.put_parameter(**SECURE, Value="v1", Tags=TAGS)
    both = {**SECURE, "Value": "v2", "Overwrite": True, "Tags": TAGS}
    assert refused(ssm.put_parameter, **both) == ("ValidationException", 400)
    more = [{"Key": "user", "Value": "bob"}, {"Key": "ticket", "Value": "T-1"}]
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId=NAME, Tags=more)
    tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=NAME)["TagList"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"user": "bob", "ticket": "T-1"}


def test_what_is_not_there(ssm: Any, refused: Refused) -> None:  # noqa: ANN401
    """Unknown parameters are ParameterNotFound, and InvalidResourceId where tags are concerned."""
    assert refused(ssm.get_parameter, Name=NAME) == ("ParameterNotFound", 400)
    unknown = {"ResourceType": "Parameter", "ResourceId": NAME}
    assert refused(ssm.list_tags_for_resource, **unknown) == ("InvalidResourceId", 400)
    assert refused(ssm.add_tags_to_resource, **unknown, Tags=TAGS) == ("InvalidResourceId", 400)


def test_names_and_values_have_bounds(box: Sandbox, client: Make, refused: Refused) -> None:
    """Names with a slash start with one, `aws` and `ssm` are reserved, values have 4,096 bytes at most."""
    ssm, wrong = client(box, "ssm"), ("ValidationException", 400)
    for name in ("a/b", "/a b", "awsome", "/ssm/x"):
        assert refused(ssm.put_parameter, Name=name, Value="v", Type="String") == wrong
    assert refused(ssm.put_parameter, **SECURE, Value="x" * 4097) == wrong
    assert refused(ssm.put_parameter, Name=NAME, Value="v") == wrong
    assert box.account().parameters == {}


def test_parameters_come_in_pages(box: Sandbox, client: Make) -> None:
    """NextToken goes on after the page; nothing is missed or doubled."""
    ssm = client(box, "ssm")
    names = [f"/many/{number:02d}" for number in range(7)]
    for name in names:
        ssm.put_parameter(Name=name, Value="v", Type="String")
    pages = ssm.get_paginator("describe_parameters").paginate(PaginationConfig={"PageSize": 3})
    assert [[one["Name"] for one in page["Parameters"]] for page in pages] == [
        names[:3],
        names[3:6],
        names[6:],
    ]


def test_tags_need_a_permission_of_their_own(client: Make, refused: Refused) -> None:
    """PutParameter with tags asks for ssm:AddTagsToResource, too; what is refused is not done."""
    with Sandbox.create(users=1, allow=("ssm:PutParameter",)).running() as box:
        ssm = client(box, "ssm")
        denied = ("AccessDeniedException", 400)
        assert refused(ssm.put_parameter, **SECURE, Value="v", Tags=TAGS) == denied
        assert box.account().parameters == {}
        ssm.put_parameter(**SECURE, Value="v")
        assert box.account().parameters[NAME].value == "v"
        assert refused(ssm.get_parameter, Name=NAME) == denied


def test_failures_have_their_own_name(box: Sandbox, client: Make, refused: Refused) -> None:
    """A 500 of SSM is InternalServerError; an operation the sandbox lacks is UnknownOperationException."""
    box.faults.add("service-failure", times=1)
    ssm = client(box, "ssm")
    assert refused(ssm.get_parameter, Name=NAME) == ("InternalServerError", 500)
    assert refused(ssm.delete_parameter, Name=NAME) == ("UnknownOperationException", 400)
