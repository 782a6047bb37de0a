"""`birthright scan` on the sandbox: what it prints, what it keeps, and what it ends with."""

import csv
import io
import json
from collections import Counter
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import time_machine
from syrupy.assertion import SnapshotAssertion

from birthright.sandbox.sandbox import Sandbox
from cli_helpers import NOW, Birthright, masked

if TYPE_CHECKING:
    from birthright.sandbox.population import Expected

BORN = "access-key-created-with-user"
SCHEMA = json.loads((resources.files("birthright.reports") / "findings-1.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


def hold(document: dict[str, Any]) -> dict[str, Any]:
    """Hold a document against the published schema, and its counts against its findings."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []
    counts = Counter(finding["verdict"] for finding in document["findings"])
    for verdict in ("fail", "unknown"):
        assert document["summary"][verdict] == counts[verdict]
        assert document["summary"][verdict] == sum(line[verdict] for line in document["policies"])
    fingerprints = [finding["fingerprint"] for finding in document["findings"]]
    assert len(set(fingerprints)) == len(fingerprints)
    return document


@pytest.mark.parametrize("form", ["terminal", "json", "jsonl", "csv"])
def test_each_format_of_the_same_scan(
    form: str, small: Sandbox, birthright: Birthright, snapshot: SnapshotAssertion
) -> None:
    """A scan of a small account prints this, in each format."""
    ran = birthright("scan", "--format", form)
    assert (ran.code, ran.err) == (1, "")
    assert "\x1b" not in ran.out
    assert masked(ran.out) == snapshot
    assert small.errors.total() == 0


@pytest.mark.usefixtures("box")
def test_the_whole_population_on_the_terminal(birthright: Birthright, snapshot: SnapshotAssertion) -> None:
    """The report of every named case."""
    ran = birthright("scan")
    assert masked(ran.out) == snapshot
    assert max(map(len, ran.out.splitlines())) <= 120


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize("depth", ["report", "keys"])
@pytest.mark.parametrize("all_", [[], ["--all"]])
def test_the_json_keeps_its_contract(depth: str, all_: list[str], birthright: Birthright) -> None:
    """At both depths, with and without passes, the document is what its schema says."""
    document = hold(birthright("scan", "--format", "json", "--depth", depth, *all_).document)
    counts = Counter(finding["verdict"] for finding in document["findings"])
    assert counts["pass"] == (document["summary"]["pass"] if all_ else 0)
    assert document["scan"]["depth"] == depth
    assert document["summary"]["fail"] > 50


@pytest.mark.usefixtures("small")
def test_every_line_of_jsonl_keeps_the_contract(birthright: Birthright) -> None:
    """A line is the scan, a coverage line or a finding of the same schema, beside its kind."""
    lines = [json.loads(line) for line in birthright("scan", "--format", "jsonl").out.splitlines()]
    assert list(dict.fromkeys(line["kind"] for line in lines)) == ["scan", "coverage", "finding"]
    for line in lines:
        kind = line.pop("kind")
        if kind == "scan":
            assert line.keys() == {"schema", "scan", "summary"}
            continue
        part = {"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]}
        jsonschema.Draft202012Validator(part, format_checker=jsonschema.FormatChecker()).validate(line)


@pytest.mark.usefixtures("box")
def test_csv_has_a_row_per_finding_with_the_values_of_the_json(birthright: Birthright) -> None:
    """The CSV reads back with Python's csv module, and negative gaps are still numbers."""
    rows = list(csv.DictReader(io.StringIO(birthright("scan", "--format", "csv").out)))
    findings = birthright("scan", "--from", "latest", "--format", "json").document["findings"]
    assert [row["fingerprint"] for row in rows] == [finding["fingerprint"] for finding in findings]
    assert [row["user_name"] for row in rows] == [finding["user_name"] or "" for finding in findings]
    gaps = [None if row["gap_seconds"] == "" else int(row["gap_seconds"]) for row in rows]
    assert gaps == [finding["gap_seconds"] for finding in findings]
    assert -3600 in gaps


def verdicts(document: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    """Gather the first policy's verdicts by user and key id."""
    found: dict[tuple[str, str], list[str]] = {}
    for finding in document["findings"]:
        if finding["policy"] == BORN:
            place = finding["user_name"], finding["access_key_id"] or ""
            found.setdefault(place, []).append(finding["verdict"])
    return found


def test_the_verdicts_are_those_written_down_by_hand(box: Sandbox, birthright: Birthright) -> None:
    """Every named key gets the verdict that its case was written with; absent ones do not appear."""
    found = verdicts(birthright("scan", "--all", "--format", "json").document)
    for case in box.expected:
        key = "" if case.user_name == "<root_account>" else case.access_key_id
        wanted = [] if case.verdict == "absent" else [case.verdict]
        if not (case.optional and (case.user_name, key) not in found):
            assert found.get((case.user_name, key), []) == wanted, case
    named = {case.user_name for case in box.expected}
    ids = {case.access_key_id for case in box.expected} | {""}
    assert {key for user, key in found if user in named} <= ids


def test_the_report_alone_says_what_it_can(box: Sandbox, birthright: Birthright) -> None:
    """Of a user whom the report describes as the listings do, it gives the same verdicts."""
    found = verdicts(birthright("scan", "--all", "--format", "json", "--depth", "report").document)
    changed = {"absent"}
    by_user: dict[str, list[Expected]] = {}
    for case in box.expected:
        by_user.setdefault(case.user_name, []).append(case)
    compared = 0
    for user, cases in by_user.items():
        stale = "since" in user or "newer" in user or "third" in user or "three" in user or "hours" in user
        if stale or any(case.optional or case.verdict in changed for case in cases):
            continue
        assert Counter(found[user, ""]) == Counter(case.verdict for case in cases), user
        compared += 1
    assert compared > 25


@pytest.mark.usefixtures("box")
def test_fingerprints_are_the_same_at_both_depths_and_with_passes(birthright: Birthright) -> None:
    """A failure that both depths see has one fingerprint, two keys of the same second included."""

    def failures(*options: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for finding in birthright("scan", "--format", "json", *options).document["findings"]:
            if finding["verdict"] == "fail" and finding["policy"] == BORN:
                found.setdefault(finding["user_name"], set()).add(finding["fingerprint"])
        return found

    keys, report, with_passes = failures(), failures("--depth", "report"), failures("--all")
    assert keys == with_passes
    both = keys.keys() & report.keys() - {"three-keys", "third-key-born"}
    assert {user: keys[user] for user in both} == {user: report[user] for user in both}
    assert len(keys["two-born-keys-same-second"]) == 2
    assert "two-born-keys-one-inactive" in both


def test_two_scans_of_an_unchanged_account_differ_only_in_ages(
    box: Sandbox, birthright: Birthright, frozen: time_machine.Traveller
) -> None:
    """An hour later every finding stands in the same place with the same facts and fingerprint."""
    first = birthright("scan", "--format", "json", "--policy", BORN).document
    frozen.shift(timedelta(hours=1))
    box.clock.advance(timedelta(hours=1))
    second = birthright("scan", "--format", "json", "--policy", BORN).document
    for document in (first, second):
        document.pop("scan")
        for line in document["coverage"]:
            line.pop("seconds")
            line["detail"] = line["detail"].replace("made 3 h ago", "made 2 h ago")
        for finding in document["findings"]:
            finding["evidence"] = [item for item in finding["evidence"] if item.pop("as_of")]
    young = {"born-hours-ago", "newer-than-report"}
    for finding in (*first["findings"], *second["findings"]):
        assert finding["user_name"] not in young or finding["remedy"] == "review"
    assert first == second


@pytest.mark.usefixtures("box")
def test_findings_are_sorted(birthright: Birthright) -> None:
    """Findings stand by account, policy, user and time, so that two scans diff cleanly."""
    findings = birthright("scan", "--all", "--format", "json").document["findings"]
    places = [(f["account_id"], f["policy"], f["user_name"] or "", f["created_at"] or "9") for f in findings]
    assert places == sorted(places)


@pytest.mark.usefixtures("box")
def test_saved_facts_are_judged_the_same_again(
    birthright: Birthright, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """`--from` gives the live scan's JSON byte for byte, in another folder, with the scan's own --set."""
    live = birthright("scan", "--set", f"{BORN}.window=8s", "--format", "json")
    assert live.document["policies"][0]["parameters"]["window"] == "8 s"
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    (folder / "elsewhere" / "birthright.toml").write_text(f'[set.{BORN}]\nwindow = "90s"\n')
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    again = birthright("scan", "--from", live.document["scan"]["id"], "--format", "json")
    assert again == live
    assert birthright("scan", "--from", "latest", "--format", "json") == live


@pytest.mark.usefixtures("small")
def test_saved_facts_can_be_judged_otherwise(birthright: Birthright) -> None:
    """`--from` with --set judges the same facts by another parameter."""
    assert birthright("scan", "--policy", BORN).code == 1
    ran = birthright("scan", "--from", "latest", "--policy", BORN, "--set", f"{BORN}.window=0s")
    assert ran.code == 0
    assert "No active access key was created together with its user." in ran.out


@pytest.mark.usefixtures("small")
def test_judging_again_keeps_what_was_set(birthright: Birthright) -> None:
    """`--from` with --policy or --set changes that, and keeps the rest of how the scan was judged."""
    assert birthright("scan", "--set", f"{BORN}.window=0s", "--policy", BORN).code == 0
    assert birthright("scan", "--from", "latest", "--policy", BORN).code == 0
    assert birthright("scan", "--from", "latest", "--set", f"{BORN}.console_users_only=false").code == 0
    assert birthright("scan", "--from", "latest", "--set", f"{BORN}.window=7s").code == 1


def test_exit_codes_are_graded(small: Sandbox, birthright: Birthright) -> None:
    """0 in order, 1 something fails, 2 wrong usage, 3 none does but not all was read, 4 our fault."""
    born = ("scan", "--policy", BORN)
    assert birthright(*born).code == 1
    assert birthright(*born, "--set", f"{BORN}.window=0s").code == 0
    small.faults.add("access-denied", action="ListUsers")
    assert birthright(*born, "--set", f"{BORN}.window=0s").code == 3
    assert birthright(*born, "--set", "nonsense").code == 2
    assert birthright("scan", "--store", "/proc/nowhere").code == 4


@pytest.mark.usefixtures("small")
def test_files_are_written_beside_the_terminal(birthright: Birthright, folder: Path) -> None:
    """Each -o takes its format from its ending, and the terminal still shows the report."""
    ran = birthright("scan", "-o", "a.json", "-o", "a.csv", "-o", "a.jsonl", "-o", "a.txt")
    assert ran.code == 1
    assert ran.out.startswith((folder / "a.txt").read_text("utf-8"))
    document = hold(json.loads((folder / "a.json").read_text("utf-8")))
    assert (folder / "a.csv").read_text("utf-8").count("\n") == len(document["findings"]) + 1
    assert sorted(path.name for path in folder.iterdir()) == ["a.csv", "a.json", "a.jsonl", "a.txt"]
    assert (folder / "a.json").stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("small")
def test_a_named_format_goes_into_the_file_only(birthright: Birthright, folder: Path) -> None:
    """With --format and -o nothing is printed."""
    assert birthright("scan", "--format", "json", "-o", "findings")[:2] == (1, "")
    hold(json.loads((folder / "findings").read_text("utf-8")))


@pytest.mark.usefixtures("box")
def test_options_choose_the_policies(birthright: Birthright) -> None:
    """--policy judges by these only, each once."""
    chosen = ("--policy", "root-access-key", "--policy", "root-without-mfa")
    document = hold(birthright("scan", *chosen, "--format", "json").document)
    assert [line["id"] for line in document["policies"]] == ["root-access-key", "root-without-mfa"]
    assert [finding["user_name"] for finding in document["findings"]] == ["<root_account>"] * 2


@pytest.mark.usefixtures("small")
def test_settings_come_from_birthright_toml_and_the_command_line_wins(
    birthright: Birthright, folder: Path
) -> None:
    """birthright.toml sets depth, store, policies and parameters; options override it."""
    (folder / "birthright.toml").write_text(
        f'[scan]\ndepth = "report"\nstore = "kept"\npolicy = ["{BORN}"]\n[set.{BORN}]\nwindow = "1s"\n'
    )
    document = birthright("scan", "--format", "json").document
    assert document["scan"]["depth"] == "report"
    assert document["policies"][0]["parameters"]["window"] == "1 s"
    assert len(document["policies"]) == 1
    assert (folder / "kept" / "scans" / document["scan"]["id"]).is_dir()
    over = ("--depth", "keys", "--set", f"{BORN}.window=9s", "--format", "json")
    document = birthright("scan", *over).document
    assert document["scan"]["depth"] == "keys"
    assert document["policies"][0]["parameters"]["window"] == "9 s"


PAGE = """---
id: any-key
title: There are no keys at all
risk: medium
effort: low
subject: access-key
---

Ours.

## Rule

```sql
select *, false as compliant, '[red]keys[/red] are out' as reason from access_keys
```

## Remediation

Delete it.

## Tests

```yaml
- name: any
  keys: [{created_at: user + 1s}]
  expect: fail
```
"""


@pytest.mark.usefixtures("small")
def test_pages_of_ones_own_judge_beside_the_built_in_ones(birthright: Birthright, folder: Path) -> None:
    """--policies adds pages, relative to where it is said; the scan remembers where they are."""
    (folder / "pages").mkdir()
    (folder / "pages" / "any-key.md").write_text(PAGE)
    ran = birthright("scan", "--policies", "pages", "--policy", "any-key")
    assert ran.code == 1
    assert "[red]keys[/red] are out" in ran.out
    live = birthright("scan", "--policies", "pages", "--format", "json")
    hold(live.document)
    assert "any-key" in {line["id"] for line in live.document["policies"]}
    assert birthright("scan", "--from", live.document["scan"]["id"], "--format", "json") == live


def test_denied_reads_are_unknown_and_keep_the_contract(box: Sandbox, birthright: Birthright) -> None:
    """Whatever is denied, the document keeps its schema and says so in its coverage."""
    for action in ("GenerateCredentialReport", "ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed"):
        box.faults.clear()
        box.faults.add("access-denied", action=action)
        ran = birthright("scan", "--all", "--format", "json")
        document = hold(ran.document)
        denied = [line for line in document["coverage"] if line["status"] in {"denied", "partial"}]
        assert denied, action
        assert "AccessDenied" in denied[0]["detail"]
        assert "birthright permissions" in denied[0]["detail"]
        assert ran.err == ""
    assert NOW.isoformat()[:19] == document["scan"]["as_of"][:19]


def test_evidence_says_who_said_it(box: Sandbox, birthright: Birthright) -> None:
    """When ListUsers is denied the users' creation comes from the report, as of the report's making."""

    def said(document: dict[str, Any]) -> set[tuple[str, str]]:
        items = [item for finding in document["findings"] for item in finding["evidence"]]
        return {(item["source"], item["as_of"]) for item in items if item["fact"] == "user_created_at"}

    report = ("GetCredentialReport", "2026-11-22T08:00:00Z")
    listing = ("ListUsers", "2026-11-22T10:00:00Z")
    assert said(birthright("scan", "--format", "json").document) == {report, listing}
    box.faults.add("access-denied", action="ListUsers")
    assert said(birthright("scan", "--format", "json").document) == {report}


def test_an_empty_account_and_one_with_missing_facts(
    birthright: Birthright, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account of one user keeps the contract; so does one whose report has unreadable cells."""
    with Sandbox.create(users=0, cases=False, clock=NOW, frozen=True).running() as box:
        for name, value in box.environment().items():
            monkeypatch.setenv(name, value)
        document = hold(birthright("scan", "--all", "--format", "json").document)
        assert document["summary"]["access_keys"] == 1
        row = "u,arn:aws:iam::111122223333:user/u,soon,true,N/A,N/A,N/A,maybe,true,never,N/A,N/A,N/A"
        head = (
            "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,"
            "password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,"
            "access_key_2_active,access_key_2_last_rotated,cert_1_active"
        )
        box.faults.add("report-body", body=f"{head}\n{row}\n")
        ran = birthright("scan", "--all", "--format", "json", "--depth", "report")
        found = hold(ran.document)["findings"]
        assert {f["verdict"] for f in found if f["user_name"] == "u" and f["policy"] == BORN} == {"unknown"}
        assert "'soon' is not a date" in ran.document["coverage"][0]["detail"]
