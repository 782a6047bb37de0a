"""Signature Version 4, checked from its specification and not with any client's code.

The recipe is AWS's "Create a signed AWS API request": canonical request, string to sign, derived
signing key, HMAC-SHA256. Nothing here is shared with the signer under test.
"""

import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote_plus

from birthright.sandbox.wire import AwsError, WireRequest

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW = 900  # seconds, either way
_SCOPE_PARTS = 5
_CACHED_KEYS = 20_000
_USUAL = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/([^/,\s]+)/([^/,\s]+)/([^/,\s]+)/aws4_request, "
    r"SignedHeaders=([^,=\s]+), Signature=([^,=\s]+)"
)
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)


@dataclass(slots=True)
class Claim:
    """What an Authorization header claims: who signed, for which scope, over which headers."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: str
    signature: str


def parse(header: str | None) -> Claim:
    """Read an Authorization header; the errors are those IAM answers."""
    if not header:
        raise AwsError(403, "MissingAuthenticationToken", "Missing Authentication Token")
    usual = _USUAL.fullmatch(header)
    if usual:
        return Claim(*usual.groups())
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm}'.")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    missing = [name for name in ("Credential", "SignedHeaders", "Signature") if not fields.get(name)]
    if missing:
        raise _incomplete(f"Authorization header requires '{missing[0]}' parameter.")
    scope = fields["Credential"].split("/")
    if len(scope) != _SCOPE_PARTS or scope[4] != "aws4_request":
        raise _incomplete("Credential must have exactly 5 slash-delimited elements.")
    access_key_id, date, region, service, _ = scope
    headers, signature = fields["SignedHeaders"], fields["Signature"]
    return Claim(access_key_id, date, region, service, headers, signature)


class Verifier:
    """Checks signatures. `wall` gives real seconds since 1970: clients sign with real time."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._keys: dict[tuple[str, str, str, str], bytes] = {}

    def check(self, request: WireRequest, claim: Claim, secret: str) -> None:
        """Raise SignatureDoesNotMatch unless the claim is true of the request."""
        stamp = self._fresh(request, claim)
        canonical = canonical_request(request, claim.signed_headers)
        scope = f"{claim.date}/{claim.region}/{claim.service}/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashed}".encode()
        expected = hmac.digest(self._signing_key(claim, secret), to_sign, "sha256").hex()
        if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
            shown = f"\n\nThe Canonical String for this request should have been\n'{canonical}'"
            raise _mismatch(_MISMATCH + shown)

    def _fresh(self, request: WireRequest, claim: Claim) -> str:
        stamp = request.headers.get("x-amz-date", "")
        signed_at = _seconds(stamp)
        if signed_at is None:
            raise _incomplete("Authorization header requires existence of a valid 'X-Amz-Date'.")
        if stamp[:8] != claim.date:
            raise _mismatch("Date in Credential scope does not match YYYYMMDD from X-Amz-Date.")
        age = self._wall() - signed_at
        if age > MAX_SKEW:
            raise _mismatch(f"Signature expired: {stamp} is now {age:.0f} s old (15 min).")
        if age < -MAX_SKEW:
            raise _mismatch(f"Signature not yet current: {stamp} is {-age:.0f} s ahead (15 min).")
        return stamp

    def _signing_key(self, claim: Claim, secret: str) -> bytes:
        place = (secret, claim.date, claim.region, claim.service)
        key = self._keys.get(place)
        if key is None:
            if len(self._keys) >= _CACHED_KEYS:
                self._keys.clear()
            key = self._keys[place] = signing_key(*place)
        return key


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Derive the key of one day, Region and service from a secret."""
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def canonical_request(request: WireRequest, signed_headers: str) -> str:
    """Write the request in the one form both sides must agree on."""
    names = signed_headers.split(";")
    _must_be_signed(request, names)
    headers = request.headers
    lines = "".join([f"{name}:{_squeeze(headers.get(name, ''))}\n" for name in names])
    path = "/" if request.path == "/" else quote(request.path, safe="/-_.~")
    body = hashlib.sha256(request.body).hexdigest()
    query = _canonical_query(request.query) if request.query else ""
    return f"{request.method}\n{path}\n{query}\n{lines}\n{signed_headers}\n{body}"


def _must_be_signed(request: WireRequest, names: list[str]) -> None:
    """AWS asks for host and every x-amz-* header under the signature, in alphabetical order."""
    if names != sorted(names):
        raise _mismatch("SignedHeaders is not in alphabetical order.")
    unsigned = [
        name
        for name in request.headers
        if name not in names and (name == "host" or name.startswith("x-amz-"))
    ]
    if unsigned:
        raise _mismatch(f"'{unsigned[0]}' must be a 'SignedHeader' in the AWS Authorization.")


def _canonical_query(query: str) -> str:
    pairs = [part.partition("=")[::2] for part in query.split("&")]
    coded = sorted((_recode(name), _recode(value)) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in coded)


def _recode(text: str) -> str:
    """Code one part anew; a bare plus in a query is a space, as forms write it."""
    return quote(unquote_plus(text), safe="-_.~")


def _squeeze(value: str) -> str:
    return " ".join(value.split()) if "  " in value else value.strip()


@lru_cache(maxsize=256)
def _seconds(stamp: str) -> int | None:
    try:
        return calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None


def _incomplete(message: str) -> AwsError:
    return AwsError(400, "IncompleteSignature", message)


def _mismatch(message: str) -> AwsError:
    return AwsError(403, "SignatureDoesNotMatch", message)
