"""One account that a scan reads: which it is, and how to enter it."""

import msgspec

from birthright.facts.model import Account

# Organizations' states of an account that cannot be used.
CLOSED_STATES = frozenset({"PENDING_ACTIVATION", "SUSPENDED", "PENDING_CLOSURE", "CLOSED"})


class Target(msgspec.Struct, frozen=True):
    """An account to read. `role` (a name, with its path if it has one, or an ARN) is None for the run's role.

    `profile` is the local profile whose credentials are the account's own.
    """

    account: Account
    role: str | None = None
    profile: str | None = None
