"""Signs a manifest with an Ed25519 key, and checks the signature."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from birthright.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_LONGEST = 65_536
_OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_HINT = "make one with: openssl genpkey -algorithm ed25519 -out FILE"


def load_private_key(path: Path, passphrase: Callable[[], bytes]) -> "Ed25519PrivateKey":
    """Read a private key, PEM (PKCS #8) or OpenSSH's; `passphrase` is asked if it is encrypted.

    Raises UsageError, which never shows anything of the file.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    data = _read(path)
    try:
        try:
            key = _loaded(data, None)
        except TypeError:
            # What is encrypted needs a passphrase.
            key = _loaded(data, passphrase())
    except UnsupportedAlgorithm:
        # An encrypted key in OpenSSH's form needs a package that birthright does without.
        raise UsageError(f"{path}: a kind of private key that cannot be read here", _HINT) from None
    except (ValueError, TypeError):
        raise UsageError(f"{path}: no private key that can be read, or a wrong passphrase", _HINT) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: not an Ed25519 key", _HINT)
    return key


def _loaded(data: bytes, passphrase: bytes | None) -> object:
    from cryptography.hazmat.primitives import serialization

    if data.lstrip().startswith(_OPENSSH):
        return serialization.load_ssh_private_key(data, passphrase)
    return serialization.load_pem_private_key(data, passphrase)


def load_public_key(path: Path) -> "Ed25519PublicKey":
    """Read a public key, PEM or OpenSSH's (`ssh-ed25519 ...`). Raises UsageError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    data = _read(path)
    try:
        if data.startswith(b"ssh-"):
            key: object = serialization.load_ssh_public_key(data)
        else:
            key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path}: no public key that can be read", "it is PEM, as public-key.pem") from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path}: not an Ed25519 key")
    return key


def public_pem(key: "Ed25519PublicKey") -> bytes:
    """Write a public key as PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def parse_public_pem(data: bytes) -> "Ed25519PublicKey | None":
    """Read what `public_pem` wrote; None for anything else."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) and public_pem(key) == data else None


def fingerprint(key: "Ed25519PublicKey") -> str:
    """Return the SHA-256 of the key's DER form, in hexadecimal."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def is_signed(key: "Ed25519PublicKey", signature: bytes, data: bytes) -> bool:
    """Whether the signature is that key's over the data."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > _LONGEST:
        raise UsageError(f"{path}: too large for a key")
    return data
