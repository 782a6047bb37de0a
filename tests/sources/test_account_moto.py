"""A second judge: moto, where it is like AWS."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from account_helpers import ALL_OK, coverage, scan_in, statuses
from birthright.scans.request import ReadOptions

MOTO_ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def moto() -> Iterator[dict[str, str]]:
    """Serve moto, empty; give the environment to talk to it."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
    }
    server.stop()


@pytest.fixture
def iam(moto: dict[str, str]) -> Iterator[Any]:
    """Give boto3's own client of it, of an account without users."""
    client = boto3.session.Session().client(
        "iam",
        region_name="us-east-1",
        endpoint_url=moto["AWS_ENDPOINT_URL"],
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    _empty(client)
    yield client
    _empty(client)
    client.close()


def _empty(iam: Any) -> None:  # noqa: ANN401 - boto3's clients have no type
    for user in iam.list_users()["Users"]:
        name = user["UserName"]
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName=name)


def _key(iam: Any, name: str, status: str = "Active") -> tuple[str, str, str, datetime]:  # noqa: ANN401
    made = iam.create_access_key(UserName=name)["AccessKey"]
    iam.update_access_key(UserName=name, AccessKeyId=made["AccessKeyId"], Status=status)
    (shown,) = (
        key
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
        if key["AccessKeyId"] == made["AccessKeyId"]
    )
    return made["AccessKeyId"], name, status, shown["CreateDate"].astimezone(UTC).replace(microsecond=0)


def test_keys_are_those_that_were_created(moto: dict[str, str], iam: Any) -> None:  # noqa: ANN401
    """Ids, owners, states and creation times of keys made by boto3 come back, each once."""
    for name in ("none", "one", "two", "off"):
        iam.create_user(UserName=name, Path="/teams/" if name == "two" else "/")
    made = {
        _key(iam, "one"),
        _key(iam, "two"),
        _key(iam, "two", "Inactive"),
        _key(iam, "off", "Inactive"),
    }
    facts = scan_in(moto)
    found = [
        (key.access_key_id, key.user_name, key.status, key.created_at)
        for key in facts.access_keys
        if not key.is_root
    ]
    assert sorted(found) == sorted(made)
    # moto's report has no row of root.
    assert statuses(facts).items() >= (ALL_OK | {"GetCredentialReport": "partial"}).items()
    assert {line.account_id for line in facts.coverage} == {MOTO_ACCOUNT}
    paths = {user.user_name: user.path for user in facts.principals}
    assert (paths["two"], paths["one"]) == ("/teams/", "/")


def test_a_report_of_2015_is_told(moto: dict[str, str], iam: Any) -> None:  # noqa: ANN401
    """The GeneratedTime of moto is always 2015: coverage says so. There is no root row."""
    iam.create_user(UserName="one")
    key = _key(iam, "one")
    facts = scan_in(moto, ReadOptions(depth="report"))
    line = coverage(facts)["GetCredentialReport"]
    assert line.status == "partial"
    assert line.report_generated_at is not None
    assert line.report_generated_at.year == 2015
    assert re.fullmatch(
        r"made \d+ d( \d+ h)? ago; there is no row of <root_account>: it is not a whole report", line.detail
    )
    assert [row.created_at for row in facts.access_keys if row.user_name == "one"] == [key[3]]
    (root,) = (user for user in facts.principals if user.is_root)
    assert (root.in_report, root.mfa_active) == (False, None)


def test_a_row_that_moto_spoils_is_a_problem_of_that_row(moto: dict[str, str], iam: Any) -> None:  # noqa: ANN401
    """A comma is not quoted by moto: that user's cells are unknown, coverage says so, the listings count."""
    iam.create_user(UserName="comma,plus")
    key = _key(iam, "comma,plus")
    facts = scan_in(moto)
    assert coverage(facts)["GetCredentialReport"].status == "partial"
    assert [row.created_at for row in facts.access_keys if row.access_key_id == key[0]] == [key[3]]


def test_an_account_without_users(moto: dict[str, str], iam: Any) -> None:  # noqa: ANN401
    """Nothing is asked for but root; the account's id comes from STS."""
    assert not iam.list_users()["Users"]
    facts = scan_in(moto)
    assert {line.account_id for line in facts.coverage} == {MOTO_ACCOUNT}
    assert [user.is_root for user in facts.principals] == [True]
