"""How a document becomes an exit code, and which failures count for it (`--fail-on`)."""

import msgspec

from birthright.errors import UsageError
from birthright.findings.model import FRESH, Document, Finding
from birthright.findings.ranking import RISKS
from birthright.policies.page import Risk

_RISKS = tuple(reversed(RISKS))
_KNOWN = f"it is any, new, risk>=LEVEL ({', '.join(_RISKS)}), or several of these with commas"


class FailOn(msgspec.Struct, frozen=True):
    """Which failures count: those of at least this risk, with `new` only the new and the reappeared ones."""

    new: bool = False
    risk: Risk = _RISKS[0]

    def counts(self, finding: Finding) -> bool:
        """Whether a finding makes the exit code 1."""
        if finding.verdict != "fail" or finding.waiver or RISKS[finding.risk] > RISKS[self.risk]:
            return False
        return not self.new or finding.state in FRESH


ANY = FailOn()


def fail_on(text: str) -> FailOn:
    """Read `any`, `new`, `risk>=medium`, or several with commas, which must all hold. Raises UsageError."""
    found = ANY
    for part in (word.strip().lower() for word in text.split(",")):
        name, sign, level = (word.strip() for word in part.partition(">="))
        if part == "new":
            found = msgspec.structs.replace(found, new=True)
        elif name == "risk" and sign and level in RISKS:
            risk = next(risk for risk in _RISKS if risk == level)
            found = msgspec.structs.replace(found, risk=min(found.risk, risk, key=RISKS.__getitem__))
        elif part != "any":
            raise UsageError(f"--fail-on {text[:80]!r}: {part[:40]!r} is not known", _KNOWN)
    return found


def exit_code(document: Document, wanted: FailOn = ANY) -> int:
    """Grade a scan: 1 failures that count, 3 none but something unknown or unread, 0 neither.

    Raises UsageError if what is new counts, and nothing was compared.
    """
    if _fails(document, wanted):
        return 1
    return 3 if document.summary.unknown or not document.complete else 0


def _fails(document: Document, wanted: FailOn) -> bool:
    """Whether anything counts. The findings themselves are gone through only where no count will do."""
    if wanted.new:
        if document.changes is None:
            raise UsageError("--fail-on new needs something to compare with", "add --since last")
        return any(map(wanted.counts, document.findings))
    return any(line.fail and RISKS[line.risk] <= RISKS[wanted.risk] for line in document.policies)
