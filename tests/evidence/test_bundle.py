"""Bundles that are as they were made: what is in them, that they are reproducible, and that they verify."""

import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from birthright.errors import StoreError, UsageError
from birthright.evidence.bundle import BundleRequest, make_bundle
from birthright.evidence.signing import fingerprint
from birthright.findings.model import Document
from birthright.retirement.journal.opening import open_journal
from birthright.scans.record import ScanInfo, load_tables
from birthright.scans.request import Judging
from birthright.scans.store import FolderStore
from birthright.scans.writer import ScanWriter
from evidence_helpers import (
    ACCOUNT,
    AS_OF,
    BORN,
    KEYS,
    OLD,
    OTHER,
    REPORT,
    SIGNER,
    account,
    bundle,
    check,
    contents,
    key,
    made,
    pages,
    problem,
    saved,
    waivers_of,
)
from journal_helpers import filled, tamper

OPENSSL = shutil.which("openssl")


def test_what_is_in_it(tmp_path: Path) -> None:
    """Manifest first, then everything that a verdict rests on; each file has its size and digest there."""
    files = contents(bundle(tmp_path))
    manifest = json.loads(files["manifest.json"])
    assert manifest["schema"] == "birthright.evidence/2"
    assert next(iter(files)) == "manifest.json"
    assert [*files][1:] == [entry["name"] for entry in manifest["files"]] == sorted([*files][1:])
    for entry in manifest["files"]:
        data = files[entry["name"]]
        assert (entry["size"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert {name.split("/")[0] for name in files} == {
        "manifest.json", "README.md", "SHA256SUMS", "csv", "findings.json", "policies", "scan",
    }  # fmt: skip
    document = msgspec.json.decode(files["findings.json"], type=Document)
    assert {(f.user_name, f.policy, f.verdict) for f in document.findings} == {
        ("ann", BORN, "fail"), ("bob", BORN, "pass"), ("ann", OLD, "fail"), ("bob", OLD, "fail"),
    }  # fmt: skip
    assert all(finding.evidence for finding in document.findings)
    for line in manifest["policies"]:
        page = files[f"policies/{line['id']}.md"]
        assert line["sha256"] == hashlib.sha256(page).hexdigest()
    assert manifest["policies"][0]["parameters"]["window"] == "7 s"


def test_it_verifies(tmp_path: Path) -> None:
    """All is well, and all findings were judged again; an unsigned bundle is called so."""
    found = check(bundle(tmp_path))
    assert (found.problem, found.signature, found.findings) == (None, "none", 4)
    assert found.complete


def test_the_same_scan_gives_the_same_bytes(tmp_path: Path) -> None:
    """Neither the time, nor the place, nor the clock of files is in a bundle."""
    with open_journal(str(tmp_path / "journal.sqlite")) as journal:
        filled(journal)
        order = {"journal": journal, "waivers": waivers_of(KEYS[0]), "sign_key": SIGNER}
        one = bundle(tmp_path, name="one.zip", **order)
        folder = tmp_path / "store-one.zip"
        for path in folder.rglob("*"):
            os.utime(path, (0, 0))
        two = bundle(tmp_path, name="two.zip", **order)
    assert one.read_bytes() == two.read_bytes()
    assert check(one, SIGNER).signature == "trusted"


def test_parameters_are_the_scans(tmp_path: Path) -> None:
    """A policy is run again with the parameters it was run with, and the manifest names them."""
    selection = Judging(overrides={BORN: {"window": "200s"}}, folder="/home/ann/policies")
    path = bundle(tmp_path, selection=selection)
    assert check(path).problem is None
    files = contents(path)
    assert b'"window": "3 min 20 s"' in files["manifest.json"]
    assert b"/home/ann" not in files["manifest.json"]


def test_a_signature_is_by_a_key(tmp_path: Path) -> None:
    """A key that somebody vouches for is trusted, the one in the bundle is not, another one is refused."""
    path = bundle(tmp_path, sign_key=SIGNER)
    assert check(path).signature == "unproven"
    assert check(path, SIGNER).signature == "trusted"
    assert "signed by another key" in problem(path, OTHER)
    manifest = json.loads(contents(path)["manifest.json"])
    assert manifest["signed_by"] == fingerprint(SIGNER.public_key())
    assert problem(bundle(tmp_path, name="unsigned.zip"), SIGNER) == "it is not signed"


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
def test_openssl_and_sha256sum_agree(tmp_path: Path) -> None:
    """The commands in the README check the signature, the key's fingerprint and the digests."""
    path = bundle(tmp_path, sign_key=SIGNER)
    folder = tmp_path / "by hand"
    shutil.unpack_archive(path, folder)

    def run(command: str) -> str:
        done = subprocess.run(["sh", "-ec", command], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout

    commands = [line.strip() for line in (folder / "README.md").read_text().splitlines()]
    signature, digest, sums, last = (line for line in commands if line.startswith(("openssl", "sha256sum")))
    assert "Verified Successfully" in run(signature)
    assert run(digest).split()[0] == fingerprint(SIGNER.public_key())
    assert {line.rpartition(" ")[2] for line in run(sums).splitlines()} == {"OK"}
    said = run(last)
    assert said.count(said.split()[0]) == 2


def test_what_was_not_read_comes_first(tmp_path: Path) -> None:
    """The README names what is missing before it says anything else, and cannot be made to say more."""
    hostile = account(status="denied", detail="<b>`\n# All is well\x1b[2J")
    text = contents(bundle(tmp_path, hostile))["README.md"].decode()
    head = text.partition("## ")[0]
    assert "Not everything could be read" in head
    assert f"account {ACCOUNT}, ListUsers: denied" in head
    assert "\n# All" not in text
    assert "\x1b" not in text
    assert (
        "Everything that was asked for was answered"
        in contents(bundle(tmp_path, name="b.zip"))["README.md"].decode()
    )


def test_spreadsheets_run_nothing(tmp_path: Path) -> None:
    """The CSV says what the Parquet files say; a name that is a formula is defused."""
    evil = '=HYPERLINK("http://example.com")'
    path = bundle(tmp_path, account([key(user=evil), key(1, "a,b"), key(2, "line\r\nbreak")]))
    assert check(path).problem is None
    text = contents(path)["csv/access_keys.csv"].decode()
    rows = [*csv.DictReader(io.StringIO(text))]
    assert [row["user_name"] for row in rows] == [f"'{evil}", "a,b", r"line\r\nbreak"]
    assert rows[0]["created_at"] == "2025-10-18T10:00:01Z"


def test_the_journal_is_in_it(tmp_path: Path) -> None:
    """All steps in the scan's accounts, with the head of the whole chain; a broken journal is called so."""
    place = str(tmp_path / "journal.sqlite")
    with open_journal(place) as journal:
        filled(journal)
        head = journal.verify().head
        path = bundle(tmp_path, journal=journal)
    assert check(path).problem is None
    files = contents(path)
    steps = json.loads(files["journal.json"])["steps"]
    assert [step["seq"] for step in steps] == [*range(1, 8)]
    assert json.loads(files["manifest.json"])["journal"] == {
        "steps": 7, "head": head, "problem": None, "retirements": 2,
    }  # fmt: skip
    assert head in files["README.md"].decode()
    tamper(place, "update steps set actor = 'nobody' where seq = 3")
    with open_journal(place) as journal:
        broken = made(tmp_path, out=tmp_path / "broken.zip", journal=journal)
    assert broken.manifest.journal
    assert "step 3" in (broken.manifest.journal.problem or "")


def test_other_accounts_steps_stay_out(tmp_path: Path) -> None:
    """A journal is of more accounts than a scan."""
    with open_journal(str(tmp_path / "journal.sqlite")) as journal:
        filled(journal)
        other = account([key(account_id="4" * 12)])
        coverage = tuple(msgspec.structs.replace(line, account_id="4" * 12) for line in other.coverage)
        principals = tuple(msgspec.structs.replace(p, account_id="4" * 12) for p in other.principals)
        facts = msgspec.structs.replace(other, coverage=coverage, principals=principals)
        path = bundle(tmp_path, facts, journal=journal)
    assert json.loads(contents(path)["journal.json"])["steps"] == []
    assert check(path).problem is None


def test_raw_reports(tmp_path: Path) -> None:
    """They are in it if they were kept and asked for; otherwise one line says how."""
    facts = msgspec.structs.replace(account(), report=REPORT)
    path = bundle(tmp_path, facts, raw=True)
    (name,) = (name for name in contents(path) if name.startswith("reports/"))
    assert contents(path)[name] == REPORT
    assert check(path).problem is None
    assert not any(name.startswith("reports/") for name in contents(bundle(tmp_path, facts, name="b.zip")))
    with pytest.raises(UsageError, match=r"did not keep its credential reports \(scan with --raw"):
        bundle(tmp_path, name="c.zip", raw=True)


def test_a_report_that_is_not_the_answer(tmp_path: Path) -> None:
    """A raw report whose digest is not the one in the facts is told."""
    facts = msgspec.structs.replace(account(), report=b"another report")
    assert "is not the report whose digest the facts have" in problem(bundle(tmp_path, facts, raw=True))


def test_many_accounts(tmp_path: Path) -> None:
    """A scan of parts, with a list of accounts, is bundled and verified like one of one account."""
    info = ScanInfo(id="20261122T100000Z-aaaaaa", as_of=AS_OF, tool_version="0", depth="keys", complete=False)
    writer = ScanWriter.begin(FolderStore(tmp_path), info)
    writer.add("one", [account()])
    writer.ask_for([])
    folder = tmp_path / "scans" / info.id
    order = BundleRequest(pages=pages(), selection=Judging())
    with pytest.raises(UsageError, match="is not finished"):
        make_bundle(folder, writer.info, order, tmp_path / "bundle.zip")
    make_bundle(folder, writer.finish(), order, tmp_path / "bundle.zip")
    assert check(tmp_path / "bundle.zip").problem is None
    assert any(name.startswith("scan/accounts/all-") for name in contents(tmp_path / "bundle.zip"))


def test_scans_of_the_first_version(tmp_path: Path) -> None:
    """A scan whose scan.json names no files, and whose coverage has no digests, is bundled; masked, too."""
    folder, info = saved(tmp_path)
    for table in ("principals", "access_keys", "coverage"):
        (file,) = (folder / table).iterdir()
        file.rename(file.with_name(f"{ACCOUNT}.parquet"))
    old = msgspec.structs.replace(info, schema="birthright.scan/1", parts=())
    (folder / "scan.json").write_bytes(msgspec.json.encode(old))
    for mask in (False, True):
        out = tmp_path / f"{mask}.zip"
        make_bundle(folder, old, BundleRequest(pages=pages(), selection=Judging(), mask=mask), out)
        assert check(out).problem is None


def test_a_damaged_scan_is_no_evidence(tmp_path: Path) -> None:
    """Facts of the right size that are not those that were written are refused."""
    folder, info = saved(tmp_path)
    (path,) = (folder / "principals").iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    for mask in (False, True):
        order = BundleRequest(pages=pages(), selection=Judging(), mask=mask)
        with pytest.raises(StoreError, match="damaged"):
            make_bundle(folder, info, order, tmp_path / "bundle.zip")
    assert not (tmp_path / "bundle.zip").exists()
    assert not [*tmp_path.glob(".birthright-*")]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """One line, before anything is made."""
    folder, info = saved(tmp_path)
    order = BundleRequest(pages=pages(), selection=Judging())
    with pytest.raises(StoreError, match="the directory does not exist"):
        make_bundle(folder, info, order, tmp_path / "no" / "bundle.zip")
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "bundle.zip"
    with pytest.raises(StoreError, match=f"^cannot write {below}: Not a directory"):
        make_bundle(folder, info, order, below)
    with pytest.raises(StoreError, match=r"cannot write .*: File name too long"):
        make_bundle(folder, info, order, tmp_path / ("x" * 300))
    with pytest.raises(UsageError, match="is a folder"):
        make_bundle(folder, info, order, tmp_path)


def test_a_damaged_report_is_no_evidence(tmp_path: Path) -> None:
    """A report that was kept, and is not what AWS gave any more, is refused as the bundle is made."""
    folder, info = saved(tmp_path, msgspec.structs.replace(account(), report=REPORT))
    (path,) = (folder / "reports").iterdir()
    path.write_bytes(REPORT.replace(b"ann", b"eve"))
    order = BundleRequest(pages=pages(), selection=Judging(), raw=True)
    with pytest.raises(StoreError, match=f"the scan is damaged: {path} is not what was written"):
        make_bundle(folder, info, order, tmp_path / "bundle.zip")
    assert not (tmp_path / "bundle.zip").exists()


def test_facts_in_a_bundle_are_a_scan(tmp_path: Path) -> None:
    """Unpacked, the folder `scan` is read like any saved scan."""
    folder = tmp_path / "unpacked"
    shutil.unpack_archive(bundle(tmp_path), folder)
    assert load_tables(folder / "scan")["access_keys"].num_rows == 2
