"""Names, paths and arguments with placeholders: `birthright/{user_name}`.

Plans are files that people can edit, so a value is believed only if AWS could have given it; and a value
is put in place of its placeholder as it is, never formatted.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from birthright.aws.identifiers import is_access_key_id, is_account_id, is_partition, is_user_name
from birthright.errors import HandoverError, UsageError
from birthright.retirement.handover.interface import Owner

_VALID: Mapping[str, Callable[[str], bool]] = {
    "user_name": is_user_name,
    "account_id": is_account_id,
    "partition": is_partition,
    "access_key_id": is_access_key_id,
}
_KEY = "{access_key_id}"
_TOKEN = re.compile(r"\{([^{}]*)\}|[{}]")


def check_template(text: str) -> None:
    """Refuse a placeholder that is none, or a brace alone. Raises UsageError."""
    for found in _TOKEN.finditer(text):
        if found[1] not in _VALID:
            raise UsageError(
                f"{found[0]!r} is no placeholder of a hand-over destination",
                f"there are {', '.join('{' + name + '}' for name in _VALID)}",
            )


def has_key(text: str) -> bool:
    """Whether the text differs from key to key."""
    return _KEY in text


def plain(text: str) -> str:
    """Return the text without its placeholders: what its author wrote."""
    return _TOKEN.sub("", text)


def for_owner(text: str, owner: Owner) -> str:
    """Put the owner's values in place; `{access_key_id}` stays. Raises UsageError for an impossible value."""
    values = {"user_name": owner.user_name, "account_id": owner.account_id, "partition": owner.partition}
    for name, value in values.items():
        if not _VALID[name](value):
            raise UsageError(
                f"{name} {value[:80]!r} is none that AWS gives", "the plan is damaged: make a new one"
            )
    values["access_key_id"] = _KEY
    return _TOKEN.sub(lambda found: values[found[1]], text)


def for_key(text: str, access_key_id: str) -> str:
    """Put the key id in place, in a text that has its owner's values. Raises HandoverError."""
    if not is_access_key_id(access_key_id):
        raise HandoverError(f"{access_key_id[:80]!r} is no access key id", "look at what AWS answered")
    return text.replace(_KEY, access_key_id)


def path_for_owner(text: str, owner: Owner) -> str:
    """Put the owner's values into a path; none of them may lead to another folder. Raises UsageError."""
    path = for_owner(text, owner)
    # Values hold no slash, so that the parts of both stand side by side.
    for written, filled in zip(text.split("/"), path.split("/"), strict=True):
        if written != filled and filled in {".", ".."}:
            raise UsageError(
                f"user {owner.user_name!r} would change the folder of {text}",
                "put another word beside the placeholder: key-{user_name}",
            )
    return path


def expanded(path: str) -> str:
    """Put a home in the place of `~`. Raises UsageError."""
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise UsageError(f"this machine knows no home for {path[:80]!r}", "write the whole path") from None


def arn_part(text: str) -> str:
    """Return the text as a part of an ARN pattern: what differs within an account becomes `*`."""
    return text.replace("{user_name}", "*").replace(_KEY, "*")
