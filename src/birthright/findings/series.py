"""A store's scans as they follow one another, judged by the same policies: those of the same accounts."""

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from birthright.facts.snapshot import ScanInfo
from birthright.facts.store import Store
from birthright.findings.ledger import Ledger
from birthright.findings.model import PastScan
from birthright.findings.past import Judged, finished_scan, ids_in, judge_earlier
from birthright.findings.timeline import Timeline


class Series(msgspec.Struct, frozen=True):
    """Scans that asked for the accounts of the newest of them, or at least half of these; oldest first."""

    accounts: tuple[str, ...]
    scans: tuple[PastScan, ...]


def series_of(judged: Judged, limit: int, account: str | None = None) -> list[Series]:
    """Judge the newest scans and put those together that are of the same accounts, the newest series first.

    With `account` all is about that one. Raises StoreError, PageError.
    """
    found = list(islice(_finished(judged.store), limit + 1))
    infos = found[:limit]
    infos.reverse()
    infos.sort(key=lambda info: info.as_of)
    ledgers = [judge_earlier(judged, info).ledger for info in infos]
    if account:
        ledgers = [_only(ledger, account) for ledger in ledgers if account in ledger.head.accounts]
    return list(_grouped(ledgers, cut=len(found) > limit))


def _grouped(ledgers: Sequence[Ledger], *, cut: bool) -> Iterator[Series]:
    left = list(ledgers)
    while left:
        newest = left[-1]
        upto = ledgers.index(newest) + 1
        told = Timeline(ledgers[:upto], upto - 1).history(cut=cut)
        waiting = {ledger.head.id for ledger in left}
        yield Series(tuple(sorted(newest.head.accounts)), tuple(one for one in told if one.id in waiting))
        shown = {one.id for one in told}
        left = [ledger for ledger in left if ledger.head.id not in shown]


def _only(ledger: Ledger, account: str) -> Ledger:
    """Leave out all other accounts."""
    head = msgspec.structs.replace(ledger.head, accounts={account: ledger.head.accounts[account]})
    return msgspec.structs.replace(ledger, head=head)


def _finished(store: Store) -> Iterator[ScanInfo]:
    return filter(None, (finished_scan(store, scan_id) for scan_id in ids_in(store)))
