"""How findings stand against earlier scans. `docs/history.md` has the whole of it.

| now | before | state |
|---|---|---|
| fail | never failed | new |
| fail | fails, or unknown and failed once | persisting |
| fail | failed once, was gone | reappeared |
| unknown | nothing | new |
| unknown | fails or unknown | persisting |
| unknown | failed or was unknown once, was gone | reappeared |
| gone | fails | fixed; counted in `unread` where this scan could not see it |
| gone | unknown | nothing |

"Before" is what the newest scan that could see a subject said of it, up to the one compared with. "Gone" is
what a scan that could see it did not find; `visibility.py` says when a scan can see something.
"""

from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

import msgspec

from birthright.findings.finding import order
from birthright.findings.model import Changes, Document, Finding
from birthright.findings.stream import LazyFindings
from birthright.history.earlier import Baseline
from birthright.history.ledger import Header, Ledger, ledger_of
from birthright.history.timeline import STATES, Timeline, VanishedFinding


class Compared(LazyFindings):
    """Findings with their state and since when they are known; 9 bytes for each, beside the findings."""

    def __init__(self, findings: Collection[Finding], states: bytes, firsts: "array[int]") -> None:
        self._findings = findings
        self._states = states
        self._firsts = firsts

    def __len__(self) -> int:
        return len(self._findings)

    def __iter__(self) -> Iterator[Finding]:
        known = zip(self._states, self._firsts, strict=True)
        for finding in self._findings:
            if finding.verdict == "pass":
                yield finding
                continue
            state, first = next(known)
            yield msgspec.structs.replace(
                finding, state=STATES[state], first_seen=datetime.fromtimestamp(first, UTC)
            )


def compare(document: Document, past: Baseline) -> Document:
    """Say of each failure and unknown how it stands against the past, and what is fixed.

    Goes through the findings once, and once more whenever the new ones are gone through. Raises what
    making findings raises, StoreError if the facts of an earlier scan cannot be read.
    """
    now = ledger_of(document)
    timeline = Timeline([*(scan.ledger for scan in past.scans), now], past.upto)
    states, firsts = bytearray(), array("q")
    for state, first in timeline.states():
        states.append(STATES.index(state))
        firsts.append(first)
    findings: Collection[Finding] = Compared(document.findings, bytes(states), firsts)
    gone = timeline.gone()
    fixed = [msgspec.structs.replace(one, state="fixed") for one in _last_said(gone, past, fixed=True)]
    unread = [msgspec.structs.replace(one, state=None) for one in _last_said(gone, past, fixed=False)]
    counts = Counter(states)
    baseline = _baseline(past, now)
    # What a file carries on is of no scan: it has no id.
    reported = {"", *(one.id for one in past.reported)}
    changes = Changes(
        since=baseline.id if baseline else None,
        since_as_of=baseline.as_of if baseline else None,
        new=counts[STATES.index("new")],
        persisting=counts[STATES.index("persisting")],
        reappeared=counts[STATES.index("reappeared")],
        fixed=len(fixed),
        unread=sum(not one.fixed for one in gone),
    )
    return msgspec.structs.replace(
        document,
        findings=tuple(findings) if isinstance(document.findings, tuple) else findings,
        changes=changes,
        fixed=tuple(sorted(fixed, key=order)),
        unread=tuple(sorted(unread, key=order)) or msgspec.UNSET,
        history=(
            *past.reported,
            *(one for one in timeline.history(cut=past.cut) if one.id not in reported),
        ),
    )


def _baseline(past: Baseline, now: Ledger) -> Header | None:
    """Choose the scan to name: the one asked for, or the newest that read one of this scan's accounts."""
    ledgers = [scan.ledger for scan in past.scans[: past.upto + 1]][::-1]
    ours = now.head.accounts.keys()
    return next((one.head for one in ledgers if past.named or one.read & ours), None)


def _last_said(gone: list[VanishedFinding], past: Baseline, *, fixed: bool) -> Iterator[Finding]:
    """Give the failures that are fixed, or were not seen, as the last scan that found them said them.

    Of those that were not seen only a file's: a store's scans are judged again next time.
    """
    some = [one for one in gone if one.fixed == fixed and (fixed or past.scans[one.scan].from_file)]
    for place in sorted({one.scan for one in some}):
        wanted = {one.fingerprint: one.first for one in some if one.scan == place}
        for finding in past.scans[place].document().findings:
            if finding.fingerprint in wanted and finding.verdict == "fail":
                yield msgspec.structs.replace(finding, first_seen=wanted.pop(finding.fingerprint))
