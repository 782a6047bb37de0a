"""What AWS's identifiers look like: account ids, access key ids, IAM names, ARNs."""

import re

import msgspec

_ACCOUNT_ID = re.compile(r"[0-9]{12}")
_ACCESS_KEY_ID = re.compile(r"\w{16,128}", re.ASCII)
_PARTITION = re.compile(r"aws(-[a-z]+)*")
# IAM creates names of at most 64 characters, and takes up to 128 of users that exist.
_USER_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_MAX_ROLE_NAME = 512 + 64  # a path and a name
# IAM allows * and ? in paths, but in a policy they would match other paths.
_ROLE_NAME = re.compile(r"/?(?:[!-)+-.0->@-~]+/)*[\w+=,.@-]{1,64}", re.ASCII)
_ARN = re.compile(
    r"arn:(?P<partition>[a-z0-9-]+):(?P<service>[a-z0-9-]+):(?P<region>[a-z0-9-]*)"
    r":(?P<account_id>[0-9]{12}):(?P<resource>.*)",
    re.DOTALL,
)
_USER = re.compile(r"user/(?:[!-~]*/)?([^/]+)")


class Arn(msgspec.Struct, frozen=True):
    """The parts of an ARN that names an account; `region` is empty for what is global."""

    partition: str
    service: str
    region: str
    account_id: str
    resource: str


class UserArn(msgspec.Struct, frozen=True):
    """Which IAM user an ARN names; its path is left out."""

    partition: str
    account_id: str
    user_name: str


def is_account_id(text: str) -> bool:
    """Whether a text is twelve ASCII digits."""
    return bool(_ACCOUNT_ID.fullmatch(text))


def is_access_key_id(text: str) -> bool:
    """Whether IAM's API accepts a text as an access key id."""
    return bool(_ACCESS_KEY_ID.fullmatch(text))


def is_partition(text: str) -> bool:
    """Whether a text can be a partition: `aws`, `aws-cn`, `aws-us-gov`, `aws-iso-b`."""
    return bool(_PARTITION.fullmatch(text))


def is_user_name(text: str) -> bool:
    """Whether IAM's API accepts a text as the name of an existing user."""
    return bool(_USER_NAME.fullmatch(text))


def is_role_name(text: str) -> bool:
    """Whether a text can be a role's name, with or without its path (`audit/birthright`)."""
    return not text.startswith("arn:") and len(text) <= _MAX_ROLE_NAME and bool(_ROLE_NAME.fullmatch(text))


def parse_arn(text: str) -> Arn | None:
    """Split an ARN; None if it is no ARN or names no account."""
    found = _ARN.fullmatch(text)
    return Arn(**found.groupdict()) if found else None


def parse_user_arn(text: str) -> UserArn | None:
    """Return which user an ARN of IAM names; None if it is of anything else."""
    arn = parse_arn(text)
    user = _USER.fullmatch(arn.resource) if arn and arn.service == "iam" and not arn.region else None
    return UserArn(arn.partition, arn.account_id, user[1]) if arn and user else None


def account_of_role_arn(text: str) -> str | None:
    """Return the id of the account that a role's ARN names; None if it is no such ARN."""
    arn = parse_arn(text)
    if arn is None or arn.service != "iam" or arn.region or not is_partition(arn.partition):
        return None
    kind, _, name = arn.resource.partition("/")
    return arn.account_id if kind == "role" and name[:1] != "/" and is_role_name(name) else None


def partition_of(arn: str | None) -> str | None:
    """Return the partition that an ARN begins with, also where its account is not known."""
    parts = (arn or "").split(":")
    return parts[1] or None if parts[0] == "arn" and parts[1:] else None


def role_arn(partition: str, account_id: str, name: str) -> str:
    """Return a role's ARN; `name` may hold a path (`audit/birthright`)."""
    return f"arn:{partition}:iam::{account_id}:role/{name.strip('/')}"
