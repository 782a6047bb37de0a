"""`secrets-manager:NAME`: a secret of birthright's own in the user's account, one for each user.

It is made if it is missing, and tagged; a secret that birthright did not make is never written to.
"""

import re
from typing import Any

import msgspec

from birthright.errors import HandoverError, UsageError
from birthright.retirement.handover.foreign import found_after, patiently, request_id, tell
from birthright.retirement.handover.interface import (
    AwsCliExample,
    DeliveredSecret,
    Destination,
    DestinationType,
    NewSecret,
    Owner,
)
from birthright.retirement.handover.secret_versions import describe, has_version, put
from birthright.retirement.handover.tags import is_for, retagged, tags_of
from birthright.retirement.handover.template import (
    arn_part,
    check_template,
    for_key,
    for_owner,
    has_key,
    plain,
)
from birthright.retirement.handover.value import stored_value

_SERVICE = "secretsmanager"
_ALLOWED = re.compile(r"[A-Za-z0-9/_+=.@-]*")
_LONGEST = 512
_ACTIONS = ("CreateSecret", "DescribeSecret", "PutSecretValue", "TagResource")


def check(rest: str) -> None:
    """Refuse a name that Secrets Manager does not take. Raises UsageError."""
    check_template(rest)
    _check_name(plain(rest))


def destination(rest: str, owner: Owner) -> Destination:
    """Name one user's secret. Raises UsageError if the user's name cannot stand in it."""
    name = for_owner(rest, owner)
    _check_name(plain(name))
    return _Secret(owner, name)


def actions(rest: str) -> tuple[tuple[str, str], ...]:
    """Return the actions needed; Secrets Manager adds a hyphen and six characters to every name."""
    name = arn_part(rest)
    resource = f"arn:{{partition}}:{_SERVICE}:*:{{account_id}}:secret:{name}-??????"
    return tuple((f"{_SERVICE}:{action}", resource) for action in _ACTIONS)


def _check_name(name: str) -> None:
    if not _ALLOWED.fullmatch(name) or len(name) > _LONGEST:
        raise UsageError(
            f"{name[:80]!r} cannot be the name of a secret: letters, digits and /_+=.@- are allowed",
            "give this user a destination of its own in [retirement.handover]",
        )


class _Secret(msgspec.Struct, frozen=True):
    """One user's secret; `name` may still hold `{access_key_id}`."""

    owner: Owner
    name: str

    @property
    def where(self) -> str:
        """The secret in words."""
        return _where(self.name)

    def check(self) -> None:
        """Refuse a secret of somebody else's, or one that is about to be deleted. Raises HandoverError."""
        self._find(self.name)

    def deliver(self, parcel: NewSecret) -> DeliveredSecret:
        """Make the secret, or add a version to it; a repeat changes nothing. Raises HandoverError."""
        name = for_key(self.name, parcel.access_key_id)
        found = self._find(name)
        if found is None:
            try:
                return self._create(name, parcel)
            except HandoverError as error:
                if error.code != "ResourceExistsException":
                    raise
                failure = error
            found = found_after(failure, lambda: self._find(name))
        if has_version(found, parcel.token):
            return DeliveredSecret(where=_where(name))
        delivered = put(self.owner, name, parcel, _where(name))
        tags = tags_of(self.owner, parcel)
        return retagged(
            delivered, lambda: tell(self.owner, _SERVICE, "tag_resource", SecretId=name, Tags=tags)
        )

    def holds(self, access_key_id: str, token: str) -> bool | None:
        """Whether the secret has the version named by the token. Raises HandoverError, uncertain."""
        name = for_key(self.name, access_key_id)
        return patiently(lambda: has_version(describe(self.owner, name), token))

    def _find(self, name: str) -> dict[str, Any] | None:
        """Look the secret up; None if it is to be made. Raises HandoverError, certain."""
        if has_key(name):
            return None
        found = describe(self.owner, name)
        ours = found is None or is_for(self.owner, found.get("Tags", ()))
        if ours is None:
            raise HandoverError(
                f"the secret {name} exists and birthright did not make it",
                f"to write to it all the same, say existing-secret:{name}",
            )
        if not ours:
            raise HandoverError(
                f"the secret {name} is kept for another user", "put {user_name} into the destination's name"
            )
        return found

    def _create(self, name: str, parcel: NewSecret) -> DeliveredSecret:
        answer = tell(
            self.owner,
            _SERVICE,
            "create_secret",
            Name=name,
            Description=f"Access key of IAM user {self.owner.user_name}, kept by birthright",
            ClientRequestToken=parcel.token,
            SecretString=stored_value(self.owner, parcel),
            Tags=tags_of(self.owner, parcel),
        )
        return DeliveredSecret(where=_where(name), request_id=request_id(answer))


def _where(name: str) -> str:
    return f"Secrets Manager secret {name}"


KIND = DestinationType(
    name="secrets-manager",
    scope="aws",
    default="birthright/{user_name}",
    aws_cli=AwsCliExample(_SERVICE, "create-secret", "name", "secret_string"),
    check=check,
    destination=destination,
    actions=actions,
)
