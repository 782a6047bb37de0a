"""`birthright report`, as people run it: a saved scan or a file, in every form, waived, compared, refused."""

import csv
import io
import json
import re
import resource
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from junitparser import JUnitXml

from birthright.reports.formats import FORMATS
from birthright.sandbox.sandbox import Sandbox
from cli_helpers import Birthright

BORN = "access-key-created-with-user"
WORDS = ("--reason", "r", "--expires", "90d", "--owner", "ops@example.com")
_LATER = {"birthright.findings/1": "birthright.findings/2", "birthright.scan/2": "birthright.scan/3"}
Counts = tuple[int, int]


@pytest.fixture
def scanned(saved_small: Path, small: Sandbox) -> dict[str, Any]:
    """Keep a scan of an account of four users; its document is findings.json, too."""
    assert small.account_ids
    found: dict[str, Any] = json.loads(saved_small.read_bytes())
    return found


def _failing_key(document: dict[str, Any]) -> dict[str, Any]:
    found = (f for f in document["findings"] if f["policy"] == BORN and f["verdict"] == "fail")
    return next(f for f in found if f["access_key_id"])


@pytest.fixture
def waived(scanned: dict[str, Any], birthright: Birthright) -> dict[str, Any]:
    """Waive the first failure of a key."""
    one = _failing_key(scanned)
    assert birthright("waive", one["fingerprint"], *WORDS).code == 0
    return one


def _of_json(text: str) -> Counts:
    document = json.loads(text)
    found = [f for f in document["findings"] if f["verdict"] == "fail"]
    covered = sum(f["waiver"] is not None for f in found)
    summary = document["summary"]
    assert (summary["fail"], summary["waived"]) == (len(found) - covered, covered)
    for lines in (document["policies"], document["accounts"]):
        assert sum(line["fail"] for line in lines) == summary["fail"]
        assert sum(line["waived"] for line in lines) == summary["waived"]
    return summary["fail"], summary["waived"]


def _of_jsonl(text: str) -> Counts:
    found = [line for line in map(json.loads, text.splitlines()) if line.get("verdict") == "fail"]
    return sum(f["waiver"] is None for f in found), sum(f["waiver"] is not None for f in found)


def _of_csv(text: str) -> Counts:
    found = [row for row in csv.DictReader(io.StringIO(text)) if row["verdict"] == "fail"]
    covered = sum(bool(row["waiver_expires"]) for row in found)
    return len(found) - covered, covered


def _of_sarif(text: str) -> Counts:
    found = [result for result in json.loads(text)["runs"][0]["results"] if result["kind"] == "fail"]
    covered = sum(bool(result.get("suppressions")) for result in found)
    return len(found) - covered, covered


def _of_ocsf(text: str) -> Counts:
    found = [event["status"] for event in json.loads(text) if event["status_code"] == "FAIL"]
    return found.count("New"), found.count("Suppressed")


def _of_asff(text: str) -> Counts:
    found = [one.get("Workflow") for one in json.loads(text) if one["Compliance"]["Status"] == "FAILED"]
    return found.count({"Status": "NEW"}), found.count({"Status": "SUPPRESSED"})


def _of_junit(text: str) -> Counts:
    suites = JUnitXml.fromstring(text.encode())
    skipped = [result.message or "" for suite in suites for case in suite for result in case.result]
    return suites.failures, sum(message.startswith("waived") for message in skipped)


def _of_words(text: str) -> Counts:
    found = re.search(r"(\d+) failures?, .*?(\d+) waived", text)
    assert found
    return int(found[1]), int(found[2])


_COUNTS: dict[str, Callable[[str], Counts]] = {
    "asff": _of_asff,
    "csv": _of_csv,
    "json": _of_json,
    "jsonl": _of_jsonl,
    "junit": _of_junit,
    "markdown": _of_words,
    "ocsf": _of_ocsf,
    "ocsf-1.6": _of_ocsf,
    "sarif": _of_sarif,
    "terminal": _of_words,
}


@pytest.mark.parametrize("form", sorted(FORMATS.keys() - {"html"}))
def test_every_form_says_the_same(
    form: str, scanned: dict[str, Any], waived: dict[str, Any], birthright: Birthright
) -> None:
    """From the saved scan and from a file: the same text and counts, the waived one apart, exit code 1."""
    assert birthright("report", "-o", "again.json").code == 1
    from_scan, from_file = (
        birthright("report", "--format", form, *source) for source in ((), ("--from", "again.json"))
    )
    assert (from_scan.code, from_scan.err) == (from_file.code, from_file.err) == (1, "")
    assert from_scan.out == from_file.out
    assert waived["policy"] == BORN
    assert _COUNTS[form](from_scan.out) == (scanned["summary"]["fail"] - 1, 1)


def test_a_file_is_as_it_was_written(waived: dict[str, Any], birthright: Birthright) -> None:
    """A file of findings keeps its waivers where nobody says others; --no-waivers takes them out."""
    assert birthright("report", "-o", "again.json").code == 1
    Path("waivers.yaml").unlink()
    counts = [
        _of_json(birthright("report", "--from", "again.json", "--format", "json", *more).out)
        for more in ((), ("--no-waivers",))
    ]
    assert counts == [(counts[1][0] - 1, 1), (counts[1][0], 0)]
    assert waived["fingerprint"] in Path("again.json").read_text()


def test_a_waiver_ends(
    scanned: dict[str, Any], birthright: Birthright, frozen: time_machine.Traveller
) -> None:
    """Of a policy whose one failure is waived the exit code is 0 through the last day, and 1 from then on."""
    policy = ("--policy", "console-user-with-access-key")
    (one,) = (f for f in scanned["findings"] if f["policy"] == policy[1] and f["verdict"] == "fail")
    assert birthright("report", *policy).code == 1
    assert birthright("waive", one["fingerprint"], *WORDS).code == 0
    codes = []
    for days in (0, 90, 1):
        frozen.shift(timedelta(days=days))
        codes.append((birthright("scan", *policy).code, birthright("report", "--no-waivers").code))
    assert codes == [(0, 1), (0, 1), (1, 1)]
    assert "ended 2027-02-20" in birthright("report").out


def test_what_is_new_since_the_last_scan(
    scanned: dict[str, Any], birthright: Birthright, small: Sandbox, frozen: time_machine.Traveller
) -> None:
    """A key that is removed between two scans is fixed, in a report of the second one as in the scan."""
    gone = _failing_key(scanned)
    user = small.account().users[gone["user_name"]]
    frozen.shift(timedelta(days=1))
    small.account().remove_key(user, user.keys[gone["access_key_id"]])
    scan = birthright("scan", "--format", "json", "--since", "last").document
    report = birthright("report", "--format", "json", "--since", "last")
    assert report.document == scan
    assert gone["fingerprint"] in {finding["fingerprint"] for finding in scan["fixed"]}
    assert birthright("report", "--from", scanned["scan"]["id"], "--format", "json").document["fixed"] == []


def test_a_file_that_was_compared_needs_no_other(
    scanned: dict[str, Any], birthright: Birthright, frozen: time_machine.Traveller
) -> None:
    """What is new stands in it already: --fail-on new asks for nothing to compare it with."""
    frozen.shift(timedelta(days=1))
    assert birthright("scan", "--since", "last", "-o", "compared.json").code == 1
    assert birthright("report", "--from", "compared.json", "--fail-on", "new", "-o", "r.html").code == 0
    ran = birthright("report", "--from", "findings.json", "--fail-on", "new")
    assert (ran.code, "--since FILE.json" in ran.trouble) == (2, True)
    assert scanned["changes"] is None


def test_the_page_is_written(waived: dict[str, Any], birthright: Birthright) -> None:
    """HTML from a scan and from a file: the waived finding is in both, as one."""
    for source in ("latest", "findings.json"):
        assert birthright("report", "--from", source, "-o", "report.html").code == 1
        assert f'["{waived["fingerprint"]}","waived"' in Path("report.html").read_text()


def test_another_parameter(scanned: dict[str, Any], birthright: Birthright) -> None:
    """A saved scan is judged as it was, unless the command says else; a file is judged already."""
    fails = [f for f in scanned["findings"] if f["policy"] == BORN and f["verdict"] == "fail"]
    other = birthright("report", "--policy", BORN, "--set", f"{BORN}.window=1s", "--format", "json").document
    assert 0 < other["summary"]["fail"] < len(fails)
    assert birthright("report", "--format", "json").document["summary"] == scanned["summary"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "findings.json", "--policy", BORN], "--policy does not go with a file"),
        (["--from", "findings.json", "--set", f"{BORN}.window=1s"], "--set does not go with a file"),
        (["--from", "findings.json", "--policies", "p"], "--policies does not go with a file"),
        (["--from", "findings.json", "--all"], "--all does not go with a file"),
        (["--from", "findings.json", "--since", "last"], "not of a scan in the store (compare with a file"),
        (["--from", "missing.json"], "cannot read missing.json: No such file or directory"),
        (["--from", "./missing"], "cannot read missing: No such file or directory"),
        (["--from", "yesterday"], "'yesterday' is not the id of a scan"),
        (["--from", "20200101T000000Z-000000"], "there is no scan 20200101T000000Z-000000"),
        (["--waivers", "w.yaml", "--no-waivers"], "--waivers and --no-waivers exclude each other"),
        (["--waivers", "w.yaml"], "cannot read w.yaml: No such file or directory"),
        (["--fail-on", "old"], "'old' is not known"),
        (["--format", "csv", "-o", "a.csv", "-o", "b.csv"], "--format goes with one -o"),
        (["-o", "report.docx"], "no format is known for 'report.docx'"),
        (["-o", "there/is/no.html"], "there is no such folder"),
        (["-o", "."], "is a folder"),
        (["--notify", "nonsense"], "notification URL"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: list[str], said: str, scanned: dict[str, Any], birthright: Birthright
) -> None:
    """Nothing is printed and nothing is written; the line says what to do."""
    before = sorted(Path.cwd().iterdir())
    ran = birthright("report", *arguments)
    assert ran.code in {2, 4}
    assert said in ran.trouble
    assert sorted(Path.cwd().iterdir()) == before
    assert scanned["findings"]


def test_waivers_that_a_link_does_not_lead_to(scanned: dict[str, Any], birthright: Birthright) -> None:
    """A ./waivers.yaml that cannot be read is never taken for one that is not there."""
    Path("waivers.yaml").symlink_to("nowhere.yaml")
    ran = birthright("report")
    assert ran.code == 2
    assert ran.trouble.startswith("cannot read waivers.yaml: No such file or directory")
    assert birthright("report", "--no-waivers", "--format", "csv").code == 1
    assert scanned["waivers"] == []


def test_an_output_that_cannot_be_written(scanned: dict[str, Any], birthright: Birthright) -> None:
    """The disk refuses while the file is written: one line, and the file that was there stays."""
    Path("report.html").write_text("before")
    before = sorted(Path.cwd().iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        ran = birthright("report", "-o", "report.html")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert scanned["findings"]
    assert ran.code == 4
    assert "report.html: File too large" in ran.trouble
    assert Path("report.html").read_text() == "before"
    assert sorted(Path.cwd().iterdir()) == before


@pytest.mark.parametrize("named", ["latest", "findings.json"])
def test_what_a_newer_birthright_wrote(
    named: str, scanned: dict[str, Any], birthright: Birthright, store: Path
) -> None:
    """A scan and a file of a later schema are refused by name, with what to do."""
    file = store / "scans" / scanned["scan"]["id"] / "scan.json" if named == "latest" else Path(named)
    text = file.read_text()
    kind = next(kind for kind in _LATER if kind in text)
    file.write_text(text.replace(kind, _LATER[kind]))
    ran = birthright("report", "--from", named)
    assert ran.code in {2, 4}
    assert ran.trouble.endswith("(upgrade birthright)")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "birthright.plan/1"}', "\0", "{" * 100_000])
def test_a_file_that_is_none(text: str, birthright: Birthright) -> None:
    """What is no document of findings is refused in one line."""
    Path("other.json").write_text(text)
    ran = birthright("report", "--from", "other.json")
    assert ran.code == 2
    assert ran.trouble.startswith("other.json ")


def test_pushing_without_credentials(
    scanned: dict[str, Any], birthright: Birthright, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is written, that nothing was pushed is one line, and failures are still exit code 1."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    ran = birthright("report", "--push", "security-hub", "-o", "r.csv", "--region", "eu-central-1")
    assert ran.code == 1
    assert ran.err.startswith("birthright: there are no AWS credentials")
    assert ran.err.count("\n") == 1
    assert len(Path("r.csv").read_text().splitlines()) == 1 + scanned["summary"]["fail"]
    passing = birthright("report", "--push", "security-hub", "--fail-on", "risk>=critical", "--policy", BORN)
    assert passing.code == 3


def test_people_are_told_by_scans_and_not_again_by_reports(
    scanned: dict[str, Any], birthright: Birthright, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BIRTHRIGHT_NOTIFY stands for every scan; who looks at one once more tells nobody."""
    assert scanned
    monkeypatch.setenv("BIRTHRIGHT_NOTIFY", "nothing://like/a/url")
    assert birthright("report", "--format", "csv").code == 1
    assert birthright("scan", "--from", "latest").code == 1
    refused = birthright("scan")
    assert (refused.code, "nothing://..." in refused.err) == (2, True)
