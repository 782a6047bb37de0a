"""The filters of a plan that matched nothing: a person may have mistyped them."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from birthright.retirement.planning.candidates import PlanRequest, asking
from birthright.retirement.planning.plan import Plan

if TYPE_CHECKING:
    from birthright.findings.model import Document


class _Target(NamedTuple):
    """What filters look at."""

    policy: str
    account_id: str
    user_name: str
    access_key_id: str | None


_TESTS: tuple[tuple[str, str, Callable[[_Target, str], bool]], ...] = (
    ("--policy", "policies", lambda target, text: target.policy == text),
    ("--account", "accounts", lambda target, text: fnmatchcase(target.account_id, text)),
    ("--user", "users", lambda target, text: fnmatchcase(target.user_name, text)),
    ("--key", "keys", lambda target, text: target.access_key_id == text),
)


def unmatched(document: "Document", choices: PlanRequest, plan: Plan) -> tuple[str, ...]:
    """Name the filters that match no failing finding, as they are written on the command line.

    One filter may match findings that another leaves out. So the findings are looked at, but only where a
    filter matches nothing that was planned.
    """
    planned = (
        _Target(ref.policy, item.account_id, item.user_name, item.access_key_id)
        for item in plan.items
        for ref in item.findings
    )
    everything = (
        _Target(f.policy, f.account_id, f.user_name or "", f.access_key_id)
        for f in asking(document.findings, msgspec.structs.replace(choices, policies=()))
    )
    left = [(option, text, test) for option, name, test in _TESTS for text in getattr(choices, name)]
    targets = chain(planned, everything)
    while left and (target := next(targets, None)):
        left = [(option, text, test) for option, text, test in left if not test(target, text)]
    return tuple(f"{option} {text}" for option, text, _ in left)
