"""`birthright waive` as people run it: what it writes, and what it refuses."""

import os
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from birthright.findings.model import Finding
from birthright.sandbox.sandbox import Sandbox
from birthright.waivers.apply import is_of_key
from birthright.waivers.file import load_waivers
from cli_helpers import Birthright, Ran, enter

BORN = "access-key-created-with-user"
WORDS = ("--reason", "vendor: rotates #1", "--expires", "2027-01-31", "--owner", "ops@example.com")
Waive = Callable[..., Ran]


@pytest.fixture
def waive(birthright: Birthright) -> Waive:
    """Run the command."""
    return lambda *arguments: birthright("waive", *arguments)


@pytest.fixture
def findings(box: Sandbox, birthright: Birthright, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Scan the sandbox; return all findings."""
    enter(monkeypatch, box)
    found: list[dict[str, Any]] = birthright("scan", "--all", "--format", "json").document["findings"]
    return found


def _first(findings: list[dict[str, Any]], **values: object) -> dict[str, Any]:
    return next(f for f in findings if all(f[name] == value for name, value in values.items()))


def test_an_entry_is_written(findings: list[dict[str, Any]], waive: Waive, folder: Path) -> None:
    """Six characters name the finding; the file says all that is needed, and the screen the same."""
    one = next(f for f in findings if f["policy"] == BORN and f["verdict"] == "fail" and f["access_key_id"])
    ran = waive(one["fingerprint"][:8], *WORDS, "--ticket", "SEC-1")
    assert ran.code == 0
    (entry,) = load_waivers(folder / "waivers.yaml")
    said = (entry.policy, entry.account, entry.user, entry.access_key_id)
    assert said == (BORN, one["account_id"], one["user_name"], one["access_key_id"])
    assert (entry.reason, entry.owner, entry.ticket) == ("vendor: rotates #1", "ops@example.com", "SEC-1")
    assert (entry.created, entry.expires) == (date(2026, 11, 22), date(2027, 1, 31))
    assert "It holds through 2027-01-31 UTC, 70 d." in ran.out
    for line in (folder / "waivers.yaml").read_text().splitlines()[2:]:
        assert line[2:] in ran.out
    again = waive(one["fingerprint"], *WORDS)
    assert again.code == 2
    assert "waived already, until 2027-01-31 by ops@example.com" in again.trouble


def test_a_person_s_finding_has_no_key(findings: list[dict[str, Any]], waive: Waive, folder: Path) -> None:
    """It is added after others, to the file that is named, whose comments stay."""
    file = folder / "own.yaml"
    file.write_text("# mine\nschema: birthright.waivers/1\nwaivers:\n# none yet\n")
    one = _first(findings, policy="console-user-without-mfa", verdict="fail")
    assert waive(one["fingerprint"], *WORDS, "--expires", "30d", "--waivers", file).code == 0
    (entry,) = load_waivers(file)
    assert (entry.access_key_id, entry.expires) == (None, date(2026, 12, 22))
    assert file.read_text().startswith(
        "# mine\nschema: birthright.waivers/1\nwaivers:\n# none yet\n  - policy:"
    )
    assert not (folder / "waivers.yaml").exists()


def test_from_a_file(
    findings: list[dict[str, Any]], waive: Waive, birthright: Birthright, folder: Path
) -> None:
    """The findings of a file will do, without its scan; --account narrows."""
    birthright("scan", "--from", "latest", "-o", "findings.json")
    one = _first(findings, policy=BORN, verdict="fail", user_name="ci-deploy-born-with-key")
    assert waive(one["fingerprint"], *WORDS, "--from", "findings.json", "--store", folder / "none").code == 0
    other = waive(one["fingerprint"], *WORDS, "--from", "findings.json", "--account", "999999999999")
    assert "in account '999999999999'" in other.trouble


def test_only_failures(findings: list[dict[str, Any]], waive: Waive, folder: Path) -> None:
    """What passes needs no waiver, and what could not be read needs none that hides it."""
    for verdict in ("pass", "unknown"):
        ran = waive(_first(findings, verdict=verdict)["fingerprint"], *WORDS)
        assert ran.code == 2
        assert "does not fail" in ran.trouble
    assert not list(folder.iterdir())


def test_a_key_without_an_id(
    box: Sandbox, birthright: Birthright, waive: Waive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report names no keys: it is said how they are read."""
    enter(monkeypatch, box)
    found = birthright("scan", "--depth", "report", "--format", "json").document["findings"]
    ran = waive(_first(found, policy=BORN, verdict="fail")["fingerprint"], *WORDS)
    assert ran.code == 2
    assert "was not read" in ran.trouble
    assert "--depth keys" in ran.trouble


_WRONG = (
    (("--expires", "tomorrow"), "neither a date nor a duration"),
    (("--expires", "2026-13-01"), "neither a date nor a duration"),
    (("--expires", "9" * 30 + "d"), "neither a date nor a duration"),
    (("--expires", "2026-11-22"), "not after today"),
    (("--expires", "5m"), "not after today"),
    (("--expires", "2020-01-01"), "not after today"),
    (("--expires", "367d"), "more than 366 days"),
    (("--expires", "2027-11-24"), "more than 366 days"),
    (("--reason", " "), "--reason: it is empty"),
    (("--reason", "a\nb"), "--reason: it holds a line break"),
    (("--reason", "\x1b[31m"), "--reason: it holds"),
    (("--owner", ""), "--owner: it is empty"),
    (("--ticket", "\u202e"), "--ticket: it holds"),
    (("--from", "nowhere"), "is not the id of a scan"),
    (("--from", "nowhere.json"), "cannot read nowhere.json"),
)


def test_wrong_options(findings: list[dict[str, Any]], waive: Waive, folder: Path) -> None:
    """One line each, and no file."""
    fingerprint = _first(findings, policy=BORN, verdict="fail")["fingerprint"]
    for changed, said in _WRONG:
        ran = waive(fingerprint, *WORDS, *changed)
        assert ran.code == 2
        assert said in ran.trouble
    assert not list(folder.iterdir())


def test_what_names_no_finding(findings: list[dict[str, Any]], waive: Waive) -> None:
    """A key id or a user name is no fingerprint: a waiver is of one finding."""
    for text in (
        "12345",
        "zzzzzz",
        "0" * 33,
        _first(findings, policy=BORN, user_name="terraform-3s")["user_name"],
    ):
        assert "is no fingerprint" in waive(text, *WORDS).trouble
    assert "knows no fingerprint" in waive("0" * 32, *WORDS).trouble
    nowhere = waive("0" * 32, *WORDS, "--waivers", "no/own.yaml")
    assert (nowhere.code, nowhere.trouble) == (2, "no: there is no such folder (create it first)")


def test_a_broken_file_is_left_alone(findings: list[dict[str, Any]], waive: Waive, folder: Path) -> None:
    """Its line is named, and nothing is written into it."""
    file = folder / "waivers.yaml"
    file.write_text("schema: birthright.waivers/1\nwaivers:\n- policy: x\n  user: no\n")
    before = file.read_bytes()
    ran = waive(_first(findings, policy=BORN, verdict="fail")["fingerprint"], *WORDS)
    assert ran.code == 2
    assert ran.trouble.startswith("waivers.yaml, line ")
    assert file.read_bytes() == before


def test_where_only_a_person_can_add_it(findings: list[dict[str, Any]], waive: Waive, folder: Path) -> None:
    """The entry is printed as lines that fit into the file, which stays as it was."""
    one = _first(findings, policy=BORN, verdict="fail", user_name="born-6s")
    file = folder / "waivers.yaml"
    file.write_text("schema: birthright.waivers/1\nwaivers: []\n")
    ran = waive(one["fingerprint"], *WORDS)
    assert ran.code == 2
    assert ran.err == "birthright: waivers.yaml: an entry cannot be added at its end (add it by hand)\n"
    assert file.read_text().endswith("waivers: []\n")
    file.write_text(f"schema: birthright.waivers/1\nwaivers:\n{ran.out}")
    (entry,) = load_waivers(file)
    assert entry.access_key_id == one["access_key_id"]


def test_who_answers_for_it(
    findings: list[dict[str, Any]], waive: Waive, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git says it, where it does; nobody is made up where it does not."""
    one = _first(findings, policy="console-user-without-mfa", verdict="fail")
    words = (one["fingerprint"], *WORDS[:4])
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    missing = waive(*words)
    assert missing.code == 2
    assert "--owner" in missing.trouble
    config = folder.parent / "gitconfig"
    subprocess.run(["git", "config", "--file", config, "user.email", "ann@example.com"], check=True)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    ran = waive(*words)
    assert ran.code == 0
    assert "owner: ann@example.com" in ran.out
    monkeypatch.setenv("PATH", str(folder))
    other = waive(*words)
    assert "git has no user.email" in other.trouble


def test_every_failure_is_waived_or_refused_for_want_of_an_id(
    findings: list[dict[str, Any]], waive: Waive, birthright: Birthright, folder: Path
) -> None:
    """One of each policy: what was added covers the finding, as the second try shows."""
    birthright("scan", "--from", "latest", "-o", "findings.json")
    failing = {f["policy"]: f for f in findings if f["verdict"] == "fail"}
    waived = 0
    for one in failing.values():
        words = (one["fingerprint"], *WORDS, "--from", "findings.json")
        first, second = waive(*words), waive(*words)
        if one["access_key_id"] is None and is_of_key(msgspec.convert(one, Finding)):
            assert "was not read" in first.trouble
        else:
            assert first.code == 0
            assert "waived already" in second.trouble
            waived += 1
    assert len(load_waivers(folder / "waivers.yaml")) == waived > 5
