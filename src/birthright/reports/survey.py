"""One look at all findings for a report that shows few of them: counts, and the first of each kind."""

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter, itemgetter

from birthright.findings.document import by_subject
from birthright.findings.model import FRESH, Document, Finding, Remedy
from birthright.findings.overview import Overview
from birthright.findings.ranking import EACH, FIRST, NAMED, REMEDIES, SHOWN, rank
from birthright.findings.stream import Findings

_MOST_REASONS = 10_000
_OTHER = "for other reasons"

_Weight = tuple[bool, int]


class Sample:
    """How many subjects there are, and the weightiest few.

    Of equal ones those that came first, but an account's third and later ones after other accounts'.
    """

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[tuple[_Weight, bool, int, Sequence[Finding]]] = []
        self._account = ""
        self._of_account: Counter[_Weight] = Counter()

    def add(self, findings: Sequence[Finding]) -> None:
        """Take a subject's findings, the weightiest first; an account's subjects come one after another."""
        self.count += 1
        if findings[0].account_id != self._account:
            self._account = findings[0].account_id
            self._of_account.clear()
        weight = weight_of(findings[0])[:2]
        self._of_account[weight] += 1
        place = weight, self._of_account[weight] > EACH
        if len(self._kept) < SHOWN or place < self._kept[-1][:2]:
            insort(self._kept, (*place, self.count, findings))
            del self._kept[SHOWN:]

    @property
    def shown(self) -> list[Sequence[Finding]]:
        """The few, the weightiest first; an account's stand together."""
        return [kept[-1] for kept in sorted(self._kept, key=itemgetter(0, 2))]


class Unknowns:
    """The findings that are unknown for one reason: how many, of how many subjects, and the first names."""

    def __init__(self, count: int = 0, subjects: int = 0, names: Iterable[str] = ()) -> None:
        self.count = count
        self.subjects = subjects
        self.names = list(names)

    def add(self, findings: Sequence[Finding]) -> None:
        """Take those of one account."""
        users = {finding.user_name or finding.account_id for finding in findings}
        self.count += len(findings)
        self.subjects += len(users)
        self.names = sorted({*self.names, *users})[:NAMED]


class Survey:
    """What a report for people needs of the findings, but for waived ones.

    `born` counts, by remedy, the failures of FIRST; `fresh` are the subjects with failures that an earlier
    scan did not have.
    """

    def __init__(self) -> None:
        self.failing: dict[Remedy, Sample] = {remedy: Sample() for remedy in REMEDIES}
        self.fresh = Sample()
        self.born: Counter[Remedy] = Counter()
        self.unknown: dict[str, Unknowns] = {}

    def add(self, findings: Sequence[Finding], *, several: bool) -> None:
        """Take the failures and unknowns of one account, which may be one of several."""
        failing = [finding for finding in findings if finding.verdict == "fail" and not finding.waiver]
        self.born.update(finding.remedy for finding in failing if finding.policy == FIRST)
        for group in by_subject(failing):
            self.failing[_remedy(group)].add(sorted(group, key=weight_of))
        for group in by_subject(finding for finding in failing if finding.state in FRESH):
            self.fresh.add(sorted(group, key=weight_of))
        reasons: dict[str, list[Finding]] = defaultdict(list)
        for finding in findings:
            if finding.verdict == "unknown":
                reasons[without_account(finding.reason, finding.account_id, several=several)].append(finding)
        for reason, of_account in reasons.items():
            known = reason in self.unknown or len(self.unknown) < _MOST_REASONS
            self.unknown.setdefault(reason if known else _OTHER, Unknowns()).add(of_account)

    def count(self, overview: Overview) -> None:
        """Put the counts of all accounts in place of those of the few whose findings were taken."""
        for remedy, sample in self.failing.items():
            sample.count = overview.failing.get(remedy, 0)
        self.born = Counter(overview.born)
        # Equal ones stay in the order in which they came.
        reasons = dict.fromkeys([*self.unknown, *overview.unknown])
        self.unknown = {reason: Unknowns(*overview.unknown[reason][1:4]) for reason in reasons}


def survey(document: Document, *, several: bool) -> Survey:
    """Go through the findings once, or let the engine count them; an account's stand together."""
    found = Survey()
    findings: Iterable[Finding] = document.findings
    overview = findings.overview(several=several) if isinstance(findings, Findings) else None
    if overview and isinstance(findings, Findings):
        findings = findings.of(overview.accounts)
    shown = (finding for finding in findings if finding.verdict != "pass")
    for _, of_account in groupby(shown, attrgetter("account_id")):
        found.add(list(of_account), several=several)
    if overview:
        found.count(overview)
    return found


def weight_of(finding: Finding) -> tuple[bool, int, str]:
    """Put first what birthright is about, then by risk."""
    return rank(finding.policy, finding.risk)


def without_account(text: str, account_id: str, *, several: bool) -> str:
    """Leave an account's id out of a reason, where several accounts may have the same one."""
    return text.replace(account_id, "ACCOUNT") if several else text


def _remedy(findings: Sequence[Finding]) -> Remedy:
    """Choose one remedy for a subject with several findings: the first that any of them asks for."""
    asked = {finding.remedy for finding in findings}
    return next(remedy for remedy in REMEDIES if remedy in asked)
