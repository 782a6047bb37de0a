"""Retiring: a plan of 1,000 keys over 20 accounts, at the pace AWS allows, against plain boto3."""

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import boto3
import msgspec

from birthright.findings.read import load_document
from birthright.retirement.model import Terms
from birthright.retirement.planning.candidates import PlanRequest
from birthright.retirement.planning.plan import Plan, build_plan, digest_of
from birthright.retirement.planning.plan_file import save_plan
from birthright.times import format_instant
from measure import BIRTHRIGHT, Row, Run, SandboxProcess, run, sandbox

HERE = Path(__file__).parent
ACCOUNTS, KEYS = 20, 50
FIRST = 111122223333
ROLE = "birthright-retire"
LATENCY_MS = 50
THREADS = 80  # as many as birthright takes for these accounts
_UNBOUND = float("inf")


@dataclass(frozen=True)
class Applied:
    """One apply, or what it is compared with: the process, and what the sandbox saw of it."""

    run: Run
    calls: int
    refused: int
    seconds: float  # from the first call of IAM to the last

    def share(self, rate: float) -> float:
        """Return the share of the calls that may pass at that rate, beyond the burst of one second."""
        return (self.calls - self.refused - rate * ACCOUNTS) / (rate * ACCOUNTS * self.seconds)


def rows() -> Iterator[Row]:
    """Throttled at two rates, and not at all."""
    with tempfile.TemporaryDirectory() as folder:
        start = format_instant(datetime.now(UTC))
        plan = prepare(Path(folder), start)
        for rate in (5, 20):
            yield from _throttled(apply(plan, start, rate), rate)
        yield from _free(apply(plan, start), baseline(plan, start))


def _throttled(ours: Applied, rate: int) -> Iterator[Row]:
    what = f"retiring at {rate}/s: "
    bound = (ours.calls - ours.refused - rate * ACCOUNTS) / (rate * ACCOUNTS)
    used, refused = ours.share(rate), ours.refused / ours.calls
    yield Row(f"{what}85% to the share of the rate used", f"{used:.0%}", "85%", 0.85 / used, 1.0)
    yield Row(f"{what}refused calls", f"{refused:.1%}", "5%", refused / 0.05, 1.0)
    wall = ours.run.wall
    yield Row(f"{what}whole run to the least the rate allows", _s(wall), _s(bound), wall / bound, _UNBOUND)


def _free(ours: Applied, plain: Applied) -> Iterator[Row]:
    cpu, plain_cpu = ours.run.cpu, plain.run.cpu
    what = "retiring, not throttled: "
    # The plain script looks at no answer and writes nothing down, so this is a price, not a promise.
    yield Row(f"{what}CPU to boto3 (no limit)", _s(cpu), _s(plain_cpu), cpu / plain_cpu, _UNBOUND)
    wall, plain_wall = ours.run.wall, plain.run.wall
    yield Row(f"{what}wall to boto3", _s(wall), _s(plain_wall), wall / plain_wall, _UNBOUND)
    yield Row("peak memory", f"{ours.run.peak:.0f} MiB", "250 MiB", ours.run.peak / 250, 1.0)


def _s(seconds: float) -> str:
    return f"{seconds:.1f} s"


def apply(plan: Path, start: str, rate: float | None = None) -> Applied:
    """Let the real command apply the plan in accounts as they were when it was made."""
    command = [BIRTHRIGHT, "apply", str(plan), "--role", ROLE, "--yes"]
    return _measured(command, start, rate)


def baseline(plan: Path, start: str, rate: float | None = None) -> Applied:
    """Let plain boto3 make the same calls."""
    command = [sys.executable, str(HERE / "baseline_retire.py"), str(plan), ROLE, str(THREADS)]
    return _measured(command, start, rate)


def _measured(command: list[str], start: str, rate: float | None) -> Applied:
    limit = () if rate is None else ("--throttle", str(rate))
    with sandbox(*_population(start), "--latency-ms", str(LATENCY_MS), *limit) as box:
        watch = _Watch(box)
        with watch:
            done = run(command, box.environment)
        state = box.state()
    iam = {name: calls for name, calls in state["calls"].items() if name.endswith(("Key", "Keys", "Used"))}
    return Applied(done, sum(iam.values()), state["refused"], watch.seconds)


class _Watch:
    """Looks at a sandbox's count of IAM calls to see when they began and ended."""

    def __init__(self, box: SandboxProcess) -> None:
        self._box = box
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._first = self._last = 0.0

    @property
    def seconds(self) -> float:
        return self._last - self._first

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        before = 0
        while not self._over.wait(0.1):
            calls = self._box.state()["calls"].get("ListAccessKeys", 0)
            if calls != before:
                self._last = time.monotonic()
                self._first = self._first or self._last
            before = calls


def _population(start: str) -> tuple[str, ...]:
    return ("--users", "450", "--no-cases", "--accounts", str(ACCOUNTS), "--clock", start)


def prepare(folder: Path, start: str) -> Path:
    """Scan every account of a sandbox, and join their plans to one; return its file."""
    file = folder / "plan.json"
    with sandbox(*_population(start)) as box:
        plans = [_planned(folder, box, str(FIRST + number)) for number in range(ACCOUNTS)]
    items = tuple(item for plan in plans for item in plan.of("retire"))
    assert len(items) == ACCOUNTS * KEYS, len(items)
    joined = msgspec.structs.replace(plans[0], items=items)
    save_plan(file, msgspec.structs.replace(joined, digest=digest_of(joined)))
    return file


def _planned(folder: Path, box: SandboxProcess, account_id: str) -> Plan:
    """Plan the 50 keys that are missed least, of whatever policy."""
    found = folder / f"{account_id}.json"
    scan = [BIRTHRIGHT, "scan", "--format", "json", "-o", str(found)]
    run(scan, {**box.environment, **_credentials(box, account_id)})
    choices = PlanRequest(handover="secrets-manager:birthright/{user_name}", max_keys=KEYS, max_share=1.0)
    return build_plan(load_document(found), Terms(), choices, datetime.now(UTC).replace(microsecond=0))


def _credentials(box: SandboxProcess, account_id: str) -> dict[str, str]:
    if account_id == str(FIRST):
        return {}
    own = {"aws_access_key_id": box.environment["AWS_ACCESS_KEY_ID"]}
    own["aws_secret_access_key"] = box.environment["AWS_SECRET_ACCESS_KEY"]
    sts = boto3.client("sts", endpoint_url=box.url, region_name="us-east-1", **own)
    arn = f"arn:aws:iam::{account_id}:role/{ROLE}"
    made = sts.assume_role(RoleArn=arn, RoleSessionName="bench")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        "AWS_SESSION_TOKEN": made["SessionToken"],
    }
