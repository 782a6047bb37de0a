"""`birthright evidence` and `birthright evidence verify`, as people run them."""

import os
from pathlib import Path
from typing import Any

import click
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
from birthright.retirement.journal.opening import open_journal
from cli_helpers import Birthright
from evidence_helpers import KEYS, OTHER, SIGNER, account, contents, forged, saved, waivers_of
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
    assert "b.zip does not hold: it is signed by another key" in other.trouble


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
        ([ID, "-o", "b.zip", "--raw"], "did not keep its credential reports"),
        ([ID, "-o", "b.zip", "--waivers", "nowhere"], "cannot read nowhere"),
        ([ID, "-o", "b.zip", "--waivers", "waivers.bin"], "not UTF-8 text"),
        (["verify", "nowhere"], "cannot read nowhere"),
        (["verify", "waivers.bin"], "is no bundle of birthright's"),
    ):
        ran = birthright("evidence", *words)
        assert ran.code == 2, words
        assert said in ran.trouble
    assert birthright("evidence", ID, "-o", "no/b.zip").code == 4


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
