"""What the evaluator makes of a rule: verdicts, counts, and errors that say what to change."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from birthright.errors import PageError
from birthright.policies.evaluator import Evaluator
from birthright.policies.page import parse_page

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_rows_counts_and_silent_accounts(
    kind: str, scan: Path, tables: dict[str, pa.Table], text: str
) -> None:
    """In memory and from files: failures are rows, passes are counted, a silent account is one unknown."""
    evaluator = Evaluator(tables if kind == "memory" else scan, AS_OF)
    judgement = evaluator.judge(parse_page(text, "tiny.md"))
    assert (judgement.passed, judgement.failed, judgement.unknown) == (1, 1, 1)
    (row,) = judgement.rows
    assert (row.access_key_id, row.verdict, row.reason) == ("AKIAOLD", "fail", "because")
    assert row.created_at is not None
    assert row.created_at.tzinfo is UTC
    reason = "GetCredentialReport denied: AccessDenied; ListAccessKeys failed: Throttling"
    assert judgement.unread == {"2" * 12: reason}


def test_passes_are_rows_if_asked_for(tables: dict[str, pa.Table], text: str) -> None:
    """The counts stay the same, the rows are all of them."""
    judgement = Evaluator(tables, AS_OF).judge(parse_page(text, "tiny.md"), passes=True)
    assert (judgement.passed, judgement.failed, judgement.unknown) == (1, 1, 1)
    assert sorted(row.verdict for row in judgement.rows) == ["fail", "pass"]


def test_parameters_change_the_verdict(tables: dict[str, pa.Table], text: str) -> None:
    """An override is read like the default and reaches the rule."""
    judgement = Evaluator(tables, AS_OF).judge(parse_page(text, "tiny.md"), {"max_age": "1d"})
    assert (judgement.passed, judgement.failed) == (0, 2)


def test_a_null_verdict_is_unknown(tables: dict[str, pa.Table], with_rule: Callable[[str], str]) -> None:
    """A rule that only says NULL passes nothing, and a page without reasons has none."""
    page = parse_page(with_rule("select *, null as compliant from access_keys"), "tiny.md")
    judgement = Evaluator(tables, AS_OF).judge(page)
    assert (judgement.passed, judgement.failed, judgement.unknown) == (0, 0, 3)
    assert {row.reason for row in judgement.rows} == {None}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("select * from access_keys", "no column compliant"),
        ("select *, 1 as compliant from access_keys", "compliant is INTEGER"),
        ("select *, 'true' as compliant from access_keys", "compliant is VARCHAR"),
        ("select account_id, true as compliant from access_keys", "no column"),
        ("select * replace (1 as user_name), true as compliant from access_keys", "user_name is INTEGER"),
        (
            "select * replace (date '2020-01-01' as created_at), true as compliant from access_keys",
            "created_at is DATE",
        ),
        ("select *, $window is null as compliant from access_keys", r"uses \$window"),
        ("select *, true as compliant from nowhere", "nowhere"),
        ("selec 1", "is not SQL"),
        ("select *, true as compliant from access_keys) -- ", "is not SQL"),
        ("select *, (1 / 0)::int = error('no') as compliant from access_keys", "no"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_judge_is_a_page_error(
    tables: dict[str, pa.Table], with_rule: Callable[[str], str], rule: str, message: str
) -> None:
    """The message names the page and what is wrong with its rule."""
    with pytest.raises(PageError, match=message) as caught:
        Evaluator(tables, AS_OF).judge(parse_page(with_rule(rule), "dir/tiny.md"))
    assert str(caught.value).startswith("dir/tiny.md")


def test_a_comment_at_the_end_of_a_rule_is_only_a_comment(
    tables: dict[str, pa.Table], with_rule: Callable[[str], str]
) -> None:
    """It cannot hide what the evaluator puts behind the rule."""
    page = parse_page(with_rule("select *, true as compliant from access_keys -- all well"), "tiny.md")
    judgement = Evaluator(tables, AS_OF).judge(page)
    assert (judgement.passed, judgement.unknown) == (2, 1)


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [
        ("true", "true", "pass"),
        ("false", "false", "fail"),
        ("null", "null", "unknown"),
        ("true", "false", "depends"),
        ("false", "true", "depends"),
        ("null", "true", "depends"),
        ("false", "null", "depends"),
        ("out", "true", "depends"),
        ("false", "out", "depends"),
        ("out", "out", None),
    ],
)
def test_what_depends_on_a_time_that_is_not_known(
    tables: dict[str, pa.Table], with_rule: Callable[[str], str], first: str, last: str, verdict: str | None
) -> None:
    """A verdict that differs between the ends of the time is unknown, and its reason says how to know it."""
    at_the_end = "$as_of = timestamp '2026-07-01'"
    words = f"case when {at_the_end} then '{last}' else '{first}' end"
    rule = f"""select *, (nullif({words}, 'null') = 'true') as compliant, 'word ' || {words} as reason
               from access_keys where {words} <> 'out'"""  # noqa: S608
    evaluator = Evaluator(tables, AS_OF, as_of_earliest=datetime(2026, 1, 1, tzinfo=UTC))
    judgement = evaluator.judge(parse_page(with_rule(rule), "tiny.md"), passes=True)
    found = {(row.verdict, row.reason) for row in judgement.rows}
    reason = "depends on when the files were made, which is not known: say it with --report-time"
    expected = ("unknown", reason) if verdict == "depends" else (verdict, f"word {last}")
    assert found == ({expected} if verdict else set())
    assert len(judgement.rows) == (2 if verdict else 0)
    assert evaluator.tally(judgement.page).total.unknown == judgement.unknown


def test_an_unused_parameter_is_an_error(tables: dict[str, pa.Table], text: str) -> None:
    """A parameter that changes nothing would be a promise not kept."""
    page = parse_page(text.replace("$as_of - $max_age", "$as_of"), "tiny.md")
    with pytest.raises(PageError, match="does not use the parameter max_age"):
        Evaluator(tables, AS_OF).judge(page)


def test_ten_thousand_silent_accounts_are_told_quickly(text: str) -> None:
    """The reasons of silent accounts take time in proportion to them, not to their square."""
    import time

    from birthright.facts.model import Coverage
    from birthright.facts.schema import to_tables

    rows = [Coverage(f"{n:012}", "ListAccessKeys", "denied") for n in range(10_000)]
    evaluator = Evaluator(to_tables({"coverage": rows}), AS_OF)
    start = time.process_time()
    assert evaluator.judge(parse_page(text, "tiny.md")).unknown == 10_000
    assert time.process_time() - start < 2
