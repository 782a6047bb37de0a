"""Atomic files: whole or not at all, whatever goes wrong."""

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from birthright.atomic import make_directories, publish_directory, write_atomically, write_file
from birthright.errors import StoreError

FULL_DISK = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from birthright.atomic import write_atomically
from birthright.errors import StoreError
from birthright.facts.model import AccountFacts, Principal
from birthright.scans.writer import save_scan
from birthright.scans.record import ScanInfo
from birthright.scans.store import FolderStore
import birthright.facts.schema, pyarrow.parquet

resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
top, now = Path(sys.argv[1]), datetime(2026, 11, 22, tzinfo=UTC)
info = ScanInfo(
    id="20261122T220312Z-00aa11", as_of=now, tool_version="0", depth="keys", complete=True
)
many = tuple(Principal("1" * 12, str(hash(str(n))), str(n)) for n in range(5000))
for write in (
    lambda: write_atomically(top / "file", [b"x" * 2000] * 2),
    lambda: save_scan(FolderStore(top), info, [AccountFacts(many, (), ())]),
):
    try:
        write()
    except StoreError as error:
        print(error)
"""


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """The new content replaces the old, private unless told otherwise, whatever the umask."""
    path = tmp_path / "file"
    write_atomically(path, b"old")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write_atomically(path, iter([b"n", b"", b"ew"]), mode=0o664)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o664
    assert names_in(tmp_path) == ["file"]


def test_a_broken_source_leaves_the_old_file(tmp_path: Path) -> None:
    """If the content ends in an error, the old file stays, no other appears, the error passes."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        write_atomically(path, broken())
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["file"]


def test_a_link_is_kept(tmp_path: Path) -> None:
    """Writing to a symbolic link replaces what it points to."""
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    for content in (b"1", b"2"):
        write_atomically(link, content)
        assert link.is_symlink()
        assert target.read_bytes() == content


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    """A pipe or device is not replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"hello")
    reader.join(5)
    assert found == [b"hello"]
    assert pipe.is_fifo()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The message names the file the user named, and the hint what to do."""
    (tmp_path / "file").touch()
    for path, hint in (
        (tmp_path / "none" / "x", "create it first"),
        (tmp_path / "file" / "x", "a directory is needed"),
        (tmp_path, "name a file"),
        (tmp_path / ("x" * 300), "shorter name"),
    ):
        with pytest.raises(StoreError, match=hint) as caught:
            write_atomically(path, b"")
        assert str(path) in caught.value.message
        assert ".birthright-" not in str(caught.value)
    assert names_in(tmp_path) == ["file"]
    with pytest.raises(StoreError, match="a directory is needed"):
        make_directories(tmp_path / "file")


def test_a_directory_appears_at_the_end(tmp_path: Path) -> None:
    """Until all is written the directory has another, hidden name."""
    target = tmp_path / "a" / "b"
    with publish_directory(target) as hidden:
        write_file(hidden / "x", b"1")
        assert not target.exists()
        assert hidden.name.startswith(".")
    assert (target / "x").read_bytes() == b"1"
    assert names_in(target.parent) == ["b"]


def test_a_directory_vanishes_on_failure(tmp_path: Path) -> None:
    """If the filling fails nothing stays, and a directory that exists is not replaced."""

    def fill() -> None:
        with publish_directory(tmp_path / "b") as hidden:
            write_file(hidden / "x", b"1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill()
    assert names_in(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """When the system takes only a part of a file, both kinds of writing clean up and say why."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert first == (
        f"cannot write {tmp_path}/file: File too large"
        " (the file would be larger than this process may write (ulimit -f))"
    )
    assert "File too large" in second
    assert names_in(tmp_path) == ["scans"]
    assert names_in(tmp_path / "scans") == []


def test_what_a_killed_process_left_is_swept_a_day_later(tmp_path: Path) -> None:
    """Old hidden directories go when the next one is published; young ones and links are left alone."""
    for name, days in (("old", 2), ("young", 0)):
        left = tmp_path / f".birthright-{name}"
        left.mkdir()
        (left / "x").write_bytes(b"1")
        os.utime(left, (time.time() - days * 86_400,) * 2)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / ".birthright-link").symlink_to(elsewhere)
    with publish_directory(tmp_path / "new") as hidden:
        write_file(hidden / "y", b"2")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".birthright-link", ".birthright-young", "elsewhere", "new",
    ]  # fmt: skip
