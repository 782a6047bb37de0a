"""The role that is assumed in accounts that are not the caller's own."""

from datetime import timedelta

import msgspec


class Role(msgspec.Struct, frozen=True):
    """Which role is assumed, and how. `name` may hold a path (`audit/birthright`).

    `duration` is how long credentials are valid: 15 minutes to 12 hours, by the role's own maximum; one
    hour at most where the caller is a role already.
    """

    name: str = "birthright"
    external_id: str | None = None
    session_name: str = "birthright"
    duration: timedelta = timedelta(hours=1)

    def parameters(self) -> dict[str, object]:
        """Return what AssumeRole takes beside the ARN."""
        named = {"RoleSessionName": self.session_name, "DurationSeconds": int(self.duration.total_seconds())}
        return {**named, "ExternalId": self.external_id} if self.external_id else named
