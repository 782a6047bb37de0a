"""Accounts, OUs and tags from AWS Organizations: the sandbox and moto are the judges."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from birthright.aws.session import AwsSession
from birthright.errors import (
    AccessDeniedError,
    AnswerError,
    CredentialsError,
    ReadError,
    ThrottledError,
    UsageError,
)
from birthright.facts.model import Account
from birthright.sandbox import Sandbox, SandboxCredentials
from birthright.sources import organization as module
from birthright.sources.organization import READS, Organization, OrganizationalUnit, Tree
from birthright.sources.permissions import organization_policy

if TYPE_CHECKING:
    from birthright.sandbox.faults import Kind

TREE = ["ListRoots", "ListOrganizationalUnitsForParent", "ListAccountsForParent"]


@contextmanager
def asking(
    environment: dict[str, str], credentials: SandboxCredentials | None = None
) -> Iterator[Organization]:
    """Ask the organization of an environment, with other credentials if they are given."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        if credentials:
            patch.setenv("AWS_ACCESS_KEY_ID", credentials.access_key_id)
            patch.setenv("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key)
        with closing(Organization(AwsSession())) as organization:
            yield organization


def listed(organization: Organization) -> list[Account]:
    return [account for page in organization.pages() for account in page]


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """Serve an organization of 65 accounts."""
    with Sandbox.create(
        users=0, cases=False, accounts=65, account_states={"SUSPENDED": 2, "CLOSED": 1}
    ).running() as box:
        yield box


def test_every_account_is_listed_once_with_its_state(box: Sandbox) -> None:
    """Ids, names and states are those of the organization, in pages of at most 20."""
    with asking(box.environment()) as organization:
        pages = list(organization.pages())
    assert [len(page) for page in pages] == [20, 20, 20, 5]
    found = [account for page in pages for account in page]
    assert [account.account_id for account in found] == list(box.account_ids)
    for account in found:
        member = box.organization.member(account.account_id)
        assert member
        assert (account.account_name, account.state) == (member.name, member.state)
        assert (account.source, account.ou_id, account.ou_path) == ("ListAccounts", None, None)
    assert sum(account.state == "CLOSED" for account in found) == 1


def test_the_tree_says_where_each_account_stands(box: Sandbox) -> None:
    """OU ids and paths of names are right for every account; the root's path is a slash."""
    with asking(box.environment()) as organization:
        tree = organization.tree()
        placed = {account.account_id: tree.placed(account) for account in listed(organization)}
    assert not tree.note
    units = box.organization.units
    for account_id, account in placed.items():
        member = box.organization.member(account_id)
        assert member
        names: list[str] = []
        unit = member.unit
        while unit.parent:
            names.insert(0, unit.name)
            unit = units[unit.parent]
        assert (account.ou_id, account.ou_path) == (member.unit.id, "/" + "/".join(names))
    assert {account.ou_path for account in placed.values()} >= {"/", "/Workloads/Prod", "/Security"}


def test_below_an_ou_are_the_accounts_of_its_ous_too(box: Sandbox) -> None:
    """An OU stands for all below it, the root for everybody, several for their union."""
    with asking(box.environment()) as organization:
        tree = organization.tree()
    ids = {unit.name: unit.id for unit in tree.units.values()}
    paths = {account: tree.units[unit].path for account, unit in tree.parents.items()}
    workloads = {account for account, path in paths.items() if path.startswith("/Workloads")}
    assert tree.below([ids["Workloads"]]) == workloads
    assert tree.below([ids["Prod"], ids["Dev"]]) < workloads
    assert tree.below([ids["Root"]]) == set(box.account_ids)
    assert tree.below([]) == set()


@pytest.mark.parametrize("ou", ["ou-none-12345678", "r-none", "Workloads", "x\x1b[31m", ""])
def test_an_unknown_ou_is_wrong_usage(ou: str, box: Sandbox) -> None:
    """A mistyped OU never means "no account"; the message shows it, printably."""
    with (
        asking(box.environment()) as organization,
        pytest.raises(UsageError, match=r"--ou .*no such OU") as caught,
    ):
        organization.tree().below([ou])
    assert str(caught.value).isprintable()


def test_tags(box: Sandbox) -> None:
    """The tags of many accounts are asked for at the same time; one that has left has none."""
    ids = [*box.account_ids[:30], "999999999999"]
    with asking(box.environment()) as organization:
        tags = organization.tags(ids)
    assert list(tags) == ids
    assert tags.pop("999999999999") == {}
    for account_id, found in tags.items():
        member = box.organization.member(account_id)
        assert member
        assert found == member.tags


def test_empty_pages_are_followed() -> None:
    """A page without accounts is not the end, in any listing, and none is given on; pages may be short."""
    with Sandbox.create(users=0, accounts=45, account_states={}).running() as box:
        box.faults.add("empty-pages")
        box.faults.add("short-pages", size=7)
        with asking(box.environment()) as organization:
            pages = list(organization.pages())
            assert [account.account_id for page in pages for account in page] == list(box.account_ids)
            assert all(pages)
            tree = organization.tree()
            assert set(tree.parents) == set(box.account_ids)
            assert organization.tags(box.account_ids[:1])[box.account_ids[0]]


@pytest.mark.parametrize("fields", ["state", "status"])
def test_state_and_status(fields: Any) -> None:  # noqa: ANN401 - one of the sandbox's words
    """Accounts have a state where AWS says `State` only, and where it says `Status` only."""
    with (
        Sandbox.create(
            users=0, accounts=12, account_states={"SUSPENDED": 1}, account_fields=fields
        ).running() as box,
        asking(box.environment()) as organization,
    ):
        states = [account.state for account in listed(organization)]
    assert sorted(map(str, states)) == ["ACTIVE"] * 11 + ["SUSPENDED"]


def test_no_organization() -> None:
    """An account in no organization is wrong usage, and the line says what to do instead."""
    with Sandbox.create(users=0).running() as box, asking(box.environment()) as organization:
        for ask in (lambda: listed(organization), organization.tree):
            with pytest.raises(UsageError) as caught:
                ask()
            assert str(caught.value) == (
                "this account is in no organization (use --accounts FILE or --profiles A,B)"
            )


def test_who_may_not_list_is_told_who_may() -> None:
    """A denial names the call, the accounts that may make it, and the command that prints the policy."""
    with Sandbox.create(users=0, accounts=3).running() as box:
        nobody = box.new_credentials("nobody", "iam:*")
        with asking(box.environment(), nobody) as organization, pytest.raises(AccessDeniedError) as caught:
            listed(organization)
        assert box.calls["ListAccounts"] == 1
    for part in ("ListAccounts: AccessDenied", "delegated administrator", "permissions --for org"):
        assert part in str(caught.value)


@pytest.mark.parametrize("denied", TREE)
def test_a_denied_tree_leaves_the_accounts(denied: str) -> None:
    """Who may list accounts but not OUs gets all accounts; a note says why the OUs are missing."""
    allowed = [action for name, (action, _) in READS.items() if name != denied]
    with Sandbox.create(users=0, accounts=9).running() as box:
        key = box.new_credentials("auditor", *allowed)
        with asking(box.environment(), key) as organization:
            tree = organization.tree()
            accounts = [tree.placed(account) for account in listed(organization)]
            assert [account.account_id for account in accounts] == list(box.account_ids)
            assert {(account.ou_id, account.ou_path) for account in accounts} == {(None, None)}
            assert denied in tree.note
            with pytest.raises(AccessDeniedError, match=denied):
                tree.below(list(tree.units))


def test_the_policy_is_enough_and_the_least() -> None:
    """What `permissions --for org` prints allows every call that is made, and no other."""
    for tags in (False, True):
        statements: Any = organization_policy("aws", "birthright", tags=tags)["Statement"]
        actions = [action for statement in statements for action in statement["Action"]]
        with Sandbox.create(users=0, accounts=3).running() as box:
            key = box.new_credentials("auditor", *actions)
            with asking(box.environment(), key) as organization:
                assert listed(organization)
                assert not organization.tree().note
                if tags:
                    organization.tags(box.account_ids)
            assert {f"organizations:{name}" for name in box.calls} == {*actions} - {"sts:AssumeRole"}
            assert not box.errors


def test_throttling_and_failures_are_waited_for() -> None:
    """Refusals and lost answers cost time, no accounts."""
    with Sandbox.create(users=0, accounts=45).running() as box:
        box.faults.add("throttling", times=3)
        box.faults.add("service-failure", action="ListRoots", times=2)
        box.faults.add("cut", action="ListAccountsForParent", times=1)
        box.faults.add("malformed", action="ListOrganizationalUnitsForParent", times=1)
        with asking(box.environment()) as organization:
            assert len(listed(organization)) == 45
            assert set(organization.tree().parents) == set(box.account_ids)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Throttling without end is an error of its own after twelve tries, failure after four."""
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.01)
    with Sandbox.create(users=0, accounts=3).running() as box, asking(box.environment()) as organization:
        cases: list[tuple[Kind, type[ReadError], int]] = [
            ("throttling", ThrottledError, 12),
            ("service-failure", AnswerError, 4),
        ]
        for kind, error, tries in cases:
            box.faults.clear()
            box.faults.add(kind)
            box.calls.clear()
            with pytest.raises(error):
                listed(organization)
            assert box.calls["ListAccounts"] == tries


def test_an_expired_session_and_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are one clear line: sign in again; look at the network and the endpoint."""
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.01)
    with Sandbox.create(users=0, accounts=3).running() as box:
        environment = box.environment()
        key = SandboxCredentials("AKIAIOSFODNN7EXAMPLE", "x" * 40)
        with asking(environment, key) as organization, pytest.raises(CredentialsError, match="sign in again"):
            listed(organization)
    with asking(environment) as organization:
        with pytest.raises(ReadError, match=r"cannot be reached.*AWS_ENDPOINT_URL") as caught:
            organization.tree()
        assert "\n" not in str(caught.value)
    with (
        pytest.raises(UsageError, match="not a URL"),
        asking({**environment, "AWS_ENDPOINT_URL": "nonsense"}),
    ):
        pass


def test_who_closes_it_ends_what_goes_on(box: Sandbox) -> None:
    """After Ctrl-C no thread goes on asking."""
    with asking(box.environment()) as organization:
        pages = organization.pages()
        next(pages)
        organization.close()
        with pytest.raises(ReadError, match="not asked any more"):
            next(pages)


@contextmanager
def answering(answer: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Iterator[dict[str, str]]:
    """Serve Organizations as a function of the operation and its parameters."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["content-length"]))
            operation = self.headers["x-amz-target"].rpartition(".")[2]
            body = json.dumps(answer(operation, json.loads(text))).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "x" * 20)
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_REGION": "us-east-1",
            **keys,
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


ONE = {"Id": "111122223333", "Name": "one", "State": "ACTIVE", "Status": "SUSPENDED"}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"Accounts": [ONE], "NextToken": "again"}, "again and again"),
        ({"Accounts": []}, "is empty"),
        ({}, "has no Accounts"),
        ({"Accounts": [{"Name": "no id"}]}, "lacks Id"),
    ],
)
def test_odd_listings_are_refused(answer: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that goes in circles, is empty or names no id is an error, never a short list."""
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.01)
    with (
        answering(lambda *_: answer) as environment,
        asking(environment) as organization,
        pytest.raises(AnswerError, match=why),
    ):
        listed(organization)


def test_state_goes_before_status_and_repeats_are_dropped() -> None:
    """Where both are said, `State` counts; an account on two pages is listed once."""

    def answer(_: str, asked: dict[str, Any]) -> dict[str, Any]:
        return {"Accounts": [ONE, ONE], **({} if "NextToken" in asked else {"NextToken": "2"})}

    with answering(answer) as environment, asking(environment) as organization:
        assert listed(organization) == [
            Account("111122223333", "one", "ACTIVE", source="ListAccounts"),
        ]


def test_a_tree_in_a_circle_ends() -> None:
    """An OU that is below itself is an error, not an endless walk."""

    def answer(operation: str, _: dict[str, Any]) -> dict[str, Any]:
        if operation == "ListRoots":
            return {"Roots": [{"Id": "r-root", "Name": "Root"}]}
        return {"OrganizationalUnits": [{"Id": "ou-root-12345678", "Name": "Loop"}]}

    with (
        answering(answer) as environment,
        asking(environment) as organization,
        pytest.raises(AnswerError, match="two places"),
    ):
        organization.tree()


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_a_path_says_all_its_names(names: list[str]) -> None:
    """Whatever OUs are called, the names can be read out of the path; it is printable."""
    unit = OrganizationalUnit("r-root", "Root", "/")
    for number, name in enumerate(names):
        unit = module._unit({"Id": f"ou-{number}", "Name": name}, unit)
    assert unit.path.isprintable()
    parts = unit.path.split("/")[1:]
    assert [unquote(part, errors="surrogatepass") for part in parts] == names


def test_an_account_that_came_meanwhile_has_no_ou() -> None:
    """Accounts that the tree does not know stay as they are."""
    account = Account("111122223333", "one", "ACTIVE", source="ListAccounts")
    assert Tree({}, {}).placed(account) == account


@pytest.fixture(scope="module")
def moto() -> Iterator[dict[str, str]]:
    """Serve moto; give the environment to talk to it."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-west-1",
    }
    server.stop()


def test_moto_agrees(moto: dict[str, str]) -> None:
    """Accounts, OUs, tags and states made by boto3 come back, over several pages."""
    with asking(moto) as organization:
        with pytest.raises(UsageError, match="no organization"):
            organization.tree()
        with closing(
            boto3.session.Session().client(
                "organizations", region_name="eu-west-1", endpoint_url=moto["AWS_ENDPOINT_URL"]
            )
        ) as client:
            client.create_organization()
            root = client.list_roots()["Roots"][0]["Id"]
            outer = client.create_organizational_unit(ParentId=root, Name="a/b")["OrganizationalUnit"]["Id"]
            inner = client.create_organizational_unit(ParentId=outer, Name="c")["OrganizationalUnit"]["Id"]
            made = {}
            for number in range(45):
                tag = {"Key": "number", "Value": str(number)}
                done = client.create_account(AccountName=f"n{number}", Email="a@example.com", Tags=[tag])
                made[done["CreateAccountStatus"]["AccountId"]] = number
            for account_id in list(made)[:30]:
                client.move_account(AccountId=account_id, SourceParentId=root, DestinationParentId=inner)
            closed = list(made)[7]
            client.close_account(AccountId=closed)
        tree = organization.tree()
        found = {account.account_id: tree.placed(account) for account in listed(organization)}
        tags = organization.tags(list(made))
    assert {i: found[i].account_name for i in made} == {i: f"n{number}" for i, number in made.items()}
    assert [i for i, account in found.items() if account.state != "ACTIVE"] == [closed]
    assert {i: found[i].ou_path for i in made} == {i: "/a%2Fb/c" if n < 30 else "/" for i, n in made.items()}
    assert tree.below([outer]) == set(list(made)[:30])
    assert tags == {i: {"number": str(number)} for i, number in made.items()}
