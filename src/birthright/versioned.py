"""JSON files whose schema has a version (`birthright.plan/1`): read whole and strictly, or refused."""

import re
from pathlib import Path
from typing import TypeVar

import msgspec

from birthright.errors import UsageError

T = TypeVar("T")


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
    _check_version(_decoded(data, _Versioned, path, form.otherwise, form).schema, path, form)
    return _decoded(data, kind, path, "is damaged", form)


class _Versioned(msgspec.Struct):
    """The one field that every version has."""

    schema: str


def _decoded(data: bytes, kind: type[T], path: Path, otherwise: str, form: VersionedFormat) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise form.error(f"{path} {otherwise}: {error}", form.hint) from None


def _check_version(schema: str, path: Path, form: VersionedFormat) -> None:
    kind, _, version = form.schema.partition("/")
    found_kind, _, found = schema.partition("/")
    if found_kind != kind or not re.fullmatch(r"[0-9]{1,9}", found):
        raise form.error(f"{path} {form.otherwise}: its schema is {schema[:40]!r}", form.hint)
    if int(found) > int(version):
        raise form.error(f"{path} was written by a newer birthright", "upgrade birthright")
