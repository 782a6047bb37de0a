"""Reports are written as they come: whole or not at all, without being held in memory."""

import errno
import os
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path

import pytest

from birthright.atomic import open_atomically
from birthright.errors import StoreError
from birthright.findings.model import Document, DocumentScan, Finding, Summary
from birthright.operations.deliver import write_report
from birthright.reports.interface import Report

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
FINDING = Finding(
    "0" * 32, "access-key-created-with-user", "fail", "low", "1" * 12, "ann", None, "AKIAEXAMPLE000000001",
    "Active", NOW, NOW, 0, None, None, None, "retire", "created 0 s after its user", (), 1,
)  # fmt: skip
FULL_DISK = """
import resource, sys
from pathlib import Path
from birthright.atomic import open_atomically
from birthright.errors import StoreError

resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
for amount in (5000, 5_000_000):
    try:
        with open_atomically(Path(sys.argv[1])) as out:
            out.write("x" * amount)
    except StoreError as error:
        print(error)
"""


class Many(Collection[Finding]):
    """So many findings, of which each is there only as long as it is looked at."""

    def __init__(self, count: int, failing: bool = False) -> None:  # noqa: FBT001, FBT002 - a test's helper
        self._count = count
        self._failing = failing

    def __len__(self) -> int:
        return self._count

    def __contains__(self, finding: object) -> bool:
        return finding == FINDING

    def __iter__(self) -> Iterator[Finding]:
        yield from repeat(FINDING, self._count)
        if self._failing:
            raise StoreError("the facts cannot be read")


def document(findings: Collection[Finding]) -> Document:
    """Make a document of these findings."""
    scan = DocumentScan("20261122T100000Z-000000", NOW, "0", "keys")
    return Document("birthright.findings/1", scan, Summary(1, 1, 1, 1, 0, 0), (), (), findings)


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_a_file_is_written_as_findings_come(form: str, tmp_path: Path) -> None:
    """Thirty thousand findings, ten megabytes and more as text, take a small part of that."""
    write_report(Report(document(Many(10))), [tmp_path / "warm"], form)
    tracemalloc.start()
    write_report(Report(document(Many(30_000))), [tmp_path / "file"], form)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "file").stat().st_size > 5_000_000
    assert peak < 4_000_000


def test_a_failure_on_the_way_leaves_the_old_file(tmp_path: Path) -> None:
    """Whatever fails while findings come, the old file stays and no other appears."""
    file = tmp_path / "findings.json"
    file.write_text("old")
    with pytest.raises(StoreError, match="the facts cannot be read"):
        write_report(Report(document(Many(5000, failing=True))), [file], "json")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["findings.json"]


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    """UTF-8, line ends unchanged, private; a symbolic link is kept."""
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with open_atomically(tmp_path / "link") as out:
        out.write("é\r\n\n")
        assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").read_bytes() == "é\r\n\n".encode()
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert (tmp_path / "link").is_symlink()


def test_an_error_of_ones_own_passes(tmp_path: Path) -> None:
    """What the body raises is not taken for the disk's, and what was buffered is not written."""

    def write() -> None:
        with open_atomically(tmp_path / "file") as out:
            out.write("half")
            raise OSError(errno.ENOSPC, "mine")

    with pytest.raises(OSError, match="mine"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """Whether it shows at once or at the end: the message names the file, and nothing is left."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "file")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.count(f"cannot write {tmp_path / 'file'}: File too large") == 2
    assert ran.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    """What cannot be renamed over is written in place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with open_atomically(pipe) as out:
        out.write("through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The message says what to do."""
    with pytest.raises(StoreError, match="create it first"), open_atomically(tmp_path / "no" / "file"):
        pass
