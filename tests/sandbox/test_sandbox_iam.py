"""IAM's actions as boto3 sees them."""

import gzip
import http
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.client import BaseClient

from birthright.sandbox import Sandbox
from birthright.sandbox.faults import ERRORS

Make = Callable[..., Any]
Refused = Callable[..., tuple[str, int]]

BORN = "ci-deploy-born-with-key"


def pages(client: BaseClient, action: str, result: str, size: int, **params: str) -> list[list[Any]]:
    paginator = client.get_paginator(action)
    return [
        page.get(result, []) for page in paginator.paginate(**params, PaginationConfig={"PageSize": size})
    ]


def test_list_users_pages(client: Make) -> None:
    """MaxItems is kept to, the marker goes on exactly after the page, nobody is missed or doubled."""
    with Sandbox.create(users=25, cases=False).running() as box:
        got = pages(client(box), "list_users", "Users", 7)
        assert [len(page) for page in got] == [7, 7, 7, 5]
        names = [user["UserName"] for page in got for user in page]
        assert names == sorted(box.account().users)


def test_a_listing_survives_a_deletion(client: Make) -> None:
    """The marker stands for a place, not a number: deleting seen users hides no unseen one."""
    with Sandbox.create(users=9, cases=False).running() as box:
        iam, names = client(box), box.account().names().copy()
        first = iam.list_users(MaxItems=4)
        box.account().remove_user(box.account().users[names[0]])
        rest = iam.list_users(Marker=first["Marker"])
        assert [user["UserName"] for user in rest["Users"]] == names[4:]


def test_list_users_defaults_to_a_hundred(client: Make) -> None:
    """Without MaxItems a page holds 100; a thousand at most may be asked for."""
    with Sandbox.create(users=150, cases=False).running() as box:
        iam = client(box)
        answer = iam.list_users()
        assert (len(answer["Users"]), answer["IsTruncated"]) == (100, True)
        assert len(iam.list_users(MaxItems=1000)["Users"]) == 151


def test_max_items_has_bounds(box: Sandbox, client: Make, refused: Refused) -> None:
    """MaxItems is 1 to 1000; a marker is one the sandbox gave."""
    iam = client(box)
    assert refused(iam.list_users, MaxItems=1001) == ("ValidationError", 400)
    assert refused(iam.list_users, Marker="*") == ("ValidationError", 400)


def test_path_prefix(client: Make) -> None:
    """PathPrefix narrows the listing, and the path is part of the ARN."""
    with Sandbox.create(users=100).running() as box:
        (user,) = client(box).list_users(PathPrefix="/apps/")["Users"]
        assert user["Arn"] == "arn:aws:iam::111122223333:user/apps/ci/path-user"


def test_keys_and_tags_page(box: Sandbox, client: Make) -> None:
    """ListAccessKeys and ListUserTags keep to MaxItems, which moto ignores."""
    iam = client(box)
    iam.create_access_key(UserName=BORN)
    keys = pages(iam, "list_access_keys", "AccessKeyMetadata", 1, UserName=BORN)
    assert [len(page) for page in keys] == [1, 1]
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(5)]
    iam.tag_user(UserName=BORN, Tags=tags)
    assert [len(page) for page in pages(iam, "list_user_tags", "Tags", 2, UserName=BORN)] == [2, 2, 1]


def test_third_key_is_refused(box: Sandbox, client: Make, refused: Refused) -> None:
    """A user holds two keys, active or not; the quota's message names the number."""
    iam = client(box)
    second = iam.create_access_key(UserName=BORN)["AccessKey"]
    assert len(second["SecretAccessKey"]) == 40
    iam.update_access_key(UserName=BORN, AccessKeyId=second["AccessKeyId"], Status="Inactive")
    assert refused(iam.create_access_key, UserName=BORN) == ("LimitExceeded", 409)
    with pytest.raises(iam.exceptions.LimitExceededException, match="AccessKeysPerUser: 2"):
        iam.create_access_key(UserName=BORN)


def test_a_user_comes_and_goes(box: Sandbox, client: Make, refused: Refused) -> None:
    """A user with a password or keys is not deleted (DeleteConflict); without, it is."""
    iam = client(box)
    made = iam.create_user(UserName="New", Path="/team/", Tags=[{"Key": "a", "Value": "<&>\"'é"}])
    assert made["User"]["Tags"] == [{"Key": "a", "Value": "<&>\"'é"}]
    assert refused(iam.create_user, UserName="nEW") == ("EntityAlreadyExists", 409)
    iam.create_login_profile(UserName="New", Password="x")
    key = iam.create_access_key(UserName="New")["AccessKey"]["AccessKeyId"]
    assert refused(iam.delete_user, UserName="New") == ("DeleteConflict", 409)
    iam.delete_access_key(UserName="New", AccessKeyId=key)
    assert refused(iam.delete_user, UserName="New") == ("DeleteConflict", 409)
    iam.delete_login_profile(UserName="New")
    iam.delete_user(UserName="New")
    assert refused(iam.get_user, UserName="New") == ("NoSuchEntity", 404)


def test_tags_go(box: Sandbox, client: Make) -> None:
    """UntagUser removes what it names and does not mind what is not there."""
    iam = client(box)
    iam.tag_user(UserName=BORN, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    iam.untag_user(UserName=BORN, TagKeys=["a", "zzz"])
    assert iam.list_user_tags(UserName=BORN)["Tags"] == [{"Key": "b", "Value": "2"}]


def test_without_a_name_it_is_the_caller(box: Sandbox, client: Make) -> None:
    """GetUser and ListAccessKeys without UserName speak of who signed."""
    iam = client(box)
    assert iam.get_user()["User"]["UserName"] == "birthright-scanner"
    (own,) = iam.list_access_keys()["AccessKeyMetadata"]
    assert own["AccessKeyId"] == box.credentials.access_key_id


def test_nobody_and_nothing(box: Sandbox, client: Make, refused: Refused) -> None:
    """Unknown users and keys are NoSuchEntity; an unknown key's use is AccessDenied."""
    iam = client(box)
    some = "AKIAUNKNOWN000000000"
    gone = ("NoSuchEntity", 404)
    assert refused(iam.list_access_keys, UserName="nobody") == gone
    assert refused(iam.delete_access_key, UserName=BORN, AccessKeyId=some) == gone
    assert refused(iam.get_access_key_last_used, AccessKeyId=some) == ("AccessDenied", 403)


def test_a_status_is_one_of_two(box: Sandbox, client: Make, refused: Refused) -> None:
    """Unlike in moto, a status that is not one is refused."""
    iam = client(box)
    (key,) = box.account().users[BORN].keys
    bogus = {"UserName": BORN, "AccessKeyId": key, "Status": "Asleep"}
    assert refused(iam.update_access_key, **bogus) == ("ValidationError", 400)


def test_deletion_reaches_the_listing(box: Sandbox, client: Make) -> None:
    """Disabling and deleting are seen by the next listing."""
    iam = client(box)
    (key,) = box.account().users[BORN].keys
    iam.update_access_key(UserName=BORN, AccessKeyId=key, Status="Inactive")
    assert iam.list_access_keys(UserName=BORN)["AccessKeyMetadata"][0]["Status"] == "Inactive"
    iam.delete_access_key(UserName=BORN, AccessKeyId=key)
    assert iam.list_access_keys(UserName=BORN)["AccessKeyMetadata"] == []


def test_partitions_shape_arns(client: Make) -> None:
    """Every ARN names the partition it is in."""
    with Sandbox.create(users=1, partition="aws-cn").running() as box:
        arn = client(box, "sts").get_caller_identity()["Arn"]
        assert arn == "arn:aws-cn:iam::111122223333:user/birthright-scanner"
        assert box.environment()["AWS_REGION"] == "cn-north-1"


def test_error_statuses_are_the_service_models() -> None:
    """Each error the sandbox makes up on demand has the status botocore's model gives its code."""
    path = Path(botocore.__file__).parent / "data/iam/2010-05-08/service-2.json.gz"
    shapes = json.loads(gzip.decompress(path.read_bytes()))["shapes"].values()
    known = {s["error"]["code"]: s["error"]["httpStatusCode"] for s in shapes if "error" in s}
    common = {"Throttling": http.HTTPStatus.BAD_REQUEST, "ExpiredToken": http.HTTPStatus.FORBIDDEN}
    assert {code: status for status, code, _ in ERRORS.values()}.items() <= (known | common).items()
