"""Organizations: how fast, in how much memory, in a straight line, under troubles, spread and killed."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import BIRTHRIGHT, Row, Run, SandboxProcess, run, sandbox

HERE = Path(__file__).parent
SCAN = [BIRTHRIGHT, "scan", "--org", "--quiet"]
REPORT = [*SCAN, "--depth", "report"]
CROWD = ("--no-cases", "--account-state", "ACTIVE=0")
_NO_LIMIT = float("inf")


def big_rows() -> Iterator[Row]:
    """10,000 accounts of 20 users at 50 ms a call, depth report; then 1,000 of 50 at depth keys."""
    with sandbox("--accounts", "10000", "--users", "20", "--latency-ms", "50", *CROWD) as box:
        found = run(REPORT, box.environment)
        yield Row("10,000 accounts, report: wall", f"{found.wall:.0f} s", "90 s", found.wall / 90, 1.0)
        yield Row("10,000 accounts, report: peak", f"{found.peak:.0f} MiB", "600 MiB", found.peak / 600, 1.0)
        peak = _peak_of(box)
        yield Row("the sandbox's own peak (no limit)", f"{peak:.0f} MiB", "", peak / 600, _NO_LIMIT)
        yield Row("both: CPU to two cores for 90 s", f"{found.cpu + _cpu_of(box):.0f} s", "180 s",
                  (found.cpu + _cpu_of(box)) / 180, 1.0)  # fmt: skip
    with sandbox("--accounts", "1000", "--users", "50", "--latency-ms", "50", *CROWD) as box:
        found = run(SCAN, box.environment)
        calls = sum(box.state()["calls"].values())
        yield Row(f"1,000 accounts, keys, {calls} calls: wall to 90 s", f"{found.wall:.0f} s", "90 s",
                  found.wall / 90, 1.0)  # fmt: skip
        yield Row("CPU a call, judging included (no limit)", f"{found.cpu / calls * 1000:.2f} ms", "0.6 ms",
                  found.cpu / calls * 1000 / 0.6, _NO_LIMIT)  # fmt: skip
        yield Row("peak", f"{found.peak:.0f} MiB", "600 MiB", found.peak / 600, 1.0)


def baseline_rows() -> Iterator[Row]:
    """1,000 accounts of 20 users: calls for the same CPU, against boto3 with 16 threads."""
    script = [sys.executable, str(HERE / "baseline_fleet.py"), "16"]
    with sandbox("--accounts", "1000", "--users", "20", *CROWD) as box:
        run(REPORT, box.environment)
        ours, ours_calls = _counted(box, REPORT)
        theirs, their_calls = _counted(box, script)
    each, their_each = ours.cpu / ours_calls * 1000, theirs.cpu / their_calls * 1000
    text = f"{their_each:.2f} ms"
    yield Row(
        "4 x our CPU a call, judging included, to boto3's", f"{each:.2f} ms", text, 4 * each / their_each, 1.0
    )


def line_rows() -> Iterator[Row]:
    """CPU an account for 100, 1,000 and 10,000 of them, beyond what one account costs."""
    start = _cpu(1)
    each = {number: (_cpu(number) - start) / number * 1000 for number in (100, 1000, 10_000)}
    middle = each[1000]
    for number, cost in each.items():
        ratio = max(cost / middle, middle / cost)
        yield Row(f"{number} accounts: CPU an account", f"{cost:.2f} ms", f"{middle:.2f} ms", ratio, 1.2)


def trouble_rows() -> Iterator[Row]:
    """1,000 accounts throttled at 20 calls a second each, and 2% of answers failing."""
    faults = [{"kind": kind, "share": 0.02 / 3} for kind in ("service-failure", "cut", "throttling")]
    options = ("--accounts", "1000", "--users", "60", "--throttle", "20", "--latency-ms", "50", *CROWD)
    with sandbox(*options, *_faults(faults)) as box, tempfile.TemporaryDirectory() as store:
        document = _document([*SCAN, "--store", store], box)
        state = box.state()
    calls = sum(state["calls"].values())
    missing = 1 - len(_whole(document)) / document["summary"]["accounts"]
    yield Row("throttled, 2% failing: accounts not complete", f"{missing:.1%}", "none", 1 + missing, 1.0)
    share = state["refused"] / calls
    yield Row("throttled, 2% failing: refused calls", f"{share:.1%}", "5%", share / 0.05, 1.0)


def denied_rows() -> Iterator[Row]:
    """1,000 accounts: 5% deny the role, 5% deny ListAccessKeys, 1% never finish their report."""
    faults = [
        {"kind": "access-denied", "action": "AssumeRole", "accounts_share": 0.05},
        {"kind": "access-denied", "action": "ListAccessKeys", "accounts_share": 0.05},
        {"kind": "report-never-completes", "accounts_share": 0.01},
    ]
    # Two sandboxes, and the same keys made at the same times in both.
    clock = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    options = ("--accounts", "1000", "--users", "20", "--clock", clock, *CROWD)
    command = [*SCAN, "--report-deadline", "10s"]
    with tempfile.TemporaryDirectory() as store:
        with sandbox(*options) as box:
            calm = _document([*command, "--store", store], box)
        with sandbox(*options, *_faults(faults)) as box:
            began = time.monotonic()
            found = _document([*command, "--store", store], box)
            seconds = time.monotonic() - began
    lines = {
        line["account_id"]: line for line in found["coverage"] if line["status"] not in {"ok", "skipped"}
    }
    sources = [line["source"] for line in lines.values()]
    counts = {source: sources.count(source) for source in sorted(set(sources))}
    yield Row(f"troubled accounts: {counts}", f"{seconds:.0f} s", "90 s", seconds / 90, 1.0)
    changed = _verdicts(calm, skip=lines) ^ _verdicts(found, skip=lines)
    yield Row("findings elsewhere that changed", str(len(changed)), "none", 1 + len(changed), 1.0)


def dask_rows() -> Iterator[Row]:
    """300 accounts of 1,000 users: two local workers against one; then 200 accounts for the same findings."""
    one, two = (_spread_seconds(workers) for workers in (1, 2))
    yield Row("1.6 x two workers' wall to one's", f"{two:.1f} s", f"{one:.1f} s", 1.6 * two / one, 1.0)
    options = ("--accounts", "200", "--users", "20", "--latency-ms", "50", *CROWD)
    with sandbox(*options) as box, tempfile.TemporaryDirectory() as store:
        command = [*SCAN, "--store", store, "--max-calls", "20"]
        plain = _document(command, box)
        spread = _document([*command, "--dask", "local:2"], box)
        killed = _document([*command, "--dask", "local:2"], box, kill_worker_of=Path(store))
    for name, document in {"two workers": spread, "one of two killed": killed}.items():
        changed = _verdicts(plain) ^ _verdicts(document)
        yield Row(f"{name}: findings that changed", str(len(changed)), "none", 1 + len(changed), 1.0)


def _spread_seconds(workers: int) -> float:
    command = [sys.executable, str(HERE / "spread.py"), str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def killed_rows() -> Iterator[Row]:
    """300 accounts, killed ten times at random moments, resumed each time."""
    chance = random.Random(1)  # the same moments every time
    with (
        sandbox("--accounts", "300", "--users", "20", "--latency-ms", "50", "--report", "none",
                "--report-seconds", "2", *CROWD) as box,
        tempfile.TemporaryDirectory() as store,
    ):  # fmt: skip
        command = [*SCAN, "--store", store, "--max-calls", "16"]
        whole = _document(command, box)
        kills, resumed = 0, command
        for _ in range(10):
            process = subprocess.Popen(
                [*resumed, "--format", "json"], env=_environment(box), stdout=subprocess.DEVNULL
            )
            time.sleep(chance.uniform(1.0, 4.0))
            kills += process.poll() is None
            process.kill()
            process.wait()
            begun = sorted(p.parent.name for p in Path(store).glob("scans/*/asked.json"))
            resumed = (
                [BIRTHRIGHT, "scan", "--quiet", "--store", store, "--resume", begun[-1]] if begun else command
            )
        found = _document(resumed, box)
    changed = _verdicts(whole) ^ _verdicts(found)
    yield Row(
        f"killed {kills} times: findings that changed", str(len(changed)), "none", 1 + len(changed), 1.0
    )


def _counted(box: SandboxProcess, command: Sequence[str]) -> tuple[Run, int]:
    box.reset()
    found = run(command, box.environment)
    return found, sum(box.state()["calls"].values())


def _cpu(accounts: int) -> float:
    with sandbox("--accounts", str(max(accounts, 2)), "--users", "20", *CROWD) as box:
        return run(REPORT, box.environment).cpu


def _faults(faults: list[dict[str, Any]]) -> list[str]:
    return [word for fault in faults for word in ("--fault", json.dumps(fault))]


def _environment(box: SandboxProcess) -> dict[str, str]:
    return {**os.environ, **box.environment}


def _document(
    command: Sequence[str], box: SandboxProcess, *, kill_worker_of: Path | None = None
) -> dict[str, Any]:
    """Run a scan to its end and return what it prints as JSON."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([*command, "--format", "json"], env=_environment(box), stdout=out)
        if kill_worker_of:
            while not list(kill_worker_of.glob("scans/*/parts/*.json")):
                time.sleep(0.05)
            _kill_one_worker(process.pid)
        code = process.wait()
        out.seek(0)
        if code not in {0, 1, 3}:
            raise SystemExit(f"{' '.join(command)} ended with {code}")
        document: dict[str, Any] = json.load(out)
        return document


def _kill_one_worker(parent: int) -> None:
    """Kill the busiest child: that is a worker."""
    listing = subprocess.run(
        ["ps", "-o", "pid=,time=", "--ppid", str(parent)], capture_output=True, text=True, check=True
    )
    children = [line.split() for line in listing.stdout.splitlines()]
    os.kill(int(max(children, key=lambda child: child[1])[0]), signal.SIGKILL)


def _whole(document: dict[str, Any]) -> set[str]:
    troubled = {
        line["account_id"] for line in document["coverage"] if line["status"] not in {"ok", "skipped"}
    }
    return {line["account_id"] for line in document["coverage"]} - troubled


def _verdicts(document: dict[str, Any], skip: dict[str, Any] | None = None) -> set[tuple[str, str]]:
    skipped = skip or {}
    return {(f["fingerprint"], f["verdict"]) for f in document["findings"] if f["account_id"] not in skipped}


def _peak_of(box: SandboxProcess) -> float:
    """Return a process' peak memory so far, in MiB."""
    status = Path(f"/proc/{box.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def _cpu_of(box: SandboxProcess) -> float:
    """Return the CPU a process has used so far, in seconds."""
    fields = Path(f"/proc/{box.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
