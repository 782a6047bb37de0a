"""`profile:NAME[:FILE]`: a profile in an AWS shared credentials file; everything else in it is kept.

A profile that holds another user's key is not replaced: its secret may be nowhere else.
"""

import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import msgspec

from birthright.atomic import make_directories, write_atomically
from birthright.errors import HandoverError, UsageError
from birthright.retirement.handover.credentials_file import KEY_ID, read_profiles, with_key
from birthright.retirement.handover.folders import check_writable
from birthright.retirement.handover.foreign import ask, files
from birthright.retirement.handover.interface import (
    DeliveredSecret,
    Destination,
    DestinationType,
    NewSecret,
    Owner,
)
from birthright.retirement.handover.template import (
    check_template,
    expanded,
    for_key,
    for_owner,
    has_key,
    path_for_owner,
    plain,
)
from birthright.secret import Secret

_ALLOWED = re.compile(r"[A-Za-z0-9_+=,.@/-]*")
_WORD = re.compile(r"[A-Za-z0-9/+=]+")
# Seconds that another writer may take.
_PATIENCE = 20.0
_PAUSE = 0.02
_ABANDONED = ".birthright-*"
_LARGEST = 10_000_000


def check(rest: str) -> None:
    """Refuse what cannot be a profile's name. Raises UsageError."""
    name, colon, path = rest.partition(":")
    check_template(rest)
    if not name or name == "DEFAULT" or not _ALLOWED.fullmatch(plain(name)):
        raise UsageError(
            f"profile: {name[:80]!r} cannot be a profile: letters, digits and _+=,.@/- are allowed",
            "profile:{user_name} or profile:NAME:FILE",
        )
    if colon and (not path or path.endswith("/")):
        raise UsageError("profile: the path must name a file", "profile:{user_name}:~/.aws/credentials")


def destination(rest: str, owner: Owner) -> Destination:
    """Name one user's profile and its file. Raises UsageError."""
    name, _, path = rest.partition(":")
    name = for_owner(name, owner)
    if name == "DEFAULT":
        raise UsageError(
            "profile: DEFAULT is no profile: its values count for all", "profile:key-{user_name}"
        )
    usual = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    return _Profile(owner, name, expanded(path_for_owner(path, owner) if path else usual))


def actions(rest: str) -> tuple[tuple[str, str], ...]:  # noqa: ARG001 - every kind is asked the same
    """Return what tells whose key a profile holds."""
    return (("iam:ListAccessKeys", "arn:{partition}:iam::{account_id}:user/*"),)


class _Profile(msgspec.Struct, frozen=True):
    """One user's profile; the name and the path may still hold `{access_key_id}`."""

    owner: Owner
    name: str
    path: str

    @property
    def where(self) -> str:
        """The profile in words."""
        return _where(self.name, self.path)

    def check(self) -> None:
        """Refuse a file that cannot be read or written, and another user's profile. Raises HandoverError."""
        if sys.platform == "win32":
            raise HandoverError(
                "profile: there are no private files on Windows", "choose another destination"
            )
        path = Path(self.path)
        with files():
            check_writable(_real(path))
            if not has_key(self.path):
                self._check_free(_read(path), self.name)

    def deliver(self, parcel: NewSecret) -> DeliveredSecret:
        """Write the profile; other writers wait meanwhile. Raises HandoverError."""
        name = for_key(self.name, parcel.access_key_id)
        path = _real(Path(for_key(self.path, parcel.access_key_id)))
        with files():
            make_directories(path.parent)
        with files(), _locked(path):
            _sweep(path.parent)
            before = _read(path)
            self._check_free(before, name)
            # The secret comes last: what may fail before works with a stand-in.
            stand_in = token_hex(20)
            changed = with_key(before, name, parcel.access_key_id, stand_in)
            with files(lambda: _has(path, name, parcel.access_key_id)):
                write_atomically(path, changed.replace(stand_in.encode(), _one_word(parcel.secret).encode()))
        return DeliveredSecret(where=_where(name, str(path)))

    def holds(self, access_key_id: str, token: str) -> bool | None:  # noqa: ARG002 - the id is in the file
        """Whether the profile has the key. Raises HandoverError, uncertain."""
        path = Path(for_key(self.path, access_key_id))
        failure: HandoverError | None = None
        try:
            with files():
                return _has(path, for_key(self.name, access_key_id), access_key_id)
        except HandoverError as error:
            failure = error
        raise HandoverError(failure.message, failure.hint, certain=False)

    def _check_free(self, data: bytes, name: str) -> None:
        """Refuse a profile with a key that is not the user's own. Raises HandoverError, certain."""
        held = read_profiles(data).get(name, {}).get(KEY_ID)
        if held is None:
            return
        answer = ask(self.owner, "iam", "list_access_keys", UserName=self.owner.user_name)
        if held not in {key["AccessKeyId"] for key in answer["AccessKeyMetadata"]}:
            raise HandoverError(
                f"profile {name} of {self.path} holds a key that user {self.owner.user_name} does not have",
                "remove that profile if nobody needs it, or choose another name",
            )


def _one_word(secret: Secret) -> str:
    """Reveal a secret that can be a field's value. Raises HandoverError, certain."""
    if not _WORD.fullmatch(secret.reveal()):
        raise HandoverError("the new secret has characters that AWS never gives", "look at AWS's answer")
    return secret.reveal()


def _where(name: str, path: str) -> str:
    return f"profile {name} in {path}"


def _real(path: Path) -> Path:
    """Follow links: what is locked and replaced is the file itself."""
    return Path(os.path.realpath(path))


def _read(path: Path) -> bytes:
    """Return the file, or nothing where there is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise HandoverError(f"{path} is not a file", "name a credentials file")
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _has(path: Path, profile: str, access_key_id: str) -> bool:
    return read_profiles(_read(path)).get(profile, {}).get(KEY_ID) == access_key_id


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time change the file. The lock ends with its process, however that ends."""
    import fcntl

    lock = os.open(path.parent / f".{path.name}.birthright-lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise HandoverError(f"somebody else keeps {path} locked", "run it again later") from None
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(lock)


def _sweep(folder: Path) -> None:
    """Remove what a killed writer left; whoever has the lock knows that no other is at work."""
    for left in folder.glob(_ABANDONED):
        with suppress(OSError):
            status = left.lstat()
            if (
                stat.S_ISREG(status.st_mode)
                and status.st_size < _LARGEST
                and KEY_ID.encode() in left.read_bytes()
            ):
                left.unlink()


KIND = DestinationType(name="profile", scope="machine", check=check, destination=destination, actions=actions)
