"""The AWS CLI's way of each step: for whoever reads a plan, or wants to do it by hand.

The commands are the same in every partition. Values are quoted for a shell; one that begins with a hyphen
is joined to its option. No command holds a secret: what is not known yet is a word in capitals.
"""

import shlex
from collections.abc import Mapping

_DEFAULT_NAME = "birthright/{user_name}"
NEW_KEY = "NEW_ACCESS_KEY_ID"
_NEW_VALUE = "file://NEW_KEY.json"
_NEW_PROFILE = "NEW_KEY"


def look_at_last_use(access_key_id: str) -> str:
    """Read when a key was last used, where and for which service."""
    return _command("iam", "get-access-key-last-used", access_key_id=access_key_id)


def list_keys(user_name: str) -> str:
    """List a user's keys with their status."""
    return _command("iam", "list-access-keys", user_name=user_name)


def disable(user_name: str, access_key_id: str) -> str:
    """Switch a key off."""
    return _command(
        "iam", "update-access-key", user_name=user_name, access_key_id=access_key_id, status="Inactive"
    )


def enable(user_name: str, access_key_id: str) -> str:
    """Switch a key on again."""
    return _command(
        "iam", "update-access-key", user_name=user_name, access_key_id=access_key_id, status="Active"
    )


def delete(user_name: str, access_key_id: str) -> str:
    """Delete a key, for good."""
    return _command("iam", "delete-access-key", user_name=user_name, access_key_id=access_key_id)


def create(user_name: str) -> str:
    """Make a key."""
    return _command("iam", "create-access-key", user_name=user_name)


def prove() -> str:
    """Ask AWS who the new key is."""
    return _command("sts", "get-caller-identity", profile=_NEW_PROFILE)


def describe(user_name: str, access_key_id: str, text: str) -> str:
    """Write a key's description: a tag of its user."""
    return _command("iam", "tag-user", user_name=user_name, tags=f"Key={access_key_id},Value={text}")


def hand_over(kind: str, name: str, values: Mapping[str, str]) -> str:
    """Store the new key's JSON at a destination of AWS's; empty for one that the AWS CLI cannot write.

    `values` are put into the placeholders of `name`.
    """
    name = name or _DEFAULT_NAME
    for placeholder, value in {**values, "access_key_id": NEW_KEY}.items():
        name = name.replace(f"{{{placeholder}}}", value)
    if kind == "secrets-manager":
        return _command("secretsmanager", "create-secret", name=name, secret_string=_NEW_VALUE)
    if kind == "existing-secret":
        return _command("secretsmanager", "put-secret-value", secret_id=name, secret_string=_NEW_VALUE)
    if kind == "ssm":
        return _command("ssm", "put-parameter", name=name, type="SecureString", value=_NEW_VALUE)
    return ""


def _command(service: str, operation: str, **values: str) -> str:
    return " ".join(["aws", service, operation, *(_option(name, value) for name, value in values.items())])


def _option(name: str, value: str) -> str:
    between = "=" if value.startswith("-") else " "
    return f"--{name.replace('_', '-')}{between}{shlex.quote(value)}"
