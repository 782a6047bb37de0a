"""The first answer: never better than what is known."""

from datetime import UTC, datetime

import pytest

from birthright.facts.model import Status
from birthright.findings.model import CoverageSummary, Document, DocumentScan, PolicySummary, Summary
from birthright.findings.ranking import FIRST
from birthright.reports.headline import headline


def document(fail: int, waived: int, unknown: int, answer: Status = "ok", policy: str = FIRST) -> Document:
    """Make a document of one account with so many findings of one policy."""
    read = CoverageSummary("111122223333", "ListUsers", "ok", "", 1, 1, 0, 0.1, None)
    other = CoverageSummary("111122223333", "GetCredentialReport", answer, "", 1, 1, 0, 0.1, None)
    return Document(
        "birthright.findings/1",
        DocumentScan("20261122T100000Z-000000", datetime(2026, 11, 22, tzinfo=UTC), "0", "keys"),
        Summary(1, 1, 1, fail, unknown, 0, waived),
        (read, other),
        (PolicySummary(policy, "Title", "low", "low", {}, fail, unknown, 0, waived),),
        (),
    )


@pytest.mark.parametrize(
    ("counts", "answer", "tone", "words"),
    [
        ((2, 0, 0), "ok", "bad", "2 active access keys were created together with their users"),
        ((1, 3, 1), "ok", "bad", "1 active access key was created together with its user"),
        ((0, 2, 0), "ok", "waived", "2 active access keys were created together with their users"),
        ((0, 0, 1), "ok", "unsure", "No key is known to be created together with its user, but"),
        ((0, 0, 0), "denied", "unsure", "No key is known to be created together with its user, but"),
        ((0, 0, 0), "ok", "good", "No active access key was created together with its user"),
    ],
)
def test_the_answer(counts: tuple[int, int, int], answer: Status, tone: str, words: str) -> None:
    """Only if everything was read and nothing fails, is waived or unknown, all is well."""
    found = headline(document(*counts, answer), {"retire": 1})
    assert found is not None
    assert found.tone == tone
    assert found.text.startswith(words)


def test_details() -> None:
    """Failures say what is to be done, and that more are waived; waived ones that not all is known."""
    bad = headline(document(3, 2, 0), {"retire": 1, "rotate": 2})
    assert bad is not None
    assert bad.detail == "1 not in use, 2 in use, 2 more waived"
    waived = headline(document(0, 2, 0, "denied"), {})
    assert waived is not None
    assert waived.detail == "all of them waived; not every key could be judged"


def test_no_answer_where_the_question_was_not_put() -> None:
    """Judged by other policies only, or nothing read: there is no such sentence."""
    assert headline(document(1, 0, 0, policy="another"), {}) is None
    unread = document(0, 0, 0)
    unread = Document(unread.schema, unread.scan, unread.summary, (), unread.policies, ())
    assert headline(unread, {}) is None
