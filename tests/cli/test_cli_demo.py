"""The demo: a month of retiring keys on the embedded sandbox, whatever the environment says."""

import os
import re
from pathlib import Path

import pytest

from cli_helpers import Birthright

_ACT = re.compile(r"^\d\. .*\n\$ birthright ((?:.*\\\n)*.*)\n", re.MULTILINE)


def acts(text: str) -> list[tuple[str, str]]:
    """Return each act's command and what comes below it."""
    parts = _ACT.split(text)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def test_the_demo_tells_the_whole_story(birthright: Birthright) -> None:
    """Scan, plan, apply, a moved clock, deletion, undo of another key, the change record; all for real."""
    ran = birthright("demo")
    assert (ran.code, ran.err) == (1, "")
    told = acts(ran.out)
    assert [command.split()[0] for command, _ in told] == [
        "scan", "plan", "apply", "apply", "undo", "apply", "journal",
    ]  # fmt: skip
    _, planned, applied, went_on, undone, ended, recorded = (out for _, out in told)
    assert "26 active access keys were created together with their users" in ran.out
    assert "3 keys to retire, 2 to rotate, 0 refused." in planned
    assert "Stopped: a person has to look (1)\nuser" in applied
    assert "Disabled: in quarantine (2)" in applied
    new = dict(re.findall(r"^  (\S+) uses (AKIA\w+)$", applied, re.MULTILINE))
    assert set(new) == {"ci-deploy-born-with-key", "terraform-3s"}
    assert re.search(r"Disabled: in quarantine \(2\)(?s:.*)Deleted \(2\)", went_on)
    assert f"its replacement {new['terraform-3s']} stays" in undone
    assert f"deleted (new key {new['ci-deploy-born-with-key']})" in ended
    assert "of ci-deploy-born-with-key: deleted" in recorded
    assert "| ended | delete |" in recorded
    assert "made up" in ran.out


def test_the_demo_goes_nowhere_else(
    birthright: Birthright, folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment says of AWS and birthright, the demo stays with itself and leaves no trace."""
    noise = {
        "AWS_PROFILE": "somebody",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    for name, value in noise.items():
        monkeypatch.setenv(name, value)
    Path("birthright.toml").write_text("[scan]\nprofile = 'somebody'\n", encoding="utf-8")
    before = dict(os.environ), Path.cwd(), list(folder.iterdir())
    ran = birthright("demo", "--users", "12")
    assert (ran.code, ran.err) == (1, "")
    assert "Undone (1)" in ran.out
    assert (dict(os.environ), Path.cwd(), list(folder.iterdir())) == before
    assert not store.exists()


@pytest.mark.parametrize(("users", "last"), [(1, "Undone (1)"), (4, "Deleted (1)")])
def test_a_small_account_has_a_shorter_story(birthright: Birthright, users: int, last: str) -> None:
    """With fewer people there is less to tell, and never an error."""
    ran = birthright("demo", "--users", users)
    assert (ran.code, ran.err) == (1, "")
    assert last in ran.out
    assert "# Change record" in ran.out
