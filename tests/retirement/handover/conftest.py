"""A user of moto's account, a new key of it on its way, and no waiting."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import botocore.session
import msgspec
import pytest
from botocore.config import Config
from moto import mock_aws

from birthright.retirement.handover import foreign
from birthright.retirement.handover.interface import NewSecret, Owner
from birthright.secret import Secret

ACCOUNT = "123456789012"
REGION = "eu-west-1"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
TOKEN = "0b1c9c1e-1f3a-4b1e-9d6f-5a3f0f6f7d21"

Client = Callable[[str], Any]


@cache
def _session() -> Any:  # noqa: ANN401 - botocore has no types
    """Make one session: reading the services' models takes longer than all else."""
    session = botocore.session.Session()
    session.set_credentials("testing", "testing")
    return session


def _client(service: str, url: str | None = None) -> Any:  # noqa: ANN401 - botocore's clients have no type
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=5)
    return _session().create_client(service, region_name=REGION, endpoint_url=url, config=config)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attempts follow one another at once."""
    monkeypatch.setattr(foreign, "PAUSES", (0.001,) * 4)


@pytest.fixture
def client() -> Iterator[Client]:
    """Make clients of moto, in this process, empty."""
    made: dict[str, Any] = {}
    with mock_aws():
        yield lambda service: made.get(service) or made.setdefault(service, _client(service))


@pytest.fixture
def owner(client: Client) -> Owner:
    """Alice of moto's account."""
    return Owner(
        account_id=ACCOUNT,
        partition="aws",
        user_name="alice",
        user_arn=f"arn:aws:iam::{ACCOUNT}:user/alice",
        client=client,
    )


@pytest.fixture
def bob(owner: Owner) -> Owner:
    """Somebody else of the same account."""
    return msgspec.structs.replace(owner, user_name="bob", user_arn=f"arn:aws:iam::{ACCOUNT}:user/bob")


@pytest.fixture
def parcel() -> NewSecret:
    """Alice's new key."""
    return NewSecret(access_key_id=KEY_ID, secret=Secret(SECRET), token=TOKEN, ticket="CHG-1, urgent")


@pytest.fixture
def later() -> NewSecret:
    """Give the key after it."""
    return NewSecret(
        access_key_id="AKIAI44QH8DHBEXAMPLE",
        secret=Secret(SECRET[::-1]),
        token=TOKEN[:-1] + "2",
    )


@pytest.fixture
def client_of() -> Callable[[str, str], Any]:
    """Make a client of a service at an address."""
    return _client
