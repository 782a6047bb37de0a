"""The terminal's report of what is new, fixed and waived."""

import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from birthright.findings.model import (
    Changes,
    CoverageSummary,
    Document,
    DocumentScan,
    Finding,
    PolicySummary,
    State,
    Summary,
    Waiver,
    WaiverState,
    WaiverSummary,
)
from birthright.reports.formats import renderer
from birthright.reports.interface import Report
from birthright.reports.subjects import age_of

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
BORN = "access-key-created-with-user"
ACCEPTED = Waiver("vendor", "payments", None, date(2026, 11, 1), date(2027, 1, 31))
CHANGES = Changes("20261121T100000Z-000000", NOW - timedelta(days=1), 1, 2, 0, 1, 0)


def finding(**values: Any) -> Finding:  # noqa: ANN401 - any field
    """Make a failure of a key."""
    usual: dict[str, Any] = {
        "fingerprint": "0" * 32, "policy": BORN, "verdict": "fail", "risk": "low",
        "account_id": "111122223333", "user_name": "alice",
        "user_arn": "arn:aws:iam::111122223333:user/alice",
        "access_key_id": "AKIAIOSFODNN7EXAMPLE", "status": "Active",
        "created_at": NOW, "user_created_at": NOW, "gap_seconds": 0, "ever_used": False,
        "last_used_at": None, "console_password": False,
        "remedy": "retire", "reason": "created 0 s after its user", "evidence": (),
    }  # fmt: skip
    return Finding(**{**usual, **values})


def shown(*findings: Finding, fail: int, waived: int = 0, **values: Any) -> str:  # noqa: ANN401 - any field
    """Render a document of one account for people."""
    read = CoverageSummary("111122223333", "ListUsers", "ok", "", 1, 1, 0, 0.1, None)
    document = Document(
        "birthright.findings/1",
        DocumentScan("20261122T100000Z-000000", NOW, "0", "keys"),
        Summary(1, 1, 1, fail, 0, 0, waived),
        (read,),
        (PolicySummary(BORN, "Title", "low", "low", {}, fail, 0, 0, waived),),
        findings,
    )
    out = io.StringIO()
    renderer("terminal")(Report(msgspec.structs.replace(document, **values)), out)
    return out.getvalue()


def test_a_waived_failure_is_counted_and_not_shown() -> None:
    """It is in no group of things to do; the counts and the headline say that it is there."""
    text = shown(finding(waiver=ACCEPTED), fail=0, waived=1)
    assert "AKIA" not in text
    assert "1 active access key was created together with its user: waived." in text
    assert "0 failures, 0 unknown, 0 passed, 1 waived" in text
    assert "No active access key" not in text


def test_nothing_is_said_of_waivers_and_changes_where_there_are_none() -> None:
    """A plain scan looks as it did: no column, no line."""
    text = shown(finding(), fail=1)
    assert not any(word in text for word in ("waived", "Since", " known", "Fixed"))


def test_what_changed_is_said_first_and_each_failure_says_how_long_it_is_known() -> None:
    """One line of counts; a new failure is called new, an old one has its age."""
    old = finding(user_name="bob", access_key_id="AKIABBBBBBBBBBBBBBBB", state="persisting",
                  first_seen=NOW - timedelta(days=12))  # fmt: skip
    text = shown(finding(state="new", first_seen=NOW), old, fail=2, changes=CHANGES)
    line = "Since 2026-11-21 10:00 UTC: 1 new, 0 reappeared, 1 fixed, 2 unchanged."
    assert text.index(line) < text.index("alice")
    assert " new " in next(row for row in text.splitlines() if row.startswith("alice"))
    assert " 12 d " in next(row for row in text.splitlines() if row.startswith("bob"))


def test_earlier_findings_that_were_not_read_are_told() -> None:
    """Nobody can call them fixed."""
    assert "3 not read this time" in shown(fail=0, changes=msgspec.structs.replace(CHANGES, unread=3))


def test_fixed_ones_are_named() -> None:
    """The first ten, and how many there are."""
    text = shown(
        fail=0, changes=CHANGES, fixed=tuple(finding(user_name=f"u{n}", state="fixed") for n in range(12))
    )
    assert "Fixed (12)" in text
    assert "and 2 more: -o findings.json has all" in text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("expired", "ended 2027-01-31"),
        ("expiring", "ends on 2027-01-31"),
        ("unmatched", "covers nothing any more: remove it"),
        ("unread", "is about something that was not read"),
    ],
)
def test_waivers_to_look_at(state: WaiverState, words: str) -> None:
    """Each is named with what is the matter; one that simply holds is not."""
    line = WaiverSummary(BORN, "*", "alice", "AKIAIOSFODNN7EXAMPLE", "vendor", "payments", None,
                      ACCEPTED.created, ACCEPTED.expires, state, 0)  # fmt: skip
    text = shown(fail=0, waivers=(line, msgspec.structs.replace(line, state="active")))
    assert "Waivers to review (1 of 2)" in text
    assert words in text


@pytest.mark.parametrize(
    ("state", "first_seen", "words"),
    [
        (None, None, ""),
        ("new", NOW, "new"),
        ("reappeared", NOW - timedelta(days=3), "again"),
        ("persisting", NOW - timedelta(days=3, hours=4), "3 d"),
        ("persisting", NOW - timedelta(hours=4), "4 h"),
        ("persisting", NOW + timedelta(hours=4), "0 s"),
    ],
)
def test_ages(state: State | None, first_seen: datetime | None, words: str) -> None:
    """The largest unit says enough; a clock that went back makes no negative age."""
    assert age_of(finding(state=state, first_seen=first_seen), NOW) == words


def test_what_is_new_is_shown_first_although_there_is_much_else() -> None:
    """Of a hundred failures a reader of every night's scan wants the two new ones."""
    old = [
        finding(user_name=f"u{n}", access_key_id=f"AKIA{n:016}", state="persisting", first_seen=NOW)
        for n in range(100)
    ]
    new = finding(user_name="zoe", access_key_id="AKIAZZZZZZZZZZZZZZZZ", state="reappeared", first_seen=NOW)
    text = shown(*old, new, fail=101, changes=CHANGES)
    assert text.index("New since then (1)") < text.index("zoe") < text.index("Not in use")
    first = msgspec.structs.replace(CHANGES, since=None, since_as_of=None)
    assert "New since then" not in shown(*old, new, fail=101, changes=first)
