"""The archive's one form: what other programs read in it, and that no byte of it is free."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.evidence.archive import (
    CHUNK,
    AlteredError,
    ArchiveMember,
    MemberPlace,
    Slice,
    Unpacking,
    member,
    pieces,
)

NAMES = st.text("abcXYZ019._-/", min_size=1, max_size=20)
FILES = st.dictionaries(NAMES, st.binary(max_size=50), max_size=5)


def packed(files: dict[str, bytes]) -> bytes:
    return b"".join(pieces(member(name, data) for name, data in files.items()))


def unpacked(data: bytes, count: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    unpacking = Unpacking(io.BytesIO(data))
    for _ in range(count):
        taken = bytearray()
        name = unpacking.next(taken.extend).name
        found[name] = bytes(taken)
    unpacking.end()
    return found


@given(FILES)
def test_it_is_a_zip(files: dict[str, bytes]) -> None:
    """Python's own reader and ours find the same files, in order and whole."""
    data = packed(files)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in archive.infolist())
        assert all(info.external_attr == 0o100600 << 16 for info in archive.infolist())
    assert unpacked(data, len(files)) == files


def test_files_larger_than_a_chunk() -> None:
    """A file that is read in several goes is whole."""
    large = bytes(CHUNK) + b"middle" + bytes(CHUNK)
    assert unpacked(packed({"a": large}), 1)["a"] == large


@settings(max_examples=30)
@given(FILES.filter(len))
def test_no_byte_is_free(files: dict[str, bytes]) -> None:
    """Whatever byte is another one, one is missing, or one is too many: it is refused."""
    data = packed(files)
    for place in range(len(data)):
        for bit in (1, 0x80):
            changed = bytearray(data)
            changed[place] ^= bit
            with pytest.raises(AlteredError):
                unpacked(bytes(changed), len(files))
    for changed_size in (data[:-1], data[1:], data + b"\0", b"\0" + data):
        with pytest.raises(AlteredError):
            unpacked(changed_size, len(files))


def test_files_of_other_packers_are_refused() -> None:
    """What zlib compressed, and what has times, is not our form."""
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        other = io.BytesIO()
        with zipfile.ZipFile(other, "w", method) as archive:
            archive.writestr("a", b"a" * 100)
        with pytest.raises(AlteredError):
            unpacked(other.getvalue(), 1)


def test_a_size_of_thousands_of_gigabytes_costs_nothing() -> None:
    """A file that says it is huge ends where the archive does."""
    head = next(pieces([ArchiveMember("a", 1 << 60, "", 0, b"")]))
    with pytest.raises(AlteredError, match="ends within a"):
        unpacked(head + b"few", 1)


def test_large_archives(tmp_path: Path) -> None:
    """Files beyond 4 GiB, and after them, are found by Python's reader (ZIP64)."""
    size = (1 << 32) + 5
    path = tmp_path / "a.zip"
    members = [ArchiveMember("small", 1, "", 0xE8B7BE43, b"a"), ArchiveMember("large", size, "", 0, b"here")]
    _write_sparsely(path, pieces([*members, ArchiveMember("after", 1, "", 0xE8B7BE43, b"a")]), size)
    with zipfile.ZipFile(path) as archive:
        assert [(info.filename, info.file_size) for info in archive.infolist()] == [
            ("small", 1),
            ("large", size),
            ("after", 1),
        ]
        assert archive.read("after") == b"a"


def _write_sparsely(path: Path, data: Iterator[bytes], size: int) -> None:
    """Write an archive, a hole of that size where the file should be that says `here`."""
    with path.open("wb") as file:
        for piece in data:
            if piece == b"here":
                file.seek(size, io.SEEK_CUR)
            else:
                file.write(piece)


def test_many_files() -> None:
    """More files than a plain ZIP can count."""
    one = member("a", b"")
    many = [ArchiveMember(f"{number}", 0, one.sha256, 0, b"") for number in range(66_000)]
    data = b"".join(pieces(many))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == 66_000


@given(st.lists(st.binary(max_size=9).map(lambda text: text.replace(b"\n", b"-")), max_size=9))
def test_lines_of_a_slice(lines: list[bytes]) -> None:
    """The lines are those that were written; nothing beyond the file is read."""
    data = b"".join(line + b"\n" for line in lines)
    place = MemberPlace("a", 3, len(data), "")
    assert [*Slice(io.BytesIO(b"xyz" + data + b"beyond"), place).lines()] == lines
