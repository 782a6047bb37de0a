"""What is shipped is what works: the wheel, installed alone, in an empty directory."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from birthright.sandbox.sandbox import Sandbox

ROOT = Path(__file__).parent.parent


def uv(folder: Path) -> str:
    """Find uv: the one that runs us, the Makefile's, that of the PATH; or install it as the Makefile does."""
    known = [os.environ.get("UV", ""), str(ROOT / ".tools/bin/uv"), shutil.which("uv") or ""]
    for path in known:
        if path and os.access(path, os.X_OK):
            return path
    python = Path(sys.base_prefix, "bin", "python3")
    run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder, "uv"])
    return str(folder / "bin" / "uv")


def run(command: list[str | Path], **how: object) -> str:
    """Run it to a good end and return what it printed."""
    done = subprocess.run(  # type: ignore[call-overload]
        list(map(str, command)), check=False, capture_output=True, text=True, timeout=120, **how
    )
    assert done.returncode == 0, done.stderr
    printed: str = done.stdout
    return printed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    # Only what is shipped is copied: a build in the checkout could find more than git has.
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    run([uv(folder / "tools"), "build", "--quiet", "--wheel", "--out-dir", folder / "dist", source])
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """Install the wheel with its dependencies and nothing else; return the environment."""
    tool, home = uv(wheel.parent.parent / "tools"), wheel.parent.parent / "environment"
    run([tool, "venv", "--quiet", "--python", sys.executable, home])
    run([tool, "pip", "install", "--quiet", "--python", home, wheel])
    return home


@pytest.mark.slow
def test_the_wheel_is_whole_and_scans_in_an_empty_directory(
    wheel: Path, installed: Path, tmp_path: Path
) -> None:
    """The wheel holds all that is no code and, installed alone, works far from the checkout.

    One test, so that parallel workers build it once.
    """
    holds_what_is_no_code(wheel)
    scans_in_an_empty_directory(installed, tmp_path)


def holds_what_is_no_code(wheel: Path) -> None:
    """Every policy page, the schema and the type marker are in it; tests and benchmarks are not."""
    names = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    pages = [path for path in source.rglob("*") if path.suffix in {".md", ".json", ".typed"}]
    assert len(pages) > 10
    assert {str(path.relative_to(source)) for path in pages} <= names
    assert "birthright/reports/findings-1.schema.json" in names
    assert all(name.startswith(("birthright/", "birthright-")) for name in names)


def scans_in_an_empty_directory(installed: Path, tmp_path: Path) -> None:
    """Installed alone it scans, explains and tests its pages, far from the checkout."""
    command = installed / "bin" / "birthright"
    with Sandbox.create(users=12).running() as box:
        settings = {**box.environment(), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        scan = subprocess.run(
            [command, "scan", "--format", "json"],
            cwd=tmp_path,
            env=settings,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (scan.returncode, scan.stderr) == (1, "")
    assert len(json.loads(scan.stdout)["policies"]) > 10
    explained = run([command, "explain", "root"], cwd=tmp_path, env=settings)
    assert "Security credentials" in explained
    run([command, "policy", "test"], cwd=tmp_path, env=settings)
    where = run(
        [installed / "bin/python", "-c", "import birthright; print(birthright.__file__)"], cwd=tmp_path
    )
    assert where.startswith(str(installed))
