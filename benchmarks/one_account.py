"""One account: the report alone against the plain script, and the exact scan against the clock and boto3."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from measure import BIRTHRIGHT, Row, paired, repeated, run, sandbox

HERE = Path(__file__).parent
FIRST_POLICY = ("--policy", "access-key-created-with-user")
IN_FLIGHT = 50
LATENCY = 0.05


def report_rows() -> Iterator[Row]:
    """5,000 users, depth report: the same question as the plain script, then all thirteen policies."""
    scan = [BIRTHRIGHT, "scan", "--depth", "report"]
    script = [sys.executable, str(HERE / "baseline_report.py")]
    with sandbox("--users", "5000") as box:
        box.reset()
        run(scan, box.environment)
        calls = sum(box.state()["calls"].values())
        yield Row("report, 5,000 users: IAM calls", f"{calls}", "2", calls / 2, 1.0)
        one, plain, ratio = paired([*scan, *FIRST_POLICY], script, box.environment)
        text = f"{one.cpu * 1000:.0f} ms"
        yield Row("the first policy: CPU to the plain boto3 script", text, _ms(plain.cpu), ratio, 1.5)
        full, plain, ratio = paired(scan, script, box.environment)
        yield Row(
            "all 13 policies: CPU to the plain script (no limit)",
            _ms(full.cpu),
            _ms(plain.cpu),
            ratio,
            float("inf"),
        )
        yield Row("peak memory", f"{full.peak:.0f} MiB", "250 MiB", full.peak / 250, 1.0)


def keys_rows() -> Iterator[Row]:
    """1,000 users, 50 ms a call, depth keys."""
    scan = [BIRTHRIGHT, "scan", "--format", "json", *FIRST_POLICY]
    threads = [sys.executable, str(HERE / "baseline_keys.py"), "10"]
    with sandbox("--users", "1000", "--no-cases", "--latency-ms", "50") as box:
        box.reset()
        exact = run(scan, box.environment)
        state = box.state()["calls"]
        calls = sum(state.values())
        listed = next(
            line for line in json.loads(exact.output)["coverage"] if line["source"] == "ListAccessKeys"
        )
        least = 3 + listed["calls"] + state["ListUsers"]
        yield Row(
            "keys, 1,000 users: calls to 3 + users with keys + pages",
            f"{calls}",
            f"{least}",
            calls / least,
            1.0,
        )
        exact = repeated(scan, box.environment, 5)
        bound = 1.2 * calls * LATENCY / IN_FLIGHT + 1
        yield Row("wall at 50 ms a call", f"{exact.wall:.2f} s", f"{bound:.2f} s", exact.wall / bound, 1.0)
        start = repeated([*scan, "--depth", "report"], box.environment, 5)
        each = (exact.cpu - start.cpu) / (calls - 2) * 1000
        yield Row("CPU a call beyond start-up", f"{each:.2f} ms", "0.60 ms", each / 0.6, 1.0)
        boto = run(threads, box.environment)
        yield Row(
            "wall to boto3 with 10 threads",
            f"{exact.wall:.2f} s",
            f"{boto.wall:.2f} s",
            exact.wall / boto.wall,
            1.0,
        )
        yield Row("CPU to boto3 with 10 threads", _ms(exact.cpu), _ms(boto.cpu), exact.cpu / boto.cpu, 1.0)


def throttled_rows() -> Iterator[Row]:
    """600 users, throttled at 20 calls a second with a burst of 20, answers at once and after 50 ms."""
    rate = 20
    for latency in ("0", "50"):
        options = ("--users", "600", "--no-cases", "--throttle", str(rate), "--latency-ms", latency)
        with sandbox(*options) as box:
            scan = run([BIRTHRIGHT, "scan", "--format", "json", *FIRST_POLICY], box.environment)
            state = box.state()
        refused, calls = state["refused"], sum(state["calls"].values())
        seconds = max(line["seconds"] for line in json.loads(scan.output)["coverage"])
        used = (calls - refused - rate) / (rate * seconds)
        what = f"throttled at 20/s, {latency} ms: "
        yield Row(f"{what}90% to the share of the rate used", f"{used:.0%}", "90%", 0.9 / used, 1.0)
        share = refused / calls
        yield Row(f"{what}refused calls", f"{share:.1%}", "5%", share / 0.05, 1.0)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
