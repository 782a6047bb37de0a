"""Files that are there whole or not at all.

Everything is written under another name in the same directory, brought to the disk, and only then
renamed, so a reader, a crash or a full disk never meets half of it. An OSError of these steps, and
of no others, becomes a StoreError that says what to do.
"""

import errno
import io
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from birthright.errors import StoreError

_HINTS = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "your disk quota is used up: free some space",
    errno.EFBIG: "the file would be larger than this process may write (ulimit -f)",
    errno.EACCES: "you may not write there: choose another place or change its permissions",
    errno.EPERM: "you may not write there: choose another place or change its permissions",
    errno.EROFS: "that disk is read-only: choose another place",
    errno.ENOENT: "the directory does not exist: create it first",
    errno.ENOTDIR: "a part of the path is a file where a directory is needed",
    errno.EISDIR: "that is a directory: name a file",
    errno.EEXIST: "it exists already: choose another name",
    errno.ENOTEMPTY: "it exists already: choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
}

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
_HIDDEN = ".birthright-"
_ABANDONED_SECONDS = 86_400
_BUFFER = 1 << 20  # bytes


def write_atomically(path: Path, data: bytes | Iterable[bytes], mode: int = 0o600) -> None:
    """Write a whole file, or leave what was there. Raises StoreError.

    A symbolic link is kept and its target replaced. A pipe or device (`/dev/stdout`) cannot be
    renamed over, so it is simply written to. Whatever `data` itself raises passes through.
    """
    with _replacement(path, mode) as (descriptor, named):
        for chunk in (data,) if isinstance(data, bytes) else data:
            with _as_store_error(named):
                _write_all(descriptor, chunk)


@contextmanager
def open_atomically(path: Path, mode: int = 0o600) -> Iterator[TextIO]:
    """Give a text to write to (UTF-8, line ends as they are); at its end it becomes the file, whole or not.

    All is as with `write_atomically`. What the body raises passes through, and the file stays as it was.
    """
    with _replacement(path, mode) as (descriptor, named), _buffered(descriptor, named) as buffer:
        text = io.TextIOWrapper(buffer, encoding="utf-8", newline="\n")
        yield text
        text.flush()


@contextmanager
def open_in_place(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Give a file to write to, under its own name: for what is removed again. Raises StoreError."""
    with _opened(path, mode, named=path) as descriptor, _buffered(descriptor, path) as buffer:
        yield buffer


@contextmanager
def _buffered(descriptor: int, named: Path) -> Iterator["io.BufferedWriter[_Raw]"]:
    """Give a buffer before a descriptor; after a failure nothing more is written."""
    raw = _Raw(descriptor, named)
    try:
        buffer = io.BufferedWriter(raw, _BUFFER)
        yield buffer
        buffer.flush()
    finally:
        raw.ends = True


class _Raw(io.RawIOBase):
    """Writes to a descriptor, which it does not close. Raises StoreError."""

    def __init__(self, descriptor: int, named: Path) -> None:
        self.ends = False
        self._descriptor = descriptor
        self._named = named

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - whatever io's buffer hands over
        """Write all; at the end nothing any more: what Python's buffer still holds is not wanted."""
        if not self.ends:
            with _as_store_error(self._named):
                _write_all(self._descriptor, data)
        return memoryview(data).nbytes


@contextmanager
def _replacement(path: Path, mode: int) -> Iterator[tuple[int, Path]]:
    """Give the descriptor of what will be the file, and its name for messages."""
    with _as_store_error(path):
        special = path.exists() and not path.is_file() and not path.is_dir()
    if special:
        with _opened(path, mode, named=path) as descriptor:
            yield descriptor, path
        return
    path = Path(os.path.realpath(path))
    temporary = _hidden_sibling(path)
    try:
        with _opened(temporary, mode, named=path) as descriptor:
            yield descriptor, path
        with _as_store_error(path):
            _sync(temporary)
            temporary.replace(path)
            _sync_directory(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_new(path: Path, data: bytes, mode: int = 0o600) -> bool:
    """Write a whole file unless there is one; return whether it was written. Raises StoreError.

    Of several processes that do so at the same time one succeeds: a link is made by one only. Where a disk
    has no links the last of them succeeds.
    """
    temporary = _hidden_sibling(path)
    try:
        with _opened(temporary, mode, named=path) as descriptor, _as_store_error(path):
            _write_all(descriptor, data)
            os.fsync(descriptor)
        with _as_store_error(path):
            _link(temporary, path)
            _sync_directory(path.parent)
    except StoreError as error:
        if isinstance(error.__cause__, FileExistsError):
            return False
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return True


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name, unless there is such a file."""
    try:
        path.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from error
        temporary.replace(path)


def write_file(path: Path, data: bytes | Iterable[bytes], mode: int = 0o600) -> None:
    """Write a file in place; `mode` is that of a new one, whatever the umask. Raises StoreError."""
    with _opened(path, mode, named=path) as descriptor:
        for chunk in (data,) if isinstance(data, bytes) else data:
            with _as_store_error(path):
                _write_all(descriptor, chunk)


@contextmanager
def _opened(path: Path, mode: int, named: Path) -> Iterator[int]:
    """Give a descriptor that writes to `path`; in messages it is `named`."""
    with _as_store_error(named):
        is_new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "wb", buffering=0):  # noqa: PTH123 - a descriptor has no Path
        if is_new:
            with _as_store_error(named):
                path.chmod(mode)
        yield descriptor


def make_directories(path: Path, mode: int = 0o700) -> None:
    """Make a directory and the missing ones above it, all with `mode`. Raises StoreError."""
    with _as_store_error(path):
        missing = [p for p in (path, *path.parents) if not p.exists()]
        for directory in reversed(missing):
            directory.mkdir(mode, exist_ok=True)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


@contextmanager
def publish_directory(path: Path) -> Iterator[Path]:
    """Give a hidden directory to fill; at the end it becomes `path`, or vanishes on any failure.

    The directories above are made where they are missing. Raises StoreError, also if `path` is
    taken; what the body raises passes through.
    """
    make_directories(path.parent)
    _sweep(path.parent)
    hidden = _hidden_sibling(path)
    with _as_store_error(path):
        hidden.mkdir(0o700)
    try:
        yield hidden
        with _as_store_error(path):
            _sync_tree(hidden)
            hidden.rename(path)
            _sync_directory(path.parent)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


@contextmanager
def _as_store_error(path: Path) -> Iterator[None]:
    """Translate an OSError into a StoreError about `path`, the name the user knows."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        hint = _HINTS.get(error.errno or 0, "")
        raise StoreError(f"cannot write {path}: {reason}", hint) from error


def _hidden_sibling(path: Path) -> Path:
    """Name a temporary file or directory beside `path`; readers skip names with a dot."""
    return path.parent / f"{_HIDDEN}{secrets.token_hex(8)}"


def _sweep(parent: Path) -> None:
    """Remove hidden directories that a killed process left; a day old, nobody is writing them any more."""
    yesterday = time.time() - _ABANDONED_SECONDS
    with suppress(OSError):
        for left in parent.glob(f"{_HIDDEN}*"):
            if left.is_dir() and not left.is_symlink() and left.stat().st_mtime < yesterday:
                shutil.rmtree(left, ignore_errors=True)


def _write_all(descriptor: int, chunk: bytes | memoryview) -> None:
    """Write all of a chunk; the system may take it in parts."""
    rest = memoryview(chunk).cast("B")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(path: Path) -> None:
    """Bring a file to the disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    """Bring a directory's names to the disk, where the system lets a directory be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(top: Path) -> None:
    """Bring a whole tree to the disk. Once all is written most is there already: it is quick."""
    for directory, _, names in os.walk(top):
        for name in names:
            _sync(Path(directory, name))
        _sync_directory(Path(directory))
