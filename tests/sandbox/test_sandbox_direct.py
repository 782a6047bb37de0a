"""A client without a server gets what a client with one gets."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from boto3 import Session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from birthright.sandbox import Sandbox
from birthright.sandbox.direct import attach
from birthright.sandbox.faults import Kind

Make = Callable[..., Any]
BORN = "ci-deploy-born-with-key"
TRANSPORT: list[Kind] = ["lost", "drop", "cut", "malformed", "empty", "hang", "service-failure-after"]
ONCE = Config(retries={"max_attempts": 0}, read_timeout=0.3)


@pytest.fixture
def direct(session: Session) -> Iterator[Make]:
    """Make clients that are attached to a sandbox: `direct(box, "iam")`."""
    made: list[BaseClient] = []

    def make(box: Sandbox, service: str = "iam", config: Config = ONCE) -> BaseClient:
        key = box.credentials
        one = session.client(
            service,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            config=config,
        )
        attach(one, box)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def outcome(call: Callable[..., Any], **params: object) -> object:
    """Return what comes of a call: its error's class, or AWS's code, or the answer's own members."""
    try:
        answer = call(**params)
    except ClientError as error:
        return error.response["Error"]["Code"]
    except (BotoCoreError, ResponseParserError) as error:
        return type(error)
    answer.pop("ResponseMetadata")
    return answer


def test_it_needs_no_server(direct: Make) -> None:
    """IAM, STS and the JSON services all answer; signatures are checked, the clock's date is told."""
    box = Sandbox.create(users=5)
    assert direct(box, "sts").get_caller_identity()["Account"] == box.account_id
    answer = direct(box).list_access_keys(UserName=BORN)
    assert len(answer["AccessKeyMetadata"]) == 1
    assert answer["ResponseMetadata"]["HTTPHeaders"]["date"].endswith("GMT")
    direct(box, "secretsmanager").create_secret(Name="a", SecretString="é")
    assert box.account().secrets["a"].value() == "é"
    direct(box, "ssm").put_parameter(Name="a", Value="v", Type="String")
    assert box.account().parameters["a"].value == "v"


@pytest.mark.parametrize("kind", TRANSPORT)
def test_troubles_are_the_same_with_and_without_a_server(session: Session, direct: Make, kind: Kind) -> None:
    """Each fault ends in the same error, or answer, over a socket and without one, for XML and JSON."""
    over = Sandbox.create(users=5)
    inside = Sandbox.create(users=5)
    calls: list[tuple[str, str, dict[str, object]]] = [
        ("iam", "list_users", {"MaxItems": 1}),
        ("ssm", "describe_parameters", {}),
    ]
    with over.running():
        for service, name, params in calls:
            over.faults.add(kind, times=1)
            inside.faults.add(kind, times=1)
            key = over.credentials
            wired = session.client(
                service,
                endpoint_url=over.url,
                aws_access_key_id=key.access_key_id,
                aws_secret_access_key=key.secret_access_key,
                config=ONCE,
            )
            here = outcome(getattr(direct(inside, service), name), **params)
            assert here == outcome(getattr(wired, name), **params)
            wired.close()
    assert (over.calls, over.errors) == (inside.calls, inside.errors)


def test_retries_are_botocores_own(direct: Make) -> None:
    """A client that retries gets over a lost request by itself, as over a socket."""
    box = Sandbox.create(users=5)
    box.faults.add("lost", times=1)
    patient = direct(box, "sts", Config(retries={"total_max_attempts": 2, "mode": "standard"}))
    assert patient.get_caller_identity()["ResponseMetadata"]["RetryAttempts"] == 1
    assert box.calls == {"GetCallerIdentity": 1}
