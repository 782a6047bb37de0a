"""What the HTML report says was read, and its numbers: those of the document, and no better."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.findings.model import Changes, CoverageSummary, Finding
from birthright.findings.ranking import FIRST
from birthright.reports.html.statuses import FindingStatus
from html_helpers import UNUSED, born, html, organization, rows, single


def test_what_was_read_comes_first() -> None:
    """Before any number it says what is missing, from which scan and when."""
    text = html(organization())
    words = (
        "Not everything was read: of 3 accounts 1 not at all, 1 in part",
        "20261122T100000Z-abcdef</code>",
        ">denied</strong>",
        "active access key was created together",
    )
    places = [text.index(one) for one in words]
    assert places == sorted(places)


def test_a_scan_that_did_not_finish_says_how_to_go_on() -> None:
    """The alarm has the command."""
    report = single()
    scan = msgspec.structs.replace(report.document.scan, finished=False, complete=False)
    text = html(single(scan=scan))
    assert "This scan did not finish." in text
    assert "birthright scan --resume 20261122T100000Z-abcdef" in text


def test_nothing_read_is_not_in_order() -> None:
    """Where no account answered, nothing says that all is well."""
    lines = tuple(msgspec.structs.replace(line, status="denied") for line in single().document.coverage)
    text = html(single((), coverage=lines))
    assert "No account was read. Nothing here says that anything is in order." in text
    assert "There are no findings, because nothing was read." in text


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["fail", "unknown", "waived", "pass", "fixed"]), st.booleans())))
def test_the_numbers_are_those_of_the_document(kinds: list[tuple[FindingStatus, bool]]) -> None:
    """The sentence, the policy's line, the rows and the keys drawn each count what the document holds."""
    report = single(
        [_standing(f"u{n}", kind, first=first) for n, (kind, first) in enumerate(kinds) if kind != "fixed"],
        fixed=tuple(
            _standing(f"u{n}", kind, first=True) for n, (kind, _) in enumerate(kinds) if kind == "fixed"
        ),
    )
    counts = Counter(kind for kind, _ in kinds)
    born_so = Counter(kind for kind, first in kinds if first)
    text = html(report)
    summary = report.document.summary
    said = f"{counts['fail']} failure{'' if counts['fail'] == 1 else 's'}, {counts['unknown']} unknown, {{}}"
    assert said.format(f"{counts['waived']} waived, {counts['pass']} passed") in text
    assert (summary.fail, summary.unknown, summary.waived) == tuple(
        counts[kind] for kind in ("fail", "unknown", "waived")
    )
    assert not kinds or Counter(row["standing"] for row in rows(text)) == counts
    drawn = f"{born_so['fail']} that are active and born with their user, {born_so['waived']} such"
    assert drawn in text or not len(report.document.findings)


def _standing(user: str, kind: FindingStatus, *, first: bool) -> Finding:
    """Make a finding that stands so; of the policy of birth keys, or of another one."""
    waiver = next(f.waiver for f in single().document.findings if f.waiver)
    changed: dict[FindingStatus, dict[str, Any]] = {"waived": {"waiver": waiver}, "fixed": {"state": "fixed"}}
    gap = {"unknown": -1, "pass": 100}.get(kind, 0)
    return born(user, gap, policy=FIRST if first else UNUSED, **changed.get(kind, {}))


@pytest.mark.parametrize(
    ("kinds", "scan", "words"),
    [
        (
            ["waived"],
            {},
            "<strong>1</strong> active access key was created together with its user, waived",
        ),
        (["waived"] * 2, {}, "with their users, all of them waived"),
        (["pass"], {}, "No active access key was created together with its user"),
        (["pass"], {"complete": False, "listed": False}, "not every key could be judged"),
        (["waived"], {"complete": False}, "not every key could be judged"),
        (["unknown"], {}, "not every key could be judged"),
    ],
)
def test_the_headline_is_no_better_than_the_scan(
    kinds: list[FindingStatus], scan: dict[str, Any], words: str
) -> None:
    """What is waived was born with its user all the same, and what was not read may have been."""
    report = single([_standing(f"u{n}", kind, first=True) for n, kind in enumerate(kinds)])
    document = msgspec.structs.replace(
        report.document, scan=msgspec.structs.replace(report.document.scan, **scan)
    )
    headline = html(msgspec.structs.replace(report, document=document)).partition('class="headline"')[2]
    assert words in headline.partition("</p>")[0]


def test_the_alarm_counts_each_account_once() -> None:
    """Profiles that cannot be used share the id `unknown`; what lacks only a unit lacks no account."""
    line = single().document.coverage[0]
    scan = msgspec.structs.replace(single().document.scan, complete=False)
    profiles = [
        CoverageSummary("unknown", "GetCallerIdentity", "failed", "", 0, 1, 0, 0.1, None, name)
        for name in "ab"
    ]
    partly = msgspec.structs.replace(line, source="ListUsers", status="denied")
    other = msgspec.structs.replace(line, account_id="222233334444")
    text = html(single(scan=scan, coverage=(line, partly, *profiles)))
    assert "Not everything was read: of 3 accounts 2 not at all, 1 in part." in text
    text = html(single(scan=scan, coverage=(line, other)))
    assert "Not everything was read: what is missing could hide failures." in text


def test_many_unanswered_questions_leave_room_for_the_answer() -> None:
    """A few stand open; more than that are folded, with their number, below the alarm."""
    line = msgspec.structs.replace(single().document.coverage[0], status="denied")
    for count, tag in ((5, "<details open>"), (6, "<details>")):
        lines = [msgspec.structs.replace(line, account_id=f"{n:012}") for n in range(count)]
        text = html(single(coverage=(single().document.coverage[0], *lines)))
        assert f"{tag}\n<summary>Not read, or in part ({count})</summary>" in text


def test_changes_from_elsewhere_without_a_time_are_shown() -> None:
    """A document that names the earlier scan, but not when it was, is read by the schema, so it is shown."""
    assert "Since nothing" in html(single(changes=Changes("some", None, 1, 0, 0, 0, 0)))


def test_waived_and_fixed_findings_stand_apart() -> None:
    """A waived failure is not a failure in the table; a fixed one is neither, and has no commands."""
    text = html(organization())
    standing = {row["user"]: row["standing"] for row in rows(text)}
    assert standing == {
        "text": "fail", "bob": "waived", "cleo": "unknown", "dora": "fail", "emil": "fail", "fritz": "fixed",
    }  # fmt: skip
    by_user = {row["user"]: row for row in rows(text)}
    assert by_user["fritz"]["commands"] == []
    assert by_user["bob"]["commands"]


def test_the_numbers_of_changes_waivers_and_units_are_there() -> None:
    """New, fixed and reappeared; each state of a waiver; units and accounts."""
    text = html(organization())
    for state in ("expired", "unmatched", "expiring", "unread"):
        assert f"<strong>{state}</strong>" in text
    assert "Waivers: 4 to review" in text
    for heading in (
        "Since 2026-01-01 00:00 UTC",
        "By organizational unit",
        "By account",
        "Failures over the scans",
    ):
        assert heading in text
