"""The HTML report in a real browser: it works, it is accessible, and nothing in it can do anything."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from browser_helpers import Scheme, Visit, accessibility_violations, axe_source, launched, tool
from html_helpers import HOSTILE, born, many, organization, single, written

Open = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here."""
    with launched() as found:
        yield found


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Open pages, and hold at the end that none of them complained or asked for anything but itself."""
    visits: list[tuple[Visit, Path]] = []

    def open_page(file: Path, fragment: str = "", scheme: Scheme = "light", width: int = 1280) -> Visit:
        opened = Visit(browser, scheme, width)
        visits.append((opened, file))
        opened.open(file, fragment)
        return opened

    yield open_page
    for opened, file in visits:
        opened.page.close()
        assert not opened.troubles
        assert {url.partition("#")[0] for url in opened.requests} == {file.as_uri()}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page of 5,000 findings."""
    return written(many(5000), tmp_path_factory.mktemp("large") / "report.html")


def shown(opened: Visit) -> list[str]:
    """Return the users in the table, as it stands."""
    return opened.page.locator("#table tr.row td.name").all_inner_texts()


def test_it_renders(visit: Open, tmp_path: Path) -> None:
    """Headline, coverage, pictures and table are there, and the page asks for nothing but itself."""
    page = visit(written(single(), tmp_path / "report.html")).page
    assert "2 active access keys were created together with their users" in page.inner_text("main")
    assert page.locator("svg.chart").count() == 2
    assert page.locator("#table tr.row").count() == 4
    assert page.inner_text("#count") == "4 findings"


def test_filters(visit: Open, tmp_path: Path) -> None:
    """Each filter narrows the table, and clearing brings everything back."""
    opened = visit(written(single(), tmp_path / "report.html"))
    opened.page.select_option("#f-standing", "waived")
    assert shown(opened) == ["cleo"]
    assert opened.page.inner_text("#count") == "1 of 4 findings"
    opened.page.click("#clear")
    opened.page.select_option("#f-remedy", "rotate")
    assert shown(opened) == ["bob"]
    opened.page.click("#clear")
    assert len(shown(opened)) == 4


def test_sorts_both_ways_with_what_is_not_known_last(visit: Open, tmp_path: Path) -> None:
    """A header sorts, says which way, and the other way when it is pressed again."""
    opened = visit(written(single(), tmp_path / "report.html"))
    header = opened.page.locator("th[data-sort=gap]")
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert shown(opened) == ["ann", "bob", "cleo", "dora"]
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert shown(opened) == ["cleo", "bob", "ann", "dora"]


def test_the_slash_searches_and_escape_clears(visit: Open, tmp_path: Path) -> None:
    """The keyboard alone finds a key by a part of its id."""
    opened = visit(written(single(), tmp_path / "report.html"))
    opened.page.keyboard.press("/")
    opened.page.keyboard.type("akiabob")
    assert shown(opened) == ["bob"]
    opened.page.keyboard.press("Escape")
    assert len(shown(opened)) == 4


def test_a_link_with_a_fingerprint_opens_that_finding(visit: Open, large: Path) -> None:
    """Also one that is on a later page; its commands are there and it has the focus."""
    wanted = list(many(5000).document.findings)[4321]
    page = visit(large, f"#{wanted.fingerprint}").page
    row = page.locator(f"#row-{wanted.fingerprint}")
    assert row.locator("button").get_attribute("aria-expanded") == "true"
    assert page.evaluate("document.activeElement.closest('tr').id") == f"row-{wanted.fingerprint}"
    detail = page.locator(f"#row-{wanted.fingerprint} + tr.detail").inner_text()
    assert (
        f"--user-name {wanted.user_name} --access-key-id {wanted.access_key_id} --status Inactive" in detail
    )


def test_the_detail_shows_the_timeline_the_commands_and_the_policy(visit: Open, tmp_path: Path) -> None:
    """What was seen, when, what to run, and the page behind it, each for the finding that was opened."""
    opened = visit(written(single(), tmp_path / "report.html"))
    opened.page.locator("tr.row", has_text="bob").locator("button").click()
    detail = opened.page.locator("tr.detail")
    story = detail.locator("svg.story").get_attribute("aria-label") or ""
    assert story.index("user made 2026-01-01T00:00:00Z") < story.index("key made 2026-01-01T00:00:03Z")
    assert story.index("key made") < story.index("last use") < story.index("scan")
    text = detail.inner_text()
    assert "aws iam create-access-key --user-name bob" in text
    assert "birthright plan --key AKIABOB" in text
    assert "was not asked for by anybody" in text


def test_copies_the_commands(visit: Open, tmp_path: Path) -> None:
    """The button copies exactly what is shown."""
    opened = visit(written(single(), tmp_path / "report.html"))
    opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened.page.locator("tr.row", has_text="bob").locator("button").click()
    block = opened.page.locator(".block").last
    block.locator("button").click()
    block.get_by_text("Copied").wait_for()
    assert opened.page.evaluate("navigator.clipboard.readText()") == block.locator("pre").inner_text()


def test_pages_through_many(visit: Open, large: Path) -> None:
    """A hundred rows at a time; the next page begins where the first ended."""
    opened = visit(large)
    assert len(shown(opened)) == 100
    opened.page.click("#next")
    assert opened.page.inner_text("#where") == "page 2 of 50"
    assert shown(opened)[0] == "user-100"


def test_prints(visit: Open, tmp_path: Path) -> None:
    """On paper there are the headline, the commands and the policies, and the screen is as before."""
    reader = tool("pdftotext")
    opened = visit(written(single(), tmp_path / "report.html"))
    opened.page.pdf(path=tmp_path / "report.pdf", format="A4")
    text = subprocess.run([reader, tmp_path / "report.pdf", "-"], check=True, capture_output=True).stdout
    words = " ".join(text.decode().split())
    assert "2 active access keys were created together with their users" in words
    assert "aws iam create-access-key --user-name bob" in words
    assert "The rule compares two times that AWS states" in words
    assert opened.page.locator("tr.detail").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit: Open, tmp_path: Path, scheme: Scheme) -> None:
    """No accessibility violation with everything opened: an organization, and a scan that is not whole."""
    opened = visit(written(organization(), tmp_path / "report.html"), scheme=scheme)
    opened.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    opened.page.locator("tr.row .toggle").first.click()
    opened.page.locator("tr.row .toggle").nth(2).click()
    assert not accessibility_violations(opened.page, axe_source())


def test_axe_finds_nothing_on_a_narrow_screen(visit: Open, tmp_path: Path) -> None:
    """Nor at 400 pixels, where nothing but tables and pictures is wider than the screen."""
    opened = visit(written(single(), tmp_path / "report.html"), width=400)
    opened.page.locator("tr.row .toggle").first.click()
    assert not accessibility_violations(opened.page, axe_source())
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 400


def test_the_theme_can_be_chosen(visit: Open, tmp_path: Path) -> None:
    """The button goes from the system's theme to light, to dark, and back."""
    page = visit(written(single(), tmp_path / "report.html"), scheme="light").page
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    assert page.evaluate(ground) == light
    page.click("#theme")
    assert page.evaluate(ground) != light
    page.click("#theme")
    assert page.inner_text("#theme") == "Theme: system"
    assert page.evaluate(ground) == light


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(visit: Open, tmp_path: Path, text: str) -> None:
    """Scripts, images, quotes and marks of direction in every text of a document do nothing."""
    opened = visit(written(organization(text), tmp_path / "report.html"))
    opened.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    for toggle in opened.page.locator("tr.row .toggle").all():
        toggle.click()
    assert opened.page.locator("tr.row").count() == len(organization(text).document.findings) + 1
    assert opened.page.locator("img, iframe, object, b, script[src]").count() == 0
    assert opened.page.locator("script").count() == 2
    assert opened.page.evaluate("globalThis.hacked") is None
    for mark in "\u202e\u2028\u2029\u0000":
        assert mark not in opened.page.inner_text("body")


def test_without_scripts_the_first_findings_are_there(browser: Browser, tmp_path: Path) -> None:
    """Numbers, pictures, and rows with their commands need no script."""
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(written(single(), tmp_path / "report.html").as_uri())
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
