"""How accounts are entered: with the caller's own credentials, through a role, or as a local profile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from birthright.aws.query_client import Gate
from birthright.aws.role import Role
from birthright.aws.roles import Roles, RoleSession
from birthright.aws.session import AwsSession, Session
from birthright.aws.sts import Caller
from birthright.errors import AccessDeniedError, CredentialsError, ReadError
from birthright.fleet.target import Target
from birthright.scans.request import ManyAccounts


class AccountAccess:
    """Opens sessions in accounts; `gate` limits the calls in flight of all of them.

    Without `roles` and `caller` every account is a local profile.
    """

    def __init__(
        self, request: ManyAccounts, gate: Gate, roles: Roles | None = None, caller: Caller | None = None
    ) -> None:
        self.gate = gate
        self.partition = caller.partition if caller else "aws"
        self._roles = roles
        self._region = request.region
        self._own = caller.account_id if caller and not request.through_role else None

    @property
    def session(self) -> AwsSession | None:
        """The caller's own configuration."""
        return self._roles.user if self._roles else None

    async def check(self) -> None:
        """Raise CredentialsError if the caller's own credentials are no longer accepted."""
        if self._roles is None:
            return
        try:
            await self._roles.caller()
        except CredentialsError:
            raise
        except ReadError:
            # Anything else says nothing about them.
            return

    async def probe(self, entered: Target | None) -> None:
        """Check that AWS answers: GetCallerIdentity, and for `entered`, an account that was entered before.

        Raises ReadError if there is no answer, CredentialsError if the caller's credentials are refused.
        """
        if self._roles is None:
            if entered is not None:
                await _get_caller(await asyncio.to_thread(AwsSession, entered.profile, self._region))
            return
        await self._roles.caller()
        session = self.open(entered) if entered is not None else None
        if isinstance(session, RoleSession):
            # A denial is an answer.
            with suppress(AccessDeniedError):
                await session.credentials()

    def open(self, target: Target) -> Session:
        """Return a session in the account; no call is made yet. Raises CredentialsError, UsageError."""
        if self._roles is None or target.profile is not None:
            return AwsSession(target.profile, self._region)
        if target.account.account_id == self._own and target.role is None:
            return self._roles.own
        return self._roles.session(target.account.account_id, self.partition, target.role)


@asynccontextmanager
async def open_access(request: ManyAccounts) -> AsyncIterator[AccountAccess]:
    """Find out who calls, and open the way into accounts. Raises CredentialsError, ReadError."""
    gate = asyncio.Semaphore(request.limits.calls)
    if request.wanted.profiles:
        yield AccountAccess(request, gate)
        return
    roles = Roles(AwsSession(request.profile, request.region), request.role, gate)
    try:
        yield AccountAccess(request, gate, roles, await roles.caller())
    finally:
        roles.close()


async def _get_caller(session: AwsSession) -> None:
    """Call GetCallerIdentity as a profile. Raises ReadError."""
    roles = Roles(session, Role())
    try:
        await roles.caller()
    finally:
        roles.close()
