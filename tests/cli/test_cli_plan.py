"""`birthright plan`: from scans and findings files, without asking AWS; what it writes and says."""

import json
import shutil
import socket
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from syrupy.assertion import SnapshotAssertion

from birthright.cli.main import commands, run
from birthright.cli.plan import command
from birthright.retirement.planning.plan_file import load_plan
from birthright.sandbox.sandbox import Sandbox
from cli_helpers import NOW, Birthright, enter, masked

BORN = "access-key-created-with-user"


@pytest.fixture(autouse=True)
def with_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command in the command line, whether or not it is listed there."""
    monkeypatch.setitem(commands.commands, "plan", command)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scan the population once; give the folder with the store, and the findings without and with passes."""
    place = tmp_path_factory.mktemp("kept")
    with (
        pytest.MonkeyPatch.context() as patch,
        time_machine.travel(NOW, tick=False),
        Sandbox.create(users=60, clock=NOW, frozen=True).running() as box,
    ):
        enter(patch, box)
        patch.setenv("BIRTHRIGHT_STORE", str(place / "store"))
        assert run(["scan", "--format", "json", "-o", str(place / "findings.json")]) == 1
        again = ["scan", "--from", "latest", "--all", "--format", "json"]
        assert run([*again, "-o", str(place / "all.json")]) == 1
    return place


@pytest.fixture
def scanned(kept: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work beside the scan and its findings; AWS is a port where nobody listens."""
    monkeypatch.setenv("BIRTHRIGHT_STORE", str(kept / "store"))
    for name in ("findings.json", "all.json"):
        shutil.copy(kept / name, folder / name)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY0000000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")


def items(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Gather a plan's items by key id."""
    return {item["access_key_id"]: item for item in document["items"]}


def by_user(document: dict[str, Any]) -> dict[str, str]:
    """Gather the actions by user (of users with one item)."""
    return {item["user_name"]: item["action"] for item in document["items"]}


@pytest.mark.usefixtures("scanned")
def test_the_whole_population_on_the_terminal(birthright: Birthright, snapshot: SnapshotAssertion) -> None:
    """A person reads this; refusals make exit code 1."""
    ran = birthright("plan")
    assert (ran.code, ran.err) == (1, "")
    assert masked(ran.out).replace(load_id(birthright), "plan-ID") == snapshot
    assert max(map(len, ran.out.splitlines())) <= 120


def load_id(birthright: Birthright) -> str:
    """Return the plan's id, which differs with the scan's."""
    return str(birthright("plan", "--format", "json").document["id"])


@pytest.mark.usefixtures("scanned")
def test_aws_is_not_asked(birthright: Birthright, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is opened, from a scan or from findings, also where a role would have to be taken on."""
    Path("config").write_text(CONFIG.format(key="AKIANOBODY0000000000"))
    monkeypatch.setenv("AWS_CONFIG_FILE", "config")
    monkeypatch.setenv("AWS_PROFILE", "role")
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    opened: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *address: opened.append(address))
    assert birthright("plan").code == 1
    assert birthright("plan", "--from", "findings.json", "-o", "plan.json").code == 1
    assert opened == []


@pytest.mark.usefixtures("scanned")
def test_a_findings_file_makes_the_plan_of_its_scan(birthright: Birthright) -> None:
    """With passes it is the very same plan; without, only the second keys are not named."""
    scan = birthright("plan", "--format", "json")
    assert birthright("plan", "--from", "all.json", "--format", "json") == scan
    short = birthright("plan", "--from", "findings.json", "--format", "json").document
    for key, item in items(scan.document).items():
        same = items(short)[key]
        assert same == item | {"advice": same["advice"]}
        assert same["advice"] == item["advice"] or "has 2 keys" in item["why"] or "has 3 keys" in item["why"]


@pytest.mark.usefixtures("scanned")
def test_the_named_cases(birthright: Birthright, folder: Path) -> None:
    """With room for all, each user's key gets the action that its case calls for."""
    (folder / "birthright.toml").write_text("[retirement]\nmax_share = 1.0\n")
    found = by_user(birthright("plan", "--format", "json").document)
    expected = {
        "ci-deploy-born-with-key": "rotate",
        "console-with-born-key-never-used": "retire",
        "born-inactive": "retire",
        "born-hours-ago": "refuse",
        "ses-smtp": "refuse",
        "born-expired": "refuse",
        "born-used-91d": "retire",
        "born-used-89d": "rotate",
        "<root_account>": "refuse",
        "path-user": "rotate",
    }
    assert {user: found[user] for user in expected} == expected
    assert "rotated" not in found


@pytest.mark.usefixtures("scanned")
def test_a_plan_is_written_and_shown(birthright: Birthright, folder: Path) -> None:
    """-o writes the plan for its owner only, prints the terminal view, and says how to apply it."""
    ran = birthright("plan", "-o", "my plan.json", "-o", "plan.md")
    assert "birthright apply 'my plan.json'" in ran.out
    plan = load_plan(folder / "my plan.json")
    assert plan.id in ran.out
    assert plan.created_at == NOW
    assert plan.expires_at == NOW + timedelta(hours=24)
    assert stat.S_IMODE((folder / "my plan.json").stat().st_mode) == 0o600
    assert (folder / "plan.md").read_text().startswith("# Access keys: ")
    assert not birthright("plan", "--format", "markdown", "-o", "x").out
    assert (folder / "x").read_text() == (folder / "plan.md").read_text()


@pytest.mark.usefixtures("scanned")
def test_json_on_the_terminal_is_the_file(birthright: Birthright, folder: Path) -> None:
    """--format json prints what -o writes, byte for byte, and nothing else."""
    ran = birthright("plan", "--format", "json")
    birthright("plan", "-o", "plan.json")
    assert (folder / "plan.json").read_text() == ran.out
    assert ran.err == ""


@pytest.mark.usefixtures("scanned")
def test_filters_and_exit_codes(birthright: Birthright) -> None:
    """Filters narrow the plan; 0 if nothing was refused, and a filter that matches nothing is told."""
    ran = birthright("plan", "--user", "born-used-9*", "--policy", BORN, "--format", "json")
    assert (ran.code, by_user(ran.document)) == (0, {"born-used-91d": "retire"})
    key = ran.document["items"][0]["access_key_id"]
    assert birthright("plan", "--key", key, "--account", "1111*").code == 0
    ran = birthright("plan", "--user", "nobody\x1b", "--key", key)
    assert ran.code == 0
    assert ran.err == "birthright: no failing finding matches --user nobody\\x1b\n"
    assert "nothing to plan" in ran.out
    assert "apply" not in ran.out
    assert birthright("plan", "--user", "ses-smtp").code == 1
    assert birthright("plan", "--user", "ses-smtp", "--allow-ses").code == 0


@pytest.mark.usefixtures("box")
def test_a_policy_that_did_not_judge_the_scan(birthright: Birthright) -> None:
    """It judges the saved facts now; the others' findings stay out."""
    assert birthright("scan", "--policy", BORN).code == 1
    ran = birthright("plan", "--policy", "access-key-inactive", "--format", "json")
    policies = {ref["policy"] for item in ran.document["items"] for ref in item["findings"]}
    assert policies == {"access-key-inactive"}


@pytest.mark.usefixtures("box")
def test_a_scan_without_key_ids(birthright: Birthright) -> None:
    """From the report alone nothing can be retired: all is refused, with what to do."""
    assert birthright("scan", "--depth", "report").code == 1
    ran = birthright("plan")
    assert ran.code == 1
    assert "0 keys to retire, 0 to rotate" in ran.out
    assert "scan again with --depth keys" in ran.out


@pytest.mark.usefixtures("scanned")
def test_the_settings_are_kept(birthright: Birthright, folder: Path) -> None:
    """Durations, protected users, limits and hand-overs come from birthright.toml; the options win."""
    (folder / "birthright.toml").write_text(
        "[retirement]\nquarantine = '30d'\nmax_keys = 2\n"
        "protected = ['born-used-91d', '*:user/*/path-user']\n"
        "handover = {'ci-*' = 'ssm:/keys/{user_name}', '*' = 'profile:{user_name}'}\n"
    )
    plan = birthright("plan", "--format", "json").document
    assert plan["terms"]["quarantine"] == "P30D"
    assert sum(item["action"] != "refuse" for item in plan["items"]) == 2
    whys = {item["user_name"]: item["why"] for item in plan["items"]}
    assert "protected by 'born-used-91d'" in whys["born-used-91d"]
    assert "protected by" in whys["path-user"]
    one = ("plan", "--user", "ci-deploy-*", "--format", "json")
    assert birthright(*one).document["items"][0]["handover"] == "ssm:/keys/{user_name}"
    other = birthright(*one, "--handover", "profile:x-{user_name}", "--annotate", "--expires", "1h").document
    assert other["items"][0]["handover"] == "profile:x-{user_name}"
    assert other["annotate"] is True
    assert other["expires_at"] == "2026-11-22T11:00:00Z"


CONFIG = """\
[profile base]
aws_access_key_id = {key}
aws_secret_access_key = x
[profile role]
role_arn = arn:aws:iam::111122223333:role/x
source_profile = base
[profile loop]
source_profile = loop
"""


@pytest.mark.parametrize("how", ["variable", "profile", "role", "settings"])
@pytest.mark.usefixtures("scanned")
def test_the_own_key_is_not_planned(
    how: str, birthright: Birthright, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key in the environment, in the profile, or behind the role of the profile is refused."""
    one = ("plan", "--user", "born-used-91d", "--format", "json")
    (item,) = birthright(*one).document["items"]
    assert item["action"] == "retire"
    (folder / "config").write_text(CONFIG.format(key=item["access_key_id"]))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    if how == "variable":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", item["access_key_id"])
    elif how == "settings":
        (folder / "birthright.toml").write_text("[scan]\nprofile = 'base'\n")
    else:
        monkeypatch.setenv("AWS_PROFILE", "base" if how == "profile" else "role")
    (item,) = birthright(*one).document["items"]
    assert "birthright itself runs with" in item["why"]


@pytest.mark.parametrize("config", [None, CONFIG, "[broken", "\0", "[default\nx"])
@pytest.mark.usefixtures("scanned")
def test_no_credentials_are_needed(
    config: str | None, birthright: Birthright, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials, or with a configuration that cannot be read, the plan is made all the same."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "loop")
    if config is not None:
        (folder / "config").write_text(config)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    ran = birthright("plan", "--user", "born-used-91d")
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.usefixtures("scanned")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "nowhere.json"], "cannot read nowhere.json"),
        (["--from", "."], "not the id of a scan"),
        (["--from", "20200101T000000Z-000000"], "there is no scan"),
        (["--policy", "access-key-created-with-usr"], "did you mean"),
        (["--policy", "nonsense", "--from", "findings.json"], "has no policy 'nonsense'"),
        (["--handover", "nowhere:x"], "nowhere"),
        (["--expires", "soon"], "--expires"),
        (["--expires", "0s"], "expires at once"),
        (["--expires", "900000000d"], "longer than"),
        (["-o", "plan.pdf"], "no format"),
        (["-o", "no/such/plan.json"], "no/such"),
        (["-o", "."], "folder"),
        (["--format", "json", "-o", "a", "-o", "b"], "one -o"),
        (["--format", "csv"], "--format"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_wrong_usage(arguments: list[str], says: str, birthright: Birthright, folder: Path) -> None:
    """Wrong usage is one line with code 2, and nothing is written."""
    before = sorted(folder.iterdir())
    ran = birthright("plan", *arguments)
    assert ran.code == 2
    assert says in ran.trouble
    assert sorted(folder.iterdir()) == before


def spoilt(**changes: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Give the findings file with something else in its first failing finding."""
    document = json.loads(Path("findings.json").read_text())
    document["findings"][0] |= changes
    return json.dumps(document).encode()


@pytest.mark.usefixtures("scanned")
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "holds no findings"),
        (b"\0", "holds no findings"),
        (b"[" * 1_000_000, "holds no findings"),
        (b'{"schema": "birthright.plan/1"}', "holds no findings"),
        (b'{"schema": "birthright.findings/1"}', "is damaged"),
        (b'{"schema": "birthright.findings/2"}', "newer birthright"),
        ({"created_at": "2026-01-01T00:00:00"}, "not UTC"),
        ({"created_at": "2026-01-01T00:00:00+02:00"}, "not UTC"),
        ({"created_at": "yesterday"}, "is damaged"),
        ({"ever_used": "no"}, "is damaged"),
        ({"remedy": "delete"}, "is damaged"),
        ({"risk": None}, "is damaged"),
    ],
)
def test_files_that_hold_no_findings(
    data: bytes | dict[str, Any], says: str, birthright: Birthright, folder: Path
) -> None:
    """A file that is none, of another time, or bent, is one clear line that names it."""
    (folder / "bad.json").write_bytes(data if isinstance(data, bytes) else spoilt(**data))
    ran = birthright("plan", "--from", "bad.json")
    assert ran.code == 2
    assert "bad.json" in ran.trouble
    assert says in ran.trouble


@pytest.mark.usefixtures("scanned")
def test_an_old_findings_file(birthright: Birthright, folder: Path) -> None:
    """A file from before keys were counted retires one key an account and rotates none."""
    document = json.loads((folder / "findings.json").read_text())
    del document["accounts"]
    for finding in document["findings"]:
        del finding["user_keys"]
    (folder / "old").write_text(json.dumps(document))
    plan = birthright("plan", "--from", "old", "--format", "json").document
    assert [item["action"] for item in plan["items"] if item["action"] != "refuse"] == ["retire"]


@pytest.mark.usefixtures("scanned")
def test_a_plan_says_when_it_expires(birthright: Birthright, frozen: time_machine.Traveller) -> None:
    """A plan made later from the same scan holds from then on; its facts keep their time."""
    frozen.shift(timedelta(hours=5))
    plan = birthright("plan", "--format", "json").document
    assert plan["scan_as_of"] == "2026-11-22T10:00:00Z"
    assert plan["expires_at"] == "2026-11-23T15:00:00Z"


def test_the_help_says_what_exit_codes_mean(birthright: Birthright) -> None:
    """--help tells of exit code 1."""
    ran = birthright("plan", "--help")
    assert ran.code == 0
    assert "Exit code 1 says that something was refused" in ran.out
