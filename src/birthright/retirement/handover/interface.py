"""What every destination of a new secret can do. Destinations import this, and never each other."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from birthright.secret import Secret


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose key is handed over; `client(service)` gives a botocore client of that user's account."""

    account_id: str
    partition: str
    user_name: str
    user_arn: str
    client: Callable[[str], Any]


class NewSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A new key on its way. `token` is unique to this hand-over: a UUID, 36 characters."""

    access_key_id: str
    secret: Secret
    token: str
    ticket: str = ""


class DeliveredSecret(msgspec.Struct, frozen=True, kw_only=True):
    """Where the secret is now, in words for people; AWS's request id where there is one."""

    where: str
    request_id: str = ""


class Destination(Protocol):
    """One place for one user's new secret.

    Every method raises HandoverError; `certain` says whether it is sure that nothing was stored.
    """

    @property
    def where(self) -> str:
        """The place in words, such as `Secrets Manager secret birthright/alice`."""
        ...

    def check(self) -> None:
        """Refuse, before a key is made, a place that will not take it."""
        ...

    def deliver(self, parcel: NewSecret) -> DeliveredSecret:
        """Put the secret there, whole or not at all."""
        ...

    def holds(self, access_key_id: str, token: str) -> bool | None:
        """Whether a hand-over that was interrupted arrived; None if the place cannot tell."""
        ...


Scope = Literal["aws", "machine", "program"]


class AwsCliExample(msgspec.Struct, frozen=True):
    """How the AWS CLI stores a secret there: the options that take its name, fixed values, and its value."""

    service: str
    operation: str
    name: str
    value: str
    fixed: Mapping[str, str] = {}


class DestinationType(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of destination. A spec is `NAME:REST`; `rest` is what follows the colon.

    name: what specs begin with. scope: whether its places are in the user's AWS account, on this machine,
    or known to a program of the user's own only. default: what an empty `rest` stands for.
    aws_cli: how to do it by hand; None where the AWS CLI cannot.
    check: refuses what can never work, whoever the owner is. Raises UsageError.
    destination: makes the destination of one user; asks nobody. Raises UsageError.
    actions: the IAM actions needed, each with the pattern of the ARNs it is needed on. A pattern is `*`,
    or an ARN that may hold `{partition}` and `{account_id}`.
    """

    name: str
    scope: Scope
    check: Callable[[str], None]
    destination: Callable[[str, Owner], Destination]
    actions: Callable[[str], tuple[tuple[str, str], ...]] = lambda _: ()
    default: str = ""
    aws_cli: AwsCliExample | None = None
