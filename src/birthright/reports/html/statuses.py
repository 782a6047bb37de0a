"""How a finding stands, in one word: its verdict, or that it is waived or gone."""

from typing import Literal

from birthright.findings.model import Finding
from birthright.findings.ranking import rank

FindingStatus = Literal["fail", "unknown", "waived", "fixed", "pass"]

# What people have to act on comes first.
STANDINGS: tuple[FindingStatus, ...] = ("fail", "unknown", "waived", "fixed", "pass")
WORDS: dict[FindingStatus, str] = {
    "fail": "fails",
    "unknown": "unknown",
    "waived": "waived",
    "fixed": "fixed",
    "pass": "passes",
}


def standing_of(finding: Finding) -> FindingStatus:
    """Return how it stands."""
    if finding.state == "fixed":
        return "fixed"
    if finding.waiver and finding.verdict == "fail":
        return "waived"
    return finding.verdict


def weight_of(finding: Finding) -> tuple[int, bool, int]:
    """Put failures first, of these what birthright is about, then by risk."""
    return STANDINGS.index(standing_of(finding)), *rank(finding.policy, finding.risk)[:2]
