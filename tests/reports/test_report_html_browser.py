"""The HTML report in a real browser: it works, it is accessible, and nothing in it can do anything."""

import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from birthright.findings.model import Changes
from browser_helpers import Scheme, Visit, accessibility_violations, axe_source, launched, tool
from html_helpers import HOSTILE, NOW, born, many, organization, single, written

Open = Callable[..., Visit]
FIRST_SCAN = Changes(None, None, 1, 1, 1, 1, 0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here."""
    with launched() as found:
        yield found


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Open pages, and hold at the end that none of them complained or asked for anything but itself."""
    visits: list[Visit] = []

    def open_page(file: Path | None = None, scheme: Scheme = "light", width: int = 1280) -> Visit:
        opened = Visit(browser, scheme, width)
        visits.append(opened)
        if file:
            opened.open(file)
        return opened

    yield open_page
    for opened in visits:
        opened.close()
        assert not opened.troubles
        assert {url.partition("#")[0] for url in opened.requests} == opened.files


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page of 5,000 findings."""
    return written(many(5000), tmp_path_factory.mktemp("large") / "report.html")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page of four findings."""
    return written(single(), tmp_path_factory.mktemp("small") / "report.html")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page with everything that a report can have."""
    return written(organization(), tmp_path_factory.mktemp("whole") / "report.html")


def shown(opened: Visit) -> list[str]:
    """Return the users in the table, as it stands."""
    return opened.page.locator("#table tr.row td.name").all_inner_texts()


def test_it_renders(visit: Open, small: Path) -> None:
    """Headline, coverage, pictures and table are there, and the page asks for nothing but itself."""
    page = visit(small).page
    assert "2 active access keys were created together with their users" in page.inner_text("main")
    assert page.locator("svg.chart").count() == 2
    assert page.locator("#table tr.row").count() == 4
    assert page.inner_text("#count") == "4 findings"


def test_filters(visit: Open, small: Path) -> None:
    """Each filter narrows the table, and clearing brings everything back."""
    opened = visit(small)
    opened.page.select_option("#f-standing", "waived")
    assert shown(opened) == ["cleo"]
    assert opened.page.inner_text("#count") == "1 of 4 findings"
    opened.page.click("#clear")
    opened.page.select_option("#f-todo", "rotate")
    assert shown(opened) == ["bob"]
    opened.page.click("#clear")
    assert len(shown(opened)) == 4


def test_sorts_both_ways_with_what_is_not_known_last(visit: Open, small: Path) -> None:
    """A header sorts, says which way, and the other way when it is pressed again."""
    opened = visit(small)
    header = opened.page.locator("th[data-sort=gap]")
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert shown(opened) == ["ann", "bob", "cleo", "dora"]
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert shown(opened) == ["cleo", "bob", "ann", "dora"]


def test_the_slash_searches_and_escape_clears(visit: Open, small: Path) -> None:
    """The keyboard alone finds a key by a part of its id."""
    opened = visit(small)
    opened.page.keyboard.press("/")
    opened.page.keyboard.type("akiabob")
    assert shown(opened) == ["bob"]
    opened.page.keyboard.press("Escape")
    assert len(shown(opened)) == 4


def test_how_long_a_finding_is_known_is_shown_sorted_and_filtered(visit: Open, tmp_path: Path) -> None:
    """New ones first, then those that are there again, then by age; a fixed one is nobody's to do."""
    ages = {"ann": ("persisting", 12), "bob": ("new", 0), "cleo": ("reappeared", 40), "dora": ("fixed", 3)}
    findings = [
        born(user, 0, state=state, first_seen=NOW - timedelta(days=days))
        for user, (state, days) in ages.items()
    ]
    report = single(findings[:3], fixed=tuple(findings[3:]), changes=FIRST_SCAN)
    opened = visit(written(report, tmp_path / "report.html"))
    column = opened.page.locator("#table tr.row td:last-child")
    assert column.all_inner_texts() == ["12 d", "new", "again", "3 d"]
    opened.page.click("th[data-sort=known] button")
    assert shown(opened) == ["bob", "cleo", "dora", "ann"]
    assert opened.page.locator("#f-state option").all_inner_texts() == [
        "all", "new (1)", "again (1)", "unchanged (1)", "fixed (1)",
    ]  # fmt: skip
    opened.page.select_option("#f-state", "fixed")
    assert opened.page.locator("#table tr.row td").nth(-2).inner_text() == ""
    opened.page.click(".toggle")
    detail = opened.page.inner_text("tr.detail")
    assert "The finding is gone." in detail
    assert "What to do" not in detail


def test_what_to_do_counts_failures_only(visit: Open, small: Path) -> None:
    """Neither a waived finding nor an unknown one is there to be done."""
    page = visit(small).page
    assert page.locator("#f-todo option").all_inner_texts() == ["all", "retire (1)", "rotate (1)"]
    page.select_option("#f-standing", "waived")
    page.click(".toggle")
    assert "What to do when the waiver ends" in page.inner_text("tr.detail")


def test_the_keyboard_alone_is_enough(visit: Open, large: Path) -> None:
    """Enter and Space open and close a row and keep the focus; so do sorting, and the end of the pages."""
    page = visit(large).page
    focused = "document.activeElement.textContent.trim()"
    toggle = page.locator(".toggle").first
    toggle.focus()
    for key, count in (("Enter", 1), ("Space", 0), ("Space", 1)):
        page.keyboard.press(key)
        assert page.locator("tr.detail").count() == count
        assert toggle.evaluate("(element) => element === document.activeElement")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('tr.detail') !== null")
    page.locator("th[data-sort=user] button").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "User"
    page.evaluate("for (let i = 0; i < 48; i++) document.getElementById('next').click()")
    page.locator("#next").focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#where") == "page 50 of 50"
    assert page.evaluate(focused) == "Previous"


def test_a_link_with_a_fingerprint_opens_that_finding(visit: Open, large: Path) -> None:
    """Also one that is on a later page; its commands are there and it has the focus."""
    wanted = list(many(5000).document.findings)[4321]
    page = visit().open(large, f"#{wanted.fingerprint}")
    row = page.locator(f"#row-{wanted.fingerprint}")
    assert row.locator("button").get_attribute("aria-expanded") == "true"
    assert page.evaluate("document.activeElement.closest('tr').id") == f"row-{wanted.fingerprint}"
    detail = page.locator(f"#row-{wanted.fingerprint} + tr.detail").inner_text()
    assert (
        f"--user-name {wanted.user_name} --access-key-id {wanted.access_key_id} --status Inactive" in detail
    )


def test_the_detail_shows_the_timeline_the_commands_and_the_policy(visit: Open, small: Path) -> None:
    """What was seen, when, what to run, and the page behind it, each for the finding that was opened."""
    opened = visit(small)
    opened.page.locator("tr.row", has_text="bob").locator("button").click()
    detail = opened.page.locator("tr.detail")
    story = detail.locator("svg.story").get_attribute("aria-label") or ""
    assert story.index("user made 2026-01-01T00:00:00Z") < story.index("key made 2026-01-01T00:00:03Z")
    assert story.index("key made") < story.index("last use") < story.index("scan")
    text = detail.inner_text()
    assert "aws iam create-access-key --user-name bob" in text
    assert "birthright plan --key AKIABOB" in text
    assert "was not asked for by anybody" in text


def test_copies_the_commands(visit: Open, small: Path) -> None:
    """The button copies exactly what is shown."""
    opened = visit(small)
    opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened.page.locator("tr.row", has_text="bob").locator("button").click()
    block = opened.page.locator(".block").last
    block.locator("button").click()
    block.get_by_text("Copied").wait_for()
    assert opened.page.evaluate("navigator.clipboard.readText()") == block.locator("pre").inner_text()


def test_commands_break_at_spaces_only(visit: Open, small: Path) -> None:
    """No option is torn apart on a narrow screen, so that `--status` does not look like `-` and `-status`."""
    page = visit(small, width=400).page
    page.locator(".toggle").first.click()
    lines = page.evaluate("""[...document.querySelectorAll('pre .whole')]
        .map((word) => [word.textContent, word.getClientRects().length])""")
    assert any("--access-key-id" in word for word, _ in lines)
    assert {count for word, count in lines if "\n" not in word} == {1}


def test_pages_through_many(visit: Open, large: Path) -> None:
    """A hundred rows at a time; the next page begins where the first ended."""
    opened = visit(large)
    assert len(shown(opened)) == 100
    opened.page.click("#next")
    assert opened.page.inner_text("#where") == "page 2 of 50"
    assert shown(opened)[0] == "user-100"


def test_prints(visit: Open, small: Path, tmp_path: Path) -> None:
    """On paper there are the headline, the commands and the policies, and the screen is as before."""
    reader = tool("pdftotext")
    opened = visit(small)
    opened.page.pdf(path=tmp_path / "report.pdf", format="A4")
    text = subprocess.run([reader, tmp_path / "report.pdf", "-"], check=True, capture_output=True).stdout
    words = " ".join(text.decode().split())
    assert "2 active access keys were created together with their users" in words
    assert "aws iam create-access-key --user-name bob" in words
    assert "The rule compares two times that AWS states" in words
    assert opened.page.locator("tr.detail").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit: Open, whole: Path, scheme: Scheme) -> None:
    """No accessibility violation with everything opened: an organization, and a scan that is not whole."""
    opened = visit(whole, scheme=scheme)
    opened.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    opened.page.locator("tr.row .toggle").first.click()
    opened.page.locator("tr.row .toggle").nth(2).click()
    assert not accessibility_violations(opened.page, axe_source())


def test_axe_finds_nothing_on_a_narrow_screen(visit: Open, small: Path) -> None:
    """Nor at 400 pixels, where nothing but tables and pictures is wider than the screen."""
    opened = visit(small, width=400)
    opened.page.locator("tr.row .toggle").first.click()
    assert not accessibility_violations(opened.page, axe_source())
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 400


def test_the_theme_can_be_chosen(visit: Open, small: Path) -> None:
    """The button goes from the system's theme to light, to dark, and back."""
    page = visit(small, scheme="light").page
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    assert page.evaluate(ground) == light
    page.click("#theme")
    assert page.evaluate(ground) != light
    page.click("#theme")
    assert page.inner_text("#theme") == "Theme: system"
    assert page.evaluate(ground) == light


def test_hostile_text_stays_text(visit: Open, tmp_path: Path) -> None:
    """Scripts, images, quotes and marks of direction in every text of a document do nothing."""
    rows = len(organization().document.findings) + 1
    opened = visit()
    for number, text in enumerate(HOSTILE):
        page = opened.open(written(organization(text), tmp_path / f"{number}.html"))
        page.evaluate("for (const each of document.querySelectorAll('.toggle')) each.click()")
        assert page.locator("tr.row").count() == page.locator("tr.detail").count() == rows
        assert page.locator("img, iframe, object, b, script[src]").count() == 0
        assert page.locator("script").count() == 2
        assert page.evaluate("globalThis.hacked") is None
        assert not set("\u202e\u2028\u2029\u0000") & set(page.text_content("body") or "")


def test_absurd_values_break_nothing(visit: Open, tmp_path: Path) -> None:
    """Years 1 and 9999, gaps longer than the world is old, empty and very long texts: each row opens."""
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    findings = [
        born("ann", 0, created_at=first, user_created_at=first, last_used_at=last, gap_seconds=10**18),
        born("bob", 0, created_at=last, gap_seconds=-(10**18), first_seen=last, state="persisting"),
        born("cleo", 1, user_name="", access_key_id="", user_arn="", reason="", fingerprint=""),
        born("W" * 64, 2, reason="why " * 2500),
        born("W" * 63, 2, reason="x" * 10_000),
    ]
    page = visit(written(single(findings, changes=FIRST_SCAN), tmp_path / "report.html")).page
    page.evaluate("for (const each of document.querySelectorAll('.toggle')) each.click()")
    assert page.locator("tr.detail").count() == len(findings)
    assert not re.search("NaN|Invalid Date|undefined|null", page.inner_text("main"))
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_without_scripts_the_first_findings_are_there(browser: Browser, small: Path) -> None:
    """Numbers, pictures, and rows with their commands need no script."""
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(small.as_uri())
    text = page.inner_text("main")
    assert "2 active access keys were created together with their users" in text
    assert "aws iam create-access-key --user-name bob" in text
    assert "shows the first 4 of 4 findings" in text
    assert not page.locator("#controls").is_visible()


def test_an_account_in_order_has_no_table(visit: Open, tmp_path: Path) -> None:
    """Nothing to do is said in words."""
    page = visit(written(single(findings=()), tmp_path / "report.html")).page
    assert "There are no findings." in page.inner_text("main")
    assert page.locator("#table").count() == 0


def test_born_keys_stand_apart(visit: Open, tmp_path: Path) -> None:
    """In the picture of gaps every born key is left of the window's line, and no other is."""
    gaps = [0, 1, 6, 7, 3600, 31_000_000]
    findings = [born(f"user-{gap}", gap) for gap in gaps]
    page = visit(written(single(findings=findings), tmp_path / "report.html")).page
    places = """(kind) => [...document.querySelectorAll(`svg.chart:first-of-type`)][0]
        .querySelectorAll(`circle.mark.${kind}`).values().map((mark) => mark.cx.baseVal.value).toArray()"""
    edge = page.evaluate("document.querySelector('line.edge').x1.baseVal.value")
    assert max(page.evaluate(places, "fail")) < edge < min(page.evaluate(places, "pass"))
    assert len(page.evaluate(places, "fail")) == 3
