"""The archive's one form: what other programs read in it, and that no byte of it is free.

In these tests a file whose name begins with z is deflated.
"""

import io
import zipfile
from collections.abc import Collection, Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.evidence.archive import (
    CHUNK,
    AlteredError,
    ArchiveMember,
    Deflated,
    Deflating,
    MemberPlace,
    Slice,
    Unpacking,
    member,
    pieces,
)
from evidence_helpers import deflated

NAMES = st.text("abcXYZ019._-/", min_size=1, max_size=20) | st.sampled_from(["z1", "z2", "z3"])
FILES = st.dictionaries(NAMES, st.binary(max_size=50), max_size=5)


def members(files: dict[str, bytes]) -> list[ArchiveMember]:
    return [(deflated if name[0] == "z" else member)(name, data) for name, data in files.items()]


def packed(files: dict[str, bytes]) -> bytes:
    return b"".join(pieces(members(files)))


def unpacked(data: bytes, wanted: Collection[ArchiveMember]) -> dict[str, bytes]:
    """Unpack as a bundle is, which names its files, their sizes and the digests of what is deflated."""
    found: dict[str, bytes] = {}
    unpacking = Unpacking(io.BytesIO(data))
    for one in wanted:
        taken = bytearray()
        place = unpacking.next(taken.extend, one.name, deflated=one.deflated is not None, size=one.size)
        if place.deflated != one.deflated:
            raise AlteredError("deflated otherwise")
        found[one.name] = bytes(taken)
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
    assert unpacked(data, members(files)) == files


def test_files_larger_than_a_chunk() -> None:
    """A file that is read in several goes is whole."""
    large = bytes(CHUNK) + b"middle" + bytes(CHUNK)
    for name in ("a", "z"):
        files = {name: large}
        assert unpacked(packed(files), members(files)) == files


@settings(max_examples=30)
@given(FILES.filter(len))
def test_no_byte_is_free(files: dict[str, bytes]) -> None:
    """Whatever byte is another one, one is missing, or one is too many: it is refused."""
    data, wanted = packed(files), members(files)
    for place in range(len(data)):
        for bit in (1, 0x80):
            changed = bytearray(data)
            changed[place] ^= bit
            with pytest.raises(AlteredError):
                unpacked(bytes(changed), wanted)
    for changed_size in (data[:-1], data[1:], data + b"\0", b"\0" + data):
        with pytest.raises(AlteredError):
            unpacked(changed_size, wanted)


def test_files_of_other_packers_are_refused() -> None:
    """What is deflated where it is not to be, and what has times, is not our form."""
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        other = io.BytesIO()
        with zipfile.ZipFile(other, "w", method) as archive:
            archive.writestr("a", b"a" * 100)
        with pytest.raises(AlteredError):
            unpacked(other.getvalue(), [member("a", b"a" * 100)])


def test_a_size_of_thousands_of_gigabytes_costs_nothing() -> None:
    """A file that says it is huge ends where the archive does."""
    head = next(pieces([ArchiveMember("a", 1 << 60, "", 0, b"")]))
    with pytest.raises(AlteredError, match="ends within a"):
        Unpacking(io.BytesIO(head + b"few")).next(lambda _: None)


@given(st.lists(st.integers(0, 3 * CHUNK), max_size=6))
@settings(max_examples=10, deadline=None)
def test_deflated_bytes_rest_on_what_was_written_only(cuts: list[int]) -> None:
    """However a file comes, in few pieces or in many, its deflated bytes are the same."""
    data = b"".join(b"%d of a finding, \n" % number for number in range(CHUNK // 8))
    out = io.BytesIO()
    deflating = Deflating(out)
    for start, end in pairwise([0, *sorted(cuts), len(data)]):
        deflating.write(data[start:end])
    deflating.close()
    assert deflating.member("z", out.getvalue()) == deflated("z", data)


def test_a_file_that_inflates_to_more_than_it_says() -> None:
    """No more is inflated than the size that is said, and one byte; what says more than it should is not."""
    large = deflated("z", bytes(20 * CHUNK))
    lie = msgspec.structs.replace(large, size=CHUNK + 5)
    taken: list[int] = []
    for size, liar in ((CHUNK + 5, lie), (1, large)):
        with pytest.raises(AlteredError):
            Unpacking(io.BytesIO(b"".join(pieces([liar])))).next(
                lambda piece: taken.append(len(piece)), "z", deflated=True, size=size
            )
    assert taken == [CHUNK]


def test_bytes_behind_what_is_deflated() -> None:
    """A deflated file ends where its deflated bytes do, and they are whole."""
    one = deflated("z", b"text")
    assert isinstance(one.source, bytes)
    for source in (one.source + b"\0", one.source[:-1], b""):
        other = msgspec.structs.replace(one, source=source, deflated=Deflated(len(source), ""))
        data = b"".join(pieces([other]))
        with pytest.raises(AlteredError, match=r"packed by something else|ends within z"):
            Unpacking(io.BytesIO(data)).next(lambda _: None, "z", deflated=True)


def test_large_archives(tmp_path: Path) -> None:
    """Files beyond 4 GiB, and after them, are found by Python's reader (ZIP64)."""
    size = (1 << 32) + 5
    path = tmp_path / "a.zip"
    small = [ArchiveMember("small", 1, "", 0xE8B7BE43, b"a"), ArchiveMember("large", size, "", 0, b"here")]
    _write_sparsely(path, pieces([*small, ArchiveMember("after", 1, "", 0xE8B7BE43, b"a")]), size)
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
    one = deflated("z", data)
    assert isinstance(one.source, bytes)
    place = MemberPlace("z", 3, len(data), one.sha256, one.deflated)
    assert [*Slice(io.BytesIO(b"xyz" + one.source + b"beyond"), place).lines()] == lines
