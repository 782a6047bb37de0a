"""Scans of many accounts: what is read is what each account alone would give, whatever others suffer."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from birthright.aws.query_client import OPEN
from birthright.aws.role import Role
from birthright.errors import CredentialsError, ReadError, UsageError
from birthright.facts.model import Account
from birthright.fleet.account_access import AccountAccess, open_access
from birthright.fleet.accounts_file import load_accounts
from birthright.fleet.target import Target
from birthright.sandbox import Sandbox
from birthright.scans.record import ScanInfo
from birthright.scans.request import AccountSelection, ConcurrencyLimits, ManyAccounts, ReadOptions
from birthright.scans.store import FolderStore
from birthright.scans.writer import ScanWriter
from fleet_helpers import (
    ORG,
    Rows,
    alone,
    assumed,
    begin,
    by_account,
    detail_of,
    entered,
    fleet_of,
    go,
    read,
    status_of,
    without,
)

ALL_OK = {"AssumeRole": "ok", "GetCredentialReport": "ok", "ListUsers": "ok", "ListAccessKeys": "ok"}


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """Serve an organization of 24 accounts, two of which are closed."""
    with Sandbox.create(users=6, accounts=24).running() as running:
        yield running


@pytest.fixture(autouse=True)
def no_troubles(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "box" in request.fixturenames:
        request.getfixturevalue("box").faults.clear()


@pytest.fixture(scope="module")
def plain(box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[ScanInfo, dict[str, Rows]]:
    """Read the organization once, without troubles."""
    folder = tmp_path_factory.mktemp("plain")
    info = read(box, folder)
    return info, by_account(folder, info)


def closed(box: Sandbox) -> set[str]:
    assert box.organization
    return {account for account in box.account_ids if not box.organization.is_active(account)}


def test_every_account_is_as_if_read_alone(box: Sandbox, plain: tuple[ScanInfo, dict[str, Rows]]) -> None:
    """Users, keys and coverage of each account are those of a scan with that account's credentials."""
    info, found = plain
    assert set(found) == set(box.account_ids)
    assert info.complete
    assert len(closed(box)) == 2
    for account in set(box.account_ids) - closed(box):
        assert without(found[account]) == alone(box, account, info.as_of)
        expected = {**ALL_OK} if account != box.account_id else dict.fromkeys(list(ALL_OK)[1:], "ok")
        assert status_of(found[account]).items() >= expected.items()


def test_closed_accounts_are_skipped(box: Sandbox, plain: tuple[ScanInfo, dict[str, Rows]]) -> None:
    """An account that is not active has one line, which says in which state it is, and no facts."""
    for account in closed(box):
        (line,) = plain[1][account]["coverage"]
        assert (line["source"], line["status"]) == ("ListAccounts", "skipped")
        assert line["detail"] in {"SUSPENDED in the organization", "PENDING_CLOSURE in the organization"}
        assert plain[1][account].keys() == {"coverage"}


def test_the_own_account_is_entered_as_the_caller(
    box: Sandbox, plain: tuple[ScanInfo, dict[str, Rows]], tmp_path: Path
) -> None:
    """The caller's account takes no role, unless told otherwise; the facts are the same."""
    own = plain[1][box.account_id]
    assert "AssumeRole" not in status_of(own)
    info = read(box, tmp_path, ManyAccounts(ORG, through_role=True), plain[0].as_of)
    found = by_account(tmp_path, info)
    assert status_of(found[box.account_id])["AssumeRole"] == "ok"
    assert {account: without(rows) for account, rows in found.items()} == {
        account: without(rows) for account, rows in plain[1].items()
    }


@pytest.mark.parametrize(
    "limits", [ConcurrencyLimits(1, 1, 1), ConcurrencyLimits(300, 3, 5), ConcurrencyLimits(2, 40, 40)]
)
def test_the_order_of_finishing_does_not_matter(
    limits: ConcurrencyLimits, box: Sandbox, plain: tuple[ScanInfo, dict[str, Rows]], tmp_path: Path
) -> None:
    """However few calls, accounts at work and accounts begun there may be, the facts are the same."""
    info = read(box, tmp_path, ManyAccounts(ORG, limits=limits), plain[0].as_of)
    assert by_account(tmp_path, info) == plain[1]


def test_accounts_are_chosen(box: Sandbox, tmp_path: Path) -> None:
    """OUs, ids, names and tags choose; what is not chosen is not in the scan at all."""
    organization = box.organization
    assert organization
    found = {account: organization.member(account) for account in box.account_ids}
    members = {account: member for account, member in found.items() if member}
    dev = {a for a, m in members.items() if m.unit.name == "Dev"}
    unit = next(m.unit for m in members.values() if m.unit.name == "Dev")
    prod = {a for a, m in members.items() if m.tags.get("env") == "prod"}
    first = box.account_ids[0]
    choices = {
        "units": (AccountSelection(org=True, units=(unit.id,)), dev),
        "tags": (AccountSelection(org=True, include=("tag:env=prod",)), prod),
        "names": (AccountSelection(org=True, include=("workload-*",), exclude=(box.account_ids[1],)),
                  {a for a, m in members.items() if m.name.startswith("workload-")} - {box.account_ids[1]}),
        "ids": (AccountSelection(org=True, include=(first,)), {first}),
    }  # fmt: skip
    for name, (choice, expected) in choices.items():
        info = read(box, tmp_path / name, ManyAccounts(choice))
        assert set(by_account(tmp_path / name, info)) == expected
        assert expected


def test_no_account_chosen_is_told(box: Sandbox, tmp_path: Path) -> None:
    """A choice of nothing is no scan in which everything is in order."""
    with pytest.raises(UsageError, match="no account is chosen"):
        read(box, tmp_path, ManyAccounts(AccountSelection(org=True, include=("nosuch*",))))


def test_a_file_names_accounts_and_roles(
    box: Sandbox, plain: tuple[ScanInfo, dict[str, Rows]], tmp_path: Path
) -> None:
    """Each account is entered through its own role: a name, one with a path, an ARN, or the run's."""
    first, second, third, fourth = [a for a in box.account_ids[1:] if a not in closed(box)][:4]
    path = tmp_path / "accounts.csv"
    path.write_text(
        "id,name,role\n"
        f"{first},one,\n{second},two,security/birthright-audit\n{third},three,birthright-retire\n"
        f"{fourth},four,arn:aws:iam::{fourth}:role/OrganizationAccountAccessRole\n"
    )
    with monkey_external_id(box, first, "s3same"):
        info = read_file(box, tmp_path, path, Role(external_id="s3same"), plain[0])
        denied = read_file(box, tmp_path, path, Role(), plain[0])
    found = by_account(tmp_path, info)
    assert sorted(found) == sorted([first, second, third, fourth])
    for account, rows in found.items():
        assert status_of(rows)["AssumeRole"] == "ok"
        assert rows["access_keys"] == plain[1][account]["access_keys"]
    assert status_of(by_account(tmp_path, denied)[first]) == {"AssumeRole": "denied"}


@contextmanager
def monkey_external_id(box: Sandbox, account: str, external_id: str) -> Iterator[None]:
    """Let one account's role ask for an external id."""
    role = box.account(account).roles["birthright"]
    role.external_id = external_id
    try:
        yield
    finally:
        role.external_id = ""


def read_file(box: Sandbox, folder: Path, file: Path, role: Role, plain: ScanInfo) -> ScanInfo:
    roles = {one.account.account_id: one.role for one in load_accounts(file) if one.role}
    return read(box, folder, ManyAccounts(AccountSelection(file=str(file), roles=roles), role), plain.as_of)


def test_troubles_stay_where_they_are(
    box: Sandbox, plain: tuple[ScanInfo, dict[str, Rows]], tmp_path: Path
) -> None:
    """Accounts that deny the role or the keys, or never finish their report, say so; others do not change."""
    role = box.faults.add("access-denied", action="AssumeRole", accounts_share=0.2)
    keys = box.faults.add("access-denied", action="ListAccessKeys", accounts_share=0.2)
    report = box.faults.add("report-never-completes", accounts_share=0.2)
    options = ReadOptions(report_deadline=timedelta(seconds=1))
    began = time.monotonic()
    info = read(box, tmp_path, ManyAccounts(ORG, options=options), plain[0].as_of)
    assert time.monotonic() - began < 15
    found = by_account(tmp_path, info)
    assert not info.complete
    struck = {
        kind: {a for a in set(box.account_ids) - closed(box) if box.faults.strikes_account(fault, a)}
        for kind, fault in (("role", role), ("keys", keys), ("report", report))
    }
    struck["role"].discard(box.account_id)
    assert all(struck.values())
    for account, rows in found.items():
        expected = dict(status_of(plain[1][account]))
        if account in struck["role"]:
            expected = {"AssumeRole": "denied"}
            assert "AccessDenied" in detail_of(rows, "AssumeRole")
        else:
            if account in struck["keys"]:
                expected["ListAccessKeys"] = "denied"
                assert "AccessDenied" in detail_of(rows, "ListAccessKeys")
            if account in struck["report"]:
                expected["GetCredentialReport"] = "failed"
                assert "was not ready in 1 s" in detail_of(rows, "GetCredentialReport")
        assert {k: v for k, v in status_of(rows).items() if k in expected} == expected
        if account not in set().union(*struck.values()):
            assert rows == plain[1][account]


def test_passing_failures_leave_no_trace(
    box: Sandbox, plain: tuple[ScanInfo, dict[str, Rows]], tmp_path: Path
) -> None:
    """With 500s, cut connections and throttles in a share of all answers every account is read whole."""
    for kind in ("service-failure", "cut", "throttling", "malformed", "lost"):
        box.faults.add(kind, share=0.03)
    info = read(box, tmp_path, ManyAccounts(ORG), plain[0].as_of)
    assert info.complete
    assert by_account(tmp_path, info) == plain[1]


def test_an_outage_ends_soon_and_is_told(box: Sandbox, tmp_path: Path) -> None:
    """If nothing but the list answers, every account is failed with the reason, after few more attempts."""
    box.faults.add("service-failure", action="AssumeRole")
    box.faults.add("service-failure", action="*Credential*")
    box.faults.add("service-failure", action="ListUsers")
    before, began = box.calls["AssumeRole"], time.monotonic()
    info = read(box, tmp_path)
    found = by_account(tmp_path, info)
    for account in set(box.account_ids) - closed(box) - {box.account_id}:
        assert status_of(found[account]) == {"AssumeRole": "failed"}
        assert "ServiceFailure" in detail_of(found[account], "AssumeRole")
    assert status_of(found[box.account_id])["ListUsers"] == "failed"
    # Five tries an account, and twenty accounts once more.
    assert box.calls["AssumeRole"] - before <= (21 + 20) * 5
    assert time.monotonic() - began < 25


def test_an_account_that_hangs_holds_up_no_other(
    box: Sandbox, plain: tuple[ScanInfo, dict[str, Rows]], tmp_path: Path
) -> None:
    """While one account never answers, all others are read and can be kept."""
    stuck = next(a for a in box.account_ids[1:] if a not in closed(box))
    box.faults.add("hang", account=stuck, action="List*")
    writer = begin(FolderStore(tmp_path), ManyAccounts(ORG), plain[0].as_of)
    fleet = fleet_of(writer, ManyAccounts(ORG))

    async def until_others_are_done() -> None:
        task = asyncio.create_task(fleet.read())
        async with asyncio.timeout(20):
            while fleet.counts.done < len(box.account_ids) - 1:  # noqa: ASYNC110 - counts tell nobody
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])

    with entered(box):
        asyncio.run(until_others_are_done())
    box.faults.clear()
    again = ScanWriter.resume(FolderStore(tmp_path), writer.info.id)
    assert again.read_so_far() == set(box.account_ids) - {stuck}
    with entered(box):
        go(fleet_of(again, ManyAccounts(ORG)).read())
    assert by_account(tmp_path, again.finish()) == plain[1]


def test_the_list_is_kept_before_its_accounts_are_read(box: Sandbox, tmp_path: Path) -> None:
    """However slow the first account is, and however few may begin, the whole list is soon known and kept."""
    box.faults.add("hang", action="*Credential*")
    orders = ManyAccounts(ORG, limits=ConcurrencyLimits(calls=9, working=1, begun=1))
    writer = begin(FolderStore(tmp_path), orders)
    fleet = fleet_of(writer, orders)

    async def until_listed() -> None:
        task = asyncio.create_task(fleet.read())
        async with asyncio.timeout(20):
            while not fleet.counts.listed:  # noqa: ASYNC110 - counts tell nobody
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])

    with entered(box):
        asyncio.run(until_listed())
    assert fleet.counts.done <= len(closed(box))
    listed = ScanWriter.resume(FolderStore(tmp_path), writer.info.id).asked_for()
    assert {account.account_id for account in listed or ()} == set(box.account_ids)


def profiles(folder: Path, **names: dict[str, str]) -> dict[str, str]:
    """Write local profiles; return the environment that uses them."""
    lines = []
    for name, keys in names.items():
        lines += [f"[{name}]", *(f"{key.lower()} = {value}" for key, value in keys.items())]
    (folder / "credentials").write_text("\n".join(lines))
    return {"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials")}


def own_keys(box: Sandbox) -> dict[str, str]:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    return {name: value for name, value in box.environment().items() if name in names}


def read_profiles(box: Sandbox, folder: Path, names: tuple[str, ...], **written: dict[str, str]) -> ScanInfo:
    more = profiles(folder, **written)
    orders = ManyAccounts(AccountSelection(profiles=names))
    writer = begin(FolderStore(folder), orders)
    with entered(box, **more) as patch:
        for name in own_keys(box):
            patch.delenv(name)
        go(fleet_of(writer, orders).read())
    return writer.finish()


def test_profiles_are_accounts(box: Sandbox, plain: tuple[ScanInfo, dict[str, Rows]], tmp_path: Path) -> None:
    """Two profiles are two accounts; one whose credentials are refused, or that has none, is reported."""
    other = next(a for a in box.account_ids[1:] if a not in closed(box))
    refused = {**own_keys(box), "AWS_SECRET_ACCESS_KEY": "x" * 40}
    info = read_profiles(
        box, tmp_path, ("one", "two", "bad", "worse"),
        one=own_keys(box), two=assumed(box, other), bad=refused, worse={"region": "us-east-1"},
    )  # fmt: skip
    found = by_account(tmp_path, info)
    assert set(found) == {box.account_id, other, "unknown"}
    for account in (box.account_id, other):
        assert found[account]["access_keys"] == plain[1][account]["access_keys"]
    lines = {line["account_name"]: (line["status"], line["detail"]) for line in found["unknown"]["coverage"]}
    assert {name: status for name, (status, _) in lines.items()} == {"bad": "failed", "worse": "failed"}
    assert all(detail.startswith(f"profile {name}: ") for name, (_, detail) in lines.items())
    assert "SignatureDoesNotMatch" in lines["bad"][1]
    assert "no AWS credentials" in lines["worse"][1]
    assert "x" * 40 not in str(lines)
    assert not info.complete


def test_a_profile_that_was_refused_is_not_forgotten(box: Sandbox, tmp_path: Path) -> None:
    """Killed right after the list was made, and gone on with: it is there, once."""
    orders = ManyAccounts(AccountSelection(profiles=("one", "bad")))
    more = profiles(tmp_path, one=own_keys(box), bad={**own_keys(box), "AWS_SECRET_ACCESS_KEY": "x" * 40})
    writer = begin(FolderStore(tmp_path), orders)

    async def only_list() -> None:
        async with open_access(orders) as access:
            async for _ in fleet_of(writer, orders).batches(access):
                pass

    with entered(box, **more) as patch:
        for name in own_keys(box):
            patch.delenv(name)
        go(only_list())
        again = ScanWriter.resume(FolderStore(tmp_path), writer.info.id)
        go(fleet_of(again, orders).read())
    found = by_account(tmp_path, again.finish())
    assert set(found) == {box.account_id, "unknown"}
    assert [line["account_name"] for line in found["unknown"]["coverage"]] == ["bad"]


@pytest.mark.usefixtures("soon")
def test_an_outage_is_seen_by_a_profile_that_answered(box: Sandbox, tmp_path: Path) -> None:
    """Where every account has credentials of its own, those of one that answered ask again."""
    more = profiles(tmp_path, one=own_keys(box))
    access = AccountAccess(ManyAccounts(AccountSelection(profiles=("one",))), OPEN)
    target = Target(Account(box.account_id), profile="one")
    with entered(box, **more) as patch:
        for name in own_keys(box):
            patch.delenv(name)
        go(access.probe(target))
        box.faults.add("malformed", action="GetCallerIdentity")
        go(access.probe(None))
        with pytest.raises(ReadError):
            go(access.probe(target))


def test_two_profiles_of_one_account_are_refused(box: Sandbox, tmp_path: Path) -> None:
    """Which of the two would be read is not for us to say."""
    with pytest.raises(UsageError, match=f"one and two are both of account {box.account_id}"):
        read_profiles(box, tmp_path, ("one", "two"), one=own_keys(box), two=own_keys(box))


@pytest.mark.parametrize("profile", ["nosuch"])
def test_a_profile_that_is_not_there_is_refused(profile: str, box: Sandbox, tmp_path: Path) -> None:
    """A name that is mistyped is told before anything is read."""
    with pytest.raises(UsageError, match="could not be found"):
        read_profiles(box, tmp_path, ("one", profile), one=own_keys(box))


@pytest.mark.usefixtures("soon")
def test_dead_credentials_end_the_scan_and_what_was_read_is_kept(
    box: Sandbox, plain: tuple[ScanInfo, dict[str, Rows]], tmp_path: Path
) -> None:
    """Nothing that our own dead credentials could not read is kept as if an account had refused it."""
    for after in (3, 40, 90):
        box.faults.clear()
        folder, orders = tmp_path / str(after), ManyAccounts(ORG, limits=ConcurrencyLimits(8, 6, 8))
        writer = begin(FolderStore(folder), orders, plain[0].as_of)
        # The caller's session is over: whatever it signs is refused from now on, the own account's reads too.
        box.faults.add("expired-token", action="AssumeRole", after=after // 8)
        box.faults.add("expired-token", action="GetCallerIdentity", after=1)
        box.faults.add("expired-token", account=box.account_id, action="*", after=after)
        with entered(box), pytest.raises(CredentialsError, match="ExpiredToken"):
            go(fleet_of(writer, orders).read())
        box.faults.clear()
        again = ScanWriter.resume(FolderStore(folder), writer.info.id)
        assert again.read_so_far() < set(box.account_ids)
        with entered(box):
            go(fleet_of(again, orders).read())
        assert by_account(folder, again.finish()) == plain[1]


@pytest.mark.usefixtures("soon")
def test_the_own_account_is_not_blamed_for_dead_credentials(box: Sandbox, tmp_path: Path) -> None:
    """Where the caller's own account is the last one, its refusals still end the scan and are not kept."""
    own = ManyAccounts(AccountSelection(org=True, include=(box.account_id,)))
    writer = begin(FolderStore(tmp_path), own)
    box.faults.add("expired-token", action="GetCallerIdentity", after=1)
    box.faults.add("expired-token", action="List*Keys", after=2)
    with entered(box), pytest.raises(CredentialsError, match="ExpiredToken"):
        go(fleet_of(writer, own).read())
    assert writer.read_so_far() == set()


@pytest.mark.usefixtures("soon")
def test_refusals_that_are_not_ours_are_the_accounts(box: Sandbox, tmp_path: Path) -> None:
    """An account that refuses good credentials is recorded, and ends nobody's scan."""
    strange = next(a for a in box.account_ids[1:] if a not in closed(box))
    box.faults.add("expired-token", account=strange, action="ListUsers")
    found = by_account(tmp_path, read(box, tmp_path))
    assert status_of(found[strange])["ListUsers"] == "failed"
    assert "ExpiredToken" in detail_of(found[strange], "ListUsers")
    assert set(found) == set(box.account_ids)
