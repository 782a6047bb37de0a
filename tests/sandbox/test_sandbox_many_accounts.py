"""Accounts that are made on demand, forgotten and made again; troubles that choose their accounts."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.errors import UsageError
from birthright.sandbox import Sandbox, SandboxCredentials
from birthright.sandbox.account import SandboxAccount
from birthright.sandbox.command import command
from birthright.sandbox.direct import attach
from birthright.sandbox.faults import Fault, Faults
from birthright.sandbox.ids import access_key_id_of, account_of
from birthright.sandbox.sessions import Sessions

Refused = Callable[..., tuple[str, int]]
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
BORN = "ci-deploy-born-with-key"
ONCE = Config(retries={"max_attempts": 0})
FIRST = 111122223333


def client_of(box: Sandbox, service: str, keys: SandboxCredentials | None = None) -> Any:  # noqa: ANN401
    used = keys or box.credentials
    client = boto3.session.Session().client(
        service,
        region_name="us-east-1",
        aws_access_key_id=used.access_key_id,
        aws_secret_access_key=used.secret_access_key,
        aws_session_token=used.session_token or None,
        config=ONCE,
    )
    attach(client, box)
    return client


def enter(sts: Any, account_id: str) -> SandboxCredentials:  # noqa: ANN401
    arn = f"arn:aws:iam::{account_id}:role/birthright"
    made = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return SandboxCredentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def forgetful(**options: Any) -> Sandbox:  # noqa: ANN401 - the sandbox's own options
    """Return a sandbox that keeps one unchanged account in memory, and whose clock stands still."""
    box = Sandbox.create(accounts=6, organization=False, clock=START, frozen=True, **options)
    box.cloud.accounts.limit = 1
    return box


def forget(box: Sandbox) -> None:
    """Ask for the last account, so that all others leave the memory."""
    assert box.cloud.accounts.get(box.account_ids[-1])
    assert list(box.cloud.accounts)[-1] == box.account_ids[-1]


def holdings(account: SandboxAccount) -> object:
    return account.root, account.users, account.credentials, account.report, account.names()


def test_a_forgotten_account_is_made_again_the_same() -> None:
    """Users, ids, dates, secrets and the report are equal, though the account is another object."""
    box = forgetful(users=40)
    first = box.cloud.accounts.get(box.account_ids[1])
    assert first is not None
    before = holdings(first)
    secrets = [key.secret for key in first.credentials.values()]
    forget(box)
    again = box.cloud.accounts.get(box.account_ids[1])
    assert again is not None
    assert again is not first
    assert holdings(again) == before
    assert [key.secret for key in again.credentials.values()] == secrets


def test_sessions_outlive_their_account(refused: Refused) -> None:
    """Credentials of a forgotten account's role work on, and end when they have to."""
    box = forgetful(users=5)
    there = enter(client_of(box, "sts"), box.account_ids[1])
    forget(box)
    identity = client_of(box, "sts", there).get_caller_identity
    assert identity()["Arn"] == f"arn:aws:sts::{box.account_ids[1]}:assumed-role/birthright/test"
    forget(box)
    box.clock.advance(timedelta(hours=1))
    assert refused(identity) == ("ExpiredToken", 403)


def test_a_report_that_was_asked_for_outlives_its_account() -> None:
    """Generated in a forgotten account it is there, the same, as old as it was, and ready when it was."""
    box = forgetful(users=30, report="none", report_seconds=60)
    iam = client_of(box, "iam", enter(client_of(box, "sts"), box.account_ids[1]))
    assert iam.generate_credential_report()["State"] == "STARTED"
    made = box.cloud.accounts.get(box.account_ids[1])
    assert made is not None
    assert made.report is not None
    forget(box)
    assert iam.generate_credential_report()["State"] == "INPROGRESS"
    box.clock.advance(timedelta(minutes=5))
    forget(box)
    report = iam.get_credential_report()
    assert report["GeneratedTime"] == START
    again = box.cloud.accounts.get(box.account_ids[1])
    assert again is not made
    assert again is not None
    assert again.report == made.report


def change_by_call(box: Sandbox, account_id: str) -> None:
    iam = client_of(box, "iam", enter(client_of(box, "sts"), account_id))
    key_id = iam.list_access_keys(UserName=BORN)["AccessKeyMetadata"][0]["AccessKeyId"]
    iam.update_access_key(UserName=BORN, AccessKeyId=key_id, Status="Inactive")


def change_by_hand(box: Sandbox, account_id: str) -> None:
    found = box.cloud.accounts.get(account_id)
    assert found is not None
    (key_id,) = found.users[BORN].keys
    box.people.set_status(key_id, "Inactive")


def change_in_python(box: Sandbox, account_id: str) -> None:
    (key,) = box.account(account_id).users[BORN].keys.values()
    key.status = "Inactive"


def change_by_use(box: Sandbox, account_id: str) -> None:
    found = box.cloud.accounts.get(account_id)
    assert found is not None
    (key,) = found.users[BORN].keys.values()
    forget(box)
    used = SandboxCredentials(key.access_key_id, key.secret)
    assert client_of(box, "sts", used).get_caller_identity()["Account"] == account_id


@pytest.mark.parametrize("change", [change_by_call, change_by_hand, change_in_python])
def test_a_changed_account_is_never_forgotten(change: Callable[[Sandbox, str], None]) -> None:
    """Whoever switched the key off, off it stays; other accounts come and go."""
    box = forgetful(users=5)
    change(box, box.account_ids[2])
    forget(box)
    forget(box)
    account = box.cloud.accounts.get(box.account_ids[2])
    assert account is not None
    assert [key.status for key in account.users[BORN].keys.values()] == ["Inactive"]


def test_a_use_is_a_change() -> None:
    """A key of a forgotten account signs, and its last use is remembered."""
    box = forgetful(users=5)
    change_by_use(box, box.account_ids[2])
    forget(box)
    account = box.cloud.accounts.get(box.account_ids[2])
    assert account is not None
    assert [key.last_used_at for key in account.users[BORN].keys.values()] == [START]


class Pair:
    """Two sandboxes that differ in nothing but how many accounts they keep in memory."""

    def __init__(self) -> None:
        self.boxes = [
            Sandbox.create(users=3, accounts=3, report="none", clock=START, frozen=True) for _ in range(2)
        ]
        self.boxes[0].cloud.accounts.limit = 1
        self.clients = [self._enter_all(box) for box in self.boxes]

    @staticmethod
    def _enter_all(box: Sandbox) -> list[Any]:
        sts = client_of(box, "sts")
        return [client_of(box, "iam", enter(sts, account_id)) for account_id in box.account_ids[1:]]

    def both(self, number: int, action: str) -> list[object]:
        """Do the same in both, and return the answers."""
        if action == "wait":
            for box in self.boxes:
                box.clock.advance(timedelta(minutes=1))
            return [None, None]
        return [ask(clients[number], action) for clients in self.clients]


def ask(iam: Any, action: str) -> object:  # noqa: ANN401
    params: dict[str, dict[str, str]] = {"list_access_keys": {"UserName": BORN}}
    if action == "switch":
        (key,) = iam.list_access_keys(UserName=BORN)["AccessKeyMetadata"]
        other = "Inactive" if key["Status"] == "Active" else "Active"
        return iam.update_access_key(UserName=BORN, AccessKeyId=key["AccessKeyId"], Status=other) and other
    try:
        answer = getattr(iam, action)(**params.get(action, {}))
    except ClientError as error:
        return error.response["Error"]
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


ACTIONS = ("list_access_keys", "list_users", "generate_credential_report", "get_credential_report")


@pytest.mark.usefixtures("in_rounds")
@given(
    steps=st.lists(st.tuples(st.integers(0, 1), st.sampled_from([*ACTIONS, "switch", "wait"])), max_size=12)
)
@settings(max_examples=5, deadline=None)
def test_forgetting_is_not_seen(steps: list[tuple[int, str]]) -> None:
    """Whatever is read, changed and waited for, a sandbox that forgets answers as one that does not."""
    pair = Pair()
    for number, action in steps:
        forgetting, keeping = pair.both(number, action)
        assert forgetting == keeping


def test_reading_ten_thousand_accounts_leaves_a_few() -> None:
    """A sandbox of that size starts at once, and holds no more unchanged accounts than its limit."""
    before = time.process_time()
    box = Sandbox.create(users=20, cases=False, accounts=10_000)
    assert time.process_time() - before < 1
    for account_id in box.account_ids[:3000]:
        assert box.cloud.accounts.get(account_id)
    assert len(list(box.cloud.accounts)) <= box.cloud.accounts.limit + 1 < 3000


def test_sessions_that_expired_long_ago_go() -> None:
    """More than are to be kept are looked through; those still valid stay."""
    sessions = Sessions(1, kept=10)
    old = [sessions.add("111122223333", "birthright", "s", START, START) for _ in range(10)]
    new = sessions.add("111122223333", "birthright", "s", START, START + timedelta(hours=1))
    assert sessions.get(old[0].access_key_id) is None
    assert sessions.get(new.access_key_id) is new
    assert len({one.access_key_id for one in (*old, new)}) == 11


@given(number=st.integers(0, 10**12 - 1), part=st.text())
def test_key_ids_tell_their_account(number: int, part: str) -> None:
    """As AWS's own do: an id has the form of AWS's, and its account is read from it again."""
    found = access_key_id_of("AKIA", f"{number:012d}", part)
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", found)
    assert account_of(found) == f"{number:012d}"


def test_a_real_key_id_tells_its_account() -> None:
    """The example that is widely known; other ids tell none."""
    assert account_of("ASIAQNZGKIQY56JQ7WML") == "029608264753"
    assert account_of("AKIASANDBOX000000001") == account_of("AKIA") == account_of("") == ""


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_the_same_accounts_are_struck_every_time(share: float) -> None:
    """About the share of them; which ones follows from the seed, the kind and the action."""
    ids = [str(FIRST + number) for number in range(4000)]

    def struck(seed: int, **details: Any) -> set[str]:  # noqa: ANN401 - the fault's own fields
        faults = Faults(seed)
        usual: dict[str, Any] = {"kind": "access-denied", "action": "AssumeRole", "accounts_share": share}
        fault = Fault(**(usual | details))
        faults.put([fault])
        by_call = {one for one in ids if faults.strike(fault.action, "", one)}
        assert by_call == {one for one in ids if faults.strikes_account(fault, one)}
        return by_call

    once = struck(1)
    assert abs(len(once) / 4000 - share) < 0.03
    assert struck(1) == once
    if 0 < share < 1:
        others = [struck(2), struck(1, action="ListAccessKeys"), struck(1, kind="throttling")]
        assert all(other != once for other in others)


def test_an_assumed_role_is_its_accounts(refused: Refused) -> None:
    """AssumeRole is struck by the role's account, other calls by the caller's."""
    box = Sandbox.create(users=1, accounts=4)
    struck = box.account_ids[2]
    box.faults.add("access-denied", action="AssumeRole", account=struck)
    box.faults.add("access-denied", action="ListUsers", account="*334")
    sts = client_of(box, "sts")
    arn = f"arn:aws:iam::{struck}:role/birthright"
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="test") == ("AccessDenied", 403)
    assert client_of(box, "iam", enter(sts, box.account_ids[3])).list_users()
    assert client_of(box, "iam").list_users()
    denied = client_of(box, "iam", enter(sts, box.account_ids[1]))
    assert refused(denied.list_users) == ("AccessDenied", 403)


def test_some_reports_never_complete(refused: Refused) -> None:
    """A share of the accounts never finish theirs, and the others do."""
    never = Fault(kind="report-never-completes", accounts_share=0.5)
    box = Sandbox.create(users=1, accounts=9, faults=[never])
    sts = client_of(box, "sts")
    seen = set()
    for account_id in box.account_ids[1:]:
        iam, struck = (
            client_of(box, "iam", enter(sts, account_id)),
            box.faults.strikes_account(never, account_id),
        )
        seen.add(struck)
        if struck:
            assert iam.generate_credential_report()["State"] == "INPROGRESS"
            assert refused(iam.get_credential_report) == ("ReportInProgress", 404)
        else:
            assert iam.get_credential_report()["Content"]
    assert seen == {True, False}


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_have_bounds(share: float) -> None:
    """Shares of accounts are 0 to 1."""
    with pytest.raises(UsageError):
        Faults().add("lost", accounts_share=share)


@contextmanager
def served(*options: str) -> Iterator[str]:
    """Run the command; its first line is the URL."""
    arguments = [sys.executable, "-m", "birthright.sandbox", *options]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield child.stdout.readline().strip()
        finally:
            child.terminate()


def test_the_command_takes_it_all() -> None:
    """An organization with faults from the start: they are in force, the states and fields are as told."""
    fault = {"kind": "access-denied", "action": "AssumeRole", "accounts_share": 0.5}
    options = ["--users", "1", "--accounts", "30", "--fault", json.dumps(fault), "--sts-throttle", "600"]
    options += ["--fault", '{"kind": "empty-pages"}', "--account-state", "CLOSED=3", "--account-state"]
    options += ["PENDING_ACTIVATION=1", "--account-fields", "state", "--delegate", "111122223334"]
    with served(*options, "--longest-session", "7200") as url:
        keys = Sandbox.create(users=0).credentials
        client = boto3.session.Session().client(
            "organizations",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
        )
        pages = list(client.get_paginator("list_accounts").paginate())
        client.close()
    found = [account for page in pages for account in page["Accounts"]]
    assert [len(page["Accounts"]) for page in pages] == [0, 20, 0, 10]
    states = [account["State"] for account in found]
    assert (states.count("CLOSED"), states.count("PENDING_ACTIVATION"), len(states)) == (3, 1, 30)
    assert not any("Status" in account for account in found)


@pytest.mark.parametrize(
    "options",
    [
        ["--fault", "x"],
        ["--fault", '{"kind": "no-such"}'],
        ["--fault", '{"kind": "lost", "accounts_share": 2}'],
        ["--account-state", "SUSPENDED"],
        ["--account-state", "GONE=1", "--accounts", "3"],
        ["--account-state", "CLOSED=9", "--accounts", "3"],
    ],
)
def test_the_command_says_what_is_wrong(options: list[str]) -> None:
    """One line, before anything is served."""
    with pytest.raises(UsageError) as caught:
        command.main(options, standalone_mode=False)
    assert len(str(caught.value).splitlines()) == 1
