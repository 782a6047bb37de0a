"""Markdown is read by markdown-it with GitHub's tables; nothing in it may be a link, HTML or a mention."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from birthright.findings.model import Changes, Document
from birthright.reports.markdown import code, words
from format_helpers import (
    ACCOUNT,
    AS_OF,
    HOSTILE,
    UNREAD,
    WAIVER,
    any_text,
    asked,
    document,
    everything,
    finding,
    numbered,
    rendered,
    waiver_line,
)

READER = MarkdownIt("commonmark", {"html": True}).enable("table")
OURS = frozenset("text code_inline strong_open strong_close softbreak".split())
# What GitHub makes links of in text: mentions, issues, addresses. Emoji, too.
ALIVE = re.compile(r"@\w|#\d|\bgh-\d|://|www\.|:[a-z0-9+-]+:", re.IGNORECASE)


def tokens_of(text: str) -> list[Token]:
    """Read Markdown; return all tokens, those within lines too."""
    return [one for token in READER.parse(text) for one in (token, *(token.children or ()))]


def hold(text: str) -> None:
    """Hold a report against what it may be made of: no HTML, link or image; tables with whole rows."""
    tokens = tokens_of(text)
    for token in tokens:
        assert not token.type.startswith(("html", "link", "image", "fence", "code_block", "em_"))
        if token.type == "inline":
            assert {child.type for child in token.children or ()} <= OURS
        if token.type == "text":
            assert not ALIVE.search(token.content)
    assert len(text) < 65_536
    assert text.replace("\n", "").isprintable()
    assert all(len(widths) == 1 for widths in _tables(text))


def _tables(text: str) -> Iterator[set[int]]:
    """Give for each table the widths of its rows, in bars: a reader would hide cells that are too many."""
    for is_row, lines in groupby(text.split("\n"), lambda line: line.startswith("|")):
        if is_row:
            yield {len(re.findall(r"(?<!\\)\|", line)) for line in lines}


def shown(text: str) -> list[str]:
    """Return what stands in the report as code."""
    return [token.content for token in tokens_of(text) if token.type == "code_inline"]


def test_every_kind_of_finding() -> None:
    """A document with everything is a report without anything alive in it."""
    text = rendered("markdown", everything())
    hold(text)
    assert text.startswith("# birthright: ")
    for heading in (
        "Not everything was read",
        "Not in use",
        "In use",
        "Needs review",
        "Other findings",
    ):
        assert f"\n## {heading}" in text
    # What was not read stands first.
    assert text.index("## Not everything was read") < text.index("| policy |")


@settings(max_examples=80)
@given(any_text())
def test_any_text_stays_text(what: Document) -> None:
    """Whatever names, reasons, details, waivers and accounts hold, the report is made of our own Markdown."""
    hold(rendered("markdown", what))


@given(st.text() | st.sampled_from(HOSTILE))
def test_names_are_code(text: str) -> None:
    """A name within a cell is one piece of code or plain words; what is plain is the text itself."""
    for made in (code(text), words(text)):
        hold(f"| a | b |\n|---|---|\n| {made} | x |\n")
        hold(f"- {made}\n")
    assert words("created 2 s after its user") == "created 2 s after its user"
    assert code("ann") == "`ann`"


@pytest.mark.parametrize("name", ["x|y", "a`b", "``", "a\\|b", "\\"])
def test_what_would_end_a_cell_is_escaped(name: str) -> None:
    """Pipes and backticks become escapes; backslashes stay."""
    (content,) = shown(f"| a |\n|---|\n| {code(name)} |\n")
    assert content == name.replace("`", "\\x60").replace("|", "\\x7c")


def test_counts_and_changes() -> None:
    """The headline and the table have the counts, waived apart; the changes are told in one line."""
    changes = Changes("20261101T100000Z-000000", datetime(2026, 11, 1, 10, tzinfo=UTC), 1, 2, 3, 4, 5)
    made = numbered({"state": "new"}, {"waiver": WAIVER}, {"verdict": "unknown"}, {"verdict": "pass"})
    text = rendered("markdown", document(*made, changes=changes))
    assert text.startswith("# birthright: 1 failure, 1 unknown, 1 passed, 1 waived\n")
    assert "| low | 1 | 1 | 1 | 1 |" in text
    assert "**1 active access key was created together with its user**: 1 not in use, 1 more waived." in text
    assert (
        "Since scan `20261101T100000Z-000000` (2026-11-01 10:00 UTC): 1 new, 3 reappeared, 4 fixed, " in text
    )
    assert "2 unchanged, 5 not read this time." in text
    assert "## Not in use: verify, disable, wait, delete (1)" in text
    assert "**new**: created 2 s after its user" in text
    assert "2026-01-26 | 2026-05-06" in text


def test_long_reports_say_what_is_left_out() -> None:
    """Ten of each kind are shown, the others counted; the report stays as long as an issue may be."""
    many = numbered(*({"user_name": f"{place}{'n' * 500}", "reason": "r" * 5000} for place in range(5000)))
    gaps = tuple(asked(f"{place:012}", "ListUsers", "denied", detail="d" * 5000) for place in range(500))
    old = tuple(waiver_line("expired", reason="w" * 5000) for _ in range(500))
    text = rendered("markdown", document(*many, coverage=gaps, waivers=old))
    hold(text)
    assert "and 4990 more; the JSON and CSV reports have all." in text
    assert "and 490 more reads that were not answered" in text
    assert "500 waivers expired" in text
    assert "and 490 more of them" in text


def test_nothing_read_is_said_first() -> None:
    """A scan that read nothing has that as its headline."""
    unread = document(finding(**UNREAD), coverage=(asked(ACCOUNT, "ListUsers", "denied", detail="no"),))
    text = rendered("markdown", unread)
    assert text.startswith("# birthright: no account was read\n")
    assert "**No account was read.** Nothing below says that anything is in order." in text
    assert f"- account `{ACCOUNT}`: `ListUsers` denied: no\n" in text


def test_a_whole_scan_says_nothing_of_gaps() -> None:
    """Nothing is said of gaps, changes, waivers or groups where there are none."""
    text = rendered("markdown", document())
    assert text.count("##") == 0
    assert text.startswith("# birthright: 0 failures, 0 unknown, 0 passed\n")
    assert "\nNo active access key was created together with its user.\n" in text
    waived = rendered("markdown", document(finding(waiver=WAIVER)))
    assert "1 active access key was created together with its user: waived." in waived
    unknown = rendered("markdown", document(finding(verdict="unknown")))
    assert (
        "No key is known to be created together with its user, but not every key could be judged." in unknown
    )


def test_every_account_is_counted() -> None:
    """Those that were left out, such as suspended ones, are neither read nor not read."""
    coverage = (
        asked(ACCOUNT, "ListUsers"),
        asked("444455556666", "ListAccounts", "skipped"),
        asked("777788889999", "AssumeRole", "denied"),
    )
    text = rendered("markdown", msgspec.structs.replace(document(finding()), coverage=coverage))
    assert "\n3 accounts asked for, 1 read, 1 skipped, 1 not read, " in text


def test_several_accounts_are_named() -> None:
    """With several accounts each row has its account; with one it has not."""
    coverage = (asked(ACCOUNT, "ListUsers"), asked("444455556666", "ListUsers"))
    whole = document(finding())
    assert f"| `{ACCOUNT}` | `ann` |" in rendered(
        "markdown", msgspec.structs.replace(whole, coverage=coverage)
    )
    assert "| `ann` | `AKIAEXAMPLE000000001` |" in rendered("markdown", whole)
    assert f"{AS_OF:%Y-%m-%d}" in rendered("markdown", whole)
