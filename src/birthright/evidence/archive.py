"""The archive that a bundle is: a ZIP of one exact form, so that the same files are the same bytes.

Nothing is compressed (the output of zlib is not the same everywhere), no file has a time, all have the same
permissions, and nothing stands between them. Whoever knows names and contents knows every byte of it: so
it is checked, and an archive of any other form is refused.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

_LOCAL, _CENTRAL = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I")
_END, _END_64, _LOCATOR = struct.Struct("<4s4H2IH"), struct.Struct("<4sQ2H2I4Q"), struct.Struct("<4sIQI")
_LARGE, _MANY = 0xFFFF_FFFF, 0xFFFF  # stand for what a field cannot hold: see the ZIP64 fields, then
_PLAIN, _ZIP64 = 20, 45  # versions of the form
_UNIX_FILE = 0o100600 << 16
_FIRST_DAY = 0x21  # 1980-01-01, the first day a ZIP can name
_LONGEST_NAME, _LONGEST_EXTRA = 1024, 64
CHUNK = 1 << 20  # bytes


class AlteredError(Exception):
    """A bundle is not as it was made; the text says in what."""


class ArchiveMember(msgspec.Struct, frozen=True):
    """A file for the archive, and where its bytes are; `crc32` is ZIP's own sum."""

    name: str
    size: int
    sha256: str
    crc32: int
    source: Path | bytes


class MemberPlace(NamedTuple):
    """Where a file's bytes stand in an archive, and their digest."""

    name: str
    start: int
    size: int
    sha256: str


class _Entry(NamedTuple):
    name: bytes
    size: int
    crc32: int
    start: int


def member(name: str, source: Path | bytes) -> ArchiveMember:
    """Measure a file. Raises OSError."""
    digest, crc, size = hashlib.sha256(), 0, 0
    for chunk in _chunks(source):
        digest.update(chunk)
        crc = zlib.crc32(chunk, crc)
        size += len(chunk)
    return ArchiveMember(name, size, digest.hexdigest(), crc, source)


def pieces(members: Iterable[ArchiveMember]) -> Iterator[bytes]:
    """Give the archive's bytes, a piece at a time. Raises OSError."""
    entries: list[_Entry] = []
    place = 0
    for one in members:
        entry = _Entry(one.name.encode("ascii"), one.size, one.crc32, place)
        entries.append(entry)
        head = _local(entry)
        yield head
        yield from _chunks(one.source)
        place += len(head) + one.size
    yield from _directory(entries, place)


class Unpacking:
    """Goes through an archive from its first byte to its last; every byte is looked at."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._place = 0
        self._entries: list[_Entry] = []

    def next(self, sink: Callable[[bytes], object], wanted: str | None = None) -> MemberPlace:
        """Hand the next file's bytes to `sink`; it should be `wanted`. Raises AlteredError."""
        start = self._place
        head, name, size = self._head()
        shown = ascii(name)[2:-1]
        if wanted is not None and name != wanted.encode():
            raise AlteredError(f"where {wanted} should be there is {shown[:80]}")
        begins = self._place
        digest, crc = self._data(size, sink, shown)
        entry = _Entry(name, size, crc, start)
        if head != _local(entry):
            raise AlteredError(f"{shown} is altered, or was packed by something else")
        self._entries.append(entry)
        return MemberPlace(shown, begins, size, digest)

    def end(self) -> None:
        """See that nothing follows but what must. Raises AlteredError."""
        for piece in _directory(self._entries, self._place):
            if self._file.read(len(piece)) != piece:
                raise AlteredError("the archive's own list of its files is altered, or there are more files")
        if self._file.read(1):
            raise AlteredError("there are bytes after its end")

    def _head(self) -> tuple[bytes, bytes, int]:
        """Read what stands before a file's bytes: all of it, the name, the size."""
        head = self._exactly(_LOCAL.size)
        mark, _, _, _, _, _, _, _, size, named, more = _LOCAL.unpack(head)
        if mark != b"PK\3\4" or named > _LONGEST_NAME or more > _LONGEST_EXTRA:
            raise AlteredError("a file is missing, or the archive is altered")
        name, extra = self._exactly(named), self._exactly(more)
        if size == _LARGE and len(extra) >= 12:  # noqa: PLR2004  two short numbers and a size
            size = struct.unpack_from("<Q", extra, 4)[0]
        return head + name + extra, name, size

    def _data(self, size: int, sink: Callable[[bytes], object], shown: str) -> tuple[str, int]:
        digest, crc, left = hashlib.sha256(), 0, size
        while left:
            chunk = self._file.read(min(CHUNK, left))
            if not chunk:
                raise AlteredError(f"it ends within {shown}")
            self._place += len(chunk)
            left -= len(chunk)
            digest.update(chunk)
            crc = zlib.crc32(chunk, crc)
            sink(chunk)
        return digest.hexdigest(), crc

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        self._place += len(data)
        if len(data) < size:
            raise AlteredError("it is cut")
        return data


class Slice:
    """The bytes of one file of an archive, read from its beginning."""

    def __init__(self, file: BinaryIO, place: MemberPlace) -> None:
        self._file = file
        self._at = place.start
        self._end = place.start + place.size

    def read(self, size: int) -> bytes:
        """Read so many bytes, fewer at the end."""
        self._file.seek(self._at)
        data = self._file.read(min(size, self._end - self._at))
        self._at += len(data)
        return data

    def lines(self) -> Iterator[bytes]:
        """Give the lines, without their ends."""
        rest = b""
        while chunk := self.read(CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
        if rest:
            yield rest


def _chunks(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _local(entry: _Entry) -> bytes:
    """Write what stands before a file's bytes."""
    extra, version, size = b"", _PLAIN, entry.size
    if entry.size >= _LARGE:
        extra, version, size = struct.pack("<2H2Q", 1, 16, entry.size, entry.size), _ZIP64, _LARGE
    numbers = (version, 0, 0, 0, _FIRST_DAY, entry.crc32, size, size, len(entry.name), len(extra))
    return _LOCAL.pack(b"PK\3\4", *numbers) + entry.name + extra


def _directory(entries: list[_Entry], place: int) -> Iterator[bytes]:
    """Write the list of files that stands at the end."""
    size = 0
    for entry in entries:
        line = _central(entry)
        size += len(line)
        yield line
    count = len(entries)
    if count >= _MANY or max(size, place) >= _LARGE:
        yield _END_64.pack(b"PK\6\6", 44, 3 << 8 | _ZIP64, _ZIP64, 0, 0, count, count, size, place)
        yield _LOCATOR.pack(b"PK\6\7", 0, place + size, 1)
    few = min(count, _MANY)
    yield _END.pack(b"PK\5\6", 0, 0, few, few, min(size, _LARGE), min(place, _LARGE), 0)


def _central(entry: _Entry) -> bytes:
    large = [entry.size, entry.size] if entry.size >= _LARGE else []
    large += [entry.start] if entry.start >= _LARGE else []
    extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    size, start = min(entry.size, _LARGE), min(entry.start, _LARGE)
    version = _ZIP64 if large else _PLAIN
    numbers = (3 << 8 | _ZIP64, version, 0, 0, 0, _FIRST_DAY, entry.crc32, size, size, len(entry.name))
    return _CENTRAL.pack(b"PK\1\2", *numbers, len(extra), 0, 0, 0, _UNIX_FILE, start) + entry.name + extra
