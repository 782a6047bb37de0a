"""The GitHub Action, its workflow and the container file: their form, and what their scripts do."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from birthright.sandbox.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
ACTION, NIGHTLY = ROOT / "action.yml", ROOT / "deploy/github/nightly.yml"
RUN, INSTALL = ROOT / "deploy/github/run.sh", ROOT / "deploy/github/install.sh"
PROGRAMS = Path(sys.executable).parent
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_PINNED = re.compile(r"[\w.-]+(/[\w.-]+)+@(v\d+(\.\d+)*|[0-9a-f]{40})")
# Says what it was called with, an argument in each pair of brackets, and ends as it is told to.
_RECORDER = """#!/usr/bin/env bash
printf '[%s]' "$@" > "$RECORD"
for one in "$@"; do case $one in --output=*.md) printf '%s' "$REPORT" > "${one#--output=}" ;; esac; done
echo "::error::from a user's name"
exit "$CODE"
"""


def _read(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    found: dict[Any, Any] = yaml.safe_load(path.read_text("utf-8"))
    return {"on" if key is True else key: value for key, value in found.items()}


ACTION_STEPS: list[dict[str, Any]] = _read(ACTION)["runs"]["steps"]
NIGHTLY_STEPS: list[dict[str, Any]] = _read(NIGHTLY)["jobs"]["scan"]["steps"]
SCAN_ENV: dict[str, str] = ACTION_STEPS[-1]["env"]


class Ended(NamedTuple):
    """How a script ended: its exit code, what it printed, what it was to tell the runner."""

    code: int
    printed: str
    outputs: dict[str, str]
    summary: str
    arguments: str


def scripted(script: Path, folder: Path, environment: dict[str, str]) -> Ended:
    """Run a script as the runner does, in `folder`; nothing of this process's environment but its PATH."""
    names = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH", "RECORD")
    files = {name: folder / name for name in names}
    (folder / "tmp").mkdir(exist_ok=True)
    usual = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RUNNER_TEMP": str(folder / "tmp"),
        "ACTION_PATH": str(ROOT),
        "CODE": "0",
        "REPORT": "# Report\n",
        **{name: str(file) for name, file in files.items()},
    }
    done = subprocess.run(
        ["bash", str(script)],
        env=usual | environment,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = {name: file.read_text("utf-8") if file.exists() else "" for name, file in files.items()}
    outputs = dict(text.split("=", 1) for text in told["GITHUB_OUTPUT"].splitlines())
    return Ended(
        done.returncode, done.stdout + done.stderr, outputs, told["GITHUB_STEP_SUMMARY"], told["RECORD"]
    )


@pytest.fixture
def recorded(tmp_path: Path) -> dict[str, str]:
    """Put a birthright first in the PATH that only says what it was called with."""
    fake = tmp_path / "bin" / "birthright"
    fake.parent.mkdir()
    fake.write_text(_RECORDER)
    fake.chmod(0o755)
    return {"PATH": f"{fake.parent}:{os.environ['PATH']}", "INPUT_FILES": "findings.sarif findings.md"}


@pytest.mark.parametrize(
    ("schema", "file"), [("vendor.github-actions", ACTION), ("vendor.github-workflows", NIGHTLY)]
)
def test_they_have_github_s_form(schema: str, file: Path, tmp_path: Path) -> None:
    """The published schemas accept both, and refuse them with one word wrong."""
    command: list[str | Path] = [PROGRAMS / "check-jsonschema", "--builtin-schema", schema]
    fine = subprocess.run([*command, file], check=False, capture_output=True, text=True)
    assert fine.returncode == 0, fine.stdout
    wrong = tmp_path / file.name
    wrong.write_text(file.read_text("utf-8").replace("steps:", "stepps:"))
    assert subprocess.run([*command, wrong], check=False, capture_output=True).returncode == 1


@pytest.mark.parametrize("step", [*ACTION_STEPS, *NIGHTLY_STEPS], ids=lambda step: step.get("name", "uses"))
def test_no_input_is_text_of_a_command(step: dict[str, Any]) -> None:
    """What the runner puts into `run` is run; inputs come in `env` and `with` only."""
    assert not _EXPRESSION.search(step.get("run", ""))


@pytest.mark.parametrize("step", [*ACTION_STEPS, *NIGHTLY_STEPS], ids=lambda step: step.get("name", "uses"))
def test_actions_of_others_are_pinned(step: dict[str, Any]) -> None:
    """To a release or a commit, never to a branch."""
    assert "uses" not in step or _PINNED.fullmatch(step["uses"])


def test_every_input_is_used_and_every_variable_is_an_input() -> None:
    """In the action and in its scripts; each output is one that the script writes."""
    action = _read(ACTION)
    used = {name for _, name in _references(ACTION_STEPS, "inputs")}
    assert used == set(action["inputs"])
    for script, step in ((INSTALL, ACTION_STEPS[1]), (RUN, ACTION_STEPS[2])):
        asked = set(re.findall(r"INPUT_[A-Z_]+", script.read_text("utf-8")))
        assert asked == {name for name in step["env"] if name.startswith("INPUT_")}, script.name
    written = set(re.findall(r'echo "([a-z-]+)=', RUN.read_text("utf-8")))
    assert {name for _, name in _references([action["outputs"]], "steps.scan.outputs")} == written
    assert set(action["outputs"]) == written


def test_the_workflow_says_only_what_the_action_knows() -> None:
    """Its inputs and outputs are the action's."""
    action = _read(ACTION)
    (step,) = [one for one in NIGHTLY_STEPS if one.get("id") == "birthright"]
    assert set(step["with"]) <= set(action["inputs"])
    outputs = {name for _, name in _references(NIGHTLY_STEPS, "steps.birthright.outputs")}
    assert outputs
    assert outputs <= set(action["outputs"])


def test_the_document_says_only_what_the_action_knows() -> None:
    """The examples of docs/ci.md can be read, and use the action's inputs; its tables name all of them."""
    text = (ROOT / "docs/ci.md").read_text("utf-8")
    action = _read(ACTION)
    (cached, _) = [
        yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]
    (step,) = [one for one in cached if one.get("id") == "birthright"]
    assert set(step["with"]) <= set(action["inputs"])
    for name in [*action["inputs"], *action["outputs"]]:
        assert f"`{name}`" in text, name


def test_the_workflow_has_no_more_rights_than_it_needs() -> None:
    """None but the job's three, and the checkout keeps no token."""
    workflow = _read(NIGHTLY)
    assert workflow["permissions"] == {}
    job = workflow["jobs"]["scan"]
    assert job["permissions"] == {"contents": "read", "id-token": "write", "security-events": "write"}
    assert NIGHTLY_STEPS[0]["with"]["persist-credentials"] is False


def test_the_workflow_fails_after_the_uploads() -> None:
    """The scan itself does not fail; the step that does comes after the upload."""
    places = {step.get("id") or step.get("name") or step["uses"]: n for n, step in enumerate(NIGHTLY_STEPS)}
    upload = next(n for name, n in places.items() if "upload-sarif" in name)
    assert places["birthright"] < upload < places["Fail on new findings"]
    assert NIGHTLY_STEPS[places["birthright"]]["with"]["fail"] == "false"


def _references(steps: Any, start: str) -> list[tuple[str, str]]:  # noqa: ANN401 - any YAML
    """Find `start.NAME` in the expressions of a piece of YAML."""
    pattern = re.compile(rf"{re.escape(start)}\.([\w-]+)")
    return [
        (text, name)
        for text in _EXPRESSION.findall(yaml.dump(steps, width=9999))
        for name in pattern.findall(text)
    ]


@pytest.mark.parametrize("script", [RUN, INSTALL], ids=lambda path: path.name)
def test_the_scripts_have_no_known_mistakes(script: Path) -> None:
    """ShellCheck finds none."""
    done = subprocess.run([PROGRAMS / "shellcheck", script], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_inputs_become_options(tmp_path: Path, recorded: dict[str, str]) -> None:
    """Each in one argument; what is empty is left out."""
    inputs = {
        "INPUT_ORG": "true",
        "INPUT_ROLE": "audit/birthright",
        "INPUT_DEPTH": "report",
        "INPUT_POLICIES": "pages",
        "INPUT_WAIVERS": "waivers.yaml",
        "INPUT_SINCE": "last",
        "INPUT_FAIL_ON": "new,risk>=high",
        "INPUT_STORE": "s3://bucket/scans",
        "INPUT_FOLDER": "out",
    }
    assert inputs.keys() | {"INPUT_FILES", "INPUT_SUMMARY", "INPUT_FAIL"} == {
        name for name in SCAN_ENV if name.startswith("INPUT_")
    }
    assert scripted(RUN, tmp_path, recorded | inputs).arguments == (
        "[scan][--org][--role=audit/birthright][--depth=report][--policies=pages][--waivers=waivers.yaml]"
        "[--since=last][--fail-on=new,risk>=high][--store=s3://bucket/scans]"
        "[--output=out/findings.sarif][--output=out/findings.md]"
    )
    assert scripted(RUN, tmp_path, recorded | {"INPUT_FILES": ""}).arguments == "[scan]"


@pytest.mark.parametrize(
    "value", ["$(touch hit)", "`touch hit`", "; touch hit", "--help", "a b", "x\ny=1", "*"]
)
def test_an_input_is_never_run(value: str, tmp_path: Path, recorded: dict[str, str]) -> None:
    """Whatever it says, it is the value of its option, and no other output of the step."""
    done = scripted(RUN, tmp_path, recorded | {"INPUT_SINCE": value})
    assert f"[--since={value}]" in done.arguments
    assert not list(tmp_path.rglob("hit"))
    assert done.outputs.keys() == {"exit-code", "complete", "folder", "sarif", "markdown"}


def test_a_folder_of_two_lines_is_refused(tmp_path: Path, recorded: dict[str, str]) -> None:
    """It would write outputs of its own."""
    done = scripted(RUN, tmp_path, recorded | {"INPUT_FOLDER": "a\nsarif=b"})
    assert (done.code, done.outputs) == (2, {})


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("fail", ["true", "false"])
def test_how_it_ends(code: int, fail: str, tmp_path: Path, recorded: dict[str, str]) -> None:
    """Findings may wait for the uploads, trouble never does; the code is an output in any case."""
    done = scripted(RUN, tmp_path, recorded | {"CODE": str(code), "INPUT_FAIL": fail})
    assert done.code == (0 if fail == "false" and code in {1, 3} else code)
    assert done.outputs["exit-code"] == str(code)


def test_files_and_summary(tmp_path: Path, recorded: dict[str, str]) -> None:
    """Only files that are there are outputs; Markdown is the summary, unless too long or unwanted."""
    done = scripted(RUN, tmp_path, recorded)
    assert done.outputs["sarif"] == ""
    assert Path(done.outputs["markdown"]).read_text() == "# Report\n" == done.summary
    assert Path(done.outputs["folder"]).parent == tmp_path / "tmp"
    (tmp_path / "GITHUB_STEP_SUMMARY").unlink()
    assert not scripted(RUN, tmp_path, recorded | {"INPUT_SUMMARY": "false"}).summary
    (recorder := tmp_path / "bin/birthright").write_text(
        recorder.read_text().replace('"$REPORT"', '"$(head -c 1100000 /dev/zero | tr "\\0" x)"')
    )
    assert "too long" in scripted(RUN, tmp_path, recorded).summary


def test_files_of_an_earlier_run_are_not_this_one_s(tmp_path: Path, recorded: dict[str, str]) -> None:
    """In a folder that is kept, a scan that fails must not have yesterday's findings uploaded as today's."""
    (tmp_path / "-out").mkdir()
    for name in ("findings.sarif", "findings.md"):
        (tmp_path / "-out" / name).write_text("yesterday")
    done = scripted(RUN, tmp_path, recorded | {"INPUT_FOLDER": "-out", "CODE": "4"})
    assert (done.code, done.outputs["sarif"]) == (4, "")
    assert done.summary == "# Report\n"


@pytest.mark.parametrize(
    ("said", "complete"),
    [
        ('{"executionSuccessful":true}', "true"),
        ('{"executionSuccessful":false}', "false"),
        ('{"executionSuccessful":false,"name":"\\"executionSuccessful\\":true"}', "false"),
    ],
)
def test_whether_everything_was_read(
    said: str, complete: str, tmp_path: Path, recorded: dict[str, str]
) -> None:
    """It is read from the SARIF, in which no name can look like it."""
    recorder = tmp_path / "bin/birthright"
    recorder.write_text(recorder.read_text().replace("*.md", "*.sarif"))
    assert scripted(RUN, tmp_path, recorded | {"REPORT": said}).outputs["complete"] == complete
    assert scripted(RUN, tmp_path, recorded | {"INPUT_FILES": ""}).outputs["complete"] == ""


def test_what_is_not_complete_is_not_uploaded() -> None:
    """GitHub takes what is missing in an upload as fixed."""
    (upload,) = [one for one in NIGHTLY_STEPS if "upload-sarif" in one.get("uses", "")]
    assert "outputs.complete == 'true'" in upload["if"]


def test_what_is_printed_gives_the_runner_no_commands(tmp_path: Path, recorded: dict[str, str]) -> None:
    """Commands are off while birthright prints, with a word that nobody can guess."""
    words = []
    for _ in range(2):
        lines = scripted(RUN, tmp_path, recorded).printed.splitlines()
        assert lines[1] == "::error::from a user's name"
        stopped = re.fullmatch(r"::stop-commands::([0-9a-f]{32})", lines[0])
        assert stopped
        assert lines[2] == f"::{stopped[1]}::"
        words.append(stopped[1])
    assert words[0] != words[1]


def test_it_scans(tmp_path: Path) -> None:
    """With the real birthright and an account: files, outputs, summary and exit code are those of a scan."""
    with Sandbox.create(users=20).running() as box:
        environment = {
            **box.environment(),
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "INPUT_DEPTH": "keys",
            "INPUT_STORE": str(tmp_path / "store"),
            "INPUT_FILES": "findings.sarif findings.md findings.json",
            "INPUT_FAIL": "false",
        }
        done = scripted(RUN, tmp_path, environment)
    assert (done.code, done.outputs["exit-code"]) == (0, "1"), done.printed
    names = {path.name for path in Path(done.outputs["folder"]).iterdir()}
    assert names == {"findings.sarif", "findings.md", "findings.json"}
    assert Path(done.outputs["sarif"]).name == "findings.sarif"
    assert done.outputs["complete"] in {"true", "false"}
    assert (done.outputs["complete"] == "true") == json.loads(
        Path(done.outputs["folder"], "findings.json").read_bytes()
    )["scan"]["complete"]
    assert done.summary == Path(done.outputs["markdown"]).read_text("utf-8")
    assert "console-with-born-key-never-used" in done.printed


@pytest.mark.parametrize(
    ("version", "notify", "source"),
    [
        ("", "false", str(ROOT)),
        ("", "true", f"{ROOT}[notify]"),
        ("1.2.3", "false", "birthright==1.2.3"),
        ("1.2.3rc1", "true", "birthright[notify]==1.2.3rc1"),
    ],
)
def test_what_is_installed(version: str, notify: str, source: str, tmp_path: Path) -> None:
    """This checkout, or a version; into an environment of its own that is put on the PATH."""
    path = _recording_python(tmp_path)
    done = scripted(INSTALL, tmp_path, {"PATH": path, "INPUT_VERSION": version, "INPUT_NOTIFY": notify})
    assert done.code == 0, done.printed
    assert done.arguments.endswith(f"[{source}]")
    assert (tmp_path / "GITHUB_PATH").read_text() == f"{tmp_path}/tmp/birthright-python/path\n"


@pytest.mark.parametrize("version", ["--index-url=x", "1.0 other", "latest", "1.0;x", "git+https://x"])
def test_a_version_is_a_version(version: str, tmp_path: Path) -> None:
    """Nothing else is installed by that name."""
    done = scripted(INSTALL, tmp_path, {"PATH": _recording_python(tmp_path), "INPUT_VERSION": version})
    assert (done.code, done.arguments) == (2, "")


def _recording_python(folder: Path) -> str:
    """Make a python that only says what it was called with; `-m venv` puts it into the environment."""
    fake = folder / "bin" / "python"
    fake.parent.mkdir()
    fake.write_text(
        "#!/usr/bin/env bash\n"
        'if [[ $2 == venv ]]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit; fi\n'
        'printf \'[%s]\' "$@" > "$RECORD"\n'
    )
    fake.chmod(0o755)
    return f"{fake.parent}:{os.environ['PATH']}"


def test_the_container_file_has_no_known_mistakes() -> None:
    """It has nothing that hadolint knows better."""
    done = subprocess.run(
        [PROGRAMS / "hadolint", ROOT / "Containerfile"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_container_runs_as_nobody_special() -> None:
    """The last user is not root; nothing is fetched from a URL; every base has a version."""
    text = (ROOT / "Containerfile").read_text("utf-8")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith(("#", " "))]
    assert [words[1] for words in lines if words[0] == "USER"][-1] == "10001:10001"
    assert not [
        words for words in lines if words[0] == "ADD" or (words[0] == "COPY" and "://" in " ".join(words))
    ]
    bases = [words[1] for words in lines if words[0] == "FROM"]
    assert bases
    assert all(re.fullmatch(r"python:3\.\d+-slim(@sha256:[0-9a-f]{64})?", base) for base in bases)
    assert lines[-2] == ["ENTRYPOINT", '["birthright"]']


def test_the_container_gets_only_what_it_copies(tmp_path: Path) -> None:
    """.dockerignore lets in exactly what COPY names, and that is enough to build from."""
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    text = (ROOT / "Containerfile").read_text("utf-8")
    copied = re.findall(r"^COPY ([^-].*) \S+$", text, re.MULTILINE)
    assert {name for names in copied for name in names.split()} == allowed
    for name in allowed:
        source = ROOT / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path)
    project = (tmp_path / "pyproject.toml").read_text("utf-8")
    for named in re.findall(r'^(?:readme = |license-files = \[)"(.*?)"', project, re.MULTILINE):
        assert (tmp_path / named).is_file()
