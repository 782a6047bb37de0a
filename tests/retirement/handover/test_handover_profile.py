"""Profiles in shared credentials files: botocore reads the new key, everything else stays as it was."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import msgspec
import pytest
from botocore.configloader import raw_config_parse
from hypothesis import given
from hypothesis import strategies as st

from birthright.errors import HandoverError
from birthright.retirement.handover.credentials_file import read_profiles, with_key
from birthright.retirement.handover.interface import NewSecret, Owner
from birthright.retirement.handover.registry import destination
from birthright.secret import Secret

Client = Callable[[str], Any]
ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ALICE = b"[alice]\naws_access_key_id = ID\naws_secret_access_key = KEY\n"
ODD = {
    "empty": (b"", ALICE),
    "no final newline": (b"[b]\nx=1", b"[b]\nx=1\n\n" + ALICE),
    "carriage returns": (
        b"# mine\r\n[alice]\r\naws_access_key_id=o\r\naws_secret_access_key=o\r\n; end\r\n[b]\r\nx=1\r\n",
        b"# mine\r\n[alice]\r\naws_access_key_id=ID\r\naws_secret_access_key=KEY\r\n; end\r\n[b]\r\nx=1\r\n",
    ),
    "new, among carriage returns": (
        b"[b]\r\nx = 1",
        b"[b]\r\nx = 1\r\n\r\n" + ALICE.replace(b"\n", b"\r\n"),
    ),
    "comments and odd spacing": (
        (
            b"\n\n  # top\n[alice]  # why\n\n; old one\nAWS_Access_Key_ID :  old\n\n   \nregion = x\n"
            b"aws_secret_access_key=old # gone\n#aws_session_token = x\n\n[b]\naws_access_key_id = kept\n"
        ),
        (
            b"\n\n  # top\n[alice]  # why\n\n; old one\nAWS_Access_Key_ID :  ID\n\n   \nregion = x\n"
            b"aws_secret_access_key=KEY\n#aws_session_token = x\n\n[b]\naws_access_key_id = kept\n"
        ),
    ),
    "a session token": (
        (
            b"[alice]\naws_session_token =\n   long\n   token\naws_secret_access_key = old\n"
            b"aws_access_key_id = old\naws_security_token=x\n[b]\naws_session_token = kept"
        ),
        b"[alice]\naws_secret_access_key = KEY\naws_access_key_id = ID\n[b]\naws_session_token = kept",
    ),
    "nothing but a header": (b"[alice]", ALICE),
    "half a key": (
        b"[alice]\nregion=x\naws_secret_access_key =\n[b]\n",
        b"[alice]\naws_access_key_id = ID\nregion=x\naws_secret_access_key =KEY\n[b]\n",
    ),
    "a header of config files": (
        b"[profile alice]\naws_access_key_id = kept\n",
        b"[profile alice]\naws_access_key_id = kept\n\n" + ALICE,
    ),
    "names that look alike": (
        b"[ alice ]\nx=1\n[alice2]\nx=2\n[Alice]\nx=3\n[alice]\nx=4\n",
        b"[ alice ]\nx=1\n[alice2]\nx=2\n[Alice]\nx=3\n" + ALICE + b"x=4\n",
    ),
    "a value that looks like a profile": (
        b"[b]\nx = 1\n  [alice]\n",
        b"[b]\nx = 1\n  [alice]\n\n" + ALICE,
    ),
    "letters of the world": (
        "# Schlüssel\n[b]\nx = schön\n".encode(),
        "# Schlüssel\n[b]\nx = schön\n\n".encode() + ALICE,
    ),
}
REFUSED = {
    "twice the profile": b"[alice]\nx=1\n[alice]\nx=2\n",
    "twice another profile": b"[b]\nx=1\n[b]\nx=2\n",
    "twice a field": b"[alice]\naws_access_key_id = a\naws_access_key_id = b\n",
    "no profile at all": b"aws_access_key_id = a\n",
    "no field": b"[b]\nsecret-in-the-wrong-place\n",
    "no text": b"[b]\nx = \xff\xfe\n",
    "a mark at the start": b"\xef\xbb\xbf[b]\nx = 1\n",
    "a token for all": b"[DEFAULT]\naws_session_token = t\n[b]\nx=1\n",
    "an indented profile": b"[b]\n  [alice]\nx = 1\n[c]\n",
    "a value that goes on after a comment": b"[alice]\naws_session_token = a\n# x\n  b = c\n",
}
WRITER = """
import sys
from birthright.retirement.handover.interface import Owner, NewSecret
from birthright.retirement.handover.registry import destination
from birthright.secret import Secret

path, first, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
owner = Owner(account_id="1" * 12, partition="aws", user_name="u", user_arn="", client=print)
for each in range(first, first + number):
    parcel = NewSecret(access_key_id=f"AKIA{each:016}", secret=Secret("s" * 40), token="")
    destination(f"profile:u{each}:{path}", owner).deliver(parcel)
"""


def _changed(data: bytes) -> bytes:
    return with_key(data, "alice", "ID", "KEY")


@pytest.mark.parametrize("case", ODD)
def test_everything_else_is_kept(case: str) -> None:
    """Byte for byte, and a repeat changes nothing more."""
    before, after = ODD[case]
    assert _changed(before) == after
    assert _changed(after) == after


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_are_refused(case: str, owner: Owner, parcel: NewSecret, tmp_path: Path) -> None:
    """What AWS tools cannot read, or what cannot be changed alone, is left alone; nothing of it is told."""
    path = tmp_path / "credentials"
    path.write_bytes(REFUSED[case])
    with pytest.raises(HandoverError) as caught:
        destination(f"profile:{{user_name}}:{path}", owner).deliver(parcel)
    assert caught.value.certain
    assert "secret-in" not in str(caught.value)
    assert path.read_bytes() == REFUSED[case]


LINES = st.sampled_from(
    """\
[alice]
[b]
[profile alice]
 [b]
[c] x
aws_access_key_id = o
aws_secret_access_key=o
aws_session_token: t
  aws_session_token = t
region = x
\tgoes on
    goes = on
# note
 ; note

empty =
[DEFAULT]""".split("\n")
)


@given(lines=st.lists(LINES, max_size=12), end=st.sampled_from(["\n", "\r\n", "\r"]), last=st.booleans())
def test_nothing_else_changes_whatever_the_file(lines: list[str], end: str, last: bool) -> None:  # noqa: FBT001
    """Any file is refused, or differs in one profile only; headers and comments all stay."""
    data = (end.join(lines) + (end if last else "")).encode()
    try:
        after = _changed(data)
    except HandoverError as refusal:
        assert refusal.certain  # noqa: PT017 - most files hypothesis writes are broken
        return
    found, was = read_profiles(after), read_profiles(data)
    assert (found["alice"]["aws_access_key_id"], found["alice"]["aws_secret_access_key"]) == ("ID", "KEY")
    assert found.pop("alice")
    assert found == {name: fields for name, fields in was.items() if name != "alice"}
    rest = iter(after.splitlines())
    # An indented bracket is the rest of the value above it.
    kept = [
        line
        for line in data.splitlines()
        if line.lstrip()[:1] in {b"#", b";"} or line[:1] == b"[" or b"region" in line
    ]
    assert all(line in rest for line in kept)


def test_botocore_reads_the_key(
    owner: Owner, parcel: NewSecret, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the file of the environment, made with its folder, private."""
    path = tmp_path / "aws" / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    place = destination("profile:{user_name}", owner)
    place.check()
    assert not path.parent.exists()
    assert place.holds(parcel.access_key_id, parcel.token) is False
    delivered = place.deliver(parcel)
    assert delivered.where == place.where == f"profile alice in {path}"
    assert place.holds(parcel.access_key_id, parcel.token) is True
    credentials = botocore.session.Session(profile="alice").get_credentials()
    assert (credentials.access_key, credentials.secret_key, credentials.token) == (ID, SECRET, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_home_folder_is_the_usual_place(
    owner: Owner, parcel: NewSecret, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a file in the spec or the environment it is ~/.aws/credentials, behind a link or not."""
    monkeypatch.delenv("AWS_SHARED_CREDENTIALS_FILE")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    (tmp_path / "real").write_bytes(b"[b]\nx = 1\n")
    (tmp_path / "real").chmod(0o644)
    (tmp_path / ".aws" / "credentials").symlink_to(tmp_path / "real")
    destination("profile:{user_name}", owner).deliver(parcel)
    assert (tmp_path / ".aws" / "credentials").is_symlink()
    assert raw_config_parse(str(tmp_path / "real")).keys() == {"b", "alice"}
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o600


def test_the_users_own_key_is_replaced(owner: Owner, client: Client, tmp_path: Path) -> None:
    """The profile that holds the key being rotated gets the new one."""
    iam = client("iam")
    iam.create_user(UserName="alice")
    old, new = (iam.create_access_key(UserName="alice")["AccessKey"] for _ in range(2))
    path = tmp_path / "credentials"
    path.write_bytes(with_key(b"", "work", old["AccessKeyId"], old["SecretAccessKey"]))
    place = destination(f"profile:work:{path}", owner)
    place.check()
    place.deliver(
        NewSecret(access_key_id=new["AccessKeyId"], secret=Secret(new["SecretAccessKey"]), token="")
    )
    assert path.read_bytes() == with_key(b"", "work", new["AccessKeyId"], new["SecretAccessKey"])


def test_another_users_key_is_not(
    owner: Owner, bob: Owner, parcel: NewSecret, client: Client, tmp_path: Path
) -> None:
    """Its secret may be nowhere else: two users cannot share a profile by mistake."""
    for name in ("alice", "bob"):
        client("iam").create_user(UserName=name)
    path = tmp_path / "credentials"
    destination(f"profile:all:{path}", bob).deliver(parcel)
    before = path.read_bytes()
    place = destination(f"profile:all:{path}", owner)
    for call in (place.check, lambda: place.deliver(msgspec.structs.replace(parcel, access_key_id="A" * 20))):
        with pytest.raises(HandoverError, match="holds a key that user alice does not have") as caught:
            call()
        assert caught.value.certain
    assert path.read_bytes() == before


def test_a_place_that_is_no_file(owner: Owner, parcel: NewSecret, tmp_path: Path) -> None:
    """A folder, a pipe or a path through a file is refused; nothing was stored, for certain."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "file" / "x"):
        place = destination(f"profile:p:{path}", owner)
        for call in (place.check, lambda place=place: place.deliver(parcel)):
            with pytest.raises(HandoverError) as caught:
                call()
            assert caught.value.certain
    with pytest.raises(HandoverError) as caught:
        destination(f"profile:p:{tmp_path / 'pipe'}", owner).holds(ID, "")
    assert not caught.value.certain


def _start(path: Path, first: int, number: int, before: str = "") -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", before + WRITER, path, str(first), str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """Write a credentials file that has one profile, and a comment."""
    path = tmp_path / "aws" / "credentials"
    path.parent.mkdir()
    path.write_bytes(b"# mine\n[old]\naws_access_key_id = kept\n")
    return path


def test_writers_at_once_lose_nothing(old_file: Path) -> None:
    """Four processes, forty profiles: all are there, and no temporary file is."""
    writers = [_start(old_file, first, 10) for first in (0, 10, 20, 30)]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.communicate()[1] == ""
    assert raw_config_parse(str(old_file)).keys() == {"old", *(f"u{number}" for number in range(40))}
    assert old_file.read_bytes().startswith(b"# mine\n[old]\naws_access_key_id = kept\n\n[u")
    assert {path.name for path in old_file.parent.iterdir()} == {
        "credentials",
        ".credentials.birthright-lock",
    }


def test_a_killed_writer_leaves_the_file_whole(old_file: Path, owner: Owner, parcel: NewSecret) -> None:
    """Whenever the process dies the file is one of its versions; what it left is swept by the next writer."""
    writers = [_start(old_file, 100 * number, 100) for number in range(4)]
    for number, writer in enumerate(writers):
        assert writer.stdin
        writer.stdin.write("\n")
        writer.stdin.flush()
        time.sleep(0.02 + 0.011 * number)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        profiles = raw_config_parse(str(old_file))
        assert profiles["old"] == {"aws_access_key_id": "kept"}
        assert all(len(profile) == 2 for name, profile in profiles.items() if name != "old")
    (old_file.parent / ".birthright-0123456789abcdef").write_bytes(old_file.read_bytes())
    (old_file.parent / ".birthright-somebody-elses").write_bytes(b"kept")
    destination(f"profile:p:{old_file}", owner).deliver(parcel)
    left = {path.name: path.read_bytes() for path in old_file.parent.iterdir()}
    assert left.pop(".birthright-somebody-elses") == b"kept"
    # A writer killed before its first byte leaves an empty file.
    assert {name for name, data in left.items() if data} == {"credentials"}


def test_a_full_disk_keeps_the_old_file(old_file: Path) -> None:
    """When the system takes a part of the file only, the old one stays and the part goes."""
    before = old_file.read_bytes()
    writer = _start(old_file, 0, 1, "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))\n")
    told = writer.communicate("\n")[1]
    assert "HandoverError: cannot write" in told
    assert "File too large" in told
    assert "ssss" not in told
    assert old_file.read_bytes() == before
    assert {path.name for path in old_file.parent.iterdir()} == {
        "credentials",
        ".credentials.birthright-lock",
    }
