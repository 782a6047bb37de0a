"""What was read and what was not, as the page says it first."""

from collections.abc import Sequence
from typing import NamedTuple

from birthright.facts.coverage import WHOLE, accounts_in, reach_of
from birthright.findings.model import CoverageSummary, Document

_MOST = 100


class Reading(NamedTuple):
    """How many accounts were read; what lacks something, and what does not, as far as there is room.

    `alarm` is empty where everything was read; `advice` is a command, if one helps.
    """

    asked: int
    read: int
    unread: int
    skipped: int
    alarm: str
    advice: str
    missing: Sequence[CoverageSummary]
    missing_left_out: int
    whole: Sequence[CoverageSummary]
    whole_left_out: int

    @property
    def several(self) -> bool:
        """Whether the scan was about more than one account."""
        return self.asked > 1


def reading_of(document: Document) -> Reading:
    """Say how far the accounts were read."""
    reach = reach_of(document.coverage)
    accounts = [reach[account] for account, _ in accounts_in(document.coverage)]
    missing = [line for line in document.coverage if line.status not in WHOLE]
    whole = [line for line in document.coverage if line.status in WHOLE]
    counts = (accounts.count("read"), accounts.count("unread"), accounts.count("skipped"))
    return Reading(
        len(accounts),
        *counts,
        *_alarm(document, len(accounts), counts[1]),
        missing=missing[:_MOST],
        missing_left_out=max(len(missing) - _MOST, 0),
        whole=whole[:_MOST],
        whole_left_out=max(len(whole) - _MOST, 0),
    )


def _alarm(document: Document, asked: int, unread: int) -> tuple[str, str]:
    scan = document.scan
    if document.complete:
        return "", ""
    if not scan.finished:
        missing = f"{unread} of {asked} accounts were not read."
        if not scan.listed:
            missing = "It was cut short before all accounts were listed: there are more than are named here."
        return f"This scan did not finish. {missing}", f"birthright scan --resume {scan.id}"
    if not document.read:
        return "No account was read. Nothing here says that anything is in order.", ""
    reach = reach_of(document.coverage)
    lacking = {line.account_id for line in document.coverage if line.status not in WHOLE}
    partly = sum(reach[account] == "read" for account in lacking)
    if asked == 1 or not (unread or partly):
        return "Not everything was read: what is missing could hide failures.", ""
    counts = ((unread, "not at all"), (partly, "in part"))
    said = ", ".join(f"{count} {how}" for count, how in counts if count)
    return f"Not everything was read: of {asked} accounts {said}.", ""
