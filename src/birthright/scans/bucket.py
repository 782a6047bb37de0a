"""A store in a bucket, through an Arrow file system; a put object is there whole, which S3 promises.

What is read from it for judging is copied to a private folder of this machine first: the engine that judges
sees no network. Finished scans never change, so a copy is used again; old copies are removed.
"""

import hashlib
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from birthright.atomic import make_directories, write_atomically
from birthright.errors import StoreError
from birthright.scans.store import Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pyarrow.fs import FileInfo, FileSystem

_KEPT_SECONDS = 7 * 86_400
_DIGEST = re.compile(r".+-([0-9a-f]{12})\.(?:parquet|csv)", re.ASCII)


class BucketStore:
    """`root` is `bucket/prefix`; `connect` gives the file system, anew where credentials were renewed.

    `cache` is the folder for copies.
    """

    def __init__(self, root: str, connect: "Callable[[], FileSystem]", cache: Path) -> None:
        self._root = root.rstrip("/")
        self._connect = connect
        self._cache = cache

    @property
    def name(self) -> str:
        """The URL."""
        return f"s3://{self._root}"

    def names(self, folder: str) -> list[str]:
        """Name what is directly in a folder."""
        return sorted(info.base_name for info in self._infos(folder, recursive=False))

    def stat(self, path: str) -> Stored | None:
        """Describe an object."""
        from pyarrow.fs import FileType

        with self._reading(path):
            info = self._connect().get_file_info(self._at(path))
        if info.type != FileType.File:
            return None
        return Stored(info.size, (info.mtime_ns or 0) / 1e9)

    def get(self, path: str) -> bytes | None:
        """Read an object."""
        try:
            with self._reading(path), self._connect().open_input_stream(self._at(path)) as stream:
                data: bytes = stream.read()
        except StoreError:
            if self.stat(path) is None:
                return None
            raise
        return data

    def put(self, path: str, data: bytes) -> None:
        """Write an object; readers see the old one or the new one."""
        try:
            with self._connect().open_output_stream(self._at(path)) as stream:
                stream.write(data)
        except OSError as error:
            hint = "check the bucket's name, its Region and your permission s3:PutObject"
            raise StoreError(f"cannot write {self.name}/{path}: {_reason(error)}", hint) from None

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object unless there is one; of two at the very same moment the later one holds."""
        if self.stat(path):
            return False
        self.put(path, data)
        return True

    def remove(self, path: str) -> None:
        """Remove an object, or all below a folder; what stays behind is nobody's facts."""
        system = self._connect()
        with suppress(OSError):
            if self.stat(path):
                system.delete_file(self._at(path))
            else:
                system.delete_dir(self._at(path))

    def local(self, folder: str) -> Path:
        """Copy what is in a folder to this machine, unless it is there already; return where it is."""
        self._forget_old()
        # Names of buckets and prefixes may hold anything; a digest is a good name for a folder.
        place = self._cache / hashlib.sha256(f"{self.name}/{folder}".encode()).hexdigest()[:32]
        make_directories(place)
        prefix = len(self._at(folder)) + 1
        infos = {info.path[prefix:]: info for info in self._infos(folder, recursive=True)}
        files = {name: info for name, info in infos.items() if info.size is not None and _stays(name)}
        for name, info in files.items():
            self._copy(info, place / name)
        self._drop_others(place, files.keys())
        return place

    def below(self, folder: str) -> "BucketStore":
        """Return one of the folders in it."""
        return BucketStore(self._at(folder), self._connect, self._cache)

    @contextmanager
    def publishing(self, folder: str) -> "Iterator[BucketStore]":
        """Fill a folder; a scan in it counts with its last object, and what was put is removed on failure."""
        place = self.below(folder)
        try:
            yield place
        except BaseException:
            self.remove(folder)
            raise

    def _copy(self, info: "FileInfo", target: Path) -> None:
        if _is_whole(target):
            return
        make_directories(target.parent)
        with self._reading(info.path), self._connect().open_input_stream(info.path) as stream:
            write_atomically(target, iter(lambda: stream.read(1 << 20), b""))

    def _drop_others(self, place: Path, there: "Collection[str]") -> None:
        for path in place.rglob("*"):
            # What another command is copying at this moment has a hidden name.
            hidden = path.name.startswith(".")
            if path.is_file() and not hidden and str(path.relative_to(place)) not in there:
                path.unlink(missing_ok=True)

    def _forget_old(self) -> None:
        before = time.time() - _KEPT_SECONDS
        with suppress(OSError):
            for copy in self._cache.iterdir():
                if copy.stat().st_mtime < before:
                    shutil.rmtree(copy, ignore_errors=True)

    def _infos(self, folder: str, *, recursive: bool) -> "list[FileInfo]":
        from pyarrow.fs import FileSelector

        selector = FileSelector(self._at(folder), allow_not_found=True, recursive=recursive)
        with self._reading(folder):
            infos: list[FileInfo] = self._connect().get_file_info(selector)
        return infos

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "check the bucket's name, its Region and your permissions s3:GetObject and s3:ListBucket"
            raise StoreError(f"cannot read {self.name}/{path}: {_reason(error)}", hint) from None


def _is_whole(copy: Path) -> bool:
    """Whether a copy is there and is what the digest in its name says; no other name says what is in it."""
    named = _DIGEST.fullmatch(copy.name)
    if not named or not copy.is_file():
        return False
    with copy.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest().startswith(named[1])


def _stays(name: str) -> bool:
    """Whether an object's name, which may hold anything, stays in the folder that it is copied to."""
    return not {"", ".", ".."} & set(name.split("/"))


def _reason(error: OSError) -> str:
    """Say in one line what the file system found."""
    return " ".join(str(error).split())[:300]
