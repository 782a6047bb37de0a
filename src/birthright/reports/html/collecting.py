"""One look at all findings: the rows of the table, the marks of the pictures, the counts."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from operator import attrgetter

from birthright.findings.model import Document, Finding
from birthright.findings.ranking import FIRST
from birthright.reports.html.ages import Ages
from birthright.reports.html.gaps import Gaps
from birthright.reports.html.statuses import standing_of, weight_of
from birthright.reports.survey import Survey

# With more rows the file would be too large to be sent around and slow to open.
MOST_ROWS = 20_000


class Rows:
    """The weightiest findings, at most so many; of equal ones those that came first."""

    def __init__(self, most: int) -> None:
        self.seen = 0
        self._room = most
        self._kept: dict[tuple[int, bool, int], list[Finding]] = {}

    def add(self, finding: Finding) -> None:
        """Take one; where there is no room for it, the last of the lightest gives way."""
        self.seen += 1
        weight = weight_of(finding)
        if self._room:
            self._room -= 1
        else:
            lightest = max(self._kept)
            if weight >= lightest:
                return
            self._kept[lightest].pop()
            if not self._kept[lightest]:
                del self._kept[lightest]
        self._kept.setdefault(weight, []).append(finding)

    def __iter__(self) -> Iterator[Finding]:
        """Give those that were kept, the weightiest first."""
        return chain.from_iterable(self._kept[weight] for weight in sorted(self._kept))


class PageData:
    """What the page shows of the findings; none of it grows with their number beyond a bound.

    `keys` counts the keys in the pictures; `passes` says whether passing findings were among them all. They
    are rows only if they are to be listed.
    """

    def __init__(self, document: Document, most: int = MOST_ROWS, *, passes: bool = True) -> None:
        self._lists_passes = passes
        self.rows = Rows(most)
        self.survey = Survey()
        self.gaps = Gaps()
        self.ages = Ages(document.scan.as_of)
        self.keys = 0
        self.passes = False
        several = len({line.account_id for line in document.coverage}) > 1
        for _, of_account in groupby(document.findings, attrgetter("account_id")):
            self._add(list(of_account), several=several)
        for finding in document.fixed:
            self.rows.add(finding)

    def _add(self, findings: Sequence[Finding], *, several: bool) -> None:
        """Take the findings of one account: its keys are in no other."""
        for finding in findings:
            if finding.verdict != "pass" or self._lists_passes:
                self.rows.add(finding)
            self.passes = self.passes or finding.verdict == "pass"
        self.survey.add([finding for finding in findings if not finding.waiver], several=several)
        for key in _keys(findings):
            # Of what another policy says of a key, only its times are of use here.
            standing = standing_of(key) if key.policy == FIRST else "pass"
            self.keys += 1
            self.gaps.add(key, standing)
            self.ages.add(key, standing)


def _keys(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Choose one finding for each key, the one of the policy that birthright is about if there is one."""
    keys: dict[tuple[object, ...], Finding] = {}
    for finding in findings:
        if finding.created_at is None:
            continue
        key = (finding.access_key_id,) if finding.access_key_id else _without_id(finding)
        if key not in keys or finding.policy == FIRST:
            keys[key] = finding
    return keys.values()


def _without_id(finding: Finding) -> tuple[object, ...]:
    return finding.user_name, finding.created_at, finding.status, finding.last_used_at
