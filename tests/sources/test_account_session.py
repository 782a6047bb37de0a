"""Whose credentials, and where to: what AWS's own clients make of the same environment, in our words."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import botocore.loaders
import botocore.session
import pytest
from botocore.awsrequest import AWSRequest, AWSResponse

from birthright.aws.session import AwsSession, Endpoint
from birthright.errors import BirthrightError, CredentialsError, UsageError
from birthright.scans.request import ReadOptions
from birthright.sources.account import collect_account
from birthright.times import now

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
PROFILE = "[profile p]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = secret\n"
LOADER = botocore.loaders.create_loader()  # one, so that AWS's models are read once
Configure = Callable[[str], None]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have credentials."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Write ~/.aws/config."""

    def write(text: str) -> None:
        path = tmp_path / "config"
        path.write_text(text)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(path))

    return write


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "cn-north-1"}, "cn-north-1"),
        ({"AWS_REGION": "cn-north-1"}, "cn-north-1"),
        ({"AWS_REGION": "cn-north-1", "AWS_DEFAULT_REGION": "us-gov-west-1"}, "cn-north-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-gov-west-1"}, "us-gov-west-1"),
    ],
)
@pytest.mark.usefixtures("keys")
def test_region_comes_from_the_environment(
    environment: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_REGION goes before AWS_DEFAULT_REGION, as in the AWS CLI; an argument before both."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert AwsSession().region == region
    assert AwsSession(region="eusc-de-east-1").region == "eusc-de-east-1"


@pytest.mark.usefixtures("keys")
def test_region_comes_from_the_profile_last(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile's region counts where the environment names none."""
    configure(f"{PROFILE}region = cn-northwest-1\n")
    assert AwsSession("p").region == "cn-northwest-1"
    monkeypatch.setenv("AWS_REGION", "cn-north-1")
    assert AwsSession("p").region == "cn-north-1"


def _refused(kind: type[BirthrightError], says: str, profile: str | None = None) -> None:
    """Expect one line that says it, when a session is made or its credentials are first needed."""
    with pytest.raises(BirthrightError, match=says) as caught:
        asyncio.run(AwsSession(profile).credentials())
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_no_credentials_at_all() -> None:
    """Without credentials the error says what to do."""
    _refused(CredentialsError, "AWS_PROFILE")


def test_a_missing_profile_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether named by the option or by the environment."""
    _refused(UsageError, "nobody", "nobody")
    monkeypatch.setenv("AWS_PROFILE", "someone")
    _refused(UsageError, "someone")


def test_partial_credentials(monkeypatch: pytest.MonkeyPatch, configure: Configure) -> None:
    """A key id without its secret is no credentials, in the environment and in a file."""
    configure("[profile half]\naws_access_key_id = AKIAEXAMPLE\n")
    _refused(CredentialsError, "artial", "half")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    _refused(CredentialsError, "artial")


SSO = """\
[profile work]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = audit
[sso-session corp]
sso_region = us-east-1
sso_start_url = https://corp.example.com/start
"""


def test_sso_without_a_token(configure: Configure) -> None:
    """Who never signed in is told to."""
    configure(SSO)
    _refused(CredentialsError, "sign in", "work")


def test_sso_with_an_expired_token(configure: Configure, tmp_path: Path) -> None:
    """An expired token that cannot be renewed is told in one line, with what to do.

    In a process of its own: botocore decides where its cache is as it is imported.
    """
    configure(SSO)
    cache = tmp_path / ".aws/sso/cache"
    cache.mkdir(parents=True)
    token = {"accessToken": "secret-token", "expiresAt": "2020-01-01T00:00:00Z"}
    (cache / f"{hashlib.sha1(b'corp', usedforsecurity=False).hexdigest()}.json").write_text(json.dumps(token))
    command = [sys.executable, "-m", "birthright", "scan", "--profile", "work"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (3, "")
    assert "sign in again" in done.stderr
    assert "expired" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_sso_with_an_impossible_region(configure: Configure) -> None:
    """A setting that only comes to light when credentials are first needed is one line, not a group."""
    configure(SSO.replace("sso_region = us-east-1", "sso_region = not/a/region"))
    with pytest.raises(BirthrightError) as caught:
        asyncio.run(collect_account(AwsSession("work"), ReadOptions(), now()))
    assert isinstance(caught.value, UsageError | CredentialsError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("/nowhere/at-all", "No such file"),
        ("{python} -c 'import sys; sys.exit(\"broke secret\")'", "no usable AWS credentials"),
        ("{python} -c 'print(1)'", "no usable AWS credentials"),
        ("{python} -c 'print(\"no json secret\")'", "no usable AWS credentials"),
        ("{python} -c 'print(\"{{}}\")'", "no usable AWS credentials"),
        ("'unbalanced", "no usable AWS credentials"),
    ],
)
def test_a_failing_credential_process(command: str, says: str, configure: Configure) -> None:
    """Whatever a credential process does wrong is one line."""
    configure(f"[profile p]\ncredential_process = {command.format(python=sys.executable)}\n")
    _refused(CredentialsError, says, "p")


def test_a_working_credential_process(configure: Configure) -> None:
    """What it prints is signed with, and its secrets are not shown."""
    said = '{"Version": 1, "AccessKeyId": "AKIAP", "SecretAccessKey": "hidden", "SessionToken": "hidden"}'
    configure(f'[profile p]\ncredential_process = {sys.executable} -c \'print("""{said}""")\'\n')
    found = asyncio.run(AwsSession("p").credentials())
    assert found.access_key_id == "AKIAP"
    assert "hidden" not in repr(found)


SERVICES = f"""\
{PROFILE}
endpoint_url = http://global.test
services = mine
[services mine]
iam =
  endpoint_url = http://iam-section.test:81
"""


@pytest.mark.parametrize(
    ("environment", "iam", "sts"),
    [
        ({}, "http://iam-section.test:81", "http://global.test"),
        ({"AWS_ENDPOINT_URL": "http://env.test"}, "http://env.test", "http://env.test"),
        ({"AWS_ENDPOINT_URL_IAM": "http://iam.test/"}, "http://iam.test", "http://global.test"),
        (
            {"AWS_ENDPOINT_URL_IAM": "http://iam.test", "AWS_ENDPOINT_URL": "http://env.test"},
            "http://iam.test",
            "http://env.test",
        ),
        (
            {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": "http://env.test"},
            "https://iam.amazonaws.com",
            "https://sts.eu-west-1.amazonaws.com",
        ),
    ],
)
@pytest.mark.usefixtures("keys")
def test_configured_endpoints(
    environment: dict[str, str], iam: str, sts: str, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are found where AWS's clients find them, in the same order of precedence."""
    configure(SERVICES)
    for name, value in {**environment, "AWS_REGION": "eu-west-1"}.items():
        monkeypatch.setenv(name, value)
    session = AwsSession("p")
    ours = [session.endpoint("iam"), session.endpoint("sts")]
    assert [one.url for one in ours] == [iam, sts]
    assert ours == [_their_endpoint("iam", "eu-west-1", "p"), _their_endpoint("sts", "eu-west-1", "p")]


REGIONS = """us-east-1 eu-west-1 ap-southeast-1 cn-north-1 cn-northwest-1 us-gov-west-1 us-gov-east-1
    eusc-de-east-1 us-iso-east-1 us-isob-east-1 us-isof-south-1 eu-isoe-west-1 aws-global""".split()


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("service", ["iam", "sts"])
@pytest.mark.usefixtures("keys")
def test_endpoints_are_those_of_awss_own_client(service: str, region: str) -> None:
    """In every partition host and signing region equal botocore's."""
    assert AwsSession(region=region).endpoint(service) == _their_endpoint(service, region)


@pytest.mark.parametrize("region", ["us-gov-west-1", "us-gov-east-1", "us-east-1"])
@pytest.mark.parametrize("service", ["iam", "sts"])
@pytest.mark.parametrize("wish", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
@pytest.mark.usefixtures("keys")
def test_variants_are_those_of_awss_own_client(
    service: str, region: str, wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FIPS and dual-stack endpoints equal botocore's."""
    monkeypatch.setenv(wish, "true")
    assert AwsSession(region=region).endpoint(service) == _their_endpoint(service, region)


def _their_endpoint(service: str, region: str, profile: str | None = None) -> Endpoint:
    """Have botocore make a request, and look where it would have gone."""
    from birthright.aws.signing import CredentialScope

    caught: list[AWSRequest] = []

    def keep(request: AWSRequest, **_: object) -> AWSResponse:
        caught.append(request)
        return AWSResponse(request.url, 200, {}, _Body())

    session = botocore.session.Session(profile=profile)
    session.register_component("data_loader", LOADER)
    client = session.create_client(service, region_name=region)
    client.meta.events.register("before-send", keep)
    client.list_users() if service == "iam" else client.get_caller_identity()
    client.close()
    parts = urlsplit(caught[0].url)
    credential = caught[0].headers["Authorization"].decode().partition("Credential=")[2].split("/")
    return Endpoint(f"{parts.scheme}://{parts.netloc}", CredentialScope(credential[2], credential[3]))


class _Body:
    """An answer's raw stream."""

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield b"<r><ListUsersResult/><GetCallerIdentityResult/></r>"


@pytest.mark.parametrize("region", ["us-east-99x", "mars", "us_east_1", "a b", "-", "../x", "us-east-1\n"])
@pytest.mark.usefixtures("keys")
def test_an_unknown_region_is_a_usage_error(region: str) -> None:
    """In one line; a region that AWS may yet build is believed."""
    with pytest.raises(UsageError) as caught:
        AwsSession(region=region).endpoint("iam")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("keys")
def test_a_region_of_tomorrow_is_believed() -> None:
    """A new region comes without an update."""
    assert AwsSession(region="eu-west-77").endpoint("iam").url == "https://iam.amazonaws.com"


@pytest.mark.parametrize(
    "url",
    """localhost:5000 http:// https://:443 http://host:99999 http://host:x http://host:0 ftp://host
    http://[::1 http://h\u00f6st\u2603 http://host/path http://host?q http://host#f http://user:pw@host
    http://ho\x01st //host http://.""".split(),
)
@pytest.mark.usefixtures("keys")
def test_a_malformed_endpoint_is_a_usage_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before anything is sent, in one line that shows no password."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(UsageError) as caught:
        AwsSession().endpoint("iam")
    assert "\n" not in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.usefixtures("keys")
def test_a_services_section_that_is_missing(configure: Configure) -> None:
    """A profile that points to no section is told so."""
    configure(f"{PROFILE}services = gone\n")
    with pytest.raises(UsageError, match="gone"):
        AwsSession("p").endpoint("iam")
