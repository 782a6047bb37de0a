"""Change records: complete, grouped, and safe to open whatever the names in them are."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from birthright.errors import UsageError
from birthright.retirement.journal.journal import Journal
from birthright.retirement.journal.opening import open_journal
from birthright.retirement.model import FindingRef, Replacement, Retirement
from birthright.retirement.records.formats import FORMATS, format_of, renderer
from birthright.retirement.records.interface import ChangeRecord, collect
from birthright.retirement.records.markdown import escaped
from birthright.text import printable
from journal_helpers import NOW, opened, record

HOSTILE = "a|b`c`\n# d <script>alert(1)</script> [x](http://e) ![i](j) *k* _l_ \\ &amp; \x1b[31m ~~m~~"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Give a journal with a rotation that has come to its end, and others of hostile names."""
    with open_journal(str(tmp_path / "j.sqlite")) as journal:
        lock, retirement = opened(journal, handover="secrets-manager:birthright/{user_name}")
        new = Replacement(
            access_key_id="AKIANEW",
            created_at=NOW,
            destination="Secrets Manager secret birthright/user-1",
            handed_over_at=NOW + timedelta(seconds=5),
            proven=True,
        )
        step = record(
            5,
            call="iam:CreateAccessKey",
            request_id="11111111-aaaa",
            detail={"status": "Active"},
            changes={"replacement": new, "state": "handed-over"},
        )
        retirement = journal.append(lock, retirement, step)
        journal.append(lock, retirement, record(9, kind="ended", changes={"state": "deleted"}))
        findings = (FindingRef(HOSTILE, HOSTILE, HOSTILE),)
        odd = {"user_name": HOSTILE, "reason": HOSTILE, "ticket": HOSTILE, "findings": findings}
        lock, retirement = opened(journal, 2, **odd)
        journal.append(lock, retirement, record(9, detail={HOSTILE: HOSTILE}, changes={"note": HOSTILE}))
        opened(journal, 3, ticket="", user_name="=cmd|' /C calc'!A0", reason="+1", handover="@SUM(A1)")
        yield journal


def rendered(journal: Journal, form: str, key: str = "") -> str:
    """Write the change record of what is asked for."""
    out = io.StringIO()
    renderer(form)(collect(journal, journal.find(key=key), NOW), out)
    return out.getvalue()


def test_markdown_says_all_an_auditor_asks(journal: Journal) -> None:
    """Who, when, ticket, reason, finding, facts, calls, request ids, outcome, where the secret went."""
    text = rendered(journal, "markdown", key="AKIANEW")
    expected = [
        "## Ticket CHG-1", "AKIA0000000000000001", "user-1: deleted", "assumed-role/retirer/ann",
        "2026-11-22T10:00:00Z", "the yearly clean-up",
        "access-key-created-with-user: born 1 s after its user",
        "ever used false", "last used at not known", "plan-1", "in\\_use 90 d", "iam:CreateAccessKey",
        "11111111-aaaa", "AKIANEW", "Secrets Manager secret birthright/user-1, 2026-11-22T10:00:05Z",
        "All its 6 steps are whole", "111122223333",
    ]  # fmt: skip
    assert [words for words in expected if words not in text] == []
    assert "user-3" not in text


def test_markdown_takes_no_name_as_markup(journal: Journal) -> None:
    """Hostile names stay text within their cell: no HTML, link, picture, column or heading."""
    text = rendered(journal, "markdown")
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inner = [child for token in tokens for child in token.children or []]
    kinds = {token.type for token in tokens} | {child.type for child in inner}
    assert not kinds & {
        "html_block", "html_inline", "link_open", "image", "code_inline", "em_open", "strong_open",
        "s_open", "fence",
    }  # fmt: skip
    assert sum(token.type == "heading_open" for token in tokens) == 1 + 3 + 3
    assert sum(token.type == "table_open" for token in tokens) == 2 * 3
    assert "\x1b" not in text
    shown = ["".join(child.content for child in token.children or []) for token in tokens if token.children]
    assert printable(HOSTILE) in shown


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    """What a reader of Markdown shows in a table's cell is the text, made printable."""
    tokens = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .parse(f"| n |\n|---|\n| x{escaped(text)}x |\n")
    )
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 2
    assert "".join(child.content for child in cells[1].children or []) == f"x{printable(text)}x"


def test_json_is_the_whole_record(journal: Journal) -> None:
    """The JSON has every field and step; retirements can be read from it again; tickets are in order."""
    document = json.loads(rendered(journal, "json"))
    assert document["schema"] == "birthright.changes/1"
    assert document["verification"] == {"steps": 6, "problem": None, "head": list(journal.steps())[-1].digest}
    assert [group["ticket"] for group in document["tickets"]] == sorted(["", "CHG-1", HOSTILE])
    changes = [change for group in document["tickets"] for change in group["changes"]]
    found = [msgspec.convert(change["retirement"], Retirement) for change in changes]
    assert sorted(found, key=lambda retirement: retirement.id) == journal.find()
    digests = sorted(step["digest"] for change in changes for step in change["steps"])
    assert digests == sorted(step.digest for step in journal.steps())


def test_csv_is_a_step_a_row_without_formulas(journal: Journal) -> None:
    """Every row is whole, and no cell begins like a formula."""
    rows = list(csv.DictReader(io.StringIO(rendered(journal, "csv"))))
    assert len(rows) == 6
    assert {row["user_name"] for row in rows} == {"user-1", printable(HOSTILE), "'=cmd|' /C calc'!A0"}
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    (made,) = (row for row in rows if row["call"])
    assert (made["request_id"], made["replacement_key_id"]) == ("11111111-aaaa", "AKIANEW")
    assert made["secret_went_to"] == "Secrets Manager secret birthright/user-1"
    assert json.loads(made["facts"])["ever_used"] is False


def test_a_broken_journal_says_so_in_its_records(journal: Journal) -> None:
    """A change record from a journal that is not whole begins with that."""
    broken = msgspec.structs.replace(journal.verify(), problem="step 3 is missing")
    change_record = msgspec.structs.replace(collect(journal, [], NOW), verification=broken)
    assert isinstance(change_record, ChangeRecord)
    out = io.StringIO()
    renderer("markdown")(change_record, out)
    assert "**The journal is not whole:** step 3 is missing." in out.getvalue()
    assert "Nothing was done" in out.getvalue()


def test_the_ending_says_the_format() -> None:
    """Every format has its ending; another ending is wrong usage."""
    assert {format_of(Path(f"x{ending}")) for _, ending, *_ in FORMATS.values()} == set(FORMATS)
    with pytest.raises(UsageError, match="pdf"):
        format_of(Path("x.pdf"))
