"""The documentation is true: its commands run, and print what it shows."""

import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from birthright.cli.main import run
from birthright.errors import PageError
from birthright.policies.cases import run_cases
from birthright.policies.page import parse_page
from birthright.sandbox.sandbox import Sandbox
from birthright.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^(?:# (\d+) days later\n)?\$ (.*\n(?:(?![$#] ).*\n)*)", re.MULTILINE)
_GOOD = (0, 1)


class Command(NamedTuple):
    """A `$ birthright ...` of a page, the lines shown below it, and how many days pass before it."""

    text: str
    shown: tuple[str, ...]
    days: int = 0


def _commands(page: Path) -> Iterator[Command]:
    """Yield what a page's console blocks run, in order; `# 15 days later` above a command moves the clock."""
    for block in _CONSOLE.findall(page.read_text("utf-8")):
        for days, part in _COMMAND.findall(block):
            command, *shown = part.rstrip("\n").split("\n")
            yield Command(command, tuple(shown), int(days or 0))


COMMANDS = {page.name: commands for page in PAGES if (commands := list(_commands(page)))}


@pytest.fixture
def box(page: str, tmp_path: Path) -> Iterator[Sandbox]:
    """Serve the demonstration's account, or an organization, and keep one scan in the store."""
    accounts = 12 if page == "deploy.md" else 1
    with (
        Sandbox.create(users=60, accounts=accounts).running() as served,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in {**served.environment(), "BIRTHRIGHT_STORE": str(tmp_path)}.items():
            patch.setenv(name, value)
        patch.chdir(tmp_path)
        assert run(["scan", "--format", "jsonl"]) == 1
        yield served


@pytest.mark.parametrize("page", COMMANDS)
def test_what_the_documents_show_happens(page: str, box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """A page's commands run one after another and print the lines shown; `...` stands for others."""
    for command in COMMANDS[page]:
        box.clock.advance(timedelta(days=command.days))
        capsys.readouterr()
        assert run(shlex.split(command.text)[1:]) in _GOOD, command.text
        printed = iter(list(map(_mask, capsys.readouterr().out.splitlines())))
        for line in command.shown:
            # `in` on an iterator goes on from where the line before was found.
            assert line == "..." or _mask(line) in printed, f"{command.text}: {line}"


def _mask(line: str) -> str:
    """Leave out what differs from run to run: instants, ages, waits, ids; and how columns are aligned."""
    line = re.sub(r"\d{4}-\d\d-\d\d(T[\d:]+Z| \d\d:\d\d)?|\d{8}T\d{6}Z-\w+", "<when>", line)
    line = re.sub(r"\bin 1[34] d( 23 h)?|\b[0-9a-f]{64}\b", "<soon>", line)
    return re.sub(r"\s+", " ", re.sub(r"\bmade \d+ h( \d+ min)? ago", "made <ago>", line)).strip()


def test_there_is_something_to_check() -> None:
    """The patterns above find commands in the README and in the documents."""
    assert len(COMMANDS["README.md"]) >= 5
    assert len(COMMANDS["retirement.md"]) >= 5
    assert sum(map(len, COMMANDS.values())) >= 16


def test_the_example_page_passes_its_own_tests() -> None:
    """The policy page that docs/policies.md shows is whole, and every case of it holds."""
    text = (ROOT / "docs/policies.md").read_text("utf-8")
    page = parse_page(text.partition("````markdown\n")[2].partition("````\n")[0], "docs/policies.md")
    results = run_cases(page)
    assert len(results) == 4
    assert all(result.passed for result in results)


def test_a_page_cut_short_is_refused() -> None:
    """The example is really read: without its tests it is refused."""
    text = (ROOT / "docs/policies.md").read_text("utf-8")
    page = text.partition("````markdown\n")[2].partition("## Tests")[0]
    with pytest.raises(PageError, match="Tests"):
        parse_page(page, "docs/policies.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_shown_are_accepted(page: Path, tmp_path: Path) -> None:
    """Every `birthright.toml` that the documents show is a valid one."""
    for block in _TOML.findall(page.read_text("utf-8")):
        path = tmp_path / "birthright.toml"
        path.write_text(block)
        assert load_settings(path) != Settings()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a document points at a file of the repository."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


MARKDOWN = sorted(
    [
        *ROOT.glob("*.md"),
        *(page for wing in ("docs", "deploy", "src", "tests") for page in (ROOT / wing).rglob("*.md")),
    ]
)
# Code, tables and what cannot be broken: a link, an inline command.
_FENCED = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
_UNBROKEN = re.compile(r"`[^`\n]+`|\[[^\]\n]+\]\([^)\n]*\)|https?://\S+")


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_are_read_without_scrolling(page: Path) -> None:
    """Prose has lines of at most 100 characters."""
    prose = _FENCED.sub("", page.read_text("utf-8")).splitlines()
    long = [
        line for line in prose if len(_UNBROKEN.sub("", line)) > 100 and not line.startswith(("|", "    "))
    ]
    assert long == []


# A wing's file as Markdown names it: `history/visibility.py`, `src/birthright/errors.py`.
_PATH = re.compile(r"`((?:src/birthright/|tests/|benchmarks/|docs/|deploy/)?[\w/-]+\.py)`")


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_are_there(page: Path) -> None:
    """A file of the project that a page names exists."""
    named = _PATH.findall(page.read_text("utf-8"))
    places = (ROOT, ROOT / "src" / "birthright", ROOT / "src" / "birthright" / "retirement")
    found = {path.name for path in (ROOT / "src").rglob("*.py")}
    missing = [
        name for name in named
        if not any((place / name).is_file() for place in places) and ("/" in name or name not in found)
    ]  # fmt: skip
    assert missing == []
