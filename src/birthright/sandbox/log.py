"""What happened to the accounts, in order: a tiny CloudTrail, made to judge birthright by.

Only what can change something is written down, successful or not; reads and uses by calls are not.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

LIMIT = 200_000  # entries; the oldest are forgotten first
SOMEBODY = "somebody"
PEOPLE = "people"  # the service of what was done by hand and not by an AWS call
# Secrets, and what belongs to the protocol.
_LEFT_OUT = frozenset({"Password", "SecretString", "SecretBinary", "Value", "Action", "Version"})


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One call that could change something, or one thing that was done by hand.

    seq: its number, from 1, without gaps. at: the sandbox's time, UTC, with microseconds.
    caller, caller_key_id: the ARN that signed and its key; `somebody` and empty where it was done by hand.
    service: `iam`, `secretsmanager`, `ssm`, or `people` for what was done by hand.
    params: the call's parameters without secrets and passwords.
    error: AWS's error code as answered, or empty. After `service-failure-after` there is an error and
        an effect.
    effect: what changed, empty if nothing did (also where the value was there already):
        `("created", user, key)`, `("status", user, key, before, after)`, `("deleted", user, key)`,
        `("used", user, key, service, region)`, `("user-created", user)`, `("user-deleted", user)`,
        `("tagged", user, tag...)`, `("untagged", user, tag...)`, `("password-set", user)`,
        `("password-removed", user)`, `("secret-created", name, version)`, `("secret-put", name, version)`,
        `("secret-staged", name, stage, version)`, `("secret-deleted", name)`,
        `("parameter-put", name, version)`, `("parameter-tagged", name, tag...)`.
    delivered: whether the caller got AWS's true answer, whole. fault: what spoiled it, or empty.
    """

    seq: int
    at: datetime
    account_id: str
    caller: str
    caller_key_id: str
    service: str
    action: str
    params: dict[str, Any]
    request_id: str = ""
    error: str = ""
    effect: tuple[str, ...] = ()
    delivered: bool = True
    fault: str = ""


class Log:
    """The entries, oldest first; more than `limit` are not kept."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.entries: deque[LogEntry] = deque(maxlen=limit)
        self.last_seq = 0

    def by_hand(
        self, at: datetime, account_id: str, action: str, params: dict[str, Any], *effects: tuple[str, ...]
    ) -> None:
        """Write down what somebody did by hand: one entry an effect."""
        for effect in effects:
            self.last_seq += 1
            self.entries.append(
                LogEntry(self.last_seq, at, account_id, SOMEBODY, "", PEOPLE, action, params, effect=effect)
            )

    def next_seq(self) -> int:
        """Return the number of the entry that is about to be added."""
        self.last_seq += 1
        return self.last_seq


def public(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters without secrets, passwords, and the protocol's own."""
    return {name: value for name, value in params.items() if name not in _LEFT_OUT}
