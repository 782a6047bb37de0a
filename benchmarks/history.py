"""Comparing: a scan of 5,000 users against thirty earlier ones, against judging it alone."""

import resource
import statistics
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec

from birthright.facts.schema import TABLES
from birthright.findings.document import build_document
from birthright.findings.model import Document
from birthright.history.compare import compare
from birthright.history.earlier import SavedScan, past_of
from birthright.policies.evaluator import Evaluator
from birthright.policies.pack import load_pack
from birthright.scans.record import File, Part, ScanInfo
from birthright.scans.request import Judging
from birthright.scans.store import FolderStore
from judging import AS_OF, write_scan
from measure import Row

USERS, EARLIER = 5_000, 30
RUNS = 5
# One judging for each scan without ledgers; with them, well under a second over judging.
COLD, WARM_SECONDS = 1.5 * (EARLIER + 1), 0.7


def rows() -> Iterator[Row]:
    """Judge; judge and compare, with and without ledgers."""
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        infos = [_write(Path(folder), days) for days in range(EARLIER, -1, -1)]
        judged = SavedScan(store, infos[-1], load_pack(), Judging())
        _judge(judged)
        alone = statistics.median(_cpu(lambda: _judge(judged)) for _ in range(RUNS))
        cold = _cpu(lambda: _compare(judged))
        warm = statistics.median(_cpu(lambda: _compare(judged)) for _ in range(RUNS))
    what = f"history: {USERS:,} users against {EARLIER} scans"
    yield Row(f"{what}, nothing kept", f"{cold:.2f} s CPU", f"{alone:.2f} s", cold / alone, COLD)
    yield Row(
        f"{what}, ledgers kept: over judging",
        f"{warm - alone:.2f} s CPU",
        f"{WARM_SECONDS} s",
        (warm - alone) / WARM_SECONDS,
        1.0,
    )


def _write(folder: Path, days: int) -> ScanInfo:
    """Write one scan, as it was so many days ago; all are of the same people."""
    as_of = AS_OF - timedelta(days=days)
    scan_id = f"{as_of:%Y%m%dT%H%M%SZ}-000000"
    place = folder / "scans" / scan_id
    place.mkdir(parents=True)
    write_scan(place, 1, USERS, 1)
    files = {
        table.name: File(f.name, 1, f.stat().st_size, f.name + scan_id)
        for table in place.iterdir()
        for f in table.iterdir()
    }
    assert files.keys() < {*TABLES}
    info = ScanInfo(
        id=scan_id, as_of=as_of, tool_version="0", depth="keys", complete=True, parts=(Part("all", files),)
    )
    (place / "scan.json").write_bytes(msgspec.json.encode(info))
    return info


def _judge(judged: SavedScan) -> Document:
    evaluator = Evaluator(judged.store.local(f"scans/{judged.info.id}"), judged.info.as_of)
    return build_document(judged.info, evaluator, judged.pages, judged.selection)


def _compare(judged: SavedScan) -> None:
    document = compare(_judge(judged), past_of(judged, "last"))
    assert document.changes
    assert document.changes.persisting > 0.9 * len(document.findings)


def _cpu(work: Callable[[], object]) -> float:
    """Return the CPU that a piece of work takes, in seconds, of all threads."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
