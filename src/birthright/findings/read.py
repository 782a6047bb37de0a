"""Reads a findings document back: what `--format json` wrote, perhaps elsewhere, perhaps long ago."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from birthright.errors import UsageError
from birthright.findings.model import SCHEMA, Document

T = TypeVar("T")

_LONGEST = 2 * 1024**3
_HINT = "write it with 'birthright scan --format json'"


def load_document(path: Path) -> Document:
    """Read a findings document. Raises UsageError if it is none, is damaged, or is of a newer birthright."""
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", _HINT) from None
    if len(data) > _LONGEST:
        raise UsageError(f"{path} is too large for findings", _HINT)
    _check_version(_decoded(data, _Versioned, path, "holds no findings").schema, path)
    document = _decoded(data, Document, path, "is damaged")
    _check_times(document, path)
    return document


class _Versioned(msgspec.Struct):
    """The one field that every version has."""

    schema: str


def _decoded(data: bytes, kind: type[T], path: Path, otherwise: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} {otherwise}: {error}", _HINT) from None


def _check_version(schema: str, path: Path) -> None:
    kind, _, version = SCHEMA.partition("/")
    found_kind, _, found = schema.partition("/")
    if found_kind != kind or not re.fullmatch(r"[0-9]{1,9}", found):
        raise UsageError(f"{path} holds no findings: its schema is {schema[:40]!r}", _HINT)
    if int(found) > int(version):
        raise UsageError(f"{path} was written by a newer birthright", "upgrade birthright")


def _check_times(document: Document, path: Path) -> None:
    """Refuse times that are not UTC: one without a zone cannot be compared with the others."""
    moments: list[datetime | None] = [document.scan.as_of]
    for finding in document.findings:
        moments += (finding.created_at, finding.user_created_at, finding.last_used_at)
        moments += (item.as_of for item in finding.evidence)
    if any(moment and moment.utcoffset() != timedelta(0) for moment in moments):
        raise UsageError(f"{path} is damaged: it holds a time that is not UTC", _HINT)
