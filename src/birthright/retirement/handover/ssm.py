"""`ssm:NAME`: a SecureString in Systems Manager Parameter Store, of birthright's own.

Its description says which key it holds, and for whom: what has no such description is never overwritten.
"""

import re
from typing import Any

import msgspec

from birthright.errors import HandoverError, UsageError
from birthright.retirement.handover.foreign import ask, found_after, patiently, request_id, tell
from birthright.retirement.handover.interface import (
    AwsCliExample,
    DeliveredSecret,
    Destination,
    DestinationType,
    NewSecret,
    Owner,
)
from birthright.retirement.handover.tags import retagged, tags_of
from birthright.retirement.handover.template import (
    arn_part,
    check_template,
    for_key,
    for_owner,
    has_key,
    plain,
)
from birthright.retirement.handover.value import stored_value

_ALLOWED = re.compile(r"[A-Za-z0-9_.\-/]*")
_RESERVED = re.compile(r"/?(aws|ssm)", re.IGNORECASE)
_LONGEST = 900
_DEEPEST = 15
_OURS = re.compile(r"birthright: access key (\S+) of IAM user (\S+)")


def check(rest: str) -> None:
    """Refuse a name that Parameter Store does not take. Raises UsageError."""
    check_template(rest)
    if not rest:
        raise UsageError("ssm: the parameter's name is missing", "ssm:/birthright/{user_name}")
    if "/" in rest and not rest.startswith("/"):
        raise UsageError(
            f"ssm: {rest[:80]!r}: a name with a slash begins with one", "ssm:/birthright/{user_name}"
        )
    if _RESERVED.match(rest):
        raise UsageError(f"ssm: {rest[:80]!r}: names that begin with aws or ssm are AWS's own")
    _check_name(plain(rest))


def destination(rest: str, owner: Owner) -> Destination:
    """Name one user's parameter. Raises UsageError if the user's name cannot stand in it."""
    name = for_owner(rest, owner)
    _check_name(plain(name))
    if _RESERVED.match(name):
        raise UsageError(f"ssm: {name[:80]!r}: names that begin with aws or ssm are AWS's own")
    return _Parameter(owner, name)


def actions(rest: str) -> tuple[tuple[str, str], ...]:
    """Return the actions needed; looking parameters up cannot be narrowed."""
    resource = f"arn:{{partition}}:ssm:*:{{account_id}}:parameter/{arn_part(rest).lstrip('/')}"
    return (
        ("ssm:DescribeParameters", "*"),
        ("ssm:AddTagsToResource", resource),
        ("ssm:PutParameter", resource),
    )


def _check_name(name: str) -> None:
    if not _ALLOWED.fullmatch(name) or len(name) > _LONGEST or name.count("/") > _DEEPEST:
        raise UsageError(
            f"{name[:80]!r} cannot be the name of a parameter: letters, digits and _.-/ are allowed",
            "give this user a destination of its own in [retirement.handover]",
        )


class _Parameter(msgspec.Struct, frozen=True):
    """One user's parameter; `name` may still hold `{access_key_id}`."""

    owner: Owner
    name: str

    @property
    def where(self) -> str:
        """The parameter in words."""
        return _where(self.name)

    def check(self) -> None:
        """Refuse a parameter of somebody else's. Raises HandoverError."""
        if not has_key(self.name):
            self._kept(self.name)

    def deliver(self, parcel: NewSecret) -> DeliveredSecret:
        """Make the parameter, or overwrite birthright's own. Raises HandoverError."""
        name = for_key(self.name, parcel.access_key_id)
        kept = self._kept(name)
        if kept is None:
            try:
                return self._put(name, parcel, Overwrite=False, Tags=tags_of(self.owner, parcel))
            except HandoverError as error:
                if error.code != "ParameterAlreadyExists":
                    raise
                failure = error
            if found_after(failure, lambda: self._kept(name)) == parcel.access_key_id:
                return DeliveredSecret(where=_where(name))
        return retagged(self._put(name, parcel, Overwrite=True), lambda: self._tag(name, parcel))

    def holds(self, access_key_id: str, token: str) -> bool | None:  # noqa: ARG002 - the description is enough
        """Whether the parameter says that it holds the key. Raises HandoverError, uncertain."""
        name = for_key(self.name, access_key_id)
        wanted = _description(access_key_id, self.owner)
        return patiently(lambda: (self._described(name) or {}).get("Description") == wanted)

    def _kept(self, name: str) -> str | None:
        """Return the id of the key that the parameter holds; None if there is no parameter.

        Raises HandoverError, certain, for a parameter that is not birthright's or is another user's.
        """
        found = self._described(name)
        if found is None:
            return None
        ours = _OURS.fullmatch(found.get("Description", ""))
        if ours is None:
            raise HandoverError(
                f"the parameter {name} exists and birthright did not make it", "choose another name"
            )
        if ours[2] != self.owner.user_name:
            raise HandoverError(
                f"the parameter {name} is kept for another user",
                "put {user_name} into the destination's name",
            )
        return ours[1]

    def _described(self, name: str) -> dict[str, Any] | None:
        """Look one parameter up, without its value. A page may be empty before the last."""
        wanted: dict[str, Any] = {"ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": [name]}]}
        while True:
            answer = ask(self.owner, "ssm", "describe_parameters", **wanted)
            for found in answer.get("Parameters", ()):
                return dict(found)
            if not answer.get("NextToken"):
                return None
            wanted["NextToken"] = answer["NextToken"]

    def _put(self, name: str, parcel: NewSecret, **how: object) -> DeliveredSecret:
        answer = tell(
            self.owner,
            "ssm",
            "put_parameter",
            Name=name,
            Type="SecureString",
            Value=stored_value(self.owner, parcel),
            Description=_description(parcel.access_key_id, self.owner),
            **how,
        )
        return DeliveredSecret(where=_where(name), request_id=request_id(answer))

    def _tag(self, name: str, parcel: NewSecret) -> None:
        tags = tags_of(self.owner, parcel)
        tell(self.owner, "ssm", "add_tags_to_resource", ResourceType="Parameter", ResourceId=name, Tags=tags)


def _description(access_key_id: str, owner: Owner) -> str:
    return f"birthright: access key {access_key_id} of IAM user {owner.user_name}"


def _where(name: str) -> str:
    return f"SSM parameter {name}"


KIND = DestinationType(
    name="ssm",
    scope="aws",
    aws_cli=AwsCliExample("ssm", "put-parameter", "name", "value", {"type": "SecureString"}),
    check=check,
    destination=destination,
    actions=actions,
)
