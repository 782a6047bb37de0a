"""Many accounts through one user's configuration: assumes a role in each, and shares one pool.

Every account's IAM is called at the same host, so connections (and their TLS) are made once and not ten
thousand times. A role's credentials are renewed well before they end.
"""

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from birthright.aws.async_pacing import Pacer
from birthright.aws.identifiers import role_arn
from birthright.aws.query_client import OPEN, Gate, QueryClient
from birthright.aws.role import Role
from birthright.aws.session import AwsSession, Endpoint, Session
from birthright.aws.signing import Credentials
from birthright.aws.sts import Caller, get_caller
from birthright.errors import AccessDeniedError, AnswerError, CredentialsError
from birthright.secret import Secret
from birthright.times import now, parse_instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from birthright.aws.http import Pool, Response

# AWS allows 600 a second in an account and Region, for all its callers; this many at a time is less.
_ASSUMING = 48
_RENEW_EARLY = timedelta(minutes=5)
_CREDENTIALS = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")


class LentPool:
    """A shared pool, which only its owner closes."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self.host = pool.host

    async def post(self, headers: "Mapping[str, str]", body: bytes) -> "Response":
        """Send one POST and read its answer."""
        return await self._pool.post(headers, body)

    def close(self) -> None:
        """Leave the pool open for the others."""


class Roles:
    """Sessions in other accounts, made from one user's own. For one event loop; `close` it at the end."""

    def __init__(self, session: AwsSession, role: Role, gate: Gate = OPEN) -> None:
        self.user = session
        self._role = role
        self._endpoints: dict[str, Endpoint] = {}
        self._pools: dict[str, Pool] = {}
        self.own: Session = _Borrowed(session, self)
        self._pacer, self._gate = Pacer(_ASSUMING), gate

    async def caller(self) -> Caller:
        """Call GetCallerIdentity as the user. Raises ReadError."""
        return await get_caller(self.sts())

    def session(self, account_id: str, partition: str, role: str | None = None) -> "RoleSession":
        """Return a session in an account; `role` is a name or an ARN, by default the one for all."""
        arn = role if role and role.startswith("arn:") else None
        return RoleSession(self, arn or role_arn(partition, account_id, role or self._role.name))

    def sts(self) -> QueryClient:
        """Return a client that calls STS with the user's own credentials, at a shared pace."""
        return QueryClient(self.own, "sts", self._pacer, self._gate)

    async def assume(self, sts: QueryClient, role_arn: str) -> tuple[Credentials, datetime]:
        """Assume a role; return its credentials and when they expire (UTC).

        Raises AccessDeniedError if the role does not exist or does not trust the caller, CredentialsError if
        the caller's own credentials are refused, or ReadError.
        """
        parameters = {name: str(value) for name, value in self._role.parameters().items()}
        try:
            result = await sts.call("AssumeRole", RoleArn=role_arn, **parameters)
        except AccessDeniedError as error:
            hint = "the role is not there, or does not trust the caller; its template is in deploy/"
            raise AccessDeniedError(error.message, hint, error.code) from None
        return _read_credentials(result)

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.close()

    def endpoint(self, service: str) -> Endpoint:
        """Return a service's endpoint, found once."""
        if service not in self._endpoints:
            self._endpoints[service] = self.user.endpoint(service)
        return self._endpoints[service]

    def pool(self, endpoint: Endpoint) -> LentPool:
        """Lend the endpoint's one pool."""
        if endpoint.url not in self._pools:
            self._pools[endpoint.url] = self.user.pool(endpoint)
        return LentPool(self._pools[endpoint.url])


class _Borrowed:
    """The user's own credentials, with the shared pools and endpoints."""

    def __init__(self, session: AwsSession, roles: Roles) -> None:
        self.credentials = session.credentials
        self.endpoint = roles.endpoint
        self.pool = roles.pool


class RoleSession:
    """One account through a role, which is assumed when its credentials are first needed.

    `sts` counts what that cost.
    """

    def __init__(self, roles: Roles, role_arn: str) -> None:
        self._roles = roles
        self._arn = role_arn
        self._credentials: Credentials | None = None
        self._renew_at: datetime | None = None
        self._renewing = asyncio.Lock()
        self.sts = roles.sts()
        self.endpoint = roles.endpoint
        self.pool = roles.pool

    async def credentials(self) -> Credentials:
        """Return what to sign with now; credentials that end soon are renewed first, by one for all."""
        if self._is_due():
            async with self._renewing:
                if self._is_due():
                    await self._renew()
        assert self._credentials is not None  # noqa: S101  for the type checker
        return self._credentials

    def _is_due(self) -> bool:
        return self._credentials is None or self._renew_at is None or now() >= self._renew_at

    async def _renew(self) -> None:
        requested_at = now()
        self._credentials, ends_at = await self._roles.assume(self.sts, self._arn)
        if ends_at <= requested_at:
            raise CredentialsError(
                "the role's credentials seem to have expired already", "set this machine's clock"
            )
        # Short-lived ones are renewed after half of their time.
        self._renew_at = ends_at - min(_RENEW_EARLY, (ends_at - requested_at) / 2)


def _read_credentials(result: Element) -> tuple[Credentials, datetime]:
    found = result.find("Credentials")
    if found is None:
        raise AnswerError("AssumeRole: the answer holds no credentials")
    texts = [found.findtext(name) for name in _CREDENTIALS]
    if not all(texts):
        raise AnswerError("AssumeRole: the credentials in the answer are not whole")
    key_id, secret, token, expiration = (text or "" for text in texts)
    try:
        ends_at = parse_instant(expiration)
    except (ValueError, OverflowError):
        raise AnswerError("AssumeRole: the answer does not say when the credentials end") from None
    return Credentials(key_id, Secret(secret), Secret(token)), ends_at
