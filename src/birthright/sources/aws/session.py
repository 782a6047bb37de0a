"""Who asks, and where: the user's ordinary AWS configuration, resolved by botocore.

Profiles, SSO, credential processes, assumed roles, instance roles, AWS_ENDPOINT_URL and its kin all mean
here what they mean to the AWS CLI. Only credentials and addresses come from botocore; its clients are not
used for reading.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import botocore.exceptions
import botocore.session
import msgspec
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from birthright.errors import BirthrightError, CredentialsError, ReadError, UsageError
from birthright.secret import Secret
from birthright.sources.aws.http import Pool
from birthright.sources.aws.signing import Credentials, Scope

_WRONG_SETTINGS = (
    botocore.exceptions.ProfileNotFound,
    botocore.exceptions.ConfigParseError,
    botocore.exceptions.ConfigNotFound,
    botocore.exceptions.InvalidConfigError,
    botocore.exceptions.InvalidRegionError,
    botocore.exceptions.UnknownRegionError,
    botocore.exceptions.NoRegionError,
)


class Endpoint(msgspec.Struct, frozen=True):
    """Where a service is asked, and the region and name its requests are signed for."""

    url: str
    scope: Scope


class AwsSession:
    """One user's configuration: `profile` and `region` override what the environment says."""

    def __init__(self, profile: str | None = None, region: str | None = None) -> None:
        with translated():
            self._botocore = botocore.session.Session(profile=profile)
            self.region: str = region or self._botocore.get_config_variable("region") or "us-east-1"
            self._provider = self._botocore.get_credentials()
        if self._provider is None:
            raise CredentialsError(
                "there are no AWS credentials",
                "set AWS_PROFILE or --profile, sign in with 'aws sso login', or use --credential-report FILE",
            )

    def credentials(self) -> Credentials:
        """Return what to sign with now; what expires is renewed first. Raises CredentialsError."""
        with translated():
            frozen = self._provider.get_frozen_credentials()
        token = Secret(frozen.token) if frozen.token else None
        return Credentials(frozen.access_key, Secret(frozen.secret_key), token)

    def endpoint(self, service: str) -> Endpoint:
        """Resolve a service's endpoint the way AWS clients do. Raises UsageError for an unknown region."""
        with translated():
            configured = self._configured(service)
            if configured:
                return Endpoint(_checked(configured), Scope(self.region, service))
            found = self._botocore.get_component("endpoint_resolver").construct_endpoint(
                service,
                self.region,
                use_fips_endpoint=bool(self._botocore.get_config_variable("use_fips_endpoint")),
                use_dualstack_endpoint=bool(self._botocore.get_config_variable("use_dualstack_endpoint")),
            )
        if not found:
            raise UsageError(f"there is no {service} endpoint for region {self.region!r}")
        region = found.get("credentialScope", {}).get("region", self.region)
        return Endpoint(f"https://{found['hostname']}", Scope(region, service))

    def pool(self, endpoint: Endpoint) -> Pool:
        """Return a connection pool for an endpoint, through the proxy the environment names."""
        proxies = get_environ_proxies(endpoint.url)
        trusted = self._botocore.get_config_variable("ca_bundle") or get_cert_path(verify=True)
        return Pool(endpoint.url, proxies.get(endpoint.url.partition(":")[0]), trusted)

    def _configured(self, service: str) -> str | None:
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


@contextmanager
def translated() -> Iterator[None]:
    """Turn botocore's exceptions into birthright's; the one place where that happens."""
    try:
        yield
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error) from error


def translate(error: botocore.exceptions.BotoCoreError) -> BirthrightError:
    """Choose the error of ours for one of botocore's: wrong settings, or no credentials to be had."""
    text = " ".join(str(error).split())
    if isinstance(error, _WRONG_SETTINGS):
        return UsageError(text, "look at AWS_PROFILE, AWS_REGION and ~/.aws/config")
    if isinstance(error, botocore.exceptions.HTTPClientError):
        return ReadError(f"the credentials' own source cannot be reached: {text}")
    return CredentialsError(
        f"no usable AWS credentials: {text}", "sign in again, or choose another --profile"
    )


def _checked(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"the endpoint {url!r} is not a URL", "AWS_ENDPOINT_URL begins with https://")
    return url.rstrip("/")
