"""The pages that come with birthright, and those that users add."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from birthright.cli.main import run
from birthright.errors import PageError, UsageError
from birthright.policies.cases import missing_verdicts, run_cases
from birthright.policies.pack import choose, load_pack
from birthright.policies.page import Page, parse_page

PACK = load_pack()
PLACEHOLDERS = {"user_name", "access_key_id", "account_id", "partition"}


def ids(page: Page) -> str:
    return page.id


@pytest.mark.parametrize("page", PACK, ids=ids)
def test_the_cases_of_every_page_pass(page: Page) -> None:
    """What a page's tests promise is what its rule does."""
    assert [result for result in run_cases(page) if not result.passed] == []
    assert missing_verdicts(page) == ()


@pytest.mark.parametrize("page", PACK, ids=ids)
def test_every_page_says_how_to_put_it_right(page: Page) -> None:
    """Console, command line and birthright, with no placeholder that nothing fills in."""
    for heading in ("### AWS Console", "### AWS CLI", "### birthright"):
        assert heading in page.remediation
    found = set(re.findall(r"\{(\w+)\}", page.remediation))
    allowed = PLACEHOLDERS if page.front.subject == "access-key" else PLACEHOLDERS - {"access_key_id"}
    assert found <= allowed


@pytest.mark.parametrize("page", PACK, ids=ids)
def test_built_in_pages_have_their_files_names(page: Page) -> None:
    """A built-in page is found under its id."""
    assert page.origin == f"pack/{page.id}.md"


def test_the_pack_is_sorted_and_whole() -> None:
    """Thirteen policies, by id."""
    assert [page.id for page in PACK] == sorted(page.id for page in PACK)
    assert len(PACK) == 13


def test_loading_the_pack_loads_no_engine() -> None:
    """Listing policies must be instant: neither DuckDB nor Arrow is imported for it."""
    code = (
        "import sys; from birthright.policies.pack import load_pack; load_pack();"
        "assert not {'duckdb', 'pyarrow'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_users_pages_join_the_pack(tmp_path: Path, text: str) -> None:
    """Other files in the folder are not pages."""
    (tmp_path / "tiny.md").write_text(text)
    (tmp_path / "notes.txt").write_text("not a page")
    assert len(load_pack(tmp_path)) == len(PACK) + 1


def test_a_users_page_cannot_replace_a_built_in_one(tmp_path: Path) -> None:
    """An id stands for one rule; a second one is refused and both places are named."""
    (tmp_path / f"{PACK[0].id}.md").write_text(PACK[0].text)
    with pytest.raises(PageError, match=rf"{tmp_path}.*already defined by pack/{PACK[0].id}\.md"):
        load_pack(tmp_path)


@pytest.mark.parametrize("make", [Path.exists, Path.mkdir])
def test_a_folder_without_pages_is_a_mistake(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """A misspelt --policies must not silently judge by less."""
    folder = tmp_path / "pages"
    make(folder)
    with pytest.raises(UsageError, match="pages"):
        load_pack(folder)


def test_choosing_keeps_the_order_and_all_is_the_default() -> None:
    """The order in which policies are named does not change a report."""
    named = [PACK[3].id, PACK[1].id]
    assert choose(PACK, named) == [PACK[1], PACK[3]]
    assert choose(PACK, []) == PACK


def test_an_unknown_policy_names_the_nearest() -> None:
    """A misspelt id is refused with the one that was probably meant."""
    with pytest.raises(UsageError, match="did you mean access-key-unused"):
        choose(PACK, ["access-key-unusd"])
    with pytest.raises(UsageError, match="policy list"):
        choose(PACK, ["zzz"])


# ---- cases


def results(text: str, cases: str) -> list[tuple[bool, str]]:
    head, fence, _ = text.rpartition("```yaml\n")
    page = parse_page(f"{head}{fence}{cases}\n```\n", "tiny.md")
    return [(result.passed, " ".join(result.differences)) for result in run_cases(page)]


def test_a_wrong_expectation_says_how_the_row_differed(text: str) -> None:
    """The difference names the key, both verdicts and the rule's reason."""
    ((passed, difference),) = results(text, "- {name: a, keys: [{}], expect: pass}")
    assert not passed
    assert "expected pass, got fail (because)" in difference
    assert "AKIA" in difference


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("name: a, expect: fail, kees: [{}]", "kees"),
        ("name: a, expect: fine, keys: [{}]", "fine"),
        ("name: a, keys: [{}]", "expect"),
        (
            "name: a, expect: fail, keys: [{staus: Active}]",
            "case 'a': keys, number 1: there is no field 'staus'",
        ),
        ("name: a, expect: fail, user: {mfa: true}", "case 'a': user: there is no field 'mfa'"),
        ("name: a, expect: fail, keys: [{slot: one}]", "case 'a': keys, number 1"),
        (
            "name: a, expect: fail, keys: [{created_at: soon}]",
            "keys, number 1.created_at: 'soon' is not a time",
        ),
        ("name: a, expect: fail, keys: [{created_at: user + 6w}]", "case 'a'"),
        ("name: a, expect: fail, keys: [{created_at: user + 999999999999d}]", "case 'a'"),
        ("name: a, expect: fail, keys: [{account_id: '1'}]", "no field 'account_id'"),
        ("name: a, expect: fail, as_of: never", "as_of: 'never' is not a time"),
        ("name: a, expect: fail, coverage: {ListBuckets: ok}", "ListBuckets"),
        ("name: a, expect: fail, coverage: {ListUsers: great}", "great"),
        ("name: a, expect: fail, parameters: {max: 1d}", "case 'a'"),
        ("name: a, expect: fail, parameters: {max_age: 1w}", "case 'a'"),
        ("name: a, expect: [fail], keys: [{}, {}]", "1 verdicts for 2"),
    ],
)
def test_a_broken_case_names_itself_and_the_field(text: str, case: str, message: str) -> None:
    """A typing mistake in a test is not a test that passes."""
    with pytest.raises(PageError) as caught:
        results(text, f"- {{{case}}}")
    assert message in str(caught.value)
    assert str(caught.value).startswith("tiny.md")


def test_two_cases_of_one_name_are_refused(text: str) -> None:
    """A report on cases must be able to name them."""
    with pytest.raises(PageError, match="two cases are called 'a'"):
        results(text, "- {name: a, keys: [{}], expect: pass}\n- {name: a, keys: [{}], expect: pass}")


def test_an_account_that_was_not_read_is_unknown(text: str) -> None:
    """Whatever its keys, and also if it has none that anybody saw."""
    coverage = "coverage: {GetCredentialReport: denied, ListAccessKeys: denied}"
    assert results(text, f"- {{name: a, {coverage}, keys: [{{}}, {{}}], expect: unknown}}") == [(True, "")]


def test_times_can_be_written_in_every_way(text: str) -> None:
    """Relative to the user, relative to the judgement, and as instants."""
    times = ["user + 1d", "as_of - 1d", "2026-06-01T00:00:00Z", "2026-06-01", "'2026-06-01T02:00:00+02:00'"]
    keys = ", ".join(f"{{created_at: {moment}}}" for moment in times)
    verdicts = "[fail, pass, pass, pass, pass]"
    assert results(text, f"- {{name: a, keys: [{keys}], expect: {verdicts}}}") == [(True, "")]


# ---- the commands


def test_policy_test_passes_on_the_pack(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each page, exit code 0."""
    assert run(["policy", "test"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13
    assert all(line.startswith("ok") for line in lines)


def test_policy_test_explains_a_failure(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failing case ends with 1 and says how it differed; the other pages are tested all the same."""
    (tmp_path / "tiny.md").write_text(text.replace("expect: fail", "expect: pass"))
    (tmp_path / "other.md").write_text(text.replace("id: tiny", "id: other"))
    assert run(["policy", "test", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "ok    other: 3 of 3" in out
    assert "FAIL  tiny: 2 of 3" in out
    assert "expected pass, got fail (because)" in out
    assert "incomplete: no case expects fail" in out


def test_policy_test_calls_an_untested_page_incomplete(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page without cases is no page that passes."""
    head, fence, _ = text.rpartition("```yaml\n")
    (tmp_path / "tiny.md").write_text(f"{head}{fence}```\n")
    assert run(["policy", "test", str(tmp_path / "tiny.md")]) == 1
    assert "no case expects fail or pass or unknown" in capsys.readouterr().out


def test_policy_test_of_a_broken_page_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page that cannot be read is exit code 2 and one line."""
    (tmp_path / "tiny.md").write_text("nothing")
    assert run(["policy", "test", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_policy_show_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Piped, it is the page's own text, so that it can be copied and changed."""
    assert run(["policy", "show", PACK[0].id]) == 0
    assert capsys.readouterr().out == PACK[0].text


def test_policy_show_of_an_unknown_id(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the nearest id."""
    assert run(["policy", "show", "root-mfa"]) == 2
    assert "root-without-mfa" in capsys.readouterr().err


def test_policy_list_has_every_policy(capsys: pytest.CaptureFixture[str]) -> None:
    """On the terminal and as JSON."""
    import json

    assert run(["policy", "list"]) == 0
    shown = capsys.readouterr().out
    assert run(["policy", "list", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "birthright.policies/1"
    assert [policy["id"] for policy in document["policies"]] == [page.id for page in PACK]
    assert all(f"{page.id}: risk {page.front.risk}" in shown for page in PACK)
