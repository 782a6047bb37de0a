"""Where scans are kept: a folder here, or somewhere else behind the same few operations.

Paths inside a store are relative, with `/`. Whatever is put is there whole or not at all.
"""

import shutil
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from birthright.atomic import make_directories, publish_directory, write_atomically, write_new
from birthright.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stored(msgspec.Struct, frozen=True):
    """A file in a store: its size in bytes, and when it was last written, in seconds since 1970."""

    size: int
    changed: float


class Store(Protocol):
    """What a place for scans can do. Every method raises StoreError if the place refuses."""

    @property
    def name(self) -> str:
        """How people name it: a folder, or a URL."""

    def names(self, folder: str) -> list[str]:
        """Name what is directly in a folder, sorted; nothing where there is no such folder."""

    def stat(self, path: str) -> Stored | None:
        """Describe a file; None if there is none."""

    def get(self, path: str) -> bytes | None:
        """Read a file; None if there is none."""

    def put(self, path: str, data: bytes) -> None:
        """Write a whole file, in place of one that is there."""

    def put_new(self, path: str, data: bytes) -> bool:
        """Write a whole file unless there is one already; return whether it was written."""

    def remove(self, path: str) -> None:
        """Remove a file, or a folder and all in it; what is not there is removed already."""

    def local(self, folder: str) -> Path:
        """Return a folder on this machine that holds what is in that folder now."""

    def below(self, folder: str) -> "Store":
        """Return a folder of this store as a store of its own."""

    def publishing(self, folder: str) -> "AbstractContextManager[Store]":
        """Give an empty store to fill, which becomes that folder at the end, or vanishes on any failure."""


class FolderStore:
    """A folder that only its user can read (0700, 0600)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder)

    def names(self, folder: str) -> list[str]:
        """Name what is in a folder, but for files that are being written."""
        try:
            return sorted(p.name for p in (self._folder / folder).iterdir() if not p.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unreadable(folder, error) from error

    def stat(self, path: str) -> Stored | None:
        """Describe a file."""
        try:
            found = (self._folder / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreadable(path, error) from error
        return Stored(found.st_size, found.st_mtime_ns / 1e9)

    def get(self, path: str) -> bytes | None:
        """Read a file."""
        try:
            return (self._folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreadable(path, error) from error

    def put(self, path: str, data: bytes) -> None:
        """Write a file beside its place, bring it to the disk, and rename it."""
        place = self._folder / path
        make_directories(place.parent)
        write_atomically(place, data)

    def put_new(self, path: str, data: bytes) -> bool:
        """Write a file; of several that do so at the same time one succeeds."""
        place = self._folder / path
        make_directories(place.parent)
        return write_new(place, data)

    def remove(self, path: str) -> None:
        """Remove a file or a folder; what stays behind is nobody's facts."""
        place = self._folder / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
            return
        with suppress(OSError):
            place.unlink(missing_ok=True)

    def local(self, folder: str) -> Path:
        """Return the folder itself."""
        return self._folder / folder

    def below(self, folder: str) -> "FolderStore":
        """Return one of the folders in it."""
        return FolderStore(self._folder / folder)

    @contextmanager
    def publishing(self, folder: str) -> "Iterator[FolderStore]":
        """Fill a hidden folder beside the place, and rename it."""
        with publish_directory(self._folder / folder) as hidden:
            yield FolderStore(hidden)

    def _unreadable(self, path: str, error: OSError) -> StoreError:
        return StoreError(f"cannot read {self._folder / path}: {error.strerror}")
