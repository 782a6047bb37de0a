"""Subjects are one entry each: a kind that birthright does not have is judged like those it has."""

import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import resources

import jsonschema
import msgspec
import pytest

from birthright.errors import PageError
from birthright.facts.model import AccessKey, Coverage, Principal
from birthright.facts.schema import TABLES, to_tables
from birthright.findings.document import build_document, by_subject
from birthright.policies.cases import run_cases
from birthright.policies.evaluator import Evaluator
from birthright.policies.page import parse_page
from birthright.policies.subjects import SUBJECTS, add_subject
from birthright.reports.formats import renderer
from birthright.reports.interface import Report
from birthright.reports.subjects import subject
from birthright.scans.record import ScanInfo
from birthright.scans.request import Judging
from birthright.waivers.apply import is_of_key
from policy_helpers import PAGE as KEY_PAGE
from subject_helpers import PAGE, SOURCE, ServiceCredential, service_credentials

ACCOUNT = "111122223333"
AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
READ = [Coverage(ACCOUNT, "GetCredentialReport", "ok"), Coverage(ACCOUNT, "ListUsers", "ok")]


@pytest.fixture
def _made_up() -> Iterator[None]:
    with service_credentials():
        yield


def judge(text: str, **rows: Sequence[msgspec.Struct]) -> list[tuple[str | None, ...]]:
    """Judge facts by a page: verdict, reason and subject of each row, and of what was not read."""
    page = parse_page(text, "x")
    facts: dict[str, Sequence[msgspec.Struct]] = {"coverage": READ, **rows}
    judgement = Evaluator(to_tables(facts), AS_OF).judge(page, passes=True)
    found = [(row.verdict, row.reason, row.subject_id) for row in judgement.rows]
    return [*found, *(("unknown", reason, None) for reason in judgement.unread.values())]


@pytest.mark.usefixtures("_made_up")
def test_a_subject_is_one_entry() -> None:
    """Its pages are read, their tests run over rows of its table, and rows are told apart by its id."""
    results = run_cases(parse_page(PAGE, "x"))
    assert [result.got for result in results] == [
        ("pass",), ("fail", "pass", "unknown"), ("unknown",), ("out",)
    ]  # fmt: skip
    assert all(result.passed for result in results)
    rows = [ServiceCredential(ACCOUNT, "ann", credential_id="ACCA1", forgotten=True)]
    answered = [*READ, Coverage(ACCOUNT, SOURCE, "ok")]
    assert judge(PAGE, coverage=answered, service_credentials=rows) == [("fail", "nobody uses it", "ACCA1")]


@pytest.mark.usefixtures("_made_up")
def test_a_difference_names_the_subject() -> None:
    """The result of a page's test says which of several was judged otherwise."""
    (_, several, *_) = run_cases(parse_page(PAGE.replace("[fail, pass, unknown]", "[fail, pass, pass]"), "x"))
    assert several.differences == (
        "service credential ACCA2, made 2026-01-01T00:00:00Z: expected pass, got unknown (nobody uses it)",
    )


@pytest.mark.usefixtures("_made_up")
def test_a_scan_without_the_table_is_unknown() -> None:
    """Where the read that fills it was not asked for, nothing passes, and nothing is out of scope."""
    assert judge(PAGE) == [("unknown", f"{SOURCE} was not asked", None)]


@pytest.mark.usefixtures("_made_up")
def test_a_rule_that_reads_a_later_table_needs_it() -> None:
    """A page about keys must not pass because a table that it looks into was never filled."""
    text = KEY_PAGE.replace(
        "created_at >= $as_of - $max_age",
        "($max_age is not null and not exists (from service_credentials where credential_id = 'ACCA1'))",
    ).replace(", 'because' as reason", "")
    keys = [AccessKey(ACCOUNT, None, "ann", access_key_id="AKIA1", status="Active")]
    people = [Principal(ACCOUNT, None, "ann")]
    assert judge(text, access_keys=keys, principals=people) == [("unknown", f"{SOURCE} was not asked", None)]
    # Who says what the page needs has thought of it.
    own = text.replace("effort: low", "effort: low\nneeds: [GetCredentialReport]")
    assert judge(own, access_keys=keys, principals=people) == [("pass", None, None)]


@pytest.mark.usefixtures("_made_up")
def test_findings_name_the_subject() -> None:
    """Two credentials of one user are two findings, named in JSON and in sentences about them."""
    rows = [ServiceCredential(ACCOUNT, "ann", credential_id=f"ACCA{n}", forgotten=True) for n in (1, 2)]
    coverage = [*READ, Coverage(ACCOUNT, SOURCE, "ok")]
    page = parse_page(PAGE, "x")
    evaluator = Evaluator(to_tables({"coverage": coverage, "service_credentials": rows}), AS_OF)
    info = ScanInfo(id="20260701T000000Z-000000", as_of=AS_OF, tool_version="0", depth="keys", complete=True)
    document = build_document(info, evaluator, [page], Judging())
    assert [subject(one) for one in sorted(document.findings, key=subject)] == [
        "service credential ACCA1 of user ann",
        "service credential ACCA2 of user ann",
    ]
    assert len({one.fingerprint for one in document.findings}) == len(by_subject(document.findings)) == 2
    assert not any(map(is_of_key, document.findings))
    out = io.StringIO()
    renderer("json")(Report(document), out)
    schema = (resources.files("birthright.reports") / "findings-1.schema.json").read_text("utf-8")
    jsonschema.validate(json.loads(out.getvalue()), json.loads(schema))
    assert '"subject": "service credential ACCA1"' in out.getvalue()


def test_every_subject_is_of_a_table_that_has_its_columns() -> None:
    """What a rule must return is what `select *` from the subject's table gives."""
    for one in SUBJECTS.values():
        table = TABLES[one.table or "principals"]
        assert one.columns.keys() <= {*table.row.__struct_fields__}


def test_a_subject_is_registered_once() -> None:
    """A second entry of one name would change what pages mean."""
    with pytest.raises(ValueError, match="principal"):
        add_subject(SUBJECTS["principal"])


@pytest.mark.parametrize("facts", ["bucket", "principals", "access_keys"])
def test_facts_of_a_test_are_of_a_table_that_has_no_place_of_its_own(facts: str) -> None:
    """Users, keys and coverage have their own fields; anything else must be a table."""
    text = KEY_PAGE.replace("name: young,", f"name: young, facts: {{{facts}: [{{}}]}},")
    with pytest.raises(PageError, match=f"case 'young': facts '{facts}' is not known"):
        run_cases(parse_page(text, "x"))
