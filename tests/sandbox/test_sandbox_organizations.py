"""Organizations, read with botocore's own client; its paging beside moto's."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from birthright.errors import UsageError
from birthright.sandbox import Sandbox, SandboxCredentials
from birthright.sandbox.direct import attach
from birthright.sandbox.organization import STATES

Refused = Callable[..., tuple[str, int]]
QUIET = Config(retries={"max_attempts": 0}, parameter_validation=False)
CREATED = 25


def client_of(
    box: Sandbox,
    service: str = "organizations",
    keys: SandboxCredentials | None = None,
    region: str = "us-east-1",
) -> Any:  # noqa: ANN401 - boto3's clients have no types
    used = keys or box.credentials
    client = boto3.session.Session().client(
        service,
        region_name=region,
        aws_access_key_id=used.access_key_id,
        aws_secret_access_key=used.secret_access_key,
        aws_session_token=used.session_token or None,
        config=QUIET,
    )
    attach(client, box)
    return client


def enter(box: Sandbox, account_id: str, role: str = "birthright") -> SandboxCredentials:
    arn = f"arn:aws:iam::{account_id}:role/{role}"
    made = client_of(box, "sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return SandboxCredentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def pages(client: Any, action: str, **params: object) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    while True:
        answer = getattr(client, action)(**params)
        yield answer
        if "NextToken" not in answer:
            return
        params["NextToken"] = answer["NextToken"]


def everyone(client: Any, **params: object) -> list[dict[str, Any]]:  # noqa: ANN401
    return [one for answer in pages(client, "list_accounts", **params) for one in answer["Accounts"]]


@pytest.fixture(scope="module")
def box() -> Sandbox:
    """Give a sandbox with 47 accounts, that the tests here leave as it is."""
    return Sandbox.create(users=0, cases=True, accounts=47)


def test_every_account_is_listed_once(box: Sandbox) -> None:
    """Ids count up, at most twenty a page; names and addresses are no two accounts', the first manages."""
    sizes = [len(page["Accounts"]) for page in pages(client_of(box), "list_accounts")]
    assert sizes == [20, 20, 7]
    found = everyone(client_of(box), MaxResults=13)
    assert tuple(one["Id"] for one in found) == box.account_ids
    assert len({one["Name"] for one in found}) == len({one["Email"] for one in found}) == 47
    assert found[0]["Name"] == "management"
    assert any(one["Name"] == f"workload-{number:04d}" for number, one in enumerate(found))
    assert {one["JoinedMethod"] for one in found} == {"INVITED", "CREATED"}


def test_answers_are_as_the_model_says(box: Sandbox) -> None:
    """ARNs, ids and paths have the forms that botocore's model writes down as patterns."""
    import re

    client = client_of(box)
    model = client.meta.service_model

    def fits(shape: str, value: str) -> bool:
        return re.match(model.shape_for(shape).metadata["pattern"], value) is not None

    shapes = {"AccountId": "Id", "AccountArn": "Arn", "Email": "Email"}
    for account in everyone(client):
        assert all(fits(shape, account[member]) for shape, member in shapes.items())
        assert fits("Path", account["Paths"][0])
    organization = client.describe_organization()["Organization"]
    assert fits("OrganizationArn", organization["Arn"])
    assert fits("OrganizationId", organization["Id"])
    (root,) = client.list_roots()["Roots"]
    assert fits("RootId", root["Id"])
    assert fits("RootArn", root["Arn"])
    for unit in client.list_organizational_units_for_parent(ParentId=root["Id"])["OrganizationalUnits"]:
        assert fits("OrganizationalUnitId", unit["Id"])
        assert fits("OrganizationalUnitArn", unit["Arn"])
        assert (
            client.describe_organizational_unit(OrganizationalUnitId=unit["Id"])["OrganizationalUnit"] == unit
        )


def walk(client: Any, parent: str, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401
    for page in pages(client, "list_accounts_for_parent", ParentId=parent, MaxResults=5):
        for account in page["Accounts"]:
            yield account["Id"], path or "/"
    for page in pages(client, "list_organizational_units_for_parent", ParentId=parent, MaxResults=1):
        for unit in page["OrganizationalUnits"]:
            yield from walk(client, unit["Id"], f"{path}/{unit['Name']}")


def test_every_account_lies_in_one_unit(box: Sandbox) -> None:
    """The tree holds every account once; the management account lies in the root, alone."""
    client = client_of(box)
    places = list(walk(client, client.list_roots()["Roots"][0]["Id"]))
    assert sorted(account_id for account_id, _ in places) == list(box.account_ids)
    by_path = Counter(path for _, path in places)
    assert by_path.keys() == {
        "/",
        "/Security",
        "/Sandbox",
        "/Workloads",
        "/Workloads/Prod",
        "/Workloads/Dev",
    }
    assert (places[0], by_path["/"]) == ((box.account_ids[0], "/"), 1)


def test_small_organizations_have_some_of_each() -> None:
    """Four members lie in four units."""
    client = client_of(Sandbox.create(users=0, accounts=5))
    places = dict(walk(client, client.list_roots()["Roots"][0]["Id"]))
    assert set(places.values()) == {"/", "/Workloads/Prod", "/Workloads/Dev", "/Security", "/Sandbox"}


def test_accounts_have_tags(box: Sandbox) -> None:
    """Each says its environment and its owner; units and the root have none, what is not there is told."""
    client = client_of(box)
    seen: set[str] = set()
    for account_id in box.account_ids:
        tags = client.list_tags_for_resource(ResourceId=account_id)["Tags"]
        found = {tag["Key"]: tag["Value"] for tag in tags}
        assert found.keys() == {"env", "owner"}
        seen.add(found["env"])
    assert seen == {"prod", "dev"}
    root = client.list_roots()["Roots"][0]["Id"]
    assert client.list_tags_for_resource(ResourceId=root)["Tags"] == []
    with pytest.raises(client.exceptions.TargetNotFoundException):
        client.list_tags_for_resource(ResourceId="999999999999")


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_empty_pages_come_before_the_last(share: float) -> None:
    """An empty page has a token, the last page is reached all the same, and nobody is left out."""
    box = Sandbox.create(users=0, accounts=45)
    box.faults.add("empty-pages", share=share)
    client = client_of(box)
    found = list(pages(client, "list_accounts"))
    sizes = [len(page["Accounts"]) for page in found]
    assert [size for size in sizes if size] == [20, 20, 5]
    assert 0 in sizes
    assert all("NextToken" in page for page in found[:-1])
    assert sizes[-1] == 5


def test_some_accounts_are_not_active(box: Sandbox, refused: Refused) -> None:
    """Of ten accounts and more one is SUSPENDED and one PENDING_CLOSURE; no role of theirs can be assumed."""
    found = everyone(client_of(box))
    assert Counter(one["State"] for one in found) == {"ACTIVE": 45, "SUSPENDED": 1, "PENDING_CLOSURE": 1}
    assert all(one["State"] == one["Status"] for one in found)
    for one in found:
        take, arn = client_of(box, "sts").assume_role, f"arn:aws:iam::{one['Id']}:role/birthright"
        if one["State"] != "ACTIVE":
            assert refused(take, RoleArn=arn, RoleSessionName="test") == ("AccessDenied", 403)
    assert {one["State"] for one in everyone(client_of(Sandbox.create(users=0, accounts=9)))} == {"ACTIVE"}
    plain = Sandbox.create(users=0, cases=False, accounts=20)
    assert {one["State"] for one in everyone(client_of(plain))} == {"ACTIVE"}


def test_states_can_be_chosen() -> None:
    """So many accounts as asked for are in each state, the same ones every time; later any other."""
    states = dict.fromkeys(STATES[2:], 2) | {STATES[0]: 1}
    box = Sandbox.create(users=0, accounts=12, account_states=states, seed=3)
    found = everyone(client_of(box))
    assert Counter(one["State"] for one in found) == {**states, "ACTIVE": 5}
    assert found[0]["State"] == "ACTIVE"
    again = Sandbox.create(users=0, accounts=12, account_states=states, seed=3)
    assert [one["State"] for one in everyone(client_of(again))] == [one["State"] for one in found]
    box.organization.set_state(box.account_ids[3], "CLOSED")
    account = client_of(box).describe_account(AccountId=box.account_ids[3])["Account"]
    assert (account["State"], account["Status"]) == ("CLOSED", "SUSPENDED")
    with pytest.raises(UsageError):
        box.organization.set_state("999999999999", "CLOSED")
    with pytest.raises(UsageError):
        Sandbox.create(users=0, accounts=3, account_states={"CLOSED": 3})


@pytest.mark.parametrize(("fields", "left"), [("state", {"State"}), ("status", {"Status"})])
def test_state_or_status_can_be_left_out(fields: Any, left: set[str]) -> None:  # noqa: ANN401
    """Older answers have no State, and newer ones no Status."""
    client = client_of(Sandbox.create(users=0, accounts=3, account_fields=fields))
    (one, *_) = everyone(client)
    assert one.keys() & {"State", "Status"} == left
    described = client.describe_account(AccountId=one["Id"])["Account"]
    assert described.keys() & {"State", "Status"} == left


def test_only_the_management_account_lists(refused: Refused) -> None:
    """Members are denied unless they are delegated administrators; any member may ask whose it is."""
    box = Sandbox.create(users=0, accounts=4, delegates=["111122223335"])
    member = client_of(box, keys=enter(box, box.account_ids[1]))
    denied = ("AccessDeniedException", 400)
    assert refused(member.list_accounts) == denied
    assert refused(member.list_roots) == denied
    assert refused(member.describe_account, AccountId=box.account_ids[1]) == denied
    assert member.describe_organization()["Organization"]["MasterAccountId"] == box.account_id
    delegate = client_of(box, keys=enter(box, box.account_ids[2]))
    assert len(everyone(delegate)) == 4
    assert len(everyone(client_of(box, keys=enter(box, box.account_id)))) == 4


@pytest.mark.parametrize("options", [{}, {"accounts": 3, "organization": False}])
def test_without_an_organization(options: dict[str, Any], refused: Refused) -> None:
    """One account is none, and several only unless told otherwise."""
    box = Sandbox.create(users=0, **options)
    none = ("AWSOrganizationsNotInUseException", 400)
    assert refused(client_of(box).list_accounts) == none
    assert refused(client_of(box).describe_organization) == none
    with pytest.raises(UsageError):
        _ = box.organization
    alone = Sandbox.create(users=0, organization=True)
    assert [one["Id"] for one in everyone(client_of(alone))] == [alone.account_id]


def test_permissions_are_kept_here_too(refused: Refused) -> None:
    """Who may only list accounts may not list roots; nothing is told to strangers."""
    box = Sandbox.create(users=0, accounts=2, allow=("organizations:ListAccounts",))
    client = client_of(box)
    assert client.list_accounts()["Accounts"]
    assert refused(client.list_roots) == ("AccessDeniedException", 400)
    stranger = client_of(box, keys=SandboxCredentials("AKIAIOSFODNN7EXAMPLE", "secret"))
    assert refused(stranger.list_accounts) == ("UnrecognizedClientException", 400)


@pytest.mark.parametrize(
    ("partition", "home", "away"),
    [
        ("aws", "us-east-1", "eu-west-1"),
        ("aws-cn", "cn-northwest-1", "cn-north-1"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-east-1"),
    ],
)
def test_organizations_has_one_region(partition: str, home: str, away: str) -> None:
    """Calls are signed for the partition's own Region, whatever the client's; another is refused."""
    box = Sandbox.create(users=0, accounts=2, partition=partition)
    for region in (home, away):  # botocore knows the partition's endpoint, and signs for its Region
        (first, *_) = client_of(box, region=region).list_accounts()["Accounts"]
        assert first["Arn"].startswith(f"arn:{partition}:organizations::111122223333:account/o-")
    with box.running():
        client = boto3.session.Session().client(
            "organizations",
            region_name=away,
            endpoint_url=box.url,
            aws_access_key_id=box.credentials.access_key_id,
            aws_secret_access_key=box.credentials.secret_access_key,
            config=QUIET,
        )
        with pytest.raises(client.exceptions.ClientError, match="InvalidSignatureException"):
            client.list_accounts()
        client.close()


@pytest.mark.parametrize(
    ("action", "params", "code", "reason"),
    [
        ("list_accounts", {"NextToken": "x"}, "InvalidInputException", "INVALID_NEXT_TOKEN"),
        ("list_accounts", {"MaxResults": 0}, "InvalidInputException", "MIN_VALUE_EXCEEDED"),
        ("list_accounts", {"MaxResults": 21}, "InvalidInputException", "MAX_VALUE_EXCEEDED"),
        ("list_accounts_for_parent", {"ParentId": "?"}, "InvalidInputException", "INVALID_PATTERN"),
        ("list_accounts_for_parent", {"ParentId": "r-none"}, "ParentNotFoundException", None),
        ("list_organizational_units_for_parent", {"ParentId": "r-none"}, "ParentNotFoundException", None),
        ("describe_account", {"AccountId": "999999999999"}, "AccountNotFoundException", None),
        (
            "describe_organizational_unit",
            {"OrganizationalUnitId": "ou-none-12345678"},
            "OrganizationalUnitNotFoundException",
            None,
        ),
    ],
)
def test_what_is_wrong_is_told(
    box: Sandbox, action: str, params: dict[str, Any], code: str, reason: str
) -> None:
    """Errors have the model's names, status 400, and the reason where there is one."""
    client = client_of(box)
    with pytest.raises(client.exceptions.ClientError) as caught:
        getattr(client, action)(**params)
    answer: dict[str, Any] = caught.value.response
    assert (answer["Error"]["Code"], answer.get("Reason")) == (code, reason)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(
    ("kind", "told"), [("throttling", "TooManyRequestsException"), ("service-failure", "ServiceException")]
)
def test_faults_have_the_names_of_organizations(kind: Any, told: str, refused: Refused) -> None:  # noqa: ANN401
    """A throttle and a failure are called what the model calls them."""
    box = Sandbox.create(users=0, accounts=2)
    box.faults.add(kind, action="ListAccounts", times=1)
    assert refused(client_of(box).list_accounts)[0] == told


def test_the_throttle_leaves_organizations_and_sts_out(refused: Refused) -> None:
    """The rate is that of IAM and the others; STS has one of its own, counted for who calls."""
    box = Sandbox.create(users=0, cases=False, accounts=3, throttle=0.001, burst=1)
    sts, iam = client_of(box, "sts"), client_of(box, "iam")
    assert [len(client_of(box).list_accounts()["Accounts"]) for _ in range(3)] == [3, 3, 3]
    for account_id in box.account_ids:
        sts.assume_role(RoleArn=f"arn:aws:iam::{account_id}:role/birthright", RoleSessionName="test")
    iam.list_users()
    assert refused(iam.list_users) == ("Throttling", 400)
    box.gateway.throttle.limit_sts(0.001)
    sts.get_caller_identity()
    assert refused(sts.get_caller_identity) == ("Throttling", 400)
    assert box.gateway.throttle.refused == {box.account_id: 2}


def test_the_state_can_be_changed_from_outside() -> None:
    """`account-state` closes an account while the sandbox runs; a wrong name is refused."""
    import urllib.error
    import urllib.request

    def steer(box: Sandbox, body: dict[str, str]) -> int:
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{box.url}/_sandbox/account-state",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    with Sandbox.create(users=0, accounts=2).running() as box:
        account_id = box.account_ids[1]
        assert steer(box, {"account": account_id, "state": "CLOSED"}) == 200
        assert not box.organization.is_active(account_id)
        assert steer(box, {"account": account_id, "state": "GONE"}) == 400


def sizes_of(client: Any, asked: int) -> list[int]:  # noqa: ANN401
    return [len(page["Accounts"]) for page in pages(client, "list_accounts", MaxResults=asked)]


def test_pages_are_as_long_as_motos() -> None:
    """For every size of page there are as many pages, each as long, and only the last has no token."""
    with mock_aws():
        moto = boto3.session.Session().client("organizations", region_name="us-east-1")
        moto.create_organization(FeatureSet="ALL")
        for number in range(CREATED - 1):
            moto.create_account(AccountName=f"a{number}", Email=f"a{number}@example.com")
        theirs = {asked: sizes_of(moto, asked) for asked in range(1, 21)}
        members = everyone(moto)[0].keys()
    ours = client_of(Sandbox.create(users=0, accounts=CREATED))
    assert {asked: sizes_of(ours, asked) for asked in theirs} == theirs
    assert members <= everyone(ours)[0].keys()
