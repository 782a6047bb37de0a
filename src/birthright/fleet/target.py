"""One account as a scan is asked about it: which it is, and how to get in."""

import msgspec

from birthright.facts.model import Account

# Organizations' words for an account that nobody can work in.
CLOSED_STATES = frozenset({"PENDING_ACTIVATION", "SUSPENDED", "PENDING_CLOSURE", "CLOSED"})


class Target(msgspec.Struct, frozen=True):
    """An account to read. `role` (a name, with its path if it has one, or an ARN) is None for the run's role.

    `profile` is the local profile whose credentials are the account's own.
    """

    account: Account
    role: str | None = None
    profile: str | None = None
