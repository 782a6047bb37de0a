"""The role that is assumed in accounts that are not the caller's own."""

from datetime import timedelta

import msgspec


class Role(msgspec.Struct, frozen=True):
    """Which role is taken on, and how. `name` may hold a path (`audit/birthright`).

    `duration` is how long credentials are good for: 15 minutes to 12 hours, by the role's own maximum;
    one hour at most where the caller is a role already.
    """

    name: str = "birthright"
    external_id: str | None = None
    session_name: str = "birthright"
    duration: timedelta = timedelta(hours=1)
