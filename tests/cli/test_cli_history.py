"""`birthright history`, as people run it."""

import csv
import io
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from birthright.findings.model import PastScan
from birthright.history.series import Series
from birthright.reports import trend
from birthright.sandbox.sandbox import Sandbox
from birthright.scans.store import FolderStore
from cli_helpers import Birthright, Screen
from history_helpers import ACCOUNTS, BORN, instant, saved

A, B = ACCOUNTS


def line(place: int, fail: int, unknown: int = 0, *, complete: bool = True) -> PastScan:
    """Make a scan's line."""
    return PastScan(f"{instant(place):%Y%m%dT%H%M%SZ}-000000", instant(place), complete, 1, {BORN: fail},
                    unknown, 0, 0)  # fmt: skip


def test_two_scans_with_a_key_removed_between_them(
    birthright: Birthright, small: Sandbox, frozen: time_machine.Traveller
) -> None:
    """A line for each scan, oldest first: what fails, what is new, and what was fixed."""
    first = birthright("scan", "--format", "json").document
    failing = [f for f in first["findings"] if f["policy"] == BORN and f["verdict"] == "fail"]
    gone = next(finding for finding in failing if finding["access_key_id"])
    account = small.account()
    user = account.users[gone["user_name"]]
    frozen.shift(timedelta(days=1))
    account.remove_key(user, user.keys[gone["access_key_id"]])
    second = birthright("scan", "--format", "json").document
    out = birthright("history", "--policy", BORN, "--format", "json").document
    assert out["schema"] == "birthright.history/1"
    (series,) = out["series"]
    assert series["accounts"] == [gone["account_id"]]
    assert [(s["id"], s["failing"], s["new"], s["fixed"]) for s in series["scans"]] == [
        (first["scan"]["id"], {BORN: len(failing)}, len(failing), 0),
        (second["scan"]["id"], {BORN: len(failing) - 1}, 0, 1),
    ]


def test_an_empty_store_is_one_line(birthright: Birthright) -> None:
    """Nothing to show yet: it says what to do."""
    ran = birthright("history")
    assert ran.code == 2
    assert "make one with `birthright scan`" in ran.trouble


def test_unfinished_scans_are_no_history(birthright: Birthright, store: Path) -> None:
    """Where none was finished, one line says so."""
    info = saved(FolderStore(store), 0, a="active")
    file = store / "scans" / info.id / "scan.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "finished": False}))
    ran = birthright("history")
    assert ran.code == 2
    assert ran.trouble.startswith("no scan was finished yet (")


def test_two_accounts_by_turns_are_two_series(birthright: Birthright, store: Path) -> None:
    """Scans of one account and of another do not make one curve that jumps."""
    place = FolderStore(store)
    for day, accounts in enumerate([{"a": "active"}, {"b": "active"}, {"a": "none"}, {"b": "active"}]):
        saved(place, day, **accounts)
    series = birthright("history", "--policy", BORN, "--format", "json").document["series"]
    found = [
        (one["accounts"], [(scan["failing"][BORN], scan["fixed"]) for scan in one["scans"]]) for one in series
    ]
    assert found == [([B], [(1, 0), (1, 0)]), ([A], [(1, 0), (0, 1)])]
    only = birthright("history", "--policy", BORN, "--account", A, "--format", "json").document["series"]
    assert only == [series[1]]


def test_an_account_of_an_organization_has_its_own_history(birthright: Birthright, store: Path) -> None:
    """With --account, scans of many accounts count only what is that account's."""
    place = FolderStore(store)
    for day, state in enumerate(["active", "none"]):
        saved(place, day, a=state, b="active")
    ran = birthright("history", "--policy", BORN, "--account", A, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [(row["accounts"], row["fail"], row["fixed"]) for row in rows] == [
        ("1", "1", "0"),
        ("1", "0", "1"),
    ]
    wrong = birthright("history", "--account", "999999999999")
    assert wrong.code == 2
    assert "none of the last 30 scans asked for account 999999999999" in wrong.trouble


def test_only_the_newest_are_looked_at(birthright: Birthright, store: Path) -> None:
    """With --limit older scans stay out; the first line is compared with the scan before it all the same."""
    for day, status in enumerate(("active", "active", "inactive", "active", "active")):
        saved(FolderStore(store), day, a=status)
    (series,) = birthright("history", "--limit", "2", "--policy", BORN, "--format", "json").document["series"]
    assert [(scan["as_of"], scan["new"], scan["fixed"]) for scan in series["scans"]] == [
        ("2026-01-04T00:00:00Z", 1, 0), ("2026-01-05T00:00:00Z", 0, 0),
    ]  # fmt: skip


def test_a_first_line_without_a_scan_before_it(birthright: Birthright, store: Path) -> None:
    """If the scan before the first line is of other accounts, nobody claims to know what was new in it."""
    saved(FolderStore(store), 0, b="active")
    saved(FolderStore(store), 1, a="active")
    (series,) = birthright("history", "--limit", "1", "--policy", BORN, "--format", "json").document["series"]
    assert [(scan["failing"], scan["new"]) for scan in series["scans"]] == [({BORN: 1}, 0)]


def test_piped_it_is_plain_ascii(birthright: Birthright, store: Path) -> None:
    """In a pipe the bars are characters that every place shows."""
    saved(FolderStore(store), 0, a="active")
    saved(FolderStore(store), 1, a="unread")
    ran = birthright("history", "--policy", BORN)
    assert ran.code == 0
    assert ran.out.isascii()
    lines = ran.out.splitlines()
    assert lines[0] == f"Account {A}"
    assert "#" in lines[2]
    assert "?" in lines[3]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_bars_fit_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is broken or wider than the terminal, and longer bars are more findings."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    out = Screen()
    scans = (line(0, 1000, 3), line(1, 500), line(2, 1, complete=False), line(3, 0))
    trend.render_terminal([Series((A,), scans)], out)
    rows = re.sub(r"\x1b\[[\d;]*m", "", out.getvalue()).splitlines()
    assert max(map(len, rows)) <= width
    assert len(rows) == 1 + 1 + len(scans) + 1 + 1
    bars = [row.count("█") for row in rows[2:6]]
    assert bars == sorted(bars, reverse=True)
    if width >= 80:
        assert bars[0] > bars[1] > bars[2] == 1
        assert (bars[3], rows[2].count("░")) == (0, 1)
        assert "incomplete" in rows[4]


def test_names_of_many_accounts_are_cut_short() -> None:
    """A series of an organization names its first accounts."""
    out = io.StringIO()
    trend.render_terminal([Series(tuple(f"{n:012}" for n in range(9)), (line(0, 1),))], out)
    assert out.getvalue().startswith("9 accounts: 000000000000, 000000000001, 000000000002 and 6 more\n")


def test_json_is_whole() -> None:
    """What is written is what was said."""
    out = io.StringIO()
    trend.render_json([Series((A,), (line(0, 2, 1),))], out)
    assert json.loads(out.getvalue())["series"][0]["scans"][0]["unknown"] == 1
