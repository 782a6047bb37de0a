"""The HTML report as text: it holds everything, loads nothing, and lets nothing in."""

import base64
import hashlib
import json
import re
import time
import tracemalloc
from collections.abc import Collection, Iterator
from datetime import timedelta
from itertools import pairwise, repeat

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.findings.model import Finding
from birthright.reports.explanation import cli_commands
from birthright.reports.html.collecting import MOST_ROWS, PageData, Rows
from birthright.reports.html.data import safe_json
from birthright.reports.html.gaps import Gaps
from birthright.reports.html.statuses import standing_of
from birthright.reports.html.text import Pages
from birthright.reports.interface import Report
from birthright.reports.remedies import Template
from birthright.text import printable
from html_helpers import (
    HOSTILE,
    NOW,
    THEN,
    UNUSED,
    Tags,
    born,
    embedded,
    html,
    many,
    organization,
    rows,
    single,
)


def commands(text: str) -> dict[str, list[str]]:
    """Return the commands of each finding, put together as the page's script does it."""
    data = embedded(text)
    return {
        row["fingerprint"]: [
            Template(data["commands"][number][1], ()).filled(values)
            for number, *values in row["commands"]
        ]
        for row in rows(text)
    }  # fmt: skip


def test_nothing_is_loaded() -> None:
    """Only links that somebody follows lead outside: no image, font, frame or script is from elsewhere."""
    page = Tags(html(organization("x")))
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "action", "data", "background", "poster", "style"):
            assert name not in attributes
        link = attributes.get("href") or "#"
        assert link.startswith(("#", "data:,")) or (tag == "a" and attributes["rel"] == "noreferrer")
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in re.sub(r'url\("#\w+"\)', "", dict(page.raw)["style"])
    assert "@import" not in dict(page.raw)["style"]


def test_the_security_policy_lets_in_the_one_style_and_script() -> None:
    """Their hashes are those of what is there, and nothing else is allowed."""
    page = Tags(html(single()))
    policy = next(m["content"] for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    style = next(raw for tag, raw in page.raw if tag == "style")
    script = [raw for tag, raw in page.raw if tag == "script"][-1]
    for name, text in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"


@given(
    st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
)
def test_embedded_json_is_the_value_and_ends_no_script(value: object) -> None:
    """Whatever the text, it reads back the same, and no character of markup is in it."""
    text = safe_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


@settings(max_examples=25)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_hostile_text_is_data_of_the_page(text: str) -> None:
    """A name and a reason come out of the page as they went in, invisible characters shown as escapes."""
    report = single([born("ann", 0, user_name=text, reason=text)])
    page = html(report)
    (row,) = rows(page)
    assert row["user"] == printable(text)
    assert embedded(page)["reasons"][row["reason"]] == printable(text)
    assert len(Tags(page).of("script")) == 2


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_makes_no_tag(text: str) -> None:
    """The tags are the same whether the texts are harmless or not."""
    harmless = [tag for tag, _ in Tags(html(organization("harmless"))).tags]
    assert [tag for tag, _ in Tags(html(organization(text))).tags] == harmless


def test_the_commands_are_those_that_explain_shows() -> None:
    """Each failure has the commands of its remedy, with its own values, quoted for a shell."""
    findings = [
        born("ann", 0),
        born("bob", 1, remedy="rotate"),
        born("cleo", 2, remedy="review", access_key_id=None),
        born("-dora", 3, policy=UNUSED),
    ]
    report = single(findings)
    found = commands(html(report))
    for finding in findings:
        assert cli_commands(report.pages[finding.policy], finding) in found[finding.fingerprint]
    assert "birthright plan --key AKIAANN -o plan.json" in found[findings[0].fingerprint][0]


def test_a_forged_name_gets_no_commands() -> None:
    """A name that IAM does not allow is never put into a command."""
    found = commands(html(single([born("ann", 0, user_name="$(reboot)")])))
    assert all("reboot" not in text and text.startswith("# no commands") for (text, *_) in found.values())


def test_a_policy_without_its_page_is_said_so() -> None:
    """A document from elsewhere may have been judged by a page that is not here."""
    report = Report(single().document)
    text = html(report)
    assert "The page of this policy is not in this report." in text
    assert [c for c in commands(text).values() if c][:2] == [
        ["# no commands: the page of this policy is not here"]
    ] * 2


def test_the_page_beside_the_findings_is_rendered() -> None:
    """Prose, rule, remediation, frameworks and parameters of the policy as it ran."""
    text = html(single())
    wanted = ("was not asked for by anybody", "from access_keys", "<h4>AWS CLI</h4>", 'rel="noreferrer"')
    for words in (*wanted, "<code>window</code> = 7 s", "CIS AWS Foundations Benchmark"):
        assert words in text


@pytest.mark.parametrize(
    ("markdown", "there", "not_there"),
    [
        ("<script>x</script>", "&lt;script&gt;", "<script"),
        ("[a](javascript:alert)", "[a](javascript:alert)", "<a"),
        ("[a](data:text/html,x)", "data:", "<a"),
        ("![a](https://example.com/x.png)", "", "<img"),
        ("[a](https://example.com)", '<a href="https://example.com" rel="noreferrer">', "<img"),
        ("# a", "<h4>a</h4>", "<h1"),
    ],
)
def test_markdown_can_do_nothing(markdown: str, there: str, not_there: str) -> None:
    """No HTML, no image, no link but to the web; headings stand under those of the page."""
    text = Pages().html(markdown)
    assert there in text
    assert not_there not in text


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from("fuwp"), st.sampled_from(("low", "high"))), max_size=12),
    st.integers(1, 6),
)
def test_the_rows_kept_are_the_weightiest(kinds: list[tuple[str, str]], most: int) -> None:
    """Whatever the order they come in, the bound drops passes first and failures last."""
    gaps = {"f": 0, "u": -1, "w": 1, "p": 100}
    cleo = next(f for f in single().document.findings if f.waiver)
    findings = [
        born(f"u{n}", gaps[kind], risk=risk, waiver=cleo.waiver if kind == "w" else None)
        for n, (kind, risk) in enumerate(kinds)
    ]
    kept = Rows(most)
    for finding in findings:
        kept.add(finding)
    order = {"fail": 0, "unknown": 1, "waived": 2, "pass": 3}
    wanted = sorted(findings, key=lambda f: (order[standing_of(f)], f.risk != "high"))[:most]
    assert list(kept) == wanted
    assert kept.seen == len(findings)


def test_more_findings_than_there_is_room_for_are_counted_and_said() -> None:
    """The table is bounded and says so, and what has all of them."""
    text = html(_streamed(MOST_ROWS + 5))
    assert f"This table holds 20,000 of {MOST_ROWS + 5:,} findings" in text
    assert "-o findings.csv" in text
    assert len(rows(text)) == MOST_ROWS


def test_memory_does_not_grow_with_the_findings() -> None:
    """Ten times as many beyond the bound need no more."""
    few = _peak(3000)
    assert _peak(30_000) < few * 1.3


class _Many(Collection[Finding]):
    """The same finding so often, in accounts of a thousand."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __contains__(self, finding: object) -> bool:
        return any(finding == other for other in self)

    def __iter__(self) -> Iterator[Finding]:
        for account in range(0, self._count, 1000):
            yield from repeat(born("ann", 0, account_id=str(account)), min(1000, self._count - account))


def _streamed(count: int) -> Report:
    report = single()
    return msgspec.structs.replace(
        report, document=msgspec.structs.replace(report.document, findings=_Many(count))
    )


def _peak(count: int) -> int:
    document = _streamed(count).document
    tracemalloc.start()
    try:
        PageData(document, most=1000)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_each_key_is_drawn_once() -> None:
    """However many policies speak of a key; where the policy of birth keys does, it decides how it looks."""
    findings = [
        born("ann", 0, policy=UNUSED, verdict="fail"),
        born("ann", 0),
        born("bob", 5000, policy=UNUSED, verdict="fail"),
    ]
    text = html(single(findings))
    assert "2 of 3 access keys are drawn." in text
    first = text[text.index("gaps-title") : text.index("ages-title")]
    assert first.count('class="mark fail" cx') == 1
    assert first.count('class="mark pass" cx') == 1


@pytest.mark.parametrize("count", [50, 100_000])
def test_the_picture_of_gaps_does_not_grow_with_the_keys(count: int) -> None:
    """A dot a key while there is room, then bars; a single born key stays visible among 100,000."""
    gaps = Gaps()
    for number in range(count):
        gaps.add(born("ann", 3600 + number), "pass")
    gaps.add(born("bob", 0), "fail")
    picture = gaps.picture(single().document)
    assert len(picture.marks) <= 200
    assert [mark.kind for mark in picture.marks if mark.x < 130] == ["fail"]
    assert all(mark.height == 0 or mark.height >= 3 for mark in picture.marks)
    assert all(mark.y >= 20 for mark in picture.marks)
    assert sum(row[4] for row in picture.rows) == count


def test_labels_of_bars_do_not_run_into_each_other() -> None:
    """Of neighbours that are too near, one keeps its number; the born keys at the left always do."""
    gaps = Gaps()
    for gap in (0, *(2**power for power in range(3, 25))):
        for _ in range(800):
            gaps.add(born("ann", gap), "pass")
    labels = gaps.picture(single().document).counts
    assert labels[0][2] == "800"
    assert len(labels) > 5
    for (x, y, _), (next_x, next_y, _) in pairwise(labels):
        assert next_x - x >= 18 or abs(next_y - y) >= 10


def test_one_scan_is_no_trend() -> None:
    """The chart is drawn for two scans and more, and says its numbers."""
    history = organization().document.history
    assert "Failures over the scans" not in html(single(history=history[:1]))
    assert "From 9 on 2026-01-01 to 8 on 2026-01-02." in html(single(history=history[:2]))


def test_odd_times_draw_nothing_wrong() -> None:
    """A use in the future, a key older than its user, a key of this second: the page is made all the same."""
    findings = [
        born("ann", 0, last_used_at=NOW + timedelta(days=1), ever_used=True),
        born("bob", -(10**8)),
        born("cleo", 0, created_at=NOW, user_created_at=THEN, gap_seconds=10**10),
        born("dora", 0, gap_seconds=10**18),
        born("emil", 0, gap_seconds=-(10**18)),
    ]
    assert "NaN" not in html(single(findings))


def test_five_thousand_findings_cost_little() -> None:
    """Two seconds and five megabytes are promised for the whole process; this is the page alone."""
    report = many(5000)
    began = time.process_time()
    size = len(html(report).encode())
    assert time.process_time() - began < 1.5
    assert size < 5_000_000
