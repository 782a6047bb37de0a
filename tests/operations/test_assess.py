"""Waivers are found in one way and count on one day, whatever command asks."""

from datetime import date, timedelta
from pathlib import Path

import pytest
import time_machine

from birthright.errors import UsageError
from birthright.operations.assess import assess, load_findings, waived, waivers_file, waivers_of
from birthright.operations.judging import load_scan
from birthright.operations.plan import make_plan
from birthright.operations.requests import (
    AssessRequest,
    PlanChoice,
    PolicyChoice,
    ScanChoice,
    WaiverChoice,
    WaiveRequest,
)
from birthright.operations.scan import request_of, scan
from birthright.operations.waive import entry_for
from birthright.operations.workspace import Workspace
from birthright.sandbox import Sandbox
from birthright.settings import ScanSettings
from birthright.waivers.edit import add_waiver
from cli_helpers import NOW

POLICY = "access-key-created-with-user"
EXPIRES = NOW.date() + timedelta(days=30)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Scan an account at NOW, and accept one finding for thirty days."""
    monkeypatch.chdir(tmp_path)
    with (
        time_machine.travel(NOW, tick=False),
        Sandbox.create(users=30, clock=NOW, frozen=True).running() as box,
    ):
        for name, value in box.environment().items():
            monkeypatch.setenv(name, value)
        made = Workspace(store=str(tmp_path / "store"))
        saved = scan(made, request_of(made, ScanChoice(), PolicyChoice()))
    found = next(f for f in assess(saved, AssessRequest()).document.findings
                 if f.policy == POLICY and f.verdict == "fail" and f.access_key_id)  # fmt: skip
    request = WaiveRequest(found.fingerprint, "vendor rotates it", "me@example.com", EXPIRES)
    add_waiver(Path("waivers.yaml"), entry_for(made, request, Path("waivers.yaml"), NOW.date()))
    return made


@pytest.mark.parametrize("later", [timedelta(0), timedelta(days=31)])
def test_a_waiver_counts_on_the_day_of_the_scan(workspace: Workspace, later: timedelta) -> None:
    """Expired by today, it still covers what a scan found while it held: for report, plan and waive."""
    with time_machine.travel(NOW + later, tick=False):
        waivers = waivers_of(WaiverChoice(), workspace.settings.scan)
        assert waivers is not None
        report = assess(load_scan(workspace), AssessRequest(waivers))
        assert report.document.summary.waived == 1
        plan = make_plan(workspace, PlanChoice(users=(waivers[0].user,), expires="90d"), waivers).plan
        items = [item for item in plan.items if item.access_key_id == waivers[0].access_key_id]
        assert [(item.action, item.why.split(" by ")[0]) for item in items] == [
            ("refuse", f"waived until {EXPIRES}")
        ]
        document = waived(load_findings(workspace, "latest"), waivers)
        again = next(f for f in document.findings if f.waiver)
        request = WaiveRequest(again.fingerprint, "again", "me@example.com", date(2027, 1, 31))
        with pytest.raises(UsageError, match="waived already"):
            entry_for(workspace, request, Path("waivers.yaml"), (NOW + later).date())


def test_one_file_of_waivers_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file named, then the settings', then ./waivers.yaml if it is there; --no-waivers is none at all."""
    monkeypatch.chdir(tmp_path)
    ours = ScanSettings(waivers="ours.yaml")
    assert waivers_file(WaiverChoice(Path("named.yaml")), ours) == Path("named.yaml")
    assert waivers_file(WaiverChoice(), ours) == Path("ours.yaml")
    assert waivers_file(WaiverChoice(), ScanSettings()) is None
    assert waivers_of(WaiverChoice(), ScanSettings()) is None
    Path("waivers.yaml").write_text("schema: birthright.waivers/1\nwaivers: []\n")
    assert waivers_file(WaiverChoice(), ScanSettings()) == Path("waivers.yaml")
    assert waivers_of(WaiverChoice(none=True), ours) == ()
    with pytest.raises(UsageError, match="exclude each other"):
        waivers_of(WaiverChoice(Path("named.yaml"), none=True), ours)
