"""`birthright evidence` and `birthright evidence verify`, as people run them."""

import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from birthright.cli.evidence import command
from birthright.evidence.bundle import BundleRequest, make_bundle
from birthright.evidence.verifying import verify_bundle
from birthright.retirement.journal.opening import open_journal
from birthright.sandbox import Sandbox
from birthright.scans.request import Judging
from cli_helpers import Birthright
from evidence_helpers import (
    BORN,
    KEYS,
    OTHER,
    SIGNER,
    Files,
    account,
    contents,
    forged,
    pages,
    saved,
    waivers_of,
)
from journal_helpers import filled

ID = "20261122T100000Z-abcdef"


@pytest.fixture
def kept(store: Path) -> Path:
    """Keep a scan in the store."""
    return saved(store)[0]


def private(
    path: Path,
    key: Any = SIGNER,  # noqa: ANN401 - any private key
    form: PrivateFormat = PrivateFormat.PKCS8,
    lock: KeySerializationEncryption | None = None,
) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, form, lock or NoEncryption()))
    return path


def public(path: Path, key: Ed25519PrivateKey = SIGNER, *, openssh: bool = False) -> Path:
    form = (
        (Encoding.OpenSSH, PublicFormat.OpenSSH)
        if openssh
        else (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    path.write_bytes(key.public_key().public_bytes(*form))
    return path


@pytest.mark.usefixtures("kept")
def test_made_and_verified(birthright: Birthright, folder: Path) -> None:
    """As the issue writes it; an unsigned bundle says so both times."""
    made = birthright("evidence", ID, "-o", "bundle.zip")
    assert (made.code, made.err) == (0, "")
    assert f"bundle.zip: scan {ID}, " in made.out
    assert "journal: there is none" in made.out
    assert "signed: no; --sign-key signs it" in made.out
    assert (folder / "bundle.zip").stat().st_mode & 0o777 == 0o600
    checked = birthright("evidence", "verify", "bundle.zip")
    assert (checked.code, checked.err) == (0, "")
    assert "judged again, the same" in checked.out
    assert "signature: none: anybody could have made this bundle" in checked.out


@pytest.mark.usefixtures("kept")
def test_other_ways_to_say_it(birthright: Birthright) -> None:
    """Options may come first, and `make` may be said."""
    for words in (["-o", "b.zip", "latest"], ["make", "latest", "-o", "b.zip"], ["latest", "--output=b.zip"]):
        assert birthright("evidence", *words).code == 0
    for words in (["-h"], ["make", "--help"], ["verify", "--help"]):
        assert "Usage: birthright evidence" in birthright("evidence", *words).out


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.OpenSSH])
def test_signed(birthright: Birthright, folder: Path, form: PrivateFormat) -> None:
    """A key as openssl or ssh-keygen makes it signs; the one that is given must be the one that signed."""
    key = private(folder / "key", form=form)
    assert "signed: by key SHA256:" in birthright("evidence", ID, "-o", "b.zip", "--sign-key", key).out
    assert "whole, by key SHA256:" in birthright("evidence", "verify", "b.zip").out
    for openssh in (False, True):
        own = public(folder / "own.pub", openssh=openssh)
        assert "the key that was given" in birthright("evidence", "verify", "b.zip", "--public-key", own).out
    other = birthright("evidence", "verify", "b.zip", "--public-key", public(folder / "other.pub", OTHER))
    assert other.code == 1
    assert "b.zip does not hold: it is signed by another key, SHA256:" in other.trouble


@pytest.mark.usefixtures("kept")
def test_an_encrypted_key(birthright: Birthright, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its passphrase comes from the environment, or a person; a wrong one is told, and never shown."""
    key = private(folder / "key", lock=BestAvailableEncryption(b"open sesame"))
    monkeypatch.setattr(os, "isatty", lambda _: False)
    ran = birthright("evidence", ID, "-o", "b.zip", "--sign-key", key)
    assert (ran.code, ran.trouble) == (
        2,
        "the key is encrypted (BIRTHRIGHT_SIGN_PASSPHRASE holds its passphrase)",
    )
    monkeypatch.setenv("BIRTHRIGHT_SIGN_PASSPHRASE", "wrong")
    ran = birthright("evidence", ID, "-o", "b.zip", "--sign-key", key)
    assert ran.code == 2
    assert "or a wrong passphrase" in ran.trouble
    monkeypatch.setenv("BIRTHRIGHT_SIGN_PASSPHRASE", "open sesame")
    assert birthright("evidence", ID, "-o", "b.zip", "--sign-key", key).code == 0
    assert birthright("evidence", "verify", "b.zip", "--public-key", public(folder / "pub")).code == 0


@pytest.mark.usefixtures("kept")
def test_a_passphrase_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal, without showing it."""
    key = private(folder / "key", lock=BestAvailableEncryption(b"open sesame"))
    monkeypatch.setattr(os, "isatty", lambda _: True)
    arguments = [ID, "-o", str(folder / "b.zip"), "--sign-key", str(key)]
    result = CliRunner().invoke(command, arguments, input="open sesame\n", catch_exceptions=False)
    assert result.exit_code == 0
    assert "sesame" not in result.output


@pytest.mark.usefixtures("kept")
def test_bad_keys(birthright: Birthright, folder: Path) -> None:
    """Each in one line that says how to make a good one, and shows nothing of the file."""
    rsa = private(folder / "rsa", generate_private_key(65537, 2048))
    (folder / "text").write_text("secret text")
    (folder / "large").write_bytes(bytes(70_000))
    for file, said in (
        (rsa, "not an Ed25519 key"),
        ("text", "no private key that can be read"),
        (public(folder / "pub"), "no private key that can be read"),
        ("large", "too large for a key"),
        ("nowhere", "cannot read nowhere"),
    ):
        ran = birthright("evidence", ID, "-o", "b.zip", "--sign-key", file)
        assert ran.code == 2
        assert said in ran.trouble
        assert "secret text" not in ran.trouble
    assert not (folder / "b.zip").exists()
    birthright("evidence", ID, "-o", "b.zip")
    for file in (rsa, "text"):
        assert birthright("evidence", "verify", "b.zip", "--public-key", file).code == 2


@pytest.mark.usefixtures("kept")
def test_an_altered_bundle(birthright: Birthright, folder: Path) -> None:
    """Exit code 1 and one line; names in it cannot play with the terminal."""
    birthright("evidence", ID, "-o", "b.zip")
    path = folder / "b.zip"
    forged(path, lambda files: files.update({"findings.json": b"{}\n"}))
    ran = birthright("evidence", "verify", "forged.zip")
    assert ran.code == 1
    assert "forged.zip does not hold: findings.json differs from what the facts give: " in ran.trouble
    forged(path, lambda files: files.update({"a\x1b[2J": b""}))
    ran = birthright("evidence", "verify", "forged.zip")
    assert ran.code == 1
    assert "\x1b" not in ran.trouble


@pytest.mark.usefixtures("kept")
def test_wrong_usage(birthright: Birthright, folder: Path) -> None:
    """What is missing, or is something else, is one line and exit code 2."""
    (folder / "waivers.bin").write_bytes(b"\xff")
    for words, said in (
        ([ID], "Missing option '-o'"),
        (["-o", "b.zip"], "Missing argument 'SCAN_ID'"),
        (["20200101T000000Z-000000", "-o", "b.zip"], "there is no scan"),
        (["bundle.zip", "-o", "b.zip"], "'bundle.zip' is not the id of a scan"),
        ([ID, "-o", "."], "is a folder"),
        ([ID, "-o", "no/b.zip"], "no: there is no such folder (create it first)"),
        ([ID, "-o", "b.zip", "--raw"], "did not keep its credential reports"),
        ([ID, "-o", "b.zip", "--waivers", "nowhere"], "cannot read nowhere"),
        ([ID, "-o", "b.zip", "--waivers", "waivers.bin"], "not UTF-8 text"),
        (["verify", "nowhere"], "cannot read nowhere"),
        (["verify", "waivers.bin"], "is no bundle of birthright's"),
    ):
        ran = birthright("evidence", *words)
        assert ran.code == 2, words
        assert said in ran.trouble


def test_an_incomplete_scan_warns(birthright: Birthright, store: Path) -> None:
    """On stderr when it is made, and when it is verified: the bundle is good, the scan lacks something."""
    saved(store, account(status="denied"))
    made = birthright("evidence", ID, "-o", "b.zip")
    assert made.code == 0
    assert "is not complete: not everything could be read" in made.err
    checked = birthright("evidence", "verify", "b.zip")
    assert checked.code == 0
    assert "not everything could be read: see README.md in it" in checked.out


@pytest.mark.usefixtures("kept")
def test_the_stores_journal(birthright: Birthright, store: Path, folder: Path) -> None:
    """The journal in the store is taken by itself; one that is named has to be there."""
    with open_journal(str(store / "journal.sqlite")) as journal:
        filled(journal)
    assert "journal: 2 retirements" in birthright("evidence", ID, "-o", "b.zip").out
    assert "journal.json" in contents(folder / "b.zip")
    assert (
        "there is no journal at nowhere"
        in birthright("evidence", ID, "-o", "b.zip", "--journal", "nowhere").trouble
    )


@pytest.mark.usefixtures("kept")
def test_waivers(birthright: Birthright, folder: Path) -> None:
    """./waivers.yaml is applied and put in unless --no-waivers says otherwise; a wrong one is refused."""
    birthright("evidence", ID, "-o", "without.zip")
    (folder / "waivers.yaml").write_bytes(waivers_of(KEYS[0]))
    birthright("evidence", ID, "-o", "b.zip")
    assert contents(folder / "b.zip")["waivers.yaml"] == waivers_of(KEYS[0])
    assert b'"waived": 1' in contents(folder / "b.zip")["findings.json"]
    assert birthright("evidence", "verify", "b.zip").code == 0
    birthright("evidence", ID, "-o", "no.zip", "--no-waivers")
    assert (folder / "no.zip").read_bytes() == (folder / "without.zip").read_bytes()
    (folder / "waivers.yaml").write_text("waivers: [")
    ran = birthright("evidence", ID, "-o", "b.zip")
    assert ran.code == 2
    assert "waivers.yaml, line" in ran.trouble


@pytest.mark.usefixtures("kept")
def test_policies_and_parameters(birthright: Birthright) -> None:
    """A scan is judged as it was, or as the options say."""
    ran = birthright("evidence", ID, "-o", "b.zip", "--policy", "root-access-key")
    assert "0 verdicts" in ran.out
    assert "0 judged again" in birthright("evidence", "verify", "b.zip").out


def test_a_scan_of_the_sandbox(birthright: Birthright, box: object, folder: Path) -> None:
    """A whole account with all named cases, by all policies: the bundle verifies, masked or not."""
    assert box
    birthright("scan", "--format", "json", "-o", "findings.json")
    for words in ([], ["--mask"]):
        assert birthright("evidence", "latest", "-o", "b.zip", *words).code == 0
        assert birthright("evidence", "verify", "b.zip").code == 0
    assert b"coverage" in contents(folder / "b.zip")["findings.json"]


def test_it_is_a_group() -> None:
    """Its commands are listed, so that help and shells know them."""
    assert isinstance(command, click.Group)
    assert [*command.commands] == ["make", "verify"]


@pytest.mark.usefixtures("kept")
def test_a_bundle_through_a_pipe(folder: Path) -> None:
    """What goes to /dev/stdout is the bundle alone; what is said about it goes to stderr."""
    run = [sys.executable, "-m", "birthright", "evidence"]
    made = subprocess.run([*run, ID, "-o", "/dev/stdout"], capture_output=True, check=True, cwd=folder)
    assert b"signed: no" in made.stderr
    (folder / "bundle.zip").write_bytes(made.stdout)
    assert verify_bundle(folder / "bundle.zip").problem is None
    piped = subprocess.run(
        [*run, "verify", "/dev/stdin"], input=made.stdout, capture_output=True, check=False, cwd=folder
    )
    assert piped.returncode == 2
    assert piped.stderr.startswith(b"birthright: cannot read /dev/stdin: ")
    assert b"None" not in piped.stderr


@pytest.mark.usefixtures("kept")
def test_no_room_to_unpack(birthright: Birthright, folder: Path) -> None:
    """A disk without room is nothing that is wrong with the bundle."""
    birthright("evidence", ID, "-o", "bundle.zip")
    words = f"ulimit -f 1; {shlex.quote(sys.executable)} -m birthright evidence verify bundle.zip"
    done = subprocess.run(["bash", "-c", words], capture_output=True, check=False, cwd=folder)
    assert done.returncode == 4
    assert done.stderr.startswith(b"birthright: cannot unpack scan/")
    assert b"TMPDIR names another place" in done.stderr


def test_a_strange_bundle_says_nothing_to_a_terminal(birthright: Birthright, folder: Path) -> None:
    """A scan's id is what the bundle's maker wrote."""
    info = msgspec.structs.replace(saved(folder / "odd")[1], id="\x1b[31m")
    scan = folder / "odd" / "scans" / ID
    (scan / "scan.json").write_bytes(msgspec.json.encode(info))
    make_bundle(scan, info, BundleRequest(pages=pages(), selection=Judging()), folder / "bundle.zip")
    checked = birthright("evidence", "verify", "bundle.zip")
    assert (checked.code, checked.err) == (0, "")
    assert "scan \\x1b[31m of " in checked.out


@pytest.mark.usefixtures("kept")
def test_what_the_verdicts_rest_on_is_told(birthright: Birthright, folder: Path) -> None:
    """Pages that birthright does not ship, other parameters and waivers make other verdicts."""
    birthright("evidence", ID, "-o", "plain.zip")
    plain = birthright("evidence", "verify", "plain.zip").out
    assert "policies: 13, this birthright's own\n" in plain
    assert "accepted" not in plain
    (folder / "waivers.yaml").write_bytes(waivers_of(KEYS[0]))
    birthright("evidence", ID, "-o", "changed.zip", "--set", f"{BORN}.window=200s")

    def lenient(files: Files) -> None:
        page = f"policies/{BORN}.md"
        before = files[page]
        files[page] = before.replace(b"```sql\n", b"```sql\n-- ours\n", 1)
        old, new = (hashlib.sha256(one).hexdigest().encode() for one in (before, files[page]))
        files["findings.json"] = files["findings.json"].replace(old, new)

    bundle = forged(folder / "changed.zip", lenient)
    told = birthright("evidence", "verify", str(bundle)).out
    assert (
        f"policies: 13; not this birthright's own: {BORN}; parameters that were changed: {BORN}.window=200s"
        in told
    )
    assert "judged again, the same; accepted by its waivers.yaml: 1" in told


def test_raw_reports_of_a_real_scan(birthright: Birthright, folder: Path) -> None:
    """`scan --raw` keeps what AWS gave of each account, and the bundle holds it, masked or not."""
    with Sandbox.create(users=20, accounts=3).running() as box, pytest.MonkeyPatch.context() as patch:
        for name, value in box.environment().items():
            patch.setenv(name, value)
        assert birthright("scan", "--org", "--raw").code == 1
    for words in ([], ["--mask"]):
        assert birthright("evidence", "latest", "-o", "bundle.zip", "--raw", *words).code == 0
        assert birthright("evidence", "verify", "bundle.zip").code == 0
        reports = {
            name: data
            for name, data in contents(folder / "bundle.zip").items()
            if name.startswith("reports/")
        }
        assert len(reports) >= 2
        assert all(data.startswith(b"user,arn,user_creation_time") for data in reports.values())
