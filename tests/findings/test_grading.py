"""Which failures make the exit code 1."""

from datetime import date

import msgspec
import pytest

from birthright.errors import UsageError
from birthright.findings.grading import ANY, FailOn, exit_code, fail_on
from birthright.findings.model import Document, Waiver
from birthright.history.compare import compare
from birthright.history.earlier import Baseline
from history_helpers import World, judged, one, past_of_documents, sequence

WAIVER = Waiver("known", "ann", None, date(2026, 1, 1), date(2026, 2, 1))


def waived(document: Document) -> Document:
    """Waive every failure, as a waiver would."""
    findings = tuple(msgspec.structs.replace(finding, waiver=WAIVER) for finding in document.findings)
    count = document.summary.fail
    return msgspec.structs.replace(
        document,
        findings=findings,
        summary=msgspec.structs.replace(document.summary, fail=0, waived=count),
        policies=tuple(msgspec.structs.replace(line, fail=0, waived=line.fail) for line in document.policies),
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("any", ANY),
        ("new", FailOn(new=True)),
        ("risk>=medium", FailOn(risk="medium")),
        (" New , RISK >= high ", FailOn(new=True, risk="high")),
        ("risk>=low,risk>=critical", FailOn(risk="critical")),
    ],
)
def test_what_can_be_asked_for(text: str, wanted: FailOn) -> None:
    """Words are joined by commas, all must hold, and capitals and spaces do not matter."""
    assert fail_on(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "old", "new,", "risk>=huge", "risk>medium", "risk", "medium", "new>=low"]
)
def test_what_is_not_known_is_refused(text: str) -> None:
    """One line says what would be known."""
    with pytest.raises(UsageError, match=r"it is any, new, risk>=LEVEL \(low, medium, high, critical\)"):
        fail_on(text)


@pytest.mark.parametrize(
    ("scans", "text", "code"),
    [
        pytest.param(["active"], "any", 1, id="a failure"),
        pytest.param(["inactive"], "any", 0, id="none"),
        pytest.param(["unread"], "any", 3, id="unknown"),
        pytest.param(["active"], "risk>=low", 1, id="of that risk"),
        pytest.param(["active"], "risk>=medium", 0, id="of less risk"),
        pytest.param(["active"], "new", 1, id="all of a first scan is new"),
        pytest.param(["active", "active"], "new", 0, id="known"),
        pytest.param(["active", "none", "active"], "new", 1, id="there again"),
        pytest.param(["active", "unread"], "new", 3, id="a new unknown is no failure"),
        pytest.param(["none", "active"], "new,risk>=medium", 0, id="new and of less risk"),
    ],
)
def test_exit_codes_by_what_counts(scans: list[str], text: str, code: int) -> None:
    """Failures that do not count leave what is unknown to decide."""
    document = sequence(*map(one, scans))
    assert [line.risk for line in document.policies] == ["low"]
    assert exit_code(document, fail_on(text)) == code


def test_waived_failures_do_not_count() -> None:
    """A failure that was accepted is none, neither among all nor among the new ones."""
    document = waived(compare(judged(one("active"), 0), Baseline()))
    assert [exit_code(document, fail_on(text)) for text in ("any", "new", "risk>=low")] == [0, 0, 0]


def test_what_is_fixed_does_not_count() -> None:
    """Findings of an earlier scan make no exit code."""
    document = compare(judged(one("none"), 1), past_of_documents([judged(one("active"), 0)]))
    assert document.fixed
    assert exit_code(document, fail_on("new")) == 0


def test_new_needs_something_to_compare_with() -> None:
    """Without a comparison nobody knows what is new: that is told, not taken for nothing."""
    with pytest.raises(UsageError, match="--since last"):
        exit_code(judged(one("active"), 0), fail_on("new"))


def test_what_was_not_read_is_no_success() -> None:
    """Nothing new in what was read, and an account that was not: 3."""
    known = World({"111111111111": "read", "222222222222": "read"}, {("111111111111", "ann"): "active"})
    denied = msgspec.structs.replace(known, accounts={"111111111111": "read", "222222222222": "denied"})
    document = compare(judged(denied, 1), past_of_documents([judged(known, 0)]))
    assert exit_code(document, fail_on("new")) == 3
