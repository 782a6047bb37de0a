"""`age:RECIPIENT[,RECIPIENT...]:PATH`: a file that only the recipients can decrypt, one for each key.

Recipients are age public keys (`age1...`) and SSH public keys (`ssh-ed25519 ...`, `ssh-rsa ...`). The file
is armored age around the JSON object that value.py describes.
"""

import os
from pathlib import Path
from typing import Any

import msgspec

from birthright.atomic import make_directories, write_atomically
from birthright.errors import HandoverError, UsageError
from birthright.retirement.handover.folders import check_writable
from birthright.retirement.handover.foreign import files
from birthright.retirement.handover.interface import (
    DeliveredSecret,
    Destination,
    DestinationType,
    NewSecret,
    Owner,
)
from birthright.retirement.handover.template import check_template, expanded, for_key, has_key, path_for_owner
from birthright.retirement.handover.value import stored_value
from birthright.secret import Secret

_EXAMPLE = "age:age1...:~/keys/{user_name}-{access_key_id}.age"


def check(rest: str) -> None:
    """Refuse recipients that are none, and a path that is the same for two keys. Raises UsageError."""
    recipients, path = _parts(rest)
    for place, recipient in enumerate(recipients, start=1):
        _read_recipient(recipient, place)
    check_template(path)
    if not has_key(path):
        raise UsageError("age: the path must hold {access_key_id}: no file is ever overwritten", _EXAMPLE)
    if path.endswith("/"):
        raise UsageError("age: the path must name a file", _EXAMPLE)


def destination(rest: str, owner: Owner) -> Destination:
    """Name one user's file. Raises UsageError if the user's name would lead to another folder."""
    recipients, path = _parts(rest)
    return _File(owner, recipients, expanded(path_for_owner(path, owner)))


def _parts(rest: str) -> tuple[tuple[str, ...], str]:
    recipients, _, path = rest.partition(":")
    found = tuple(recipient.strip() for recipient in recipients.split(","))
    if not (path and all(found)):
        raise UsageError("age: write recipients and a path", _EXAMPLE)
    return found, path


def _read_recipient(text: str, place: int) -> Any:  # noqa: ANN401 - pyrage has no types
    """Read one recipient. It is not repeated in errors: somebody may have put the private key there."""
    import pyrage

    kind = pyrage.ssh if text.startswith("ssh-") else pyrage.x25519
    try:
        return kind.Recipient.from_str(text)
    except pyrage.RecipientError:
        pass
    raise UsageError(
        f"age: recipient {place} is no age or SSH public key",
        "write it like age1..., ssh-ed25519 AAAA... or ssh-rsa AAAA...",
    )


def _encrypted(value: Secret, recipients: tuple[str, ...]) -> bytes:
    """Encrypt for all recipients. Raises HandoverError, certain."""
    import pyrage

    readers = [_read_recipient(text, place) for place, text in enumerate(recipients, start=1)]
    try:
        return bytes(pyrage.encrypt(f"{value.reveal()}\n".encode(), readers, armored=True))
    except pyrage.EncryptError:
        pass
    raise HandoverError("age cannot encrypt to these recipients", "look at the recipients")


class _File(msgspec.Struct, frozen=True):
    """One user's files; `path` still holds `{access_key_id}`."""

    owner: Owner
    recipients: tuple[str, ...]
    path: str

    @property
    def where(self) -> str:
        """The file in words."""
        return _where(self.path)

    def check(self) -> None:
        """Refuse a folder that cannot be written to. Raises HandoverError."""
        with files():
            check_writable(Path(self.path))

    def deliver(self, parcel: NewSecret) -> DeliveredSecret:
        """Write the file, readable by its owner only; refuse one that is there. Raises HandoverError."""
        path = Path(for_key(self.path, parcel.access_key_id))
        encrypted = _encrypted(stored_value(self.owner, parcel), self.recipients)
        with files():
            make_directories(path.parent)
        if os.path.lexists(path):
            raise HandoverError(f"{path} exists already", "move it away: it is never overwritten")
        with files(path.exists):
            write_atomically(path, encrypted)
        return DeliveredSecret(where=_where(str(path)))

    def holds(self, access_key_id: str, token: str) -> bool | None:  # noqa: ARG002 - the id is in the path
        """Whether the key's file exists; it appears whole or not at all. Raises HandoverError, uncertain."""
        with files(lambda: None):
            return Path(for_key(self.path, access_key_id)).is_file()


def _where(path: str) -> str:
    return f"age-encrypted file {path}"


KIND = DestinationType(name="age", scope="machine", check=check, destination=destination)
