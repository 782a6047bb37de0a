"""A store's scans as they follow one another, judged by the same policies: those of the same accounts."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

import msgspec

from birthright.findings.model import PastScan
from birthright.history.earlier import SavedScan, finished_scans, ids_in, judge_all
from birthright.history.ledger import Ledger
from birthright.history.timeline import Timeline


class Series(msgspec.Struct, frozen=True):
    """Scans that asked for the accounts of the newest of them, or at least half of these; oldest first."""

    accounts: tuple[str, ...]
    scans: tuple[PastScan, ...]


def series_of(judged: SavedScan, limit: int, account: str | None = None) -> list[Series]:
    """Judge the newest scans and put those together that are of the same accounts, the newest series first.

    With `account` all is about that one. One more scan is judged, for the first to be compared with. Raises
    StoreError, PageError.
    """
    infos = list(islice(finished_scans(judged.store, ids_in(judged.store)), limit + 1))
    older = {info.id for info in infos[limit:]}
    infos.reverse()
    infos.sort(key=lambda info: info.as_of)
    ledgers = [one.ledger for one in judge_all(judged, infos)]
    if account:
        ledgers = [_only(ledger, account) for ledger in ledgers if account in ledger.head.accounts]
    return list(_grouped(ledgers, older))


def _grouped(ledgers: Sequence[Ledger], older: Collection[str]) -> Iterator[Series]:
    """Put them together; those named in `older` are only compared with."""
    left = [ledger for ledger in ledgers if ledger.head.id not in older]
    while left:
        newest = left[-1]
        upto = ledgers.index(newest) + 1
        lines = Timeline(ledgers[:upto], upto - 1).history(cut=bool(older))
        waiting = {ledger.head.id for ledger in left}
        yield Series(tuple(sorted(newest.head.accounts)), tuple(one for one in lines if one.id in waiting))
        shown = {one.id for one in lines}
        left = [ledger for ledger in left if ledger.head.id not in shown]


def _only(ledger: Ledger, account: str) -> Ledger:
    """Leave out all other accounts."""
    head = msgspec.structs.replace(ledger.head, accounts={account: ledger.head.accounts[account]})
    return msgspec.structs.replace(ledger, head=head)
