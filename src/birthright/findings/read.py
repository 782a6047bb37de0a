"""Reads a findings document back: what `--format json` wrote, perhaps elsewhere, perhaps long ago."""

from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

from birthright.errors import UsageError
from birthright.findings.model import SCHEMA, Document
from birthright.versioned import VersionedFormat, read_versioned

_HINT = "write it with 'birthright scan --format json'"
_FORM = VersionedFormat(
    schema=SCHEMA, otherwise="holds no findings", error=UsageError, hint=_HINT, longest=2 * 1024**3
)


def load_document(path: Path) -> Document:
    """Read a findings document. Raises UsageError if it is none, is damaged, or is of a newer birthright."""
    document = read_versioned(path, Document, _FORM)
    _check_times(document, path)
    return document


def _check_times(document: Document, path: Path) -> None:
    """Refuse times that are not UTC: one without a zone cannot be compared with the others."""
    moments: list[datetime | None] = [document.scan.as_of]
    moments += [line.report_generated_at for line in document.coverage]
    moments += [past.as_of for past in document.history]
    moments += [document.changes.since_as_of] if document.changes else []
    for finding in chain(document.findings, document.fixed, document.unread or ()):
        moments += (finding.created_at, finding.user_created_at, finding.last_used_at, finding.first_seen)
        moments += (item.as_of for item in finding.evidence)
    if any(moment and moment.utcoffset() != timedelta(0) for moment in moments):
        raise UsageError(f"{path} is damaged: it holds a time that is not UTC", _HINT)
