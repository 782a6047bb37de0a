"""Scans of files: reports that do not say when they were made, and listings alone."""

import json
import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli_helpers import Birthright

ACCOUNT = "111122223333"
BORN = "access-key-created-with-user"
DOCS = Path(__file__).parents[2] / "docs"
SLOT = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
COLUMNS = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,mfa_active".split(
        ","
    )
    + [f"access_key_{slot}_{what}" for slot in (1, 2) for what in SLOT]
    + ["cert_1_active", "cert_2_active"]
)
NO_KEY = ("false", "N/A", "N/A", "N/A", "N/A")
# The newest time in the file is ann's, 2026-07-01; root signed in, and bob's key was used, 13 days before.
ROWS = (
    ("<root_account>", f"arn:aws:iam::{ACCOUNT}:root", "2014-03-01T10:00:00Z", "true", "2026-06-18T10:00:00Z",
     "2014-03-01T10:00:00Z", "true", *NO_KEY, *NO_KEY, "false", "false"),
    ("ann", f"arn:aws:iam::{ACCOUNT}:user/ann", "2025-01-01T10:00:00Z", "false", "N/A", "N/A", "false",
     "true", "2025-01-01T10:00:01Z", "2026-07-01T10:00:00Z", "us-east-1", "s3", *NO_KEY, "false", "false"),
    ("bob", f"arn:aws:iam::{ACCOUNT}:user/bob", "2025-01-02T10:00:00Z", "false", "N/A", "N/A", "false",
     "true", "2025-01-02T10:00:01Z", "2026-06-18T10:00:00Z", "us-east-1", "s3", *NO_KEY, "false", "false"),
)  # fmt: skip


@pytest.fixture
def report(folder: Path) -> Path:
    """Write the decoded CSV of a credential report."""
    path = folder / "report.csv"
    path.write_text("\n".join(map(",".join, (COLUMNS, *ROWS))))
    return path


def found(document: dict[str, Any]) -> dict[tuple[str, str], tuple[str, str]]:
    """Give verdict and remedy by policy and user."""
    findings = document["findings"]
    return {(f["policy"], f["user_name"]): (f["verdict"], f["remedy"]) for f in findings}


def test_a_report_of_an_unknown_time_passes_nothing_by_it(birthright: Birthright, report: Path) -> None:
    """Root signed in 13 days before the newest time in the file: by now that may be long ago, or not."""
    ran = birthright("scan", "--credential-report", report, "--all", "--format", "json")
    verdicts = found(ran.document)
    assert verdicts["root-recently-used", "<root_account>"] == ("unknown", "none")
    # Nor is a key used then called unused, or one that can go; what does not depend on time stays.
    assert verdicts["access-key-unused", "bob"] == ("unknown", "none")
    assert verdicts[BORN, "bob"] == ("fail", "review")
    assert verdicts["access-key-not-rotated", "bob"][0] == "fail"
    assert verdicts["root-access-key", "<root_account>"][0] == "pass"
    reasons = {f["reason"] for f in ran.document["findings"] if f["policy"] == "root-recently-used"}
    assert reasons == {"depends on when the files were made, which is not known: say it with --report-time"}


@pytest.mark.parametrize(
    ("time", "root", "unused", "remedy"),
    [
        ("2026-07-01T10:00:00Z", "fail", "pass", "rotate"),
        ("2026-07-02", "fail", "pass", "rotate"),
        ("2026-11-22T11:00:00+01:00", "pass", "fail", "retire"),
    ],
)
def test_the_reports_time_can_be_stated(
    time: str, root: str, unused: str, remedy: str, birthright: Birthright, report: Path
) -> None:
    """With --report-time the report is judged as of then, and nothing depends on it any more."""
    ran = birthright(
        "scan", "--credential-report", report, "--report-time", time, "--all", "--format", "json"
    )
    verdicts = found(ran.document)
    assert verdicts["root-recently-used", "<root_account>"][0] == root
    assert verdicts["access-key-unused", "bob"][0] == unused
    assert verdicts[BORN, "bob"] == ("fail", remedy)
    assert not [verdict for verdict, _ in verdicts.values() if verdict == "unknown"]


def test_a_saved_scan_keeps_that_its_time_is_not_known(
    birthright: Birthright, report: Path, store: Path
) -> None:
    """Judged again, explained, compared, in a bundle it says the same; older scans are read as they were."""
    first = birthright("scan", "--credential-report", report, "--all", "--format", "json")
    again = birthright("scan", "--from", "latest", "--all", "--format", "json")
    assert again.out == first.out
    assert birthright("report", "--all", "--format", "json").out == first.out
    assert "--report-time" in birthright("explain", "root").out
    assert birthright("evidence", "latest", "-o", "bundle.zip").code == 0
    assert birthright("evidence", "verify", "bundle.zip").code == 0
    since = birthright("scan", "--credential-report", report, "--since", "last", "--format", "json")
    assert {f["state"] for f in since.document["findings"]} == {"persisting"}
    (older, *_) = sorted(store.glob("scans/*/scan.json"))
    info = json.loads(older.read_bytes())
    assert info.pop("as_of_earliest") == "2026-07-01T10:00:00Z"
    older.write_text(json.dumps(info))
    scan_id = older.parent.name
    ran = birthright("scan", "--from", scan_id, "--all", "--format", "json")
    assert found(ran.document)["root-recently-used", "<root_account>"][0] == "pass"


def test_listings_are_enough(birthright: Birthright, folder: Path) -> None:
    """Keys and users without a report: keys made with their user are found, users without keys are known."""
    users = [
        {"UserName": name, "Arn": f"arn:aws:iam::{ACCOUNT}:user/{name}", "CreateDate": "2025-01-01T10:00:00Z"}
        for name in ("ann", "bob")
    ]
    key = {"UserName": "ann", "AccessKeyId": "AKIAEXAMPLE000000001", "Status": "Active"}
    keys = [
        {"UserName": "ann", "AccessKeyMetadata": [{**key, "CreateDate": "2025-01-01T10:00:01Z"}]},
        {"UserName": "bob", "AccessKeyMetadata": []},
    ]
    (folder / "users.json").write_text(json.dumps({"Users": users}))
    (folder / "keys.json").write_text(json.dumps(keys))
    ran = birthright("scan", "--users", "users.json", "--access-keys", "keys.json", "--format", "json")
    assert ran.code == 1
    verdicts = found(ran.document)
    assert verdicts[BORN, "ann"] == ("fail", "review")
    assert ("access-key-not-rotated", "bob") not in verdicts
    assert ran.document["scan"]["depth"] == "keys"


def test_root_without_a_date_for_its_key_fails(birthright: Birthright, report: Path) -> None:
    """`false`, `N/A` and a last use is a key: root's is found, and so is its use."""
    used = "false,N/A,2026-06-30T00:00:00Z,us-east-1,s3"
    report.write_text(report.read_text().replace(",".join(NO_KEY), used, 1))
    ran = birthright("scan", "--credential-report", report, "--report-time", "2026-07-02", "--format", "json")
    verdicts = found(ran.document)
    assert verdicts["root-access-key", "<root_account>"][0] == "fail"
    assert verdicts["root-recently-used", "<root_account>"][0] == "fail"


AWS = """\
#!/bin/sh
case "$*" in
"iam list-users --query Users[].UserName --output text") printf 'ann\\tbob\\n' ;;
"iam list-users") echo '{"Users": [
  {"UserName": "ann", "Arn": "arn:aws:iam::111122223333:user/ann", "CreateDate": "2025-01-01T10:00:00Z"},
  {"UserName": "bob", "Arn": "arn:aws:iam::111122223333:user/bob", "CreateDate": "2025-01-02T10:00:00Z"}]}' ;;
"iam get-credential-report") cat report.json ;;
"iam list-access-keys --user-name ann --query AccessKeyMetadata --output json") echo '[
  {"UserName": "ann", "AccessKeyId": "AKIAEXAMPLE000000001", "Status": "Active",
   "CreateDate": "2025-01-01T10:00:01+00:00"}]' ;;
"iam list-access-keys --user-name bob --query AccessKeyMetadata --output json") echo '[]' ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""


def test_the_documented_commands_list_users_without_keys(
    birthright: Birthright, folder: Path, tmp_path: Path
) -> None:
    """What docs/scan.md shows to run with the AWS CLI makes files that leave nothing unknown."""
    rows = (*ROWS[:2], (*ROWS[2][:7], *NO_KEY, *NO_KEY, "false", "false"))
    dump = {"Content": "\n".join(map(",".join, (COLUMNS, *rows))), "GeneratedTime": "2026-07-02T00:00:00Z"}
    (folder / "report.json").write_text(json.dumps(dump))
    commands = re.search(
        r"```sh\n(aws iam get-credential-report.*?)```", (DOCS / "scan.md").read_text(), re.DOTALL
    )
    assert commands
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aws").write_text(AWS)
    (tmp_path / "bin" / "aws").chmod(0o755)
    script = commands[1].replace("> report.json", "> again.json")
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "-eu", "-c", script], check=True, cwd=folder, env={"PATH": path})
    files = ("--credential-report", "again.json", "--users", "users.json", "--access-keys", "keys.json")
    document = birthright("scan", *files, "--format", "json").document
    assert document["summary"]["unknown"] == 0
    assert {line["status"] for line in document["coverage"]} == {"ok"}
    assert datetime.fromisoformat(document["scan"]["as_of"]) == datetime(2026, 7, 2, tzinfo=UTC)
