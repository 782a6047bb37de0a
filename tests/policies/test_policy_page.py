"""Reading a page: whatever somebody wrote, it is a Page or a PageError that names the place."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.errors import PageError, UsageError
from birthright.policies.pack import load_pack
from birthright.policies.page import Page, Parameter, parse_page, read_page
from policy_helpers import PAGE

PACK = load_pack()


def broken(old: str, new: str) -> str:
    assert old in PAGE
    return PAGE.replace(old, new)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("", "does not begin with front matter"),
        ("# Title\n", "does not begin with front matter"),
        (PAGE.replace("---", "--"), "does not begin with front matter"),
        (broken("risk: low", "risk: [low"), "line 5"),
        (broken("risk: low", "risk: low: high"), "line 4"),
        (broken("risk: low", "\trisk: low"), "line 4"),
        (broken("risk: low", "risk: huge"), "huge"),
        (broken("risk: low\n", ""), "risk"),
        (broken("risk: low", "risk: low\nseverity: high"), "severity"),
        (broken("id: tiny", "id: Tiny Page"), "lower-case words"),
        (broken("id: tiny", "id: ../../etc"), "lower-case words"),
        (broken("id: tiny", "id: [tiny]"), "id"),
        (broken("title: A tiny policy", 'title: "A\\e[31mred policy"'), "control character"),
        (broken("title: A tiny policy", 'title: "two\\nlines"'), "line break"),
        (broken("max_age:", "max-age:"), "not a plain name"),
        (broken("max_age:", "as_of:"), "is taken"),
        (broken("max_age:", "unread_accounts:"), "is taken"),
        (broken("default: 90d, ", ""), "default"),
        (broken("default: 90d", "default: 1.5"), "default"),
        (broken("default: 90d", "default: null"), "default"),
        (broken("default: 90d", "default: 90d, unit: days"), "unit"),
        (broken("effort: low", "effort: low\nneeds: [ListBuckets]"), "ListBuckets"),
        (broken("effort: low", "effort: low\nremedy: explode"), "explode"),
        (broken("subject: access-key", "subject: bucket"), "bucket"),
        (broken("## Rule", "## Rules"), "no section '## Rule'"),
        (broken("## Remediation", "Remediation"), "no section '## Remediation'"),
        (broken("## Tests", "### Tests"), "no section '## Tests'"),
        (broken("## Remediation", "## Rule"), "two sections are called 'Rule'"),
        (broken("```sql", "```"), "has 0 fenced sql blocks"),
        (broken("```yaml", "```"), "has 0 fenced yaml blocks"),
        (broken("## Remediation", "```sql\nselect 1\n```\n\n## Remediation"), "has 2 fenced sql blocks"),
        (broken("```\n\n## Remediation", "\n## Remediation"), ""),
        (broken("risk: low", "risk: !!python/object/apply:os.system ['true']"), "line 4"),
        (broken("risk: low", "risk: *nobody"), "line 4"),
        (broken("risk: low", "risk: low\n? [a, b]\n: c"), ""),
        (broken("title: A tiny policy", "title: 2026-02-30"), ""),
    ],
)
def test_a_broken_page_says_where(page: str, message: str) -> None:
    """Each fault is a PageError that names the page and the place in it."""
    with pytest.raises(PageError) as caught:
        parse_page(page, "dir/tiny.md")
    assert str(caught.value).startswith("dir/tiny.md")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_duplicate_front_matter_keys_are_refused() -> None:
    """A parameter or field written twice would silently be the last one; it is an error instead."""
    twice = "  max_age: {default: 90d, about: One.}\n  max_age: {default: 1d, about: Two.}\n"
    page = broken("  max_age: {default: 90d, about: How old a key may be.}\n", twice)
    with pytest.raises(PageError, match="max_age"):
        parse_page(page, "tiny.md")


@pytest.mark.parametrize("change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t])
def test_windows_text_reads_the_same(text: str, change: Callable[[str], str]) -> None:
    """CRLF and a byte order mark make no other page."""
    page = parse_page(change(text), "tiny.md")
    assert (page.front, page.rule) == (parse_page(text, "x").front, parse_page(text, "x").rule)


def test_headings_inside_fences_are_text(text: str) -> None:
    """A line `## Rule` in a code block is no second section."""
    page = parse_page(text.replace("Why this matters.", "```sh\n## Rule\n```"), "tiny.md")
    assert page.prose.startswith("```sh")


def test_a_final_semicolon_does_no_harm(text: str) -> None:
    """People end their SQL with one."""
    page = parse_page(text.replace("from access_keys\n", "from access_keys;\n"), "tiny.md")
    assert page.rule.endswith("from access_keys")


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: " + "[" * 5000,
        "a: " + "[" * 900 + "]" * 900,
        "a: &a [*a]",
        "x: " + "9" * 5000,
    ],
    ids=["laughs", "deep-open", "deep", "itself", "digits"],
)
def test_yaml_bombs_do_not_go_off(text: str, bomb: str) -> None:
    """Aliases of aliases, depth and length end quickly, as a PageError."""
    with pytest.raises(PageError):
        parse_page(text.replace("risk: low", "risk: low\n" + bomb), "tiny.md")


def test_a_huge_file_is_refused_unread(tmp_path: Path, text: str) -> None:
    """A page is a page: megabytes are refused before they are parsed."""
    path = tmp_path / "tiny.md"
    path.write_text(text + "x" * 2_000_000)
    with pytest.raises(PageError, match="too large"):
        read_page(path)


def test_the_file_is_named_like_the_policy(tmp_path: Path, text: str) -> None:
    """So that a policy is found by its id."""
    path = tmp_path / "other.md"
    path.write_text(text)
    with pytest.raises(PageError, match=r"tiny\.md"):
        read_page(path)


@pytest.mark.parametrize("make", [Path.mkdir, Path.exists, lambda p: p.write_bytes(b"\xff")])
def test_what_is_no_text_file_is_a_page_error(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """A folder, nothing, and bytes that are not UTF-8 are told in one line."""
    path = tmp_path / "tiny.md"
    make(path)
    with pytest.raises(PageError, match=r"tiny\.md"):
        read_page(path)


@pytest.mark.parametrize(
    ("default", "given", "value"),
    [
        ("7s", "60s", timedelta(minutes=1)),
        ("90d", "0s", timedelta()),
        (False, "True", True),
        (3, "4", 4),
        ("word", "other", "other"),
    ],
)
def test_a_parameter_keeps_its_type(default: str, given: str, value: object) -> None:
    """What a person writes is read as the same kind of value as the default."""
    assert Parameter(default, "").read(given) == value


@pytest.mark.parametrize("given", ["", "7", "-7s", "7 s", "7w", "soon", "9" * 30 + "d", "9" * 5000 + "d"])
def test_what_is_no_duration_is_refused(text: str, given: str) -> None:
    """The message names the policy and the parameter."""
    with pytest.raises(UsageError, match=r"tiny\.max_age"):
        parse_page(text, "tiny.md").values({"max_age": given})


def test_unknown_parameters_are_refused(text: str) -> None:
    """A misspelt parameter must not leave the default in force unnoticed."""
    with pytest.raises(UsageError, match="no parameter 'maxage'"):
        parse_page(text, "tiny.md").values({"maxage": "1d"})


pieces = st.sampled_from(
    ["---", "\n", "## Rule", "```", "```sql", "```yaml", "\0", "\t", "&a", "*a", "!!", "[", "{", "}", ":",
     "- ", "\ufeff", "\r", "%", "|", ">", "<<: ", "'", '"', "9" * 40, "~", "\u2028", "é"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(page=st.sampled_from([PAGE, PACK[0].text]), data=st.data())
def test_mutated_pages_are_pages_or_page_errors(page: str, data: st.DataObject) -> None:
    """No damage to a page makes anything but a Page or a PageError of one line."""
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(page)))
        end = min(len(page), start + data.draw(st.integers(0, 30)))
        page = page[:start] + data.draw(st.one_of(pieces, st.text(max_size=5))) + page[end:]
    try:
        read: object = parse_page(page, "fuzzed.md")
    except PageError as error:
        read = error
    assert isinstance(read, Page) or "\n" not in str(read)
