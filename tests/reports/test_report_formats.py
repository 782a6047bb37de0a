"""The formats on documents made by hand: spreadsheets, hostile text, many findings, many accounts."""

import csv
import io
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.errors import UsageError
from birthright.findings.model import CoverageSummary, Document, DocumentScan, Finding, PolicySummary, Summary
from birthright.policies.pack import choose, load_pack
from birthright.reports.csv import COLUMNS
from birthright.reports.explanation import cli_commands
from birthright.reports.formats import FORMATS, format_of, renderer
from birthright.reports.interface import Report
from birthright.reports.rows import render_rows
from birthright.text import cell, printable

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
BORN = "access-key-created-with-user"


def finding(**values: Any) -> Finding:  # noqa: ANN401 - any field of Finding
    """Make a failure; `values` change it."""
    usual: dict[str, Any] = dict.fromkeys(Finding.__struct_fields__)
    usual |= {
        "fingerprint": "0" * 32,
        "policy": BORN,
        "verdict": "fail",
        "risk": "low",
        "account_id": "111122223333",
        "user_name": "u",
        "access_key_id": "AKIAEXAMPLE000000001",
        "created_at": NOW,
        "remedy": "retire",
        "reason": "created 0 s after its user",
        "evidence": (),
    }
    return Finding(**{**usual, **values})


def document(findings: tuple[Finding, ...], *, accounts: int = 1) -> Document:
    """Make a document of these findings."""
    lines = tuple(
        CoverageSummary(
            f"{account:012}", "ListUsers", "denied" if account else "ok", "why", 1, 1, 0, 0.1, None
        )
        for account in range(accounts)
    )
    policy = PolicySummary(BORN, "Title", "low", "low", {}, len(findings), 0, 0)
    summary = Summary(accounts, 1, len(findings), len(findings), 0, 0)
    scan = DocumentScan("20261122T100000Z-000000", NOW, "0", "keys")
    return Document("birthright.findings/1", scan, summary, lines, (policy,), findings)


def written(form: str, what: Document) -> str:
    """Render to text."""
    out = io.StringIO()
    renderer(form)(Report(what), out)
    return out.getvalue()


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", " =", "  +1", '"=', "' @", "\uff1d"]
)
def test_cells_that_would_run_are_text(start: str) -> None:
    """A cell that a spreadsheet would take for a formula begins with an apostrophe."""
    assert str(cell(f"{start}HYPERLINK(1)")).startswith("'")


def test_cells_that_do_not_run_are_left_alone() -> None:
    """Ordinary names and numbers, negative ones too, stay what they are."""
    values = ["a=b", "comma,plus+at@example.com", "ünïcode", "", "a b"]
    assert [cell(value) for value in values] == values
    assert [cell(-3600), cell(0), cell(-1.5)] == [-3600, 0, -1.5]
    assert [cell(None), cell(value=True), cell(NOW)] == ["", "true", "2026-11-22T10:00:00Z"]


@settings(deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=5))
def test_csv_reads_back(names: list[str]) -> None:
    """Whatever the names, the rows read back with Python's csv module, and none begins like a formula."""
    text = written("csv", document(tuple(finding(user_name=name, gap_seconds=-5) for name in names)))
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == list(COLUMNS)
    place, gap = COLUMNS.index("user_name"), COLUMNS.index("gap_seconds")
    assert [row[place] for row in rows[1:]] == [str(cell(name)) for name in names]
    assert {row[gap] for row in rows[1:]} == {"-5"}
    assert not any(
        row[place].lstrip(" '\"").startswith(("=", "@")) for row in rows[1:] if row[place][0:1] != "'"
    )


@given(st.text())
def test_printable_text_is_printable_and_plain_text_unchanged(text: str) -> None:
    """No control character, mark of direction or line end is left; what is printable stays."""
    assert printable(text).isprintable()
    assert printable(text) == text or not text.isprintable()


@settings(deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_no_name_or_reason_reaches_the_terminal_raw(name: str, reason: str) -> None:
    """Whatever a name or reason holds, the terminal report has line ends and printable text only."""
    text = written("terminal", document((finding(user_name=name, reason=reason),)))
    assert text.replace("\n", "").isprintable()


def test_markup_is_text() -> None:
    """Square brackets in names and reasons are not colours."""
    text = written("terminal", document((finding(user_name="[red]u[/]", reason="[link=x]y[/link]"),)))
    assert "[red]u[/]" in text
    assert "[link=x]y[/link]" in text


def test_a_file_has_no_colours_even_if_they_are_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """FORCE_COLOR is about terminals: files stay plain."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in written("terminal", document((finding(),)))


def test_thousands_of_findings_cost_little() -> None:
    """Eight thousand findings are shown in some hundredths of a second of CPU: only a few rows are drawn."""
    many = tuple(
        finding(user_name=f"user{i}", access_key_id=f"AKIA{i:016}", fingerprint=f"{i:032x}")
        for i in range(8000)
    )
    whole = document(many)
    written("terminal", whole)
    began = time.process_time()
    text = written("terminal", whole)
    assert time.process_time() - began < 0.25
    assert "and 7990 more: -o findings.csv has all" in text


def test_the_format_follows_the_ending() -> None:
    """Each format has its ending; another one is wrong usage that names them all."""
    for name, form in FORMATS.items():
        assert format_of(Path(f"x{form.ending}")) == name
    with pytest.raises(UsageError, match=r"\.csv"):
        format_of(Path("x.pdf"))


def test_rows_too_wide_for_a_table_become_records() -> None:
    """Twenty columns are lines of `name value`; no cell is torn."""
    names = [f"column{i}" for i in range(20)]
    out = io.StringIO()
    render_rows(names, [["AKIAEXAMPLE000000001"] * 20], "terminal", out)
    assert out.getvalue().count("AKIAEXAMPLE000000001") == 20
    assert "column19  AKIAEXAMPLE000000001" in out.getvalue()


def test_more_rows_than_are_shown_are_counted() -> None:
    """A thousand rows are shown and all are counted."""
    out = io.StringIO()
    render_rows(["n"], ((i,) for i in range(1500)), "terminal", out)
    assert out.getvalue().endswith("1500 rows, 1000 shown; --format csv has all\n")


@pytest.mark.parametrize("name", ["$(touch x)", "a b", "it's", "`x`", "-rf", "a;b"])
def test_commands_are_quoted(name: str) -> None:
    """Whatever a user is called, the shell sees one word, and no option, in every command about the user."""
    (page,) = choose(load_pack(), [BORN])
    shown = cli_commands(page, finding(user_name=name)).splitlines()
    commands = [words for line in shown if (words := shlex.split(line, comments=True))]
    about = [words for words in commands if any(word.startswith("--user-name") for word in words)]
    assert [words[2] for words in about] == ["update-access-key", "delete-access-key"]
    for words in about:
        assert f"--user-name={name}" in words or words[words.index("--user-name") + 1] == name


def test_what_was_not_read_is_left_to_fill_in() -> None:
    """Without a key id the commands have a word in its place."""
    (page,) = choose(load_pack(), [BORN])
    assert "--access-key-id ACCESS_KEY_ID" in cli_commands(page, finding(access_key_id=None))


def test_json_is_the_document_itself() -> None:
    """What JSON holds reads back as the document."""
    whole = document((finding(gap_seconds=-1),))
    assert msgspec.json.decode(written("json", whole), type=Document) == whole
