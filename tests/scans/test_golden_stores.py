"""Stores that earlier code wrote are read by today's; see tests/golden/README.md."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from birthright.scans.record import list_scans
from birthright.scans.store import FolderStore
from cli_helpers import Ran, in_process
from subject_helpers import PAGE, SOURCE, service_credentials

GOLDEN = Path(__file__).parents[1] / "golden"
STORES = ["scan-1", "scan-2", "scan-2-digests"]
BORN = "access-key-created-with-user"
FIRST = {"ann": "fail", "bob": "pass"}
LAST = {"ann": "pass", "bob": "pass", "carol": "fail"}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Copy a store: reading it keeps ledgers in it."""
    return Path(shutil.copytree(GOLDEN / str(request.param), tmp_path / "store"))


def birthright(store: Path, *arguments: object) -> Ran:
    """Run a command over a store."""
    return in_process({}, *arguments, "--store", store)


def report(store: Path, scan_id: str, *more: object) -> dict[str, Any]:
    """Judge a scan anew."""
    ran = birthright(store, "report", "--from", scan_id, "--format", "json", "--all", *more)
    assert ran.code in {0, 1, 3}, ran.err
    return ran.document


def verdicts(document: dict[str, Any], policy: str = BORN) -> dict[str, str]:
    """Give one policy's verdicts by user."""
    return {f["user_name"]: f["verdict"] for f in document["findings"] if f["policy"] == policy}


def test_scans_are_listed_and_judged(store: Path) -> None:
    """Both are found, oldest first, and say what they said when they were made."""
    first, last = list_scans(FolderStore(store))
    assert verdicts(report(store, first)) == FIRST
    assert verdicts(report(store, last)) == LAST
    assert birthright(store, "history", "--format", "json").document["series"][0]["scans"][1]["id"] == last


def test_scans_are_explained_and_queried(store: Path) -> None:
    """A subject is shown with its evidence, and its facts can be asked for."""
    explained = birthright(store, "explain", "carol")
    assert explained.code == 0, explained.err
    assert "created 2 s after its user" in explained.out
    ran = birthright(store, "query", "select count(*) as n from access_keys", "--format", "csv")
    assert ran.out.splitlines() == ["n", "3"]


def test_scans_are_compared(store: Path) -> None:
    """What is new since the first, and what is fixed."""
    first, last = list_scans(FolderStore(store))
    document = report(store, last, "--since", first, "--policy", BORN)
    assert {f["user_name"]: f["state"] for f in document["findings"] if f["verdict"] == "fail"} == {
        "carol": "new"
    }
    assert [f["user_name"] for f in document["fixed"]] == ["ann"]


def test_a_table_that_comes_changes_nothing_they_say(store: Path) -> None:
    """They are not damaged by it, and no finding is another, or new."""
    first, last = list_scans(FolderStore(store))
    before = report(store, last, "--since", first)
    shutil.rmtree(store / "history")
    with service_credentials():
        assert report(store, last, "--since", first) == before


def test_a_policy_about_a_table_that_came_later_is_unknown(store: Path, tmp_path: Path) -> None:
    """A scan that never had the facts passes nothing by them: one unknown for the account."""
    with service_credentials():
        page = tmp_path / "service-credential-forgotten.md"
        page.write_text(PAGE)
        (_, last) = list_scans(FolderStore(store))
        document = report(store, last, "--policies", page)
        found = [f for f in document["findings"] if f["policy"] == page.stem]
        assert [(f["verdict"], f["user_name"]) for f in found] == [("unknown", None)]
        assert f"{SOURCE} was not asked" in found[0]["reason"]
        assert verdicts(document) == LAST


@pytest.mark.parametrize("name", STORES)
def test_the_stores_are_as_they_were_made(name: str) -> None:
    """Their versions are those that the README says."""
    found = {json.loads(file.read_text())["schema"] for file in (GOLDEN / name).glob("scans/*/scan.json")}
    assert found == {f"birthright.{name[:6].replace('-', '/')}"}
