"""birthright.toml: what is accepted, and what is refused with its place."""

from pathlib import Path

import pytest

from birthright.errors import UsageError
from birthright.settings import Settings, load_settings

EVERYTHING = """
[scan]
policy = ["access-key-created-with-user"]
policies = "pages"
depth = "report"
profile = "audit"
region = "eu-west-1"
store = "~/scans"
report_deadline = "90s"
max_in_flight = 10
all_users = true

[set.access-key-created-with-user]
window = "15s"
console_users_only = true

[retirement]
in_use = "30d"
"""


def test_nothing_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file everything is its default."""
    monkeypatch.chdir(tmp_path)
    assert load_settings(None) == Settings()


def test_everything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every field is taken as written, from the working directory or the file named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "birthright.toml").write_text(EVERYTHING)
    settings = load_settings(None)
    assert settings == load_settings(tmp_path / "birthright.toml")
    assert (settings.scan.max_in_flight, settings.scan.depth) == (10, "report")
    assert settings.set == {"access-key-created-with-user": {"window": "15s", "console_users_only": True}}
    assert settings.retirement.in_use == "30d"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[scan\n", "line 1"),
        ("[scann]\n", "scann"),
        ("[scan]\ncolour = 1\n", "colour"),
        ("[scan]\nmax_in_flight = '10'\n", "max_in_flight"),
        ("[scan]\nmax_in_flight = 0\n", "max_in_flight"),
        ("[scan]\nmax_in_flight = 1001\n", "max_in_flight"),
        ("[scan]\ndepth = 'trail'\n", "depth"),
        ("[scan]\nreport_deadline = '5'\n", "scan.report_deadline"),
        ("[retirement]\nin_use = ''\n", "retirement.in_use"),
        ("\udcff", "utf-8"),
        ("a = " + "[" * 100_000, "settings.toml"),
    ],
)
def test_what_is_wrong_is_refused(text: str, says: str, tmp_path: Path) -> None:
    """A field that is unknown or wrong is named together with the file."""
    path = tmp_path / "settings.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


def test_a_file_that_is_not_there_or_not_a_file(tmp_path: Path) -> None:
    """A file named must be there."""
    for path in (tmp_path / "no.toml", tmp_path):
        with pytest.raises(UsageError, match=str(path)):
            load_settings(path)
