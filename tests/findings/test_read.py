"""Findings documents are read back, or refused in one line."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from birthright.errors import UsageError
from birthright.findings.read import load_document

AT = "2026-11-22T10:00:00Z"
FINDING: dict[str, Any] = {
    "fingerprint": "0" * 32, "policy": "a-policy", "verdict": "fail", "risk": "low",
    "account_id": "111122223333",
    "user_name": "ann", "user_arn": None, "access_key_id": None, "status": "Active", "created_at": AT,
    "user_created_at": AT, "gap_seconds": 0, "ever_used": True, "last_used_at": AT, "console_password": None,
    "remedy": "none", "reason": "why", "first_seen": AT,
    "evidence": [{"fact": "status", "value": "Active", "source": "ListAccessKeys", "as_of": AT}],
}  # fmt: skip
COVERAGE: dict[str, Any] = {
    "account_id": "111122223333", "source": "ListUsers", "status": "ok", "detail": "", "rows": 1, "calls": 1,
    "throttled": 0, "seconds": 0.1, "report_generated_at": AT,
}  # fmt: skip


def document() -> dict[str, Any]:
    """Make a document with a time in every place where one can be."""
    summary = dict.fromkeys(("accounts", "principals", "access_keys", "fail", "unknown", "pass", "waived"), 1)
    past = {"id": "x", "as_of": AT, "complete": True, "accounts": 1, "failing": {}, "unknown": 0, "new": 0}
    return {
        "schema": "birthright.findings/1",
        "scan": {"id": "x", "as_of": AT, "tool_version": "1", "depth": "keys"},
        "summary": summary,
        "coverage": [dict(COVERAGE)],
        "policies": [],
        "findings": [dict(FINDING)],
        "changes": {"since": "y", "since_as_of": AT, **dict.fromkeys(
            ("new", "persisting", "reappeared", "fixed", "unread"), 0)},
        "fixed": [dict(FINDING)],
        "history": [{**past, "fixed": 0}],
    }  # fmt: skip


def written(folder: Path, content: object) -> Path:
    """Write it as JSON."""
    file = folder / "findings.json"
    file.write_bytes(msgspec.json.encode(content))
    return file


def test_a_document_is_read(tmp_path: Path) -> None:
    """Times are aware and UTC."""
    found = load_document(written(tmp_path, document()))
    assert found.scan.as_of == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert len(found.fixed) == len(found.findings) == 1


PLACES: dict[str, Callable[[dict[str, Any]], tuple[dict[str, Any], str]]] = {
    "scan": lambda d: (d["scan"], "as_of"),
    "coverage": lambda d: (d["coverage"][0], "report_generated_at"),
    "created": lambda d: (d["findings"][0], "created_at"),
    "first seen": lambda d: (d["findings"][0], "first_seen"),
    "fixed": lambda d: (d["fixed"][0], "last_used_at"),
    "changes": lambda d: (d["changes"], "since_as_of"),
    "history": lambda d: (d["history"][0], "as_of"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("moment", ["2026-11-22T10:00:00", "2026-11-22T10:00:00+01:00"])
def test_a_time_that_is_not_utc_is_refused(place: str, moment: str, tmp_path: Path) -> None:
    """Wherever it stands: it could not be compared with the others."""
    content = document()
    holder, name = PLACES[place](content)
    holder[name] = moment
    with pytest.raises(UsageError, match="a time that is not UTC"):
        load_document(written(tmp_path, content))


def test_a_newer_document_is_refused(tmp_path: Path) -> None:
    """It says what to do."""
    with pytest.raises(UsageError, match="written by a newer birthright"):
        load_document(written(tmp_path, {**document(), "schema": "birthright.findings/2"}))
