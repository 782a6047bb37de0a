"""`birthright journal`: shown, exported, checked."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from birthright.cli.journal import command
from birthright.errors import BirthrightError, JournalError, UsageError
from birthright.operations.workspace import Workspace
from birthright.retirement.journal.opening import open_journal
from birthright.settings import RetirementSettings, Settings
from journal_helpers import filled, tamper
from postgresql_helpers import place, postgresql_server, postgresql_url

__all__ = ["place", "postgresql_server", "postgresql_url"]
KEY = "AKIA0000000000000001"


def run(*arguments: object, fails: bool = False) -> Result:
    """Run the group of commands."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if result.exception and not fails:
        raise result.exception
    return result


def trouble(*arguments: object) -> BirthrightError:
    """Run it and return the error it ends with."""
    result = run(*arguments, fails=True)
    assert isinstance(result.exception, BirthrightError)
    assert not result.output
    return result.exception


@pytest.fixture
def journal(place: str) -> str:
    """Return the place of a journal of seven steps, in each database."""
    with open_journal(place) as journal:
        filled(journal)
    return place


@pytest.fixture
def kept(store: Path) -> Path:
    """Return the store's own journal, with seven steps."""
    with open_journal(str(store / "journal.sqlite")) as journal:
        filled(journal)
    return store / "journal.sqlite"


def test_show(journal: str) -> None:
    """The table has a line for each step; with a key those of its retirement only."""
    head, *lines = run("show", "--journal", journal).output.splitlines()
    assert head.split() == "step when (UTC) user access key what detail by".split()
    lines = [line for line in lines if line[0] != " "]  # not what is folded
    assert len(lines) == 7
    assert lines[1].split()[:6] == ["2", "2026-11-22", "10:00:01", "user-1", KEY, "outcome"]
    shown = run("show", KEY, "--journal", journal).output
    assert shown.count(KEY) == 5
    assert "user-2" not in shown


def test_show_json(journal: str) -> None:
    """The JSON has all steps as they are in the journal."""
    document = json.loads(run("show", "--format", "json", "--journal", journal).output)
    assert document["schema"] == "birthright.journal/1"
    assert [step["seq"] for step in document["steps"]] == list(range(1, 8))
    one = json.loads(run("show", KEY, "--format", "json", "--journal", journal).output)
    assert one["steps"] == document["steps"][:5]


def test_an_empty_journal(place: str) -> None:
    """A journal without steps is nothing wrong."""
    open_journal(place).close()
    assert "no steps yet" in run("show", "--journal", place).output
    assert json.loads(run("show", "--format", "json", "--journal", place).output)["steps"] == []
    assert "Nothing was done" in run("export", "--journal", place).output
    assert run("verify", "--journal", place).output == "0 steps, all whole; the last one's digest is none\n"


def test_verify(journal: str) -> None:
    """A whole journal gives its head; a broken one is named, with exit code 4."""
    with open_journal(journal) as opened:
        head = opened.verify().head
    assert run("verify", "--journal", journal).output == (
        f"7 steps, all whole; the last one's digest is {head}\n"
    )
    tamper(journal, "update steps set actor = 'eve' where seq = 3")
    error = trouble("verify", "--journal", journal)
    assert error.exit_code == 4
    assert "broken after 2 whole steps: step 3 of retirement retirement-1 was changed" in str(error)


def test_export_to_the_screen(journal: str) -> None:
    """Markdown unless said otherwise; filters narrow it."""
    assert run("export", "--journal", journal).output.startswith("# Change record\n")
    document = json.loads(run("export", "--format", "json", "--journal", journal).output)
    assert len(document["tickets"][0]["changes"]) == 2
    text = run("export", "--format", "csv", "--key", KEY, "--ticket", "CHG-1", "--journal", journal).output
    assert len(text.splitlines()) == 6
    assert isinstance(trouble("export", "--account", "1", "--journal", journal), UsageError)


def test_export_to_files(kept: Path, folder: Path) -> None:
    """The ending says the format unless --format does; a file is its owner's, and whole or not there."""
    assert kept.exists()
    for name, start in (("r.md", "# Change"), ("r.json", "{"), ("r.csv", "ticket,")):
        assert run("export", "-o", name).output == ""
        assert (folder / name).read_text().startswith(start)
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    run("export", "-o", "r.txt", "--format", "csv")
    assert (folder / "r.txt").read_text() == (folder / "r.csv").read_text()
    assert isinstance(trouble("export", "-o", "r.pdf"), UsageError)
    assert trouble("export", "-o", "no/such.md").exit_code == 4
    assert sorted(path.name for path in folder.iterdir()) == ["r.csv", "r.json", "r.md", "r.txt"]


def test_the_journal_is_where_it_was_said(kept: Path, store: Path, folder: Path) -> None:
    """The option first, then the setting, then the store."""
    settings = Settings(retirement=RetirementSettings(journal="from-settings"))
    assert Workspace(settings, store=str(store), journal="option").journal_place == "option"
    assert Workspace(settings, store=str(store)).journal_place == "from-settings"
    assert Workspace(store=str(store)).journal_place == Workspace().journal_place == str(kept)
    (folder / "birthright.toml").write_text(f'[retirement]\njournal = "{kept}"\n')
    assert "7 steps" in run("verify", "--store", "elsewhere").output


@pytest.mark.parametrize("arguments", [["show"], ["verify"], ["export"]])
def test_without_a_journal(arguments: list[str], store: Path) -> None:
    """Looking at a journal that is not there does not make one."""
    assert isinstance(trouble(*arguments), JournalError)
    assert not store.exists()


def test_a_key_that_is_not_known(kept: Path) -> None:
    """A key the journal never met is wrong usage."""
    assert kept.exists()
    assert "AKIANONE" in str(trouble("show", "AKIANONE"))


def test_the_commands_are_a_group() -> None:
    """The command line can take it in as one."""
    assert isinstance(command, click.Group)
    assert set(command.commands) == {"show", "export", "verify"}
