"""The earlier scans that a scan is compared with: which they are, and what they say by today's policies."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from birthright.errors import StoreError, UsageError
from birthright.findings.document import build_document
from birthright.findings.model import Document, PastScan
from birthright.findings.read import load_document
from birthright.history.ledger import Ledger, digest_of, keep_ledger, ledger_of, load_ledger
from birthright.history.visibility import Visibility
from birthright.policies.evaluator import Evaluator
from birthright.policies.page import Page
from birthright.scans.record import INFO, ScanInfo, load_info, read_info, scan_folder
from birthright.scans.request import Judging
from birthright.scans.store import Store

LAST = "last"
# How many earlier scans are read: three months of nightly ones. What was last seen before is forgotten.
LOOK_BACK = 90
# How many ledgers are read at the same time: in a bucket each is a request.
_AT_A_TIME = 16


class SavedScan(NamedTuple):
    """A saved scan, and how it and those before it are judged."""

    store: Store
    info: ScanInfo
    pages: Sequence[Page]
    selection: Judging


class EarlierScan(NamedTuple):
    """An earlier scan: its ledger, and a way to its findings, without evidence unless they are of a file."""

    ledger: Ledger
    document: Callable[[], Document]
    from_file: bool = False


class Baseline(NamedTuple):
    """Earlier scans, oldest first.

    `upto` is the place of the newest that counts for what is new and fixed, -1 without one; `named` is
    whether it was asked for by name. `reported`: what a document from a file says of scans before them.
    `cut`: there are still older ones that were not looked at.
    """

    scans: tuple[EarlierScan, ...] = ()
    upto: int = -1
    named: bool = False
    reported: tuple[PastScan, ...] = ()
    cut: bool = False


def past_of(judged: SavedScan | None, since: str, *, cache: bool = True) -> Baseline:
    """Find what a scan is compared with: `last`, a scan's id, or a file of findings (JSON).

    `judged` is None for a document that is in no store: then only a file will do. Ledgers of earlier scans
    are kept in the store, where it takes them, unless `cache` is False.

    Raises UsageError if there is no such scan or file or it is not earlier, StoreError, PageError.
    """
    if since != LAST and is_file(since):
        return _past_with_file(judged, Path(since).expanduser(), cache=cache)
    if judged is None:
        hint = "compare with a file: --since FILE.json"
        raise UsageError(f"--since {since[:80]}: these findings are not of a scan in the store", hint)
    if since == LAST:
        return _last(judged, cache=cache)
    return _since_scan(judged, since, cache=cache)


def judge_all(judged: SavedScan, infos: Sequence[ScanInfo], *, cache: bool = True) -> list[EarlierScan]:
    """Judge other scans as `judge_earlier` does; existing ledgers are read many at a time."""
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        kept = list(pool.map(lambda info: _kept(judged, info), infos)) if cache else [None] * len(infos)
    return [_earlier(judged, info, ledger, cache=cache) for info, ledger in zip(infos, kept, strict=True)]


def judge_earlier(judged: SavedScan, info: ScanInfo, *, cache: bool = True) -> EarlierScan:
    """Judge another scan of the store as this one is judged, or read its ledger. Raises StoreError."""
    return _earlier(judged, info, _kept(judged, info) if cache else None, cache=cache)


def _kept(judged: SavedScan, info: ScanInfo) -> Ledger | None:
    return load_ledger(judged.store, info.id, digest_of(info, judged.pages, judged.selection.overrides))


def _earlier(judged: SavedScan, info: ScanInfo, ledger: Ledger | None, *, cache: bool) -> EarlierScan:
    def document() -> Document:
        folder = judged.store.local(scan_folder(info.id))
        evaluator = Evaluator(folder, info.as_of, as_of_earliest=info.as_of_earliest)
        return build_document(info, evaluator, judged.pages, judged.selection, evidence=False)

    if ledger is None:
        try:
            ledger = ledger_of(document())
        except StoreError as error:
            raise _unusable(error, info.id) from error
        if cache:
            keep_ledger(judged.store, ledger, digest_of(info, judged.pages, judged.selection.overrides))
    return EarlierScan(ledger, document)


def is_file(since: str) -> bool:
    """Whether `since` names a file: no scan has such an id."""
    return since.endswith(".json") or "/" in since or Path(since).is_file()


def _last(judged: SavedScan, *, cache: bool) -> Baseline:
    scans, cut = _look_back(judged, cache=cache)
    return Baseline(scans, len(scans) - 1, cut=cut)


def _since_scan(judged: SavedScan, since: str, *, cache: bool) -> Baseline:
    named = load_info(judged.store, since)
    if not named.finished:
        raise UsageError(f"--since {named.id}: that scan was not finished", "name another, or 'last'")
    if named.id not in _ids_before(judged.store, judged.info.id) or named.as_of > judged.info.as_of:
        raise UsageError(f"--since {named.id}: that scan is not earlier than {judged.info.id}")
    scans, cut = _look_back(judged, cache=cache)
    ids = [scan.ledger.head.id for scan in scans]
    if named.id not in ids:
        # It is older than all that were read.
        scans, ids, cut = (judge_earlier(judged, named, cache=cache), *scans), [named.id, *ids], True
    return Baseline(scans, ids.index(named.id), named=True, cut=cut)


def _past_with_file(judged: SavedScan | None, file: Path, *, cache: bool) -> Baseline:
    document = load_document(file)
    as_of = document.scan.as_of
    if judged is not None and as_of > judged.info.as_of:
        raise UsageError(f"--since {file}: it is of a later scan", "compare the other way round")
    try:
        ledger = ledger_of(document)
    except ValueError as error:
        raise UsageError(
            f"{file} is damaged: {error}", "write it with 'birthright scan --format json'"
        ) from error
    this = EarlierScan(ledger, lambda: document, from_file=True)
    scans, cut = _look_back(judged, cache=cache) if judged else ((), False)
    others = [scan for scan in scans if scan.ledger.head.id != document.scan.id]
    older = [scan for scan in others if scan.ledger.head.as_of <= as_of]
    newer = [scan for scan in others if scan.ledger.head.as_of > as_of]
    first = min(scan.ledger.head.as_of for scan in (*older, this))
    # Its own line in its history counts unless an older scan is read: it was compared, too.
    known = {scan.ledger.head.id for scan in others}
    reported = tuple(one for one in document.history if one.id not in known and one.as_of <= first)
    scans = (*older, *_carried(document), this)
    return Baseline(
        (*scans, *newer), len(scans) - 1, named=True, reported=reported, cut=cut or bool(reported)
    )


def _carried(document: Document) -> Iterator[EarlierScan]:
    """Yield what the scan of a file could not see: an earlier scan without an id that saw nothing else."""
    if document.unread and document.changes and document.changes.since_as_of:
        at = document.changes.since_as_of
        carried = msgspec.structs.replace(document, findings=document.unread)
        ledger = ledger_of(carried)
        sights = dict.fromkeys(
            ledger.head.accounts, Visibility(whole=False, users_at=at, keys_at=at, report_at=None)
        )
        head = msgspec.structs.replace(ledger.head, id="", as_of=at, accounts=sights)
        yield EarlierScan(Ledger(head, ledger.rows), lambda: carried, from_file=True)


def _look_back(judged: SavedScan, *, cache: bool) -> tuple[tuple[EarlierScan, ...], bool]:
    """Judge the newest scans that were made before this one, oldest first; return whether there are more."""
    found = list(islice(_before(judged.store, judged.info), LOOK_BACK + 1))
    infos = found[:LOOK_BACK]
    infos.reverse()
    # A scan of files may be of an earlier instant than scans made before it.
    infos.sort(key=lambda info: info.as_of)
    return tuple(judge_all(judged, infos, cache=cache)), len(found) > LOOK_BACK


def _before(store: Store, info: ScanInfo) -> Iterator[ScanInfo]:
    """Yield the finished scans made before this one, of no later instant, newest first."""
    for other in finished_scans(store, _ids_before(store, info.id)):
        if other.as_of <= info.as_of:
            yield other


def finished_scans(store: Store, ids: Sequence[str]) -> Iterator[ScanInfo]:
    """Yield the records of the finished scans among these; several are read at the same time."""
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for start in range(0, len(ids), _AT_A_TIME):
            found = pool.map(lambda scan_id: finished_scan(store, scan_id), ids[start : start + _AT_A_TIME])
            yield from filter(None, found)


def finished_scan(store: Store, scan_id: str) -> ScanInfo | None:
    """Read a scan's record; None if it was not finished. Raises StoreError if it is damaged."""
    place = store.below(scan_folder(scan_id))
    try:
        info = read_info(place)
    except StoreError as error:
        if place.stat(INFO) is None:
            return None
        raise _unusable(error, scan_id) from error
    return info if info.finished else None


def ids_in(store: Store) -> list[str]:
    """Return the ids of all scans, finished or not, newest first; in a bucket that is one request, mostly."""
    ids = [name for name in store.names("scans") if _is_id(name)]
    moments = Counter(map(_moment, ids))
    # Scans of the same second are in the order in which they were written: ids end at random.
    return sorted(ids, key=lambda i: (_moment(i), _written(store, i) if moments[_moment(i)] > 1 else 0.0))[
        ::-1
    ]


def _unusable(error: StoreError, scan_id: str) -> StoreError:
    """Replace the hint of an earlier scan that cannot be read: scanning again would not help."""
    return StoreError(error.message, f"bring {scan_folder(scan_id)} back, or delete it: then others count")


def _ids_before(store: Store, scan_id: str) -> list[str]:
    ids = ids_in(store)
    if scan_id in ids:
        return ids[ids.index(scan_id) + 1 :]
    return [other for other in ids if _moment(other) < _moment(scan_id)]


def _is_id(name: str) -> bool:
    try:
        scan_folder(name)
    except UsageError:
        return False
    return True


def _moment(scan_id: str) -> str:
    return scan_id.partition("-")[0]


def _written(store: Store, scan_id: str) -> float:
    found = store.stat(f"{scan_folder(scan_id)}/{INFO}")
    return found.changed if found else 0.0
