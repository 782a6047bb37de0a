"""Temporary credentials, apart from their accounts so that they outlive an account that is forgotten."""

from dataclasses import dataclass
from datetime import datetime

from birthright.sandbox.ids import access_key_id_of, secret_of, token_of

_KEPT = 100_000  # sessions; above that the expired ones go


@dataclass(frozen=True, slots=True)
class SandboxSession:
    """Temporary credentials of an assumed role; `expires_at` is judged by the sandbox's clock.

    account_id, role: whose role it is, by name. name: the session's. seed: what its secrets follow from.
    """

    access_key_id: str
    account_id: str
    role: str
    name: str
    expires_at: datetime
    seed: int

    @property
    def secret(self) -> str:
        """The secret access key."""
        return secret_of(self.seed, self.access_key_id)

    @property
    def token(self) -> str:
        """The session token that each call must bring."""
        return token_of(self.seed, self.access_key_id)


class Sessions:
    """All temporary credentials by access key id."""

    def __init__(self, seed: int, kept: int = _KEPT) -> None:
        self._seed = seed
        self._kept = kept
        self._serial = 0
        self._sessions: dict[str, SandboxSession] = {}
        self._tidy_at = kept

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, access_key_id: str) -> SandboxSession | None:
        """Return the session, expired or not."""
        return self._sessions.get(access_key_id)

    def add(
        self, account_id: str, role: str, name: str, now: datetime, expires_at: datetime
    ) -> SandboxSession:
        """Make temporary credentials of a role; both instants are UTC."""
        self._serial += 1
        access_key_id = access_key_id_of("ASIA", account_id, self._seed, role, self._serial)
        session = SandboxSession(access_key_id, account_id, role, name, expires_at, self._seed)
        self._sessions[access_key_id] = session
        if len(self._sessions) > self._tidy_at:
            self._tidy(now)
        return session

    def _tidy(self, now: datetime) -> None:
        """Forget what has expired; where little had, wait until there are twice as many."""
        self._sessions = {key: one for key, one in self._sessions.items() if one.expires_at > now}
        self._tidy_at = max(self._kept, 2 * len(self._sessions))
