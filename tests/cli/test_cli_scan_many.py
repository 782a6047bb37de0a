"""`birthright scan` of many accounts, as people run it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from birthright.sandbox import Sandbox
from cli_helpers import NOW, Birthright, enter, kept, masked


@pytest.fixture
def organization(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Serve an organization of 12 accounts, two of them closed, its clock stopped."""
    with Sandbox.create(users=4, accounts=12, clock=NOW, frozen=True).running() as running:
        enter(monkeypatch, running)
        yield running


def test_an_organization(organization: Sandbox, birthright: Birthright) -> None:
    """Every account is in the answer, and the same scan again gives the same."""
    first = birthright("scan", "--org", "--format", "json", "--all")
    assert (first.code, first.err) == (1, "")
    accounts = {line["account_id"] for line in first.document["coverage"]}
    assert accounts == set(organization.account_ids)
    assert (first.document["scan"]["finished"], first.document["scan"]["complete"]) == (True, True)
    second = birthright("scan", "--org", "--format", "json", "--all")
    assert masked(second.out) == masked(first.out)
    saved = birthright("scan", "--from", "latest", "--format", "json", "--all")
    assert saved.out == second.out


def test_exit_codes(organization: Sandbox, birthright: Birthright) -> None:
    """1 where something fails, 3 where nothing does and an account could not be read."""
    one = ("scan", "--org", "--include", organization.account_ids[2], "--format", "json")
    good = ("--policy", "access-key-created-with-user")
    organization.faults.add("access-denied", action="AssumeRole")
    denied = birthright(*one, *good)
    assert denied.code == 3
    assert {line["status"] for line in denied.document["coverage"]} == {"denied"}
    organization.faults.clear()
    assert birthright(*one).code == 1


def test_all_is_well(birthright: Birthright, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 where every account is read and nothing fails."""
    with Sandbox.create(users=2, accounts=12, clock=NOW, frozen=True, cases=False).running() as box:
        enter(monkeypatch, box)
        ran = birthright("scan", "--org", "--policy", "root-access-key", "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.document["scan"]["complete"]
    assert {line["account_id"] for line in ran.document["coverage"]} == set(box.account_ids)
    assert {line["status"] for line in ran.document["coverage"]} == {"ok"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("scan --org --accounts x.csv", "--org, --accounts and --profiles do not go together"),
        ("scan --accounts nosuch.csv", "nosuch.csv"),
        ("scan --profiles a,a", "names none, or one twice"),
        ("scan --profiles ,", "names none, or one twice"),
        ("scan --org --role a/b/", "is no role's name"),
        ("scan --org --role-duration 5m", "not between 15m and 12h"),
        ("scan --org --role-duration soon", "is not a duration"),
        ("scan --org --session-name a*b", "--session-name"),
        ("scan --org --include 123", "an account id has 12 digits"),
        ("scan --org --include nosuch*", "no account is chosen"),
        ("scan --org --include 999999999999", "there is no such account in the organization"),
        ("scan --org --ou ou-none-none0000", "ou-none-none0000"),
        ("scan --org --max-calls 0", "--max-calls"),
        ("scan --org --store gs://bucket", "is no place for scans"),
        ("scan --org --dask nonsense", "is no place of workers"),
        ("scan --org --report-deadline soon", "--report-deadline"),
        ("scan --role x", "--role goes with --org"),
        ("scan --external-id x", "--external-id goes with --org"),
        ("scan --role-everywhere", "--role-everywhere goes with --org"),
        ("scan --include x", "--include goes with --org"),
        ("scan --max-calls 3", "--max-calls goes with --org"),
        ("scan --dask local", "--dask goes with --org"),
        ("scan --resume 20260101T000000Z-000000 --org", "exclude each other"),
        ("scan --resume 20260101T000000Z-000000 --depth keys", "exclude each other"),
        ("scan --resume 20260101T000000Z-000000 --from latest", "exclude each other"),
        ("scan --resume 20260101T000000Z-000000", "there is no scan"),
        ("scan --resume ../../etc", "is not the id of a scan"),
    ],
)
def test_misuse(
    arguments: str, told: str, organization: Sandbox, birthright: Birthright, store: Path
) -> None:
    """What cannot be meant is one clear line, code 2, before anything is kept."""
    Path("x.csv").write_text(f"id\n{organization.account_ids[0]}\n")
    ran = birthright(*arguments.split())
    assert ran.code == 2
    assert told in ran.trouble
    assert kept(store) == []


def test_the_settings_say_it_once(organization: Sandbox, birthright: Birthright) -> None:
    """`org` in birthright.toml makes every scan one of the organization; --no-org is one account again."""
    Path("birthright.toml").write_text('[scan]\norg = true\nexclude = ["workload-*"]\n')
    ran = birthright("scan", "--format", "json")
    names = {line["account_name"] for line in ran.document["accounts"]}
    assert "management" in names
    assert not [name for name in names if name.startswith("workload-")]
    ran = birthright("scan", "--no-org", "--format", "json")
    assert {line["account_id"] for line in ran.document["coverage"]} == {organization.account_id}


@pytest.mark.usefixtures("organization")
def test_other_commands_see_all_accounts(birthright: Birthright) -> None:
    """Query counts over all accounts; the table of accounts is there with its units."""
    birthright("scan", "--org")
    ran = birthright("query", "select count(distinct account_id) as n from principals", "--format", "csv")
    assert (ran.code, ran.out.split()) == (0, ["n", "10"])
    ran = birthright("query", "select count(*) as n from accounts where ou_path is null", "--format", "csv")
    assert ran.out.split() == ["n", "0"]
