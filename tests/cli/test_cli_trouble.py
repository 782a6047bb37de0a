"""Whatever goes wrong ends in one clear line, the right exit code, and nothing half written."""

import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest

from birthright.sandbox.population import SCANNER_SECRET
from birthright.sandbox.report_csv import Style, write_csv
from birthright.sandbox.sandbox import Sandbox
from birthright.scans.record import load_info
from birthright.scans.store import FolderStore
from cli_helpers import NOW, Birthright, enter, kept, masked

BORN = "access-key-created-with-user"
MASKED = "20260101T000000Z-000000"
Kind = Any  # one of the sandbox's kinds of fault

SESSION = {
    "AWS_ACCESS_KEY_ID": "AccessKeyId",
    "AWS_SECRET_ACCESS_KEY": "SecretAccessKey",
    "AWS_SESSION_TOKEN": "SessionToken",
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Undo what -vv set up."""
    yield
    logger = logging.getLogger("birthright")
    logger.handlers[:] = []
    logger.setLevel(logging.NOTSET)


def test_no_credentials(birthright: Birthright, store: Path) -> None:
    """Without credentials the line says where they may come from."""
    ran = birthright("scan")
    assert ran.code == 3
    assert "no AWS credentials" in ran.trouble
    assert "--profile" in ran.trouble
    assert not kept(store)


def test_an_unknown_profile(birthright: Birthright) -> None:
    """A profile that does not exist is wrong usage."""
    ran = birthright("scan", "--profile", "nobody")
    assert (ran.code, "nobody" in ran.trouble) == (2, True)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong/secret/wrong/secret/wrong/secret01", "SignatureDoesNotMatch"),
        ("AWS_ACCESS_KEY_ID", "AKIANOSUCHKEY0000001", "InvalidClientTokenId"),
        ("AWS_SESSION_TOKEN", "no-such-token-9d1c", "Token"),
    ],
)
def test_refused_credentials(
    name: str,
    value: str,
    says: str,
    birthright: Birthright,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Credentials that AWS refuses end the scan with AWS's code and what to do; nothing is kept."""
    monkeypatch.setenv(name, value)
    ran = birthright("scan", "-vv")
    assert ran.code == 3
    last = ran.err.splitlines()[-1]
    assert last.startswith("birthright: ")
    assert says in last
    assert value not in ran.err or name == "AWS_ACCESS_KEY_ID"
    assert SCANNER_SECRET not in ran.err + ran.out
    assert not kept(store)


def test_an_inactive_key(small: Sandbox, birthright: Birthright) -> None:
    """A key that was disabled is told apart from a wrong one as far as AWS does."""
    key = small.account().users["birthright-scanner"].keys[small.credentials.access_key_id]
    key.status = "Inactive"
    ran = birthright("scan")
    assert ran.code == 3
    assert "inactive" in ran.trouble


@pytest.mark.parametrize("kind", ["expired-token", "access-denied"])
def test_nothing_can_be_read(kind: Kind, small: Sandbox, birthright: Birthright, store: Path) -> None:
    """When every call is refused the scan ends with code 3, not with a clean account."""
    small.faults.add(kind)
    ran = birthright("scan")
    assert ran.code == 3
    assert {"expired-token": "sign in again", "access-denied": "birthright permissions"}[kind] in ran.trouble
    assert not kept(store)


def test_no_secret_appears_anywhere(
    small: Sandbox, birthright: Birthright, store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither output, nor the log of -vv, nor any file holds the secret key or the session token."""
    role = f"arn:aws:iam::{small.account().account_id}:role/birthright"
    given = (
        boto3.session.Session().client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    )
    secrets = [given["SecretAccessKey"], given["SessionToken"], small.credentials.secret_access_key]
    for name, field in SESSION.items():
        monkeypatch.setenv(name, given[field])
    ran = birthright("scan", "-vv", "-o", "a.json", "-o", "a.csv")
    assert ran.code == 1
    assert "ListUsers 200 OK" in ran.err
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong" + given["SecretAccessKey"])
    refused = birthright("scan", "-vv")
    assert refused.code == 3
    files = [*kept(store), *folder.iterdir()]
    assert len(files) > 4
    shown = [text.encode() for text in (ran.out, ran.err, refused.out, refused.err)]
    for text in (*shown, *(path.read_bytes() for path in files)):
        assert not [secret for secret in secrets if secret.encode() in text]


def test_every_read_denied_but_one(small: Sandbox, birthright: Birthright) -> None:
    """Each single read that is denied is named with its status; the rest is judged."""
    for action in ("GetCredentialReport", "ListUsers", "ListAccessKeys"):
        small.faults.clear()
        small.faults.add("access-denied", action=action)
        ran = birthright("scan")
        assert ran.code == 1, action
        assert re.search(rf"{action} +denied +\d+ +.*AccessDenied", ran.out), ran.out
        assert "not everything could be read" in ran.out
        assert ran.err == ""


@pytest.mark.usefixtures("small")
def test_every_command_says_that_a_scan_is_not_complete(small: Sandbox, birthright: Birthright) -> None:
    """One line on stderr, nothing else in what they print; of a complete scan they say nothing."""
    said = f"birthright: scan {MASKED} is not complete: not everything could be read\n"
    commands = (("query", "select 1 as n"), ("explain", "birthright-scanner"), ("plan", "--format", "json"))
    birthright("scan")
    assert [birthright(*command).err for command in commands] == ["", "", ""]
    small.faults.add("access-denied", action="ListUsers")
    birthright("scan")
    for command in commands:
        ran = birthright(*command)
        assert (masked(ran.err), said.rstrip() in ran.out) == (said, False)


def test_a_scan_that_was_cut_short_is_told(birthright: Birthright, small: Sandbox, store: Path) -> None:
    """The line says how to go on with it."""
    assert birthright("scan").code == 1
    assert small.account_id
    folder = next((store / "scans").iterdir())
    info = load_info(FolderStore(store))
    with_part = msgspec.structs.replace(info, finished=False, complete=False)
    (folder / "scan.json").write_bytes(msgspec.json.encode(with_part))
    ran = birthright("query", "select 1 as n", "--format", "csv")
    assert ran.out == "n\n1\n"
    assert f"it did not finish; 'birthright scan --resume {info.id}' goes on" in ran.err


def test_a_report_that_never_completes(small: Sandbox, birthright: Birthright) -> None:
    """After the deadline the scan goes on without the report and says so."""
    small.faults.add("report-never-completes")
    ran = birthright("scan", "--report-deadline", "1s")
    assert ran.code == 1
    assert "not ready in 1 s" in ran.out
    assert "--report-deadline" in ran.out


def test_no_report_yet(birthright: Birthright, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account without a report has one made."""
    with Sandbox.create(users=4, clock=NOW, frozen=True, report="none").running() as box:
        enter(monkeypatch, box)
        ran = birthright("scan")
    assert ran.code == 1
    assert re.search(r"GetCredentialReport +ok", ran.out)


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("report-expired", {"times": 1}),
        ("throttling", {"times": 5}),
        ("cut", {"times": 2}),
        ("malformed", {"times": 2, "action": "ListUsers"}),
        ("service-failure", {"times": 2}),
        ("drop", {"times": 2}),
        ("empty", {"times": 2}),
        ("short-pages", {}),
    ],
)
def test_passing_troubles_change_nothing(
    kind: Kind, details: dict[str, object], small: Sandbox, birthright: Birthright
) -> None:
    """What goes away when asked again costs time and no facts."""
    scan = ("scan", "--policy", BORN, "--all", "--format", "json")
    wanted = birthright(*scan).document["findings"]
    small.faults.add(kind, **details)
    ran = birthright(*scan)
    assert ran.document["findings"] == wanted
    assert {line["status"] for line in ran.document["coverage"]} == {"ok"}


@pytest.mark.parametrize("kind", ["malformed", "cut"])
def test_answers_that_stay_broken_are_failed_reads(
    kind: Kind, small: Sandbox, birthright: Birthright
) -> None:
    """A read that is broken to the end fails alone, and says how."""
    small.faults.add(kind, action="ListAccessKeys")
    ran = birthright("scan")
    assert ran.code in {1, 3}
    assert re.search(r"ListAccessKeys +failed", ran.out)


def test_an_endpoint_that_refuses_connections(
    birthright: Birthright, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    """Nobody listening is one line with the address."""
    with Sandbox.create(users=0).running() as box:
        enter(monkeypatch, box)
    ran = birthright("scan")
    assert ran.code == 3
    assert box.url.removeprefix("http://") in ran.trouble
    assert not kept(store)


def reworked(box: Sandbox, change: str) -> str:
    """Write the account's report in an odd way."""
    lines = write_csv(box.account(), Style(extra_column=change == "23 columns")).splitlines()
    if change == "other order":
        lines = [",".join(reversed(line.split(","))) for line in lines if '"' not in line]
    if change == "one column missing":
        lines = [",".join(line.split(",")[:-1]) for line in lines]
    text = "\n".join(lines)
    return {
        "CRLF": text.replace("\n", "\r\n"),
        "BOM": f"\ufeff{text}",
        "TRUE": text.replace(",true,", ",TRUE,").replace(",false,", ",FALSE,"),
        "no such date": text.replace("T00:", "TT:"),
    }.get(change, text)


@pytest.mark.parametrize("change", ["23 columns", "other order", "CRLF", "BOM", "TRUE"])
def test_odd_reports_say_the_same(change: str, small: Sandbox, birthright: Birthright) -> None:
    """However the report is written, its facts are the same."""
    scan = ("scan", "--all", "--depth", "report", "--format", "json")
    # Both are written before the first scan: that is a use of the scanner's own key.
    usual, odd = reworked(small, ""), reworked(small, change)
    small.faults.add("report-body", body=usual, times=1)
    wanted = birthright(*scan).document
    small.faults.add("report-body", body=odd)
    found = birthright(*scan).document
    assert found["findings"] == wanted["findings"]
    assert found["coverage"][0]["status"] == "ok"


def test_a_missing_column_and_a_bad_cell_are_unknown_and_counted(
    small: Sandbox, birthright: Birthright
) -> None:
    """A column that is missing, or a cell that is no date, makes NULLs, and coverage names them."""
    small.faults.add("report-body", body=reworked(small, "one column missing"))
    line = birthright("scan", "--depth", "report", "--format", "json").document["coverage"][0]
    # The last column, cert_2_last_rotated, is one that no rule asks for.
    assert line["status"] == "ok"
    small.faults.clear()
    text = reworked(small, "").replace("user_creation_time", "made")
    small.faults.add("report-body", body=text)
    ran = birthright("scan", "--depth", "report")
    assert ran.code == 3
    assert "lacks the column user_creation_time" in ran.out
    small.faults.clear()
    rows = reworked(small, "").split("\n")
    cells = rows[2].split(",")
    cells[2] = "yesterday"
    small.faults.add("report-body", body="\n".join([*rows[:2], ",".join(cells), *rows[3:]]))
    document = birthright("scan", "--all", "--depth", "report", "--format", "json").document
    assert "'yesterday' is not a date" in document["coverage"][0]["detail"]
    times = {f["user_created_at"] for f in document["findings"] if f["user_name"] == cells[0]}
    assert times == {None}


@pytest.mark.usefixtures("saved_small")
@pytest.mark.parametrize("damage", ["parquet", "json", "missing", "selection"])
def test_a_damaged_scan(damage: str, birthright: Birthright, store: Path) -> None:
    """A saved scan that was damaged is told as such, never judged."""
    scan = next((store / "scans").iterdir())
    info = scan / "scan.json"
    if damage == "parquet":
        next((scan / "access_keys").iterdir()).write_bytes(b"PAR1 and so on")
    elif damage == "json":
        info.write_text("{")
    elif damage == "missing":
        next((scan / "access_keys").iterdir()).unlink()
        (scan / "access_keys").rmdir()
    else:
        info.write_text(info.read_text().replace('"in_use": "P', '"in_use": "Q'))
    ran = birthright("scan", "--from", "latest")
    assert ran.code == 4
    assert "damaged" in ran.trouble or "cannot be read" in ran.trouble


@pytest.mark.usefixtures("saved_small")
def test_a_scan_of_a_newer_birthright(birthright: Birthright, store: Path) -> None:
    """A scan that a newer birthright wrote is not guessed at."""
    info = next((store / "scans").iterdir()) / "scan.json"
    info.write_text(info.read_text().replace("birthright.scan/2", "birthright.scan/3"))
    ran = birthright("explain", "root")
    assert ran.code == 2
    assert "newer birthright" in ran.trouble


@pytest.mark.usefixtures("small")
def test_a_store_that_cannot_be_written(birthright: Birthright, folder: Path) -> None:
    """A store that is a file is told, with code 4."""
    (folder / "store").write_text("")
    ran = birthright("scan", "--store", "store")
    assert ran.code == 4
    assert str(folder / "store") in ran.trouble or "store" in ran.trouble


HOSTILE = "\x1b[31mred\x07[red]x[/red]\u202egnp.exe"


def test_hostile_names_are_shown_harmlessly(birthright: Birthright, folder: Path, small: Sandbox) -> None:
    """Control characters, markup and marks of direction from a file reach the terminal as escapes only."""
    rows = write_csv(small.account(), Style()).split("\n")
    cells = rows[3].split(",")
    evil = f'"{HOSTILE}\n$(touch pwned); -x","{cells[1]}",' + ",".join(cells[2:])
    (folder / "report.csv").write_text("\n".join([*rows[:3], evil]), encoding="utf-8")
    scan = ("scan", "--credential-report", "report.csv")
    shown = birthright(*scan, "--all", "--policy", BORN, "--set", f"{BORN}.window=9999d")
    assert shown.code == 1
    explained = birthright("explain", f"{HOSTILE}\n$(touch pwned); -x")
    assert explained.code == 0
    queried = birthright("query", "select user_name from principals")
    as_csv = birthright(*scan, "--all", "--format", "csv")
    for ran in (shown, explained, queried, as_csv):
        assert "\\x1b[31mred" in ran.out
        assert "[red]x[/red]\\u202egnp.exe" in ran.out.replace("\n", "").replace(" ", "") or ran is shown
        assert not set(ran.out) & set("\x1b\x07\u202e")
    assert "no commands" in explained.out
    assert "aws iam" not in explained.out


def test_an_error_message_from_afar_is_one_harmless_line(birthright: Birthright, folder: Path) -> None:
    """A file's name with control characters does not reach the terminal raw."""
    ran = birthright("scan", "--config", "\x1b[31mno\nsuch.toml")
    assert ran.code == 2
    assert "\\x1b[31mno" in ran.trouble
    assert folder.is_dir()


def test_ages_are_never_negative(small: Sandbox, birthright: Birthright) -> None:
    """A sandbox whose clock is ahead makes no negative ages."""
    small.clock.advance(timedelta(minutes=10))
    ran = birthright("scan")
    assert not re.search(r"-\d+ (s|min|h|d) ago", ran.out)
