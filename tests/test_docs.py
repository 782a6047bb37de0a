"""The documentation is true: its commands run, and print what it shows."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

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
_GOOD = (0, 1)


def _sessions() -> Iterator[tuple[str, list[str]]]:
    """Yield every `$ birthright ...` of the documents with the lines shown below it."""
    for page in PAGES:
        for block in _CONSOLE.findall(page.read_text("utf-8")):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, *shown = part.rstrip("\n").split("\n")
                yield f"{page.name}: {command}", shown


SESSIONS = dict(_sessions())


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve the demonstration's account, and keep one scan of it in the store."""
    folder = tmp_path_factory.mktemp("docs")
    with Sandbox(users=60).running() as box, pytest.MonkeyPatch.context() as patch:
        for name, value in {**box.environment(), "BIRTHRIGHT_STORE": str(folder)}.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        assert run(["scan", "--format", "jsonl"]) == 1
        yield folder


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.usefixtures("scanned")
def test_what_the_documents_show_happens(session: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the documents runs and prints the lines shown, in order; `...` stands for others."""
    arguments = shlex.split(session.partition(": birthright ")[2])
    assert run(arguments) in _GOOD
    printed = iter(list(map(_mask, capsys.readouterr().out.splitlines())))
    for line in SESSIONS[session]:
        # `in` on an iterator goes on from where the line before was found.
        assert line == "..." or _mask(line) in printed, line


def _mask(line: str) -> str:
    """Leave out what differs from day to day: instants, ages, scan ids; and how columns are aligned."""
    line = re.sub(r"\d{4}-\d\d-\d\d(T[\d:]+Z| \d\d:\d\d)?|\d{8}T\d{6}Z-\w+", "<when>", line)
    return re.sub(r"\s+", " ", re.sub(r"\bmade \d+ h( \d+ min)? ago", "made <ago>", line)).strip()


def test_there_is_something_to_check() -> None:
    """The patterns above find commands in the README and in the documents."""
    assert sum(name.startswith("README") for name in SESSIONS) >= 2
    assert len(SESSIONS) >= 8


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
