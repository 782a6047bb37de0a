"""Opens the place where scans are kept, by its name: a folder, or a bucket's URL."""

from pathlib import Path

from birthright.errors import UsageError
from birthright.scans.store import FolderStore, Store

BUCKET = "s3://"


def open_store(name: str, profile: str | None = None) -> Store:
    """Open a store; `profile` is whose credentials open a bucket. Raises UsageError, CredentialsError."""
    if name.startswith(BUCKET):
        from birthright.scans.s3 import open_bucket

        return open_bucket(name, profile)
    if "://" in name:
        raise UsageError(f"{name[:80]!r} is no place for scans", "name a folder, or s3://BUCKET/PREFIX")
    return FolderStore(Path(name).expanduser())
