"""`existing-secret:NAME_OR_ARN`: a new version of a secret that programs read already.

It becomes AWSCURRENT, so that they switch by themselves, and the version before stays as AWSPREVIOUS. Its
value is the JSON object that value.py describes.
"""

import re

import msgspec

from birthright.errors import HandoverError, UsageError
from birthright.retirement.handover.foreign import patiently, region_of
from birthright.retirement.handover.interface import (
    AwsCliExample,
    DeliveredSecret,
    Destination,
    DestinationType,
    NewSecret,
    Owner,
)
from birthright.retirement.handover.secret_versions import describe, has_version, put
from birthright.retirement.handover.template import arn_part, check_template, for_owner, has_key, plain

_ARN = re.compile(r"arn:([^:]+):secretsmanager:([a-z0-9-]+):([^:]+):secret:([^:]+)")
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]*")
_LONGEST = 512
_ACTIONS = ("DescribeSecret", "PutSecretValue")
_SUFFIXED = re.compile(r".*-[A-Za-z0-9]{6}")


def check(rest: str) -> None:
    """Refuse what is neither a secret's name nor its ARN. Raises UsageError."""
    check_template(rest)
    if has_key(rest):
        raise UsageError("existing-secret: no secret is named after a key that does not exist yet")
    arn = _ARN.fullmatch(rest)
    _check_name(plain(arn[4] if arn else rest), written=rest)


def destination(rest: str, owner: Owner) -> Destination:
    """Find out which secret is one user's. Raises UsageError for one of another account or partition."""
    secret = for_owner(rest, owner)
    arn = _ARN.fullmatch(secret)
    _check_name(arn[4] if arn else secret, written=secret)
    if arn and (arn[1], arn[3]) != (owner.partition, owner.account_id):
        raise UsageError(
            f"{secret} is not of account {owner.account_id} in partition {owner.partition}",
            f"name a secret of the account of user {owner.user_name}",
        )
    return _Existing(owner, secret, arn[2] if arn else None)


def actions(rest: str) -> tuple[tuple[str, str], ...]:
    """Return the actions needed. An ARN may lack the six characters that end it, and nobody can tell."""
    arn = _ARN.fullmatch(rest)
    name = arn_part(arn[4] if arn else rest)
    start = f"arn:{arn[1]}:secretsmanager:{arn[2]}:{arn[3]}" if arn else None
    start = start or "arn:{partition}:secretsmanager:*:{account_id}"
    names = [name] if arn and _SUFFIXED.fullmatch(name) else []
    return tuple(
        (f"secretsmanager:{action}", f"{start}:secret:{ending}")
        for ending in (*names, f"{name}-??????")
        for action in _ACTIONS
    )


def _check_name(name: str, written: str) -> None:
    if not written or not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise UsageError(
            f"{written[:100]!r} is neither the name nor the ARN of a secret",
            "existing-secret:NAME or existing-secret:arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME",
        )


class _Existing(msgspec.Struct, frozen=True):
    """A secret that is there; `region` is its ARN's."""

    owner: Owner
    secret: str
    region: str | None

    @property
    def where(self) -> str:
        """The secret in words."""
        return f"Secrets Manager secret {self.secret}"

    def check(self) -> None:
        """Refuse a secret that does not exist, or lives in another region. Raises HandoverError."""
        here = region_of(self.owner, "secretsmanager")
        if self.region not in {None, here}:
            raise HandoverError(
                f"the secret {self.secret} is not in region {here}", f"run it with --region {self.region}"
            )
        if describe(self.owner, self.secret) is None:
            raise HandoverError(
                f"there is no secret {self.secret} in region {here}",
                "make it first, or use secrets-manager:NAME to have it made",
            )

    def deliver(self, parcel: NewSecret) -> DeliveredSecret:
        """Add the version that becomes AWSCURRENT; a repeat changes nothing. Raises HandoverError."""
        return put(self.owner, self.secret, parcel, self.where)

    def holds(self, access_key_id: str, token: str) -> bool | None:  # noqa: ARG002 - the token is enough
        """Whether the secret has the version named by the token. Raises HandoverError, uncertain."""
        return patiently(lambda: has_version(describe(self.owner, self.secret), token))


KIND = DestinationType(
    name="existing-secret",
    scope="aws",
    aws_cli=AwsCliExample("secretsmanager", "put-secret-value", "secret_id", "secret_string"),
    check=check,
    destination=destination,
    actions=actions,
)
