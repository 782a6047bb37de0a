"""A scan that was cut short is gone on with: by a signal, by kill -9, by credentials that died."""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from birthright.errors import StoreError, UsageError
from birthright.sandbox import Sandbox
from birthright.scans.record import find_scan, list_scans, list_unfinished, load_info
from birthright.scans.request import ManyAccounts
from birthright.scans.store import FolderStore
from birthright.scans.writer import ScanWriter
from birthright.times import now
from cli_helpers import in_process
from fleet_helpers import (
    ORG,
    begin,
    command,
    document,
    entered,
    environment_of,
    fleet_of,
    go,
    names_in,
    run,
)

AS_OF = now()
JSON = ("--format", "json", "--all", "--quiet")


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """Serve an organization of 40 accounts whose answers take a while."""
    with Sandbox.create(users=4, accounts=40, latency_ms=50).running() as running:
        yield running


@pytest.fixture(scope="module")
def whole(box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the findings of a scan that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    writer = begin(FolderStore(folder), ManyAccounts(ORG), AS_OF)
    with entered(box):
        go(fleet_of(writer, ManyAccounts(ORG)).read())
    info = writer.finish()
    ran = run(box, folder, "scan", "--from", info.id, *JSON)
    assert ran.code == 1, ran.err
    return document(ran.out)


def begun(folder: Path) -> str:
    """Begin a scan that is then gone on with in other processes."""
    return begin(FolderStore(folder), ManyAccounts(ORG), AS_OF).info.id


def start(box: Sandbox, folder: Path, scan_id: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command("scan", "--resume", scan_id, "--max-calls", "6", *JSON, parts=3),
        env=environment_of(box, folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_parts(folder: Path, scan_id: str, parts: int) -> None:
    deadline = time.monotonic() + 30
    place = folder / "scans" / scan_id / "parts"
    while time.monotonic() < deadline:
        if place.exists() and len(list(place.glob("*.json"))) >= parts:
            return
        time.sleep(0.01)
    raise AssertionError("the scan does not come on")


def check_whole(folder: Path, scan_id: str) -> None:
    """Each account is there once, and nothing but what counts is left."""
    info = load_info(FolderStore(folder), scan_id)
    assert info.finished
    assert info.complete
    named = {f"{table}/{file.name}" for part in info.parts for table, file in part.files.items()}
    assert info.accounts
    found = {n for n in names_in(folder / "scans" / scan_id) if "/." not in n}
    assert found == named | {"scan.json", f"accounts/{info.accounts.name}"}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_at_any_moment(seed: int, box: Sandbox, whole: dict[str, Any], tmp_path: Path) -> None:
    """Kill -9, again and again: gone on with, the findings equal those of a scan nobody interrupted."""
    chance = random.Random(seed)  # noqa: S311 - moments, no secrets
    scan_id = begun(tmp_path)
    for _ in range(2):
        child = start(box, tmp_path, scan_id)
        parts = len(list((tmp_path / "scans" / scan_id / "parts").glob("*.json")))
        wait_for_parts(tmp_path, scan_id, parts + 1)
        time.sleep(chance.uniform(0, 0.4))
        child.kill()
        child.communicate()
        assert list_scans(FolderStore(tmp_path)) == []
        assert list_unfinished(FolderStore(tmp_path)) == [scan_id]
    ran = run(box, tmp_path, "scan", "--resume", scan_id, *JSON)
    assert (ran.code, ran.err) == (1, "")
    assert document(ran.out) == whole
    check_whole(tmp_path, scan_id)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_asked_to_end(number: signal.Signals, box: Sandbox, whole: dict[str, Any], tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM keep what was read, say how to go on, and leave no finished scan."""
    scan_id = begun(tmp_path)
    child = start(box, tmp_path, scan_id)
    wait_for_parts(tmp_path, scan_id, 2)
    child.send_signal(number)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (130, "")
    kept = len(ScanWriter.resume(FolderStore(tmp_path), scan_id).read_so_far())
    first, second = err.splitlines()
    assert first == (
        f"birthright: {kept} accounts are read and kept; go on with: birthright scan --resume {scan_id}"
    )
    assert second == "birthright: interrupted"
    assert kept >= 2
    early = run(box, tmp_path, "scan", "--from", scan_id, *JSON)
    told = early.document
    assert (told["scan"]["finished"], told["scan"]["complete"]) == (False, False)
    unread = {line["account_id"] for line in told["coverage"] if "did not finish" in line["detail"]}
    read = {line["account_id"] for line in told["coverage"]} - unread
    assert (len(read), len(read | unread)) == (kept, 40)
    assert "THIS SCAN DID NOT FINISH" in run(box, tmp_path, "scan", "--from", scan_id).out
    with pytest.raises(UsageError, match="there is no finished scan"):
        find_scan(FolderStore(tmp_path), "latest")
    ran = run(box, tmp_path, "scan", "--resume", scan_id, *JSON)
    assert document(ran.out) == whole
    check_whole(tmp_path, scan_id)


def test_killed_between_the_last_part_and_the_end(
    box: Sandbox, whole: dict[str, Any], tmp_path: Path
) -> None:
    """All is read and nothing says so: going on reads no account again."""
    writer = begin(FolderStore(tmp_path), ManyAccounts(ORG), AS_OF)
    with entered(box):
        go(fleet_of(writer, ManyAccounts(ORG)).read())
    before = box.calls["AssumeRole"]
    ran = run(box, tmp_path, "scan", "--resume", writer.info.id, *JSON)
    assert box.calls["AssumeRole"] == before
    assert document(ran.out) == whole
    check_whole(tmp_path, writer.info.id)


def test_the_callers_credentials_die_half_way(box: Sandbox, whole: dict[str, Any], tmp_path: Path) -> None:
    """One line says that they are refused, one how to go on; with good ones the result is the same."""
    scan_id = begun(tmp_path)
    child = start(box, tmp_path, scan_id)
    wait_for_parts(tmp_path, scan_id, 2)
    box.people.set_status(box.credentials.access_key_id, "Inactive")
    out, err = child.communicate(timeout=20)
    box.people.set_status(box.credentials.access_key_id, "Active")
    first, second = err.splitlines()
    assert (child.returncode, out) == (3, "")
    assert f"go on with: birthright scan --resume {scan_id}" in first
    assert "InvalidClientTokenId" in second
    assert "the access key does not exist, is inactive" in second
    assert box.credentials.secret_access_key not in err
    ran = run(box, tmp_path, "scan", "--resume", scan_id, *JSON)
    assert document(ran.out) == whole
    check_whole(tmp_path, scan_id)


def test_a_scan_with_no_beginning_leaves_nothing(tmp_path: Path) -> None:
    """No organization, a denied list, wrong or no credentials, no network: one line, and an empty store."""
    with (
        Sandbox.create(users=2).running() as single,
        Sandbox.create(users=2, accounts=2).running() as several,
    ):
        environment = environment_of(several, tmp_path)
        key = several.new_credentials("nobody", "iam:*")
        for changed, code, reason in (
            ({"AWS_ENDPOINT_URL": single.url}, 2, "no organization"),
            ({"AWS_ACCESS_KEY_ID": key.access_key_id, "AWS_SECRET_ACCESS_KEY": key.secret_access_key}, 3,
             "only the management account or a delegated administrator may ask"),
            ({"AWS_SECRET_ACCESS_KEY": "x" * 40}, 3, "SignatureDoesNotMatch"),
            ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, 3, "cannot be reached"),
            ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": ""}, 3, "credentials"),
        ):  # fmt: skip
            ran = in_process({**environment, **changed}, "scan", "--org", "--quiet")
            assert ran.code == code
            assert reason in ran.trouble
            assert names_in(tmp_path) == []


def test_what_cannot_be_gone_on_with_is_told(box: Sandbox, tmp_path: Path) -> None:
    """Finished, unknown and damaged scans: one clear line each."""
    store = FolderStore(tmp_path)
    scan_id = begun(tmp_path)
    asked = tmp_path / "scans" / scan_id / "asked.json"
    text = asked.read_text()
    for damaged, message in (
        (text[: len(text) // 2], "is damaged"),
        ("[]", "is damaged"),
        (text.replace("birthright.scan/2", "birthright.scan/9"), "newer birthright"),
        (text.replace('"fleet"', '"float"'), "cannot be gone on with"),
        (text.replace('"wanted"', '"wonted"'), "cannot be gone on with"),
    ):
        asked.write_text(damaged)
        ran = run(box, tmp_path, "scan", "--resume", scan_id)
        assert ran.code in {2, 4}
        assert message in ran.trouble
    asked.write_text(text)
    with entered(box):
        writer = ScanWriter.resume(store, scan_id)
        go(fleet_of(writer, ManyAccounts(ORG)).read())
    parts = tmp_path / "scans" / scan_id / "parts"
    (parts / "torn.json").write_text("{")
    with pytest.raises(StoreError, match=r"torn\.json is damaged"):
        ScanWriter.resume(store, scan_id).read_so_far()
    (parts / "torn.json").unlink()
    writer.finish()
    with pytest.raises(UsageError, match=f"scan {scan_id} is finished"):
        ScanWriter.resume(store, scan_id)
    with pytest.raises(UsageError, match="there is no scan 20260101T000000Z-000000"):
        ScanWriter.resume(store, "20260101T000000Z-000000")


def test_a_file_that_is_gone_is_read_again(box: Sandbox, whole: dict[str, Any], tmp_path: Path) -> None:
    """A commit that names a file that is missing or cut does not count: its accounts are read once more."""
    writer = begin(FolderStore(tmp_path), ManyAccounts(ORG), AS_OF)
    with entered(box):
        go(fleet_of(writer, ManyAccounts(ORG)).read())
    shutil.rmtree(tmp_path / "scans" / writer.info.id / "access_keys")
    ran = run(box, tmp_path, "scan", "--resume", writer.info.id, *JSON)
    assert document(ran.out) == whole
    check_whole(tmp_path, writer.info.id)


def test_latest_is_the_scan_begun_last(tmp_path: Path, box: Sandbox) -> None:
    """After a lost terminal nobody knows the id; `--resume latest` finds it, and says if there is none."""
    none = run(box, tmp_path, "scan", "--resume", "latest")
    assert none.code == 2
    assert "no scan to go on with" in none.trouble
    begun(tmp_path)
    assert run(box, tmp_path, "scan", "--resume", "latest", "--quiet").code == 1
    assert list_unfinished(FolderStore(tmp_path)) == []
