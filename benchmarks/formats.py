"""The formats that other tools read: 100,000 findings each, written as they come, beside plain JSON."""

import sys
import tempfile
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from birthright.findings.model import (
    CoverageSummary,
    Document,
    DocumentScan,
    Evidence,
    Finding,
    PolicySummary,
    Summary,
)
from birthright.policies.pack import load_pack
from birthright.reports.formats import FORMATS, renderer
from birthright.reports.interface import Report
from measure import Row, Run, run

FINDINGS = 100_000
OF_AN_ACCOUNT = 200
SECONDS, MEGABYTES = 30, 500
PLAIN = "json"
JUDGED = ("sarif", "ocsf", "asff")
UNJUDGED = ("ocsf-1.6", "junit", "markdown")
POLICY = "access-key-created-with-user"
AS_OF = datetime(2026, 11, 22, 10, tzinfo=UTC)


class Made(Collection[Finding]):
    """Findings that are made as they are asked for, as those of a large scan are."""

    def __len__(self) -> int:
        return FINDINGS

    def __iter__(self) -> Iterator[Finding]:
        return map(_finding, range(FINDINGS))

    def __contains__(self, item: object) -> bool:
        return any(item == one for one in self)


def rows() -> Iterator[Row]:
    """Write each format in a process of its own; compare with what was promised, and with JSON."""
    plain, _ = _written(PLAIN)
    for form in (*JUDGED, *UNJUDGED):
        took, size = _written(form)
        what = f"{form}, {FINDINGS:,} findings, {size:.0f} MB"
        most = 1.0 if form in JUDGED else float("inf")
        yield Row(f"{what}: time", f"{took.wall:.1f} s", f"{SECONDS} s", took.wall / SECONDS, most)
        yield Row("memory", f"{took.peak:.0f} MB", f"{MEGABYTES} MB", took.peak / MEGABYTES, most)
        cpu = took.cpu / plain.cpu
        yield Row(
            "CPU to plain JSON (no limit)", f"{took.cpu:.1f} s", f"{plain.cpu:.1f} s", cpu, float("inf")
        )


def _written(form: str) -> tuple[Run, float]:
    """Return what it took, and the file's size in MB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"report{FORMATS[form].ending}")
        took = run([sys.executable, __file__, form, str(path)])
        return took, path.stat().st_size / 1e6


def _finding(place: int) -> Finding:
    account, name = f"{100000000000 + place // OF_AN_ACCOUNT}", f"user-{place:06}"
    made = AS_OF - timedelta(days=100, seconds=place)
    used = AS_OF - timedelta(days=place % 99) if place % 3 else None
    said = ("status", "created_at", "ever_used", "user_created_at", "console_password")
    return Finding(
        fingerprint=f"{place:08x}" * 4,
        policy=POLICY,
        verdict="fail",
        risk="low",
        account_id=account,
        user_name=name,
        user_arn=f"arn:aws:iam::{account}:user/{name}",
        access_key_id=f"AKIA{place:016}",
        status="Active",
        created_at=made,
        user_created_at=made - timedelta(seconds=2),
        gap_seconds=2,
        ever_used=used is not None,
        last_used_at=used,
        console_password=None,
        remedy="rotate" if used else "retire",
        reason="created 2 s after its user",
        evidence=tuple(Evidence(fact, "Active", "ListAccessKeys", AS_OF) for fact in said),
        user_keys=1,
        state="persisting",
        first_seen=AS_OF - timedelta(days=30),
    )


def _write(form: str, path: Path) -> None:
    """Be the process that is measured."""
    pages = {page.id: page for page in load_pack()}
    front = pages[POLICY].front
    accounts = FINDINGS // OF_AN_ACCOUNT
    document = Document(
        schema="birthright.findings/1",
        scan=DocumentScan("20261122T100000Z-000000", AS_OF, "0", "keys"),
        summary=Summary(accounts, FINDINGS, FINDINGS, FINDINGS, 0, 0),
        coverage=tuple(
            CoverageSummary(f"{100000000000 + place}", "ListAccessKeys", "ok", "", 1, 1, 0, 0.1, None)
            for place in range(accounts)
        ),
        policies=(PolicySummary(POLICY, front.title, front.risk, front.effort, {}, FINDINGS, 0, 0),),
        findings=Made(),
    )
    with path.open("w", encoding="utf-8") as out:
        renderer(form)(Report(document, pages), out)


if __name__ == "__main__":
    _write(sys.argv[1], Path(sys.argv[2]))
