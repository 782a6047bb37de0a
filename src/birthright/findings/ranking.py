"""What people read first: the policy that birthright is about, then the others by risk."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from birthright.findings.model import Remedy
    from birthright.policies.page import Risk

FIRST = "access-key-created-with-user"
# The highest risk is 0.
RISKS: "dict[Risk, int]" = {"critical": 0, "high": 1, "medium": 2, "low": 3}
# The remedies of a subject's findings; the first is done that any of them asks for.
REMEDIES: "tuple[Remedy, ...]" = ("retire", "rotate", "review", "none")
# So many of a kind a report for people shows, and so many it names.
SHOWN, NAMED = 10, 3
# So many subjects of an account go before other accounts' of the same weight.
EACH = 2


def rank(policy: str, risk: "Risk") -> tuple[bool, int, str]:
    """Return what policies, and findings by their policies, are sorted by."""
    return policy != FIRST, RISKS[risk], policy
