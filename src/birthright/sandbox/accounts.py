"""All accounts, made when they are asked for; those that nobody changed are forgotten and made again."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import RLock

from birthright.sandbox.account import ReportTimes, SandboxAccount
from birthright.sandbox.report_csv import Style, make_report

_UNCHANGED = 512


class SandboxAccounts:
    """The accounts by id.

    `build(account_id)` makes an account as it was at the start; None where there is no such account.
    Who changes an account, or may, has to `keep` it. Of the others only `limit` are in memory, and those
    longest not asked for are forgotten; made again they are the same, with the report that was asked
    for meanwhile. `style` is how such a report is written.
    """

    def __init__(self, style: Style) -> None:
        self.build: Callable[[str], SandboxAccount | None] = lambda _: None
        self._style = style
        self.limit = _UNCHANGED
        self._kept: dict[str, SandboxAccount] = {}
        self._unchanged: OrderedDict[str, SandboxAccount] = OrderedDict()
        self._asked: dict[str, ReportTimes] = {}
        self._lock = RLock()

    def __iter__(self) -> Iterator[str]:
        """Give the ids of the accounts that are in memory."""
        return iter((*self._kept, *self._unchanged))

    def get(self, account_id: str) -> SandboxAccount | None:
        """Return an account to be read."""
        kept = self._kept.get(account_id)
        if kept is not None:
            return kept
        with self._lock:
            found = self._unchanged.get(account_id)
            if found is None:
                return self._made(account_id)
            self._unchanged.move_to_end(account_id)
            return found

    def keep(self, account_id: str) -> SandboxAccount | None:
        """Return an account to be changed; it is never forgotten."""
        with self._lock:
            found = self.get(account_id)
            if found is not None and account_id not in self._kept:
                self._kept[account_id] = found
                del self._unchanged[account_id]
                self._asked.pop(account_id, None)
            return found

    def put(self, account: SandboxAccount) -> None:
        """Add an account that is never forgotten."""
        self._kept[account.account_id] = account

    def _made(self, account_id: str) -> SandboxAccount | None:
        built = self.build(account_id)
        if built is None:
            return None
        asked = self._asked.get(account_id)
        if asked is not None:
            report = make_report(built, asked.generated_at, 0, self._style)
            built.report, built.asked_report = replace(report, ready_at=asked.ready_at), True
        self._unchanged[account_id] = built
        self._forget()
        return built

    def _forget(self) -> None:
        while len(self._unchanged) > self.limit:
            account_id, gone = self._unchanged.popitem(last=False)
            if gone.report_times is not None and gone.asked_report:
                self._asked[account_id] = gone.report_times
