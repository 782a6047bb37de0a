"""Whose credentials, and which endpoint: the user's ordinary AWS configuration, resolved by botocore.

Profiles, SSO, credential processes, assumed roles, instance roles, AWS_ENDPOINT_URL and its kin all mean
here what they mean to the AWS CLI. Only credentials and addresses come from botocore; its clients are not
used for reading.
"""

import asyncio
import os
import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import botocore.session
import msgspec
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.credentials import RefreshableCredentials
from botocore.endpoint_provider import EndpointProvider
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies, validate_region_name

from birthright.aws.errors import translated
from birthright.aws.http import Pool, Response
from birthright.aws.signing import Credentials, CredentialScope
from birthright.errors import CredentialsError, UsageError
from birthright.secret import Secret


class Endpoint(msgspec.Struct, frozen=True):
    """Where a service is called, and the region and name its requests are signed for."""

    url: str
    scope: CredentialScope


class PoolLike(Protocol):
    """What a client needs of a pool of connections."""

    host: str

    async def post(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Send one POST and read its answer."""

    def close(self) -> None:
        """Close the connections."""


class Session(Protocol):
    """Whose credentials, and which endpoint: a user's own configuration, or an assumed role."""

    async def credentials(self) -> Credentials:
        """Return what to sign with now."""

    def endpoint(self, service: str) -> Endpoint:
        """Return where a service is called."""

    def pool(self, endpoint: Endpoint) -> PoolLike:
        """Return connections to an endpoint."""


class AwsSession:
    """One user's configuration: `profile` and `region` override what the environment says."""

    def __init__(self, profile: str | None = None, region: str | None = None) -> None:
        with translated():
            self._botocore = botocore.session.Session(profile=profile)
            # botocore reads AWS_DEFAULT_REGION alone; the CLI and every other SDK read AWS_REGION first.
            region = region or os.environ.get("AWS_REGION") or self._botocore.get_config_variable("region")
            self.region: str = region or "us-east-1"
            validate_region_name(self.region)
            # Roles are assumed in the same partition.
            self._botocore.set_config_variable("region", self.region)
            self._provider = self._botocore.get_credentials()
        if self._provider is None:
            raise CredentialsError(
                "there are no AWS credentials",
                "set AWS_PROFILE or --profile, sign in with 'aws sso login', or use --credential-report FILE",
            )
        self._frozen: Any = None
        self._credentials: Credentials | None = None

    @property
    def botocore(self) -> Any:  # noqa: ANN401 - botocore has no types
        """The session itself, for changes: `retirement/` makes its clients from it."""
        return self._botocore

    async def credentials(self) -> Credentials:
        """Return what to sign with now; what expires is renewed first. Raises CredentialsError, ReadError.

        Renewing uses the network, a process or a file, so it happens in a thread.
        """
        provider = self._provider
        if not isinstance(provider, RefreshableCredentials):
            return self._credentials or self._freeze()
        with translated():
            due = provider.refresh_needed()
        return await asyncio.to_thread(self._freeze) if due else self._freeze()

    def endpoint(self, service: str) -> Endpoint:
        """Resolve a service's endpoint the way AWS clients do. Raises UsageError for an unknown region."""
        with translated():
            configured = self.configured_endpoint(service)
            region, fips = _without_fips(self.region)
            loader = self._botocore.get_component("data_loader")
            partitions = loader.load_data("partitions")
            if not configured and not _is_known(partitions, region):
                raise UsageError(
                    f"there is no AWS region {self.region!r}",
                    "look at --region, AWS_REGION and ~/.aws/config",
                )
            rules = loader.load_service_model(service, "endpoint-rule-set-1")
            wanted = self._parameters(region, fips=fips, url=_checked(configured) if configured else None)
            known = {name: value for name, value in wanted.items() if name in rules["parameters"]}
            found = EndpointProvider(rules, partitions).resolve_endpoint(**known)
        schemes = found.properties.get("authSchemes") or [{}]
        return Endpoint(
            found.url.rstrip("/"), CredentialScope(schemes[0].get("signingRegion", region), service)
        )

    def pool(self, endpoint: Endpoint) -> Pool:
        """Return a connection pool for an endpoint, through the proxy the environment names."""
        with translated():
            proxies = get_environ_proxies(endpoint.url)
            trusted = self._botocore.get_config_variable("ca_bundle") or get_cert_path(verify=True)
        return Pool(endpoint.url, proxies.get(endpoint.url.partition(":")[0]), trusted)

    def _freeze(self) -> Credentials:
        with translated():
            frozen = self._provider.get_frozen_credentials()
        if self._credentials is None or frozen != self._frozen:
            token = Secret(frozen.token) if frozen.token else None
            self._frozen = frozen
            self._credentials = Credentials(frozen.access_key, Secret(frozen.secret_key), token)
        return self._credentials

    def _parameters(self, region: str, *, fips: bool, url: str | None) -> dict[str, object]:
        """Return the parameters of AWS's endpoint rules."""
        setting = self._botocore.get_config_variable
        parameters: dict[str, object] = {
            "Region": region,
            "UseFIPS": fips or bool(setting("use_fips_endpoint")),
            "UseDualStack": bool(setting("use_dualstack_endpoint")),
            "UseGlobalEndpoint": not url and setting("sts_regional_endpoints") == "legacy",
        }
        return {**parameters, "Endpoint": url} if url else parameters

    def configured_endpoint(self, service: str) -> str | None:
        """Return the endpoint that the user's configuration names for a service, if it names one."""
        if self._botocore.get_config_variable("ignore_configured_endpoint_urls"):
            return None
        provider = ConfiguredEndpointProvider(
            full_config=self._botocore.full_config,
            scoped_config=self._botocore.get_scoped_config(),
            client_name=service,
            environ=os.environ,
        )
        url: str | None = provider.provide()
        return url


def _without_fips(region: str) -> tuple[str, bool]:
    """Read the old spelling `fips-us-gov-west-1` as AWS clients do."""
    plain = region.replace("fips-", "").replace("-fips", "")
    return plain, plain != region


def _is_known(partitions: dict[str, Any], region: str) -> bool:
    """Whether some partition has such a region, or could have: new ones come without an update."""
    return any(
        region in partition["regions"] or re.fullmatch(partition["regionRegex"], region)
        for partition in partitions["partitions"]
    )


def _checked(url: str) -> str:
    """Refuse an endpoint that no connection can be made to."""
    try:
        parts = urlsplit(url)
        name = (parts.hostname or "").encode("idna")
        usable = parts.scheme in {"http", "https"} and bool(name) and parts.port != 0
        # They would be lost, or sent unsigned.
        usable = usable and not (parts.query or parts.fragment or parts.username or parts.path.strip("/"))
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable():
        shown = url if "@" not in url else url.rpartition("@")[2]
        raise UsageError(
            f"the endpoint {shown[:100]!r} is not a URL of a host", "AWS_ENDPOINT_URL=https://host[:port]"
        )
    return url.rstrip("/")
