"""Files whose schema has a version (`birthright.plan/1`): read whole and strictly, or refused."""

import re
from pathlib import Path
from typing import TypeVar

import msgspec

from birthright.errors import UsageError

T = TypeVar("T")
# What decoding raises for bytes that are not the JSON that was expected.
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class VersionedFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected: its schema, how to say that a file is something else, the error and its hint.

    longest: bytes; whatever is larger is something else.
    """

    schema: str
    otherwise: str
    error: type[UsageError]
    hint: str
    longest: int


def read_versioned(path: Path, kind: type[T], form: VersionedFormat) -> T:
    """Read a file. Raises the form's error: it cannot be read, is too large, other, damaged or newer."""
    try:
        with path.open("rb") as file:
            data = file.read(form.longest + 1)
    except OSError as error:
        raise form.error(f"cannot read {path}: {error.strerror}", form.hint) from None
    if len(data) > form.longest:
        raise form.error(f"{path} {form.otherwise}: it is too large", form.hint)
    schema = _decoded(data, _Versioned, path, form.otherwise, form).schema
    other = form.error(f"{path} {form.otherwise}: its schema is {schema[:40]!r}", form.hint)
    newer = form.error(f"{path} was written by a newer birthright", "upgrade birthright")
    check_version(schema, form.schema, other, newer)
    return _decoded(data, kind, path, "is damaged", form)


class _Versioned(msgspec.Struct):
    """The one field that every version has."""

    schema: str


def _decoded(data: bytes, kind: type[T], path: Path, otherwise: str, form: VersionedFormat) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except NOT_JSON as error:
        raise form.error(f"{path} {otherwise}: {error}", form.hint) from None


def schema_in(data: bytes) -> str:
    """Return the schema that a JSON file names. Raises one of NOT_JSON."""
    return msgspec.json.decode(data, type=_Versioned).schema


def version_of(schema: str, own: str) -> int | None:
    """Return the version of a schema; None if it is of another kind than `own`."""
    kind, _, version = schema.partition("/")
    is_ours = kind == own.partition("/")[0] and re.fullmatch(r"[0-9]{1,9}", version)
    return int(version) if is_ours else None


def check_version(schema: str, own: str, other: Exception, newer: Exception) -> None:
    """Raise `other` if a schema is of another kind than `own`, `newer` if it is a later version of it."""
    version = version_of(schema, own)
    if version is None:
        raise other
    if version > (version_of(own, own) or 0):
        raise newer
