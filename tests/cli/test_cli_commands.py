"""explain, query, permissions, policy, help: what they print and what they end with."""

import csv
import io
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from birthright.cli.main import commands
from birthright.sandbox.sandbox import Sandbox
from cli_helpers import NOW, Birthright, Screen, enter, masked

BORN = "access-key-created-with-user"


@pytest.fixture
def keys(box: Sandbox, scan_of: Callable[..., Path], store: Path) -> dict[str, str]:
    """Keep a scan of the account in the store; return the key ids by user (users with one key)."""
    shutil.copytree(scan_of(60) / "store", store)
    users = box.account().users
    return {name: next(iter(user.keys)) for name, user in users.items() if len(user.keys) == 1}


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    "subject", ["ci-deploy-born-with-key", "root", "two-born-keys-same-second", "born-hours-ago", "path-user"]
)
def test_explain_a_user(subject: str, birthright: Birthright, snapshot: SnapshotAssertion) -> None:
    """A user's explanation: verdicts, evidence, what to do, the rule."""
    ran = birthright("explain", subject)
    assert (ran.code, ran.err) == (0, "")
    assert masked(ran.out) == snapshot


@pytest.mark.usefixtures("keys")
def test_explain_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns no fact, value or time is broken in two."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout", screen := Screen())
    assert commands.main(["explain", "born-6s"], standalone_mode=False) == 0
    monkeypatch.undo()
    text = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    (row,) = [line for line in text.splitlines() if line.startswith("  last_used_at")]
    assert re.fullmatch(r"  last_used_at +\S{19}Z GetCredentialReport +\d{4}-\d\d-\d\d \d\d:\d\d *", row)


def test_explain_by_key_id_fingerprint_and_arn(keys: dict[str, str], birthright: Birthright) -> None:
    """A key id, a finding's fingerprint (six characters are enough) and a user's ARN find their subject."""
    by_key = birthright("explain", keys["terraform-3s"])
    assert by_key.code == 0
    assert "terraform-3s, access key" in by_key.out
    findings = birthright("scan", "--from", "latest", "--format", "json").document["findings"]
    finding = next(f for f in findings if f["user_name"] == "terraform-3s" and f["policy"] == BORN)
    for length in (6, 32):
        by_print = birthright("explain", finding["fingerprint"][:length].upper())
        assert f"fingerprint {finding['fingerprint']}" in by_print.out
        assert "access-key-not-rotated" not in by_print.out
    assert "terraform-3s" in birthright("explain", finding["user_arn"]).out


@pytest.mark.usefixtures("small")
def test_explain_what_is_not_there(birthright: Birthright) -> None:
    """An unknown subject, a prefix that is too short, and a store without scans are wrong usage."""
    assert birthright("explain", "root").trouble.startswith("there is no scan in")
    birthright("scan")
    for subject in ("nobody-of-that-name", "0", "AKIA"):
        ran = birthright("explain", subject)
        assert ran.code == 2
        assert f"knows no fingerprint, key id or user '{subject}'" in ran.trouble
    assert birthright("explain", "root", "--from", "20200101T000000Z-000000").code == 2


def test_explain_in_an_organization(birthright: Birthright, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of more than ten subjects is refused with the first ten; --account chooses."""
    with Sandbox.create(users=4, accounts=14, clock=NOW, frozen=True).running() as box:
        enter(monkeypatch, box)
        birthright("scan", "--org", "--quiet")
    ran = birthright("explain", "root")
    assert ran.code == 2
    assert ran.trouble.startswith("'root' is in several accounts: ")
    assert ran.trouble.count("<root_account>") == 10
    assert ran.trouble.endswith(" and 2 more (choose one with --account)")
    first = ran.trouble.partition(" accounts: ")[2].split()[0]
    chosen = birthright("explain", "root", "--account", first)
    assert chosen.code == 0
    assert f"<root_account>  account {first}" in chosen.out
    elsewhere = birthright("explain", "root", "--account", "999999999999")
    assert elsewhere.code == 2
    assert "in account '999999999999'" in elsewhere.trouble


def test_commands_can_be_pasted(keys: dict[str, str], birthright: Birthright) -> None:
    """The AWS CLI commands shown are whole lines that a shell splits into the right words."""
    out = birthright("explain", "comma,plus+at@example.com").out
    lines = [shlex.split(line, comments=True) for line in out.splitlines() if line.startswith("    aws iam")]
    assert len(lines) == 4
    key = keys["comma,plus+at@example.com"]
    for line in lines:
        assert set(line[3::2]) <= {"--user-name", "--access-key-id", "--status"}
        assert set(line[4::2]) <= {"comma,plus+at@example.com", key, "Inactive"}


def test_a_name_that_begins_with_a_hyphen_stays_a_name(box: Sandbox, birthright: Birthright) -> None:
    """IAM allows the user `-rf`; the commands join it to its option."""
    user = box.account().add_user("-rf", box.clock.second())
    box.account().add_key(user, box.clock.second())
    assert birthright("scan").code == 1
    assert "--user-name=-rf " in birthright("explain", "--", "-rf").out


@pytest.mark.usefixtures("saved_small")
def test_query_in_each_format(birthright: Birthright, snapshot: SnapshotAssertion) -> None:
    """A SELECT over the saved facts, as a table, as records where that would be torn, CSV, JSON lines."""
    narrow = "select user_name, status, created_at, slot, null as x from access_keys order by 1"
    ran = birthright("query", narrow)
    assert ran.code == 0
    assert ran.out == snapshot(name="table")
    wide = birthright("query", "select * from access_keys where is_root")
    assert wide.out == snapshot(name="records")
    rows = list(csv.DictReader(io.StringIO(birthright("query", narrow, "--format", "csv").out)))
    lines = [json.loads(line) for line in birthright("query", narrow, "--format", "jsonl").out.splitlines()]
    assert [row["user_name"] for row in rows] == [line["user_name"] for line in lines]
    assert lines[0]["created_at"].endswith("Z")
    assert lines[0]["x"] is None
    assert birthright("query", "select user_name from principals where false").out.endswith("0 rows\n")
    as_of = birthright("query", "select $as_of as t, [$as_of] as l", "--format", "jsonl").out
    assert json.loads(as_of) == {"t": "2026-11-22T10:00:00Z", "l": ["2026-11-22T10:00:00Z"]}


@pytest.mark.usefixtures("saved_small")
@pytest.mark.parametrize(
    "sql",
    [
        "copy access_keys to 'stolen.csv'",
        "attach 'other.db'",
        "install httpfs",
        "set threads = 1",
        "pragma database_list",
        "create table t as select 1",
        "drop view access_keys",
        "select 1; select 2",
        "",
        "selec",
        "select nothing from access_keys",
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from read_text('/proc/self/environ')",
        "select user_name as a, status as a from access_keys",
    ],
)
def test_queries_that_are_refused(sql: str, birthright: Birthright, folder: Path) -> None:
    """Anything but one SELECT over the scan is refused in one line, and writes nothing."""
    before = list(folder.iterdir())
    ran = birthright("query", sql, "--format", "jsonl")
    assert ran.code == 2
    assert ran.trouble
    assert list(folder.iterdir()) == before


@pytest.mark.parametrize("depth", ["report", "keys"])
def test_permissions(depth: str, birthright: Birthright, snapshot: SnapshotAssertion) -> None:
    """The least policy for reading, in any partition."""
    ran = birthright("permissions", "--depth", depth, "--partition", "aws-cn")
    assert ran.code == 0
    assert json.loads(ran.out) == snapshot
    assert birthright("permissions", "--partition", 'x"').code == 2


def test_the_least_policy_is_enough(birthright: Birthright, monkeypatch: pytest.MonkeyPatch) -> None:
    """With exactly the actions that `permissions` prints, a scan reads everything."""
    policy = json.loads(birthright("permissions").out)
    actions = tuple(action for statement in policy["Statement"] for action in statement["Action"])
    with Sandbox.create(users=60, allow=actions).running() as box:
        for name, value in box.environment().items():
            monkeypatch.setenv(name, value)
        document = birthright("scan", "--format", "json").document
    assert {line["status"] for line in document["coverage"]} == {"ok"}


@pytest.mark.parametrize("name", ["", *sorted(commands.commands)])
def test_help(name: str, birthright: Birthright, snapshot: SnapshotAssertion) -> None:
    """The help of birthright and of each command."""
    ran = birthright(*filter(None, [name]), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == snapshot
    assert max(map(len, ran.out.splitlines())) <= 100


def test_version_and_no_arguments(birthright: Birthright) -> None:
    """--version says it; without arguments the help is shown, as wrong usage."""
    assert birthright("--version").out.startswith("birthright, version ")
    ran = birthright()
    assert "birthright demo" in ran.out + ran.err
    assert birthright("no-such-command").code == 2


def test_policies_are_listed_shown_and_tested(birthright: Birthright) -> None:
    """Policy list, show and test work on the pages that come with birthright."""
    assert BORN in birthright("policy", "list").out
    assert "## Rule" in birthright("policy", "show", BORN).out
    ran = birthright("policy", "test")
    assert (ran.code, ran.err) == (0, "")
