"""A running sandbox and boto3 clients for it."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config

from birthright.sandbox import Sandbox, SandboxCredentials

ONCE = Config(retries={"max_attempts": 0}, read_timeout=2, max_pool_connections=1)
Client = Callable[..., Any]


@pytest.fixture(scope="session")
def session() -> boto3.Session:
    """One session, so that the service models are read once."""
    return boto3.Session(region_name="us-east-1")


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """Serve a sandbox with five named users, without retries or delays."""
    with Sandbox.create(users=5).running() as running:
        yield running


@pytest.fixture
def client(session: boto3.Session) -> Iterator[Client]:
    """Make clients: `client(box, "iam", credentials)`; they do not retry and are closed at the end."""
    made: list[BaseClient] = []

    def make(box: Sandbox, service: str = "iam", credentials: SandboxCredentials | None = None) -> BaseClient:
        key = credentials or box.credentials
        made.append(
            session.client(
                service,
                endpoint_url=box.url,
                aws_access_key_id=key.access_key_id,
                aws_secret_access_key=key.secret_access_key,
                aws_session_token=key.session_token or None,
                config=ONCE,
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def refused() -> Callable[..., tuple[str, int]]:
    """Return the code and HTTP status with which AWS refuses a call."""
    from botocore.exceptions import ClientError

    def code_of(call: Callable[..., Any], **params: object) -> tuple[str, int]:
        with pytest.raises(ClientError) as caught:
            call(**params)
        answer = caught.value.response
        return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]

    return code_of
