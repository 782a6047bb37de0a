"""The public Python API: what docs/api.md shows runs; importing costs nothing; errors are our own."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import birthright
from birthright import errors
from birthright.sandbox import Sandbox

DOCUMENT = Path(__file__).parent.parent / "docs" / "api.md"
BLOCKS = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """Serve the demonstration's account."""
    with Sandbox.create(users=60).running() as served:
        yield served


@pytest.fixture
def here(box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder with the account's credential report, and AWS's environment."""
    for name, value in {**box.environment(), "BIRTHRIGHT_STORE": str(tmp_path / "store")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    birthright.scan(raw=True, store="kept")
    report = next((tmp_path / "kept").rglob("reports/*.csv"))
    Path("report.csv").write_bytes(report.read_bytes())
    Path("waivers.yaml").write_text("schema: birthright.waivers/1\nwaivers: []\n")
    return tmp_path


def test_what_the_document_shows_runs(here: Path) -> None:
    """The blocks of docs/api.md run one after another, and leave what they say."""
    names: dict[str, object] = {}
    for block in BLOCKS.findall(DOCUMENT.read_text("utf-8")):
        exec(compile(block, DOCUMENT.name, "exec"), names)  # noqa: S102 - our own document
    assert {"report.html", "findings.sarif", "plan.json", "bundle.zip"} <= {
        path.name for path in here.iterdir()
    }


@pytest.mark.usefixtures("here")
def test_the_lines_of_the_readme_run() -> None:
    """What README.md shows of the Python API runs as it stands."""
    names: dict[str, object] = {}
    for block in BLOCKS.findall((DOCUMENT.parent.parent / "README.md").read_text("utf-8")):
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - our own document
    assert isinstance(names["scan"], birthright.Scan)


def test_every_public_name_is_there_and_documented() -> None:
    """`__all__` names what can be imported, and docs/api.md mentions each of it."""
    text = DOCUMENT.read_text("utf-8")
    for name in birthright.__all__:
        assert getattr(birthright, name) is not None
        assert name in text or name == "__version__", name
    assert sorted(birthright.__all__) == dir(birthright)
    with pytest.raises(AttributeError, match="nothing"):
        _ = birthright.nothing


def test_public_errors_are_the_whole_tree() -> None:
    """Whatever birthright raises on purpose can be caught by a public name."""
    tree = {name for name, kind in vars(errors).items() if isinstance(kind, type) and name.endswith("Error")}
    assert tree == {name for name in birthright.__all__ if name.endswith("Error")}


def test_importing_loads_nothing() -> None:
    """`import birthright` imports none of the libraries that work needs, nor any wing of its own."""
    code = "import sys, birthright; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = (
        "msgspec",
        "click",
        "asyncio",
        "duckdb",
        "pyarrow",
        "botocore",
        "birthright.api",
        "birthright.errors",
    )
    assert [name for name in heavy if f"'{name}'" in loaded] == []


@pytest.mark.usefixtures("here")
def test_findings_are_those_of_the_report() -> None:
    """Filters narrow the report's findings and change none of them."""
    scan = birthright.scan()
    everything = list(scan.findings(passes=True))
    assert len(everything) == scan.summary.fail + scan.summary.unknown + scan.summary.passed
    failing = [one for one in everything if one.verdict == "fail"]
    assert list(scan.findings(verdict="fail")) == failing
    assert list(scan.findings(verdict="pass")) == [one for one in everything if one.verdict == "pass"]
    policy, user = failing[0].policy, failing[0].user_name
    wanted = [
        one for one in everything if one.policy == policy and one.user_name == user and one.verdict != "pass"
    ]
    assert list(scan.findings(policy=policy, user=user)) == wanted
    assert list(scan.findings(account="999999999999")) == []
    with pytest.raises(birthright.UsageError, match="nonsense"):
        list(scan.findings(policy="nonsense"))


@pytest.mark.usefixtures("here")
def test_settings_and_waivers_count_only_if_named() -> None:
    """A birthright.toml or waivers.yaml that lies about changes nothing until it is named."""
    Path("birthright.toml").write_text('[scan]\npolicy = ["access-key-unused"]\n')
    every, one = birthright.scan(), birthright.scan(config="birthright.toml")
    assert len({finding.policy for finding in every.findings()}) > 1
    assert {finding.policy for finding in one.findings()} == {"access-key-unused"}
    Path("waivers.yaml").write_text("not: waivers\n")
    assert birthright.open_scan().summary.waived == 0
    with pytest.raises(birthright.UsageError, match=r"waivers\.yaml"):
        birthright.scan(waivers="waivers.yaml")


@pytest.mark.usefixtures("here")
def test_a_running_loop_is_refused_and_the_async_form_gives_the_same() -> None:
    """Inside an event loop `scan` says what to await, and `scan_async` finds the same."""

    async def inside() -> birthright.Scan:
        with pytest.raises(birthright.UsageError, match="scan_async"):
            birthright.scan()
        return await birthright.scan_async()

    scan = asyncio.run(inside())
    assert [f.fingerprint for f in scan.findings()] == [f.fingerprint for f in birthright.scan().findings()]


@pytest.mark.usefixtures("here")
def test_nothing_is_changed_unless_confirmed(box: Sandbox) -> None:
    """Without `confirm`'s agreement no retirement is opened and AWS is changed in nothing."""
    plan = birthright.scan().plan(users=["born-used-91d"])
    assert [item.action for item in plan.items] == ["retire"]
    before = box.calls.copy()
    assert birthright.apply(plan, confirm=lambda _: False) == []
    assert not [name for name, count in box.calls.items() if "Update" in name and count != before[name]]
    assert birthright.retirements() == []


@pytest.mark.usefixtures("here")
def test_what_is_wrong_shows_before_aws_is_read(box: Sandbox) -> None:
    """A policy, a waivers' file or an earlier scan that is not there costs no call."""
    before = box.calls.copy()
    for wrong in ({"policies": ["nonsense"]}, {"since": "20200101T000000Z-000000"}, {"waivers": "none.yaml"}):
        with pytest.raises(birthright.UsageError):
            birthright.scan(**wrong)
    assert box.calls == before


def test_an_environment_of_settings_is_not_needed(here: Path) -> None:
    """Scans are kept where `store` says, and found there again."""
    scan = birthright.scan(store=here / "elsewhere")
    assert birthright.list_scans(store=here / "elsewhere") == [scan.id]
    assert os.environ["BIRTHRIGHT_STORE"] not in str(here / "elsewhere")
    assert birthright.open_scan(scan.id, store=here / "elsewhere").as_of == scan.as_of
