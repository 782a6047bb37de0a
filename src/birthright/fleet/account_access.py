"""How to get into an account: with the caller's own credentials, through a role, or as a local profile."""

import asyncio
from contextlib import suppress

from birthright.aws.role import Role
from birthright.aws.roles import Roles, RoleSession
from birthright.aws.session import AwsSession, Session
from birthright.aws.sts import Caller
from birthright.errors import AccessDeniedError, CredentialsError, ReadError
from birthright.fleet.target import Target


class AccountAccess:
    """Opens sessions in accounts.

    The caller's own account is entered as the caller, unless `through_role` says otherwise. Without `roles`
    only local profiles are opened, in `region` if one is given.
    """

    def __init__(
        self,
        roles: Roles | None,
        caller: Caller | None,
        partition: str,
        *,
        through_role: bool = False,
        region: str | None = None,
    ) -> None:
        self._roles = roles
        self._region = region
        self._own = caller.account_id if caller and not through_role else None
        self.partition = partition

    @property
    def session(self) -> AwsSession | None:
        """The caller's own configuration."""
        return self._roles.user if self._roles else None

    async def check(self) -> None:
        """Raise CredentialsError if the caller's own credentials are no good any more."""
        if self._roles is None:
            return
        try:
            await self._roles.caller()
        except CredentialsError:
            raise
        except ReadError:
            # Whatever else is wrong says nothing of them.
            return

    async def probe(self, asked: Target | None) -> None:
        """Find out whether AWS answers at all: who asks, and `asked`, an account that let us in before.

        Raises ReadError if there is no answer, CredentialsError if the caller's credentials are no good.
        """
        if self._roles is None:
            if asked is not None:
                await _ask_as(await asyncio.to_thread(AwsSession, asked.profile, self._region))
            return
        await self._roles.caller()
        session = self.open(asked) if asked is not None else None
        if isinstance(session, RoleSession):
            # To be denied is an answer.
            with suppress(AccessDeniedError):
                await session.credentials()

    def open(self, asked: Target) -> Session:
        """Return a session in the account; nothing is asked yet. Raises CredentialsError, UsageError."""
        if self._roles is None or asked.profile is not None:
            return AwsSession(asked.profile, self._region)
        if asked.account.account_id == self._own and asked.role is None:
            return self._roles.own
        return self._roles.session(asked.account.account_id, self.partition, asked.role)


async def _ask_as(session: AwsSession) -> None:
    """Ask who a profile's credentials are of. Raises ReadError."""
    roles = Roles(session, Role())
    try:
        await roles.caller()
    finally:
        roles.close()
