"""The sandbox's own time."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """A clock in UTC that runs at the real pace and can be moved; `frozen` makes it stand still."""

    def __init__(self, start: datetime | None = None, *, frozen: bool = False) -> None:
        self._base = start or datetime.now(UTC)
        self._since = time.monotonic()
        self.frozen = frozen

    def now(self) -> datetime:
        """Return the sandbox's present, UTC, with microseconds."""
        if self.frozen:
            return self._base
        return self._base + timedelta(seconds=time.monotonic() - self._since)

    def second(self) -> datetime:
        """Return the present cut to the whole second, as IAM stores every date."""
        return self.now().replace(microsecond=0)

    def set(self, moment: datetime) -> None:
        """Jump to `moment`, forwards or backwards, and go on from there."""
        self._base, self._since = moment.astimezone(UTC), time.monotonic()

    def advance(self, step: timedelta) -> None:
        """Move by `step`; a negative step goes back."""
        self._base += step
