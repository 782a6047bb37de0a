"""AWS Signature Version 4 for the one request form birthright sends: POST / with a form body.

The algorithm is AWS's ("Create a signed AWS API request", IAM User Guide); a property test holds it
against botocore's signer. botocore's own costs several times the CPU, for forms not needed here.
"""

import hashlib
import hmac
import re
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from birthright.errors import CredentialsError
from birthright.secret import Secret

CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class Credentials(msgspec.Struct, frozen=True):
    """What signs a request. The secret and the session token print as `***`.

    Raises CredentialsError for an id, a secret or a token that was pasted wrongly.
    """

    access_key_id: str
    secret: Secret
    token: Secret | None = None

    def __post_init__(self) -> None:
        token = self.token.reveal() if self.token else "none"
        values = {"access key id": self.access_key_id, "secret": self.secret.reveal(), "session token": token}
        for name, value in values.items():
            if not _PRINTABLE.fullmatch(value):
                raise CredentialsError(
                    f"the {name} is empty or holds spaces, line ends or letters beyond ASCII",
                    "it was pasted wrongly: look at AWS_ACCESS_KEY_ID and its kin, or ~/.aws/credentials",
                )


class CredentialScope(msgspec.Struct, frozen=True):
    """Where a signature is good for: `region` is the signing region, `service` the signing name."""

    region: str
    service: str


def sign(
    body: bytes, host: str, scope: CredentialScope, credentials: Credentials, moment: datetime
) -> dict[str, str]:
    """Return the headers that make `POST / HTTP/1.1` with this form body a signed request."""
    stamp = moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    # Signed headers are canonical in alphabetical order, which this is.
    headers = {"content-type": CONTENT_TYPE, "host": host, "x-amz-date": stamp}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token.reveal()
    where = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    names = ";".join(headers)
    digest = _canonical_digest(body, headers, names)
    key = _signing_key(credentials.secret, stamp[:8], scope.region, scope.service)
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{where}\n{digest}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key_id}/{where}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return headers


def _canonical_digest(body: bytes, headers: dict[str, str], names: str) -> str:
    lines = "".join([f"{name}:{value}\n" for name, value in headers.items()])
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    return hashlib.sha256(request.encode()).hexdigest()


@lru_cache(maxsize=1024)
def _signing_key(secret: Secret, day: str, region: str, service: str) -> bytes:
    """Derive the day's key once; it takes four of the six hashes of a signature."""
    key = f"AWS4{secret.reveal()}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
