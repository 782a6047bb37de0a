"""The AWS CLI's way of each step: for whoever reads a plan, or wants to do it by hand.

The commands are the same in every partition. Values are quoted for a shell; one that begins with a hyphen
is joined to its option. No command holds a secret: what is not known yet is a word in capitals.
"""

import shlex

from birthright.facts.model import ACTIVE, INACTIVE
from birthright.retirement.handover.interface import AwsCliExample

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
        "iam", "update-access-key", user_name=user_name, access_key_id=access_key_id, status=INACTIVE
    )


def enable(user_name: str, access_key_id: str) -> str:
    """Switch a key on again."""
    return _command(
        "iam", "update-access-key", user_name=user_name, access_key_id=access_key_id, status=ACTIVE
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


def hand_over(example: AwsCliExample, name: str) -> str:
    """Store the new key's JSON under a name, which may hold `{access_key_id}`."""
    named = {example.name: name.replace("{access_key_id}", NEW_KEY)}
    return _command(
        example.service, example.operation, **named, **example.fixed, **{example.value: _NEW_VALUE}
    )


def _command(service: str, operation: str, **values: str) -> str:
    return " ".join(["aws", service, operation, *(_option(name, value) for name, value in values.items())])


def _option(name: str, value: str) -> str:
    between = "=" if value.startswith("-") else " "
    return f"--{name.replace('_', '-')}{between}{shlex.quote(value)}"
