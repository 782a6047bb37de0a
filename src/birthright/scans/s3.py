"""Opens a bucket as a store, with the user's ordinary AWS configuration."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from birthright.aws.errors import translated
from birthright.aws.session import AwsSession
from birthright.errors import UsageError
from birthright.scans.bucket import BucketStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyarrow.fs import FileSystem

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def open_bucket(url: str, profile: str | None = None) -> BucketStore:
    """Open `s3://bucket/prefix`. Raises UsageError for another URL, CredentialsError."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    parts = [part for part in prefix.split("/") if part]
    if not _BUCKET.fullmatch(bucket) or {".", ".."} & set(parts) or not prefix.isprintable():
        raise UsageError(f"{url[:100]!r} is no bucket's URL", "write it like s3://bucket/prefix")
    return BucketStore("/".join([bucket, *parts]), _connector(AwsSession(profile)), _cache_folder())


def _connector(session: AwsSession) -> "Callable[[], FileSystem]":
    """Return what gives the file system; it is made anew when the credentials were renewed."""
    made: dict[object, FileSystem] = {}

    def connect() -> "FileSystem":
        with translated():
            frozen = session.botocore.get_credentials().get_frozen_credentials()
        # Several threads may ask for it at a time.
        found = made.get(frozen)
        if found is None:
            found = _file_system(session, frozen)
            made.clear()
            made[frozen] = found
        return found

    return connect


def _file_system(session: AwsSession, frozen: object) -> "FileSystem":
    from pyarrow.fs import S3FileSystem

    endpoint = session.configured_endpoint("s3")
    place = urlsplit(endpoint) if endpoint else None
    return S3FileSystem(
        access_key=getattr(frozen, "access_key", None),
        secret_key=getattr(frozen, "secret_key", None),
        session_token=getattr(frozen, "token", None),
        region=session.region,
        scheme=place.scheme if place else "https",
        endpoint_override=place.netloc if place else None,
        request_timeout=60,
        connect_timeout=10,
        allow_bucket_creation=False,
        # A small object is one request, not the three of an upload in parts.
        allow_delayed_open=True,
    )


def _cache_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "birthright" / "scans"
