"""How far a scan of many accounts is, for whatever shows it."""

from dataclasses import dataclass

from birthright.facts.coverage import is_whole
from birthright.facts.model import AccountFacts


@dataclass(slots=True)
class ScanProgress:
    """Accounts and calls so far. `total` grows until `listed`; `incomplete` are accounts not read in full.

    `before` are those that an earlier run had read.
    """

    total: int = 0
    listed: bool = False
    before: int = 0
    done: int = 0
    incomplete: int = 0
    calls: int = 0
    throttled: int = 0

    def add(self, facts: AccountFacts) -> None:
        """Count an account that is read."""
        self.add_sums(1, 0 if is_whole(facts.coverage) else 1, *_calls(facts))

    def add_sums(self, done: int, incomplete: int, calls: int, throttled: int) -> None:
        """Count several accounts at once."""
        self.done += done
        self.incomplete += incomplete
        self.calls += calls
        self.throttled += throttled


def _calls(facts: AccountFacts) -> tuple[int, int]:
    return sum(line.calls for line in facts.coverage), sum(line.throttled for line in facts.coverage)
