"""Ids and secrets as AWS forms them, always the same for the same parts."""

import base64
import binascii
import hashlib

_MASK = 0x7FFF_FFFF_FF80  # of an access key id's first 48 bits: the account's number, shifted by 7
_SHIFT = 7
_TOP = 1 << 47  # set in the ids that AWS has given out since 2019
_PREFIX = 4  # characters, `AKIA` or `ASIA`
_ACCOUNT_BYTES, _OWN_BYTES, _LENGTH = 6, 4, 16


def digest(*parts: object) -> bytes:
    """Return 32 bytes that depend on nothing but `parts`."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=32).digest()


def identifier(prefix: str, *parts: object) -> str:
    """Return an id as AWS forms them: a four-letter prefix and 16 characters of base 32."""
    return prefix + base64.b32encode(digest(*parts)[:10]).decode()


def access_key_id_of(prefix: str, account_id: str, *parts: object) -> str:
    """Return an access key id; the account's number is in it, as in AWS's own, and 39 bits of `parts`."""
    own = digest(prefix, *parts)
    number = _TOP | int(account_id) << _SHIFT | own[0] & 0x7F
    raw = number.to_bytes(_ACCOUNT_BYTES, "big") + own[1 : 1 + _OWN_BYTES]
    return prefix + base64.b32encode(raw).decode()


def account_of(access_key_id: str) -> str:
    """Return the id of the account that an access key belongs to; empty where the id is no such id."""
    text = access_key_id[_PREFIX:]
    if len(text) != _LENGTH:
        return ""
    try:
        raw = base64.b32decode(text)
    except (binascii.Error, ValueError):
        return ""
    return f"{(int.from_bytes(raw[:_ACCOUNT_BYTES], 'big') & _MASK) >> _SHIFT:012d}"


def secret_of(seed: int, access_key_id: str) -> str:
    """Return the secret that belongs to an access key: 40 characters."""
    return base64.b64encode(digest("secret", seed, access_key_id)).decode()[:40]


def token_of(seed: int, access_key_id: str) -> str:
    """Return the session token that belongs to temporary credentials."""
    return base64.b64encode(digest("token", seed, access_key_id) * 4).decode()
