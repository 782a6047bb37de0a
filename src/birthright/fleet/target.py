"""One account as a scan is asked about it: which it is, and how to get in."""

import re

import msgspec

from birthright.facts.model import Account

# Organizations' words for an account that nobody can work in.
CLOSED_STATES = frozenset({"PENDING_ACTIVATION", "SUSPENDED", "PENDING_CLOSURE", "CLOSED"})

_ACCOUNT_ID = re.compile(r"[0-9]{12}")
_LONGEST_ROLE = 512 + 64  # a path and a name, by IAM
# IAM allows * and ? in paths, but in a policy they would stand for other paths.
_ROLE = re.compile(r"/?(?:[!-)+-.0->@-~]+/)*[A-Za-z0-9_+=,.@-]{1,64}")
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>[0-9]{12}):role/(?P<role>[^/].*)")


class Target(msgspec.Struct, frozen=True):
    """An account to read. `role` (a name, with its path if it has one, or an ARN) is None for the run's role.

    `profile` is the local profile whose credentials are the account's own.
    """

    account: Account
    role: str | None = None
    profile: str | None = None


def is_account_id(text: str) -> bool:
    """Whether a text is twelve digits."""
    return bool(_ACCOUNT_ID.fullmatch(text))


def is_role(text: str) -> bool:
    """Whether a text can be a role's name, with or without its path (`audit/birthright`)."""
    return not text.startswith("arn:") and len(text) <= _LONGEST_ROLE and bool(_ROLE.fullmatch(text))


def account_of_role(text: str) -> str | None:
    """Return the id of the account that a role's ARN names; None if it is no such ARN."""
    found = _ROLE_ARN.fullmatch(text)
    return found["account"] if found and is_role(found["role"]) else None
