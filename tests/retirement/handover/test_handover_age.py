"""Files encrypted to age recipients: pyrage reads them back, and nobody else's file is touched."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from birthright.errors import HandoverError
from birthright.retirement.handover.interface import NewSecret, Owner
from birthright.retirement.handover.registry import destination

FULL_DISK = """
import resource, sys
from birthright.errors import HandoverError
from birthright.retirement.handover.interface import Owner, NewSecret
from birthright.retirement.handover.registry import destination
from birthright.secret import Secret

resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
owner = Owner(account_id="1" * 12, partition="aws", user_name="alice", user_arn="", client=print)
try:
    destination(sys.argv[1], owner).deliver(NewSecret(access_key_id="A" * 20, secret=Secret("s"), token="t"))
except HandoverError as error:
    print(error.certain, error)
"""


@pytest.fixture
def identity() -> pyrage.x25519.Identity:
    """Make a private key."""
    return pyrage.x25519.Identity.generate()


def _spec(identity: pyrage.x25519.Identity, folder: Path) -> str:
    return f"age:{identity.to_public()}:{folder}/{{user_name}}/{{access_key_id}}.age"


def test_each_recipient_can_read_it(
    owner: Owner, parcel: NewSecret, identity: pyrage.x25519.Identity, tmp_path: Path
) -> None:
    """An age key and an SSH key decrypt the same file; it is private, and so are the folders made for it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "ssh"], check=True)
    public = (tmp_path / "ssh.pub").read_text().strip()
    place = destination(f"age:{identity.to_public()}, {public}:{tmp_path}/a/{{access_key_id}}", owner)
    place.check()
    assert not (tmp_path / "a").exists()
    assert place.holds(parcel.access_key_id, parcel.token) is False
    delivered = place.deliver(parcel)
    assert place.holds(parcel.access_key_id, parcel.token) is True
    path = tmp_path / "a" / parcel.access_key_id
    assert delivered.where == f"age-encrypted file {path}"
    ssh = pyrage.ssh.Identity.from_buffer((tmp_path / "ssh").read_bytes())
    for reader in (identity, ssh):
        assert json.loads(pyrage.decrypt(path.read_bytes(), [reader])) == {
            "access_key_id": parcel.access_key_id,
            "secret_access_key": parcel.secret.reveal(),
            "user_name": "alice",
            "account_id": owner.account_id,
        }
    assert path.read_bytes().startswith(b"-----BEGIN AGE ENCRYPTED FILE-----\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["file", "folder", "link", "link to nothing"])
def test_what_is_there_stays(
    kind: str, owner: Owner, parcel: NewSecret, identity: pyrage.x25519.Identity, tmp_path: Path
) -> None:
    """A file of that name is never overwritten, and no link is followed."""
    path, elsewhere = tmp_path / "alice" / f"{parcel.access_key_id}.age", tmp_path / "elsewhere"
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(elsewhere)
    if kind == "link":
        elsewhere.write_text("mine")
    with pytest.raises(HandoverError, match="exists already") as caught:
        destination(_spec(identity, tmp_path), owner).deliver(parcel)
    assert caught.value.certain
    assert kind != "file" or path.read_text() == "mine"
    assert elsewhere.exists() == (kind == "link")


def test_a_place_that_cannot_be_written(
    owner: Owner, parcel: NewSecret, identity: pyrage.x25519.Identity, tmp_path: Path
) -> None:
    """It is refused before a key is made, and at delivery: nothing was stored, for certain."""
    (tmp_path / "file").touch()
    place = destination(_spec(identity, tmp_path / "file"), owner)
    for call in (place.check, lambda: place.deliver(parcel)):
        with pytest.raises(HandoverError, match="cannot write") as caught:
            call()
        assert caught.value.certain


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_closed_folder(
    owner: Owner, parcel: NewSecret, identity: pyrage.x25519.Identity, tmp_path: Path
) -> None:
    """A folder without the right to write is refused beforehand."""
    tmp_path.chmod(0o500)
    place = destination(_spec(identity, tmp_path), owner)
    with pytest.raises(HandoverError, match="may not write"):
        place.check()
    with pytest.raises(HandoverError, match="Permission denied"):
        place.deliver(parcel)
    tmp_path.chmod(0o700)


def test_a_full_disk_leaves_nothing(identity: pyrage.x25519.Identity, tmp_path: Path) -> None:
    """When the system takes a part of the file only, that part goes, and it is certain."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, _spec(identity, tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("True cannot write")
    assert "File too large" in done.stdout
    assert not list((tmp_path / "alice").iterdir())
