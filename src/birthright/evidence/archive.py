"""The archive that a bundle is: a ZIP of one exact form, so that the same files are the same bytes.

No file has a time, all have the same permissions, and nothing stands between them. A file is stored as it is
or deflated. Whoever knows the names and the bytes as they are kept knows every byte of the archive: so it is
checked, and an archive of any other form is refused. The output of deflate is not the same with every build
of zlib, so it has a digest of its own.
"""

import hashlib
import io
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

_LOCAL, _CENTRAL = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I")
_SIZES = struct.Struct("<2H2Q")
_END, _END_64, _LOCATOR = struct.Struct("<4s4H2IH"), struct.Struct("<4sQ2H2I4Q"), struct.Struct("<4sIQI")
_LARGE, _MANY = 0xFFFF_FFFF, 0xFFFF  # stand for what a field cannot hold: see the ZIP64 fields, then
_PLAIN, _ZIP64 = 20, 45  # versions of the form
_UNIX_FILE = 0o100600 << 16
_FIRST_DAY = 0x21  # 1980-01-01, the first day a ZIP can name
_LONGEST_NAME, _LONGEST_EXTRA = 1024, 64
_DEFLATED = 8  # ZIP's method; 0 is stored
_LEVEL = 3  # a fifth larger than level 6 makes findings, in less than half of its time
_RAW = -15  # zlib's word for deflate without a header
_LONGEST_LINE = 16 << 20  # bytes
CHUNK = 1 << 20  # bytes


class AlteredError(Exception):
    """A bundle is not as it was made; the text says in what."""


class Deflated(msgspec.Struct, frozen=True):
    """The deflated bytes of a file: how many, and their digest."""

    size: int
    sha256: str


class ArchiveMember(msgspec.Struct, frozen=True):
    """A file for the archive: its size and digest, and where its bytes are, as they are kept.

    `crc32` is ZIP's own sum. `deflated` is None for a file that is stored as it is.
    """

    name: str
    size: int
    sha256: str
    crc32: int
    source: Path | bytes
    deflated: Deflated | None = None


class MemberPlace(NamedTuple):
    """Where a file's bytes start in an archive, its size and digest, and those of its deflated bytes."""

    name: str
    start: int
    size: int
    sha256: str
    deflated: Deflated | None = None

    @property
    def kept(self) -> int:
        """How many bytes it takes in the archive."""
        return self.deflated.size if self.deflated else self.size


class _Entry(NamedTuple):
    """What the archive says of a file: `kept` bytes of it from `start` on."""

    name: bytes
    size: int
    kept: int
    is_deflated: bool
    crc32: int
    start: int


class Deflating(io.RawIOBase):
    """Deflates what is written to it into a file; once it is closed it gives the member of an archive."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
        self._digest, self._crc, self._size = hashlib.sha256(), 0, 0
        self._kept_digest, self._kept = hashlib.sha256(), 0
        self._waiting = bytearray()

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - whatever io's buffer hands over
        """Take bytes. They are deflated in blocks of one size, however they come."""
        self._waiting += data
        while len(self._waiting) >= CHUNK:
            self._take(bytes(self._waiting[:CHUNK]))
            del self._waiting[:CHUNK]
        return memoryview(data).nbytes

    def close(self) -> None:
        """Deflate what is left. The file stays open."""
        if not self.closed:
            self._take(bytes(self._waiting))
            self._keep(self._deflate.flush())
        super().close()

    def member(self, name: str, source: Path | bytes) -> ArchiveMember:
        """Return what was written as a member; `source` is where it is now."""
        deflated = Deflated(self._kept, self._kept_digest.hexdigest())
        return ArchiveMember(name, self._size, self._digest.hexdigest(), self._crc, source, deflated)

    def _take(self, block: bytes) -> None:
        self._digest.update(block)
        self._crc = zlib.crc32(block, self._crc)
        self._size += len(block)
        self._keep(self._deflate.compress(block))

    def _keep(self, data: bytes) -> None:
        self._kept_digest.update(data)
        self._kept += len(data)
        self._out.write(data)


def member(name: str, source: Path | bytes) -> ArchiveMember:
    """Measure a file that is stored as it is. Raises OSError."""
    digest, crc, size = hashlib.sha256(), 0, 0
    for chunk in chunks(source):
        digest.update(chunk)
        crc = zlib.crc32(chunk, crc)
        size += len(chunk)
    return ArchiveMember(name, size, digest.hexdigest(), crc, source)


def pieces(members: Iterable[ArchiveMember]) -> Iterator[bytes]:
    """Give the archive's bytes, a piece at a time. Raises OSError."""
    entries: list[_Entry] = []
    place = 0
    for one in members:
        kept = one.deflated.size if one.deflated else one.size
        entry = _Entry(one.name.encode("ascii"), one.size, kept, one.deflated is not None, one.crc32, place)
        entries.append(entry)
        head = _local(entry)
        yield head
        yield from chunks(one.source)
        place += len(head) + kept
    yield from _directory(entries, place)


class Unpacking:
    """Goes through an archive from its first byte to its last; every byte is looked at."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._place = 0
        self._entries: list[_Entry] = []

    def next(
        self,
        sink: Callable[[bytes], object],
        wanted: str | None = None,
        *,
        deflated: bool = False,
        size: int | None = None,
    ) -> MemberPlace:
        """Hand the next file's bytes, inflated, to `sink`; it should be `wanted`.

        deflated: whether it has to be. size: how many bytes it has to have; what claims more is not inflated.
        Raises AlteredError.
        """
        entry = self._head()
        shown = ascii(entry.name)[2:-1]
        if wanted is not None and entry.name != wanted.encode():
            raise AlteredError(f"where {wanted} should be there is {shown[:80]}")
        if entry.is_deflated != deflated:
            raise _otherwise(shown)
        if size not in {None, entry.size}:
            raise AlteredError(f"{shown} is not the file that the manifest names")
        place = self._data(entry, sink, shown)
        self._entries.append(entry)
        return place

    def end(self) -> None:
        """See that nothing follows but what must. Raises AlteredError."""
        for piece in _directory(self._entries, self._place):
            if self._file.read(len(piece)) != piece:
                raise AlteredError("the archive's own list of its files is altered, or there are more files")
        if self._file.read(1):
            raise AlteredError("there are bytes after its end")

    def _head(self) -> _Entry:
        """Read what stands before a file's bytes."""
        start = self._place
        head = self._exactly(_LOCAL.size)
        mark, _, _, method, _, _, crc, kept, size, named, more = _LOCAL.unpack(head)
        if mark != b"PK\3\4" or named > _LONGEST_NAME or more > _LONGEST_EXTRA:
            raise AlteredError("a file is missing, or the archive is altered")
        name, extra = self._exactly(named), self._exactly(more)
        if size == _LARGE and len(extra) >= _SIZES.size:
            _, _, size, kept = _SIZES.unpack_from(extra)
        entry = _Entry(name, size, kept, method == _DEFLATED, crc, start)
        if head + name + extra != _local(entry) or (kept != size and not entry.is_deflated):
            raise _otherwise(ascii(name)[2:-1])
        return entry

    def _data(self, entry: _Entry, sink: Callable[[bytes], object], shown: str) -> MemberPlace:
        """Hand over a file's bytes, all of them and no more."""
        begins, digest, crc, left = self._place, hashlib.sha256(), 0, entry.size
        unread = Deflated(entry.kept, "") if entry.is_deflated else None
        data = Slice(self._file, MemberPlace(shown, begins, entry.size, "", unread))
        while chunk := data.read(min(CHUNK, left + 1)):
            left -= len(chunk)
            digest.update(chunk)
            crc = zlib.crc32(chunk, crc)
            if left < 0:
                raise _otherwise(shown)
            sink(chunk)
        if left:
            raise AlteredError(f"it ends within {shown}")
        if crc != entry.crc32 or not data.is_over():
            raise _otherwise(shown)
        self._place += entry.kept
        deflated = Deflated(entry.kept, data.digest()) if entry.is_deflated else None
        return MemberPlace(shown, begins, entry.size, digest.hexdigest(), deflated)

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        self._place += len(data)
        if len(data) < size:
            raise AlteredError("it is cut")
        return data


class Slice:
    """The bytes of one file of an archive, read from its beginning; those that are deflated are inflated.

    Never more is inflated than is asked for.
    """

    def __init__(self, file: BinaryIO, place: MemberPlace) -> None:
        self._file = file
        self._name = place.name
        self._at = place.start
        self._end = place.start + place.kept
        self._digest = hashlib.sha256()
        self._inflate = zlib.decompressobj(_RAW) if place.deflated else None

    def read(self, size: int) -> bytes:
        """Read so many bytes, fewer at the end. Raises AlteredError for what cannot be inflated."""
        if self._inflate is None:
            return self._kept(size)
        try:
            return b"".join(self._inflated(self._inflate, size))
        except zlib.error:
            raise _otherwise(self._name) from None

    def is_over(self) -> bool:
        """Whether its bytes are read to the last, and none is left that was not needed."""
        one = self._inflate
        return self._at == self._end and (one is None or (one.eof and not one.unused_data))

    def digest(self) -> str:
        """Return the digest of the bytes that were read, as they are kept."""
        return self._digest.hexdigest()

    def _inflated(self, one: "zlib._Decompress", size: int) -> Iterator[bytes]:
        while size and not one.eof:
            kept = one.unconsumed_tail or self._kept(CHUNK)
            piece = one.decompress(kept, size)
            if not (kept or piece):
                return
            size -= len(piece)
            yield piece

    def _kept(self, size: int) -> bytes:
        self._file.seek(self._at)
        data = self._file.read(min(size, self._end - self._at))
        self._at += len(data)
        self._digest.update(data)
        return data

    def lines(self) -> Iterator[bytes]:
        """Give the lines, without their ends. Raises AlteredError for one longer than birthright writes."""
        rest = b""
        while chunk := self.read(CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
            if len(rest) > _LONGEST_LINE:
                raise AlteredError(f"{self._name} has a line that is too long")
        if rest:
            yield rest


def chunks(source: Path | bytes) -> Iterator[bytes]:
    """Give bytes, or those of a file, a piece at a time. Raises OSError."""
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _otherwise(shown: str) -> AlteredError:
    return AlteredError(f"{shown} is altered, or was packed by something else")


def _local(entry: _Entry) -> bytes:
    """Write what stands before a file's bytes."""
    extra, version, size, kept = b"", _PLAIN, entry.size, entry.kept
    if max(size, kept) >= _LARGE:
        extra, version, size, kept = _SIZES.pack(1, 16, size, kept), _ZIP64, _LARGE, _LARGE
    method = _DEFLATED * entry.is_deflated
    numbers = (version, 0, method, 0, _FIRST_DAY, entry.crc32, kept, size, len(entry.name), len(extra))
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
    large = [number for number in (entry.size, entry.kept, entry.start) if number >= _LARGE]
    extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    size, kept, start = (min(number, _LARGE) for number in (entry.size, entry.kept, entry.start))
    version, method = _ZIP64 if large else _PLAIN, _DEFLATED * entry.is_deflated
    numbers = (3 << 8 | _ZIP64, version, 0, method, 0, _FIRST_DAY, entry.crc32, kept, size, len(entry.name))
    return _CENTRAL.pack(b"PK\1\2", *numbers, len(extra), 0, 0, 0, _UNIX_FILE, start) + entry.name + extra
