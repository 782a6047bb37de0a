"""Files, options, pages and settings that are wrong: one line, code 2, and AWS is not asked."""

import base64
import json
from pathlib import Path

import pytest

from birthright.sandbox.sandbox import Sandbox
from cli_helpers import Birthright, kept

BORN = "access-key-created-with-user"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "No such file"),
        ("folder", "irectory"),
        (b"", "empty"),
        (PNG, "not"),
        (b'{"Users": []}', "credential report"),
        (b'{"Content": "dXNlcixhcm4sdXNlc', "JSON"),
        (json.dumps({"Content": "dXNlcixhcm4sdXNlc"}).encode(), "not base64"),
        (base64.b64encode(b"user,arn\n")[:-2], "not"),
        (b"[" * 100_000, "not"),
    ],
)
def test_files_that_are_no_report(
    data: bytes | str | None, says: str, birthright: Birthright, folder: Path, store: Path
) -> None:
    """A wrong file is wrong usage, named in the line; nothing is kept."""
    path = folder / "report.json"
    if isinstance(data, bytes):
        path.write_bytes(data)
    elif data:
        path.mkdir()
    ran = birthright("scan", "--credential-report", "report.json")
    assert ran.code == 2
    assert "report.json" in ran.trouble
    assert says in ran.trouble
    assert not kept(store)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--users", "u.json", "--depth", "keys"], "exclude each other"),
        (["--access-keys", "k.json", "--org"], "exclude each other"),
        (["--report-time", "2026-01-01T00:00:00Z"], "--report-time goes with files"),
        (["--account-id", "111122223333"], "--account-id goes with files"),
        (["--from", "latest", "--report-time", "2026-01-01"], "exclude each other"),
        (["--credential-report", "r", "--report-time", "yesterday"], "'yesterday' is not a time"),
        (["--report-time", "9999-12-31T23:59:59-10:00"], "is not a time"),
        (["--from", "latest", "--credential-report", "r"], "exclude each other"),
        (["--credential-report", "r", "--depth", "keys"], "exclude each other"),
        (["--from", "../../etc"], "not the id of a scan"),
        (["--from", "latest"], "no scan in"),
        (["--set", "nonsense"], "POLICY.PARAMETER=VALUE"),
        (["--set", "no-such-policy.window=7s"], "no policy"),
        (["--set", f"{BORN}.windo=7s"], "no parameter 'windo'"),
        (["--set", f"{BORN}.window=soon"], "not a duration"),
        (["--set", f"{BORN}.window={'9' * 30}d"], "longer than any"),
        (["--set", f"{BORN}.console_users_only=maybe"], "neither true nor false"),
        (["--policy", "access-key-created-with-usr"], f"did you mean {BORN}?"),
        (["--policies", "nowhere"], "no such folder"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
        (["--report-deadline", "soon"], "--report-deadline"),
        (["--report-deadline", "9" * 30 + "d"], "longer than any"),
        (["--depth", "trail"], "--depth"),
        (["--max-in-flight", "0"], "--max-in-flight"),
        (["--no-such-option"], "--no-such-option"),
        (["-o", "findings.pdf"], "no format"),
        (["-o", "no/such/findings.json"], "no/such"),
        (["-o", "."], "folder"),
        (["--format", "json", "-o", "a", "-o", "b"], "one -o"),
    ],
)
def test_wrong_usage(
    arguments: list[str], says: str, small: Sandbox, birthright: Birthright, store: Path
) -> None:
    """Wrong usage is told in one line, with code 2, before AWS is asked anything."""
    ran = birthright("scan", *arguments)
    assert ran.code == 2
    assert says in ran.trouble
    assert small.calls.total() == 0
    assert not kept(store)


RULE = "select *, false as compliant from access_keys"
PAGE = """---
id: mine
title: Mine
risk: low
effort: low
subject: access-key
{more}---

Why.

## Rule

```sql
{rule}
```

## Remediation

None.

## Tests

```yaml
- name: any
  keys: [{{created_at: user + 1s}}]
  expect: fail
```
"""


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (PAGE.format(more="remedy: [\n", rule=RULE), "line"),
        (PAGE.format(more="colour: red\n", rule=RULE), "colour"),
        (PAGE.format(more="", rule="drop table access_keys"), "not one SELECT"),
        (PAGE.format(more="", rule=f"{RULE}; {RULE}"), "not one SELECT"),
        (PAGE.format(more="", rule="select * from access_keys"), "no column compliant"),
        (PAGE.format(more="", rule="select *, false as compliant from '/etc/passwd'"), "mine"),
        (PAGE.format(more="", rule="select *, false as compliant from read_csv('/etc/passwd')"), "mine"),
        (PAGE.format(more="", rule=RULE + " where slot = $slots"), "$slots"),
        (PAGE.format(more="", rule="select *, now() < created_at as compliant from access_keys"), "now"),
        ("no front matter", "front matter"),
    ],
)
def test_broken_pages(page: str, says: str, small: Sandbox, birthright: Birthright, folder: Path) -> None:
    """A page that cannot be read or run is wrong usage, told before AWS is asked, with its place."""
    (folder / "pages").mkdir()
    (folder / "pages" / "mine.md").write_text(page)
    ran = birthright("scan", "--policies", "pages", "--policy", "mine")
    assert ran.code == 2
    assert "mine.md" in ran.trouble
    assert says in ran.trouble
    assert small.calls.total() == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[scan\n", "line 1"),
        ("[scan]\ncolour = 1\n", "colour"),
        ("[scan]\nmax_in_flight = 'many'\n", "max_in_flight"),
        ("[scan]\nmax_in_flight = -1\n", "max_in_flight"),
        ("[scan]\ndepth = 'deep'\n", "depth"),
        ("[scan]\nreport_deadline = 'soon'\n", "scan.report_deadline"),
        ("[retirement]\nin_use = '90'\n", "retirement.in_use"),
        (f"[retirement]\nin_use = '{'9' * 30}d'\n", "longer than any"),
        ("[set.access-key-created-with-user]\nwindow = 7.5\n", "set[...]"),
        ("a = " + "[" * 100_000, "birthright.toml"),
    ],
)
def test_broken_settings(text: str, says: str, small: Sandbox, birthright: Birthright, folder: Path) -> None:
    """birthright.toml is read strictly: the line names the file and the field."""
    (folder / "birthright.toml").write_text(text)
    ran = birthright("scan")
    assert ran.code == 2
    assert "birthright.toml" in ran.trouble
    assert says in ran.trouble
    assert small.calls.total() == 0
