"""How birthright marks what it made, so that it never overwrites what it did not."""

import re
from collections.abc import Callable, Iterable, Mapping

import msgspec

from birthright.errors import HandoverError
from birthright.retirement.handover.interface import DeliveredSecret, NewSecret, Owner

MANAGED_BY = "managed-by"
BIRTHRIGHT = "birthright"
USER = "user"
_LONGEST = 256


def tags_of(owner: Owner, parcel: NewSecret) -> list[dict[str, str]]:
    """Return the tags of a secret or parameter that birthright makes, as AWS takes them."""
    tags = {
        MANAGED_BY: BIRTHRIGHT,
        USER: owner.user_name,
        "access-key-id": parcel.access_key_id,
        **({"ticket": parcel.ticket} if parcel.ticket else {}),
    }
    return [{"Key": name, "Value": tag_value(value)} for name, value in tags.items()]


def tag_value(text: str) -> str:
    """Write a text with the characters that tags may hold; others become `_`."""
    return re.sub(r"[^\w .:/=+@-]", "_", text)[:_LONGEST]


def retagged(delivered: DeliveredSecret, tag: Callable[[], object]) -> DeliveredSecret:
    """Let the tags name the new key. The secret is there by now: tags that stay old are only told."""
    try:
        tag()
    except HandoverError as error:
        stale = f"{delivered.where}, whose tags still name the key before ({error.message})"
        return msgspec.structs.replace(delivered, where=stale)
    return delivered


def is_for(owner: Owner, tags: Iterable[Mapping[str, str]]) -> bool | None:
    """Whether birthright made what has these tags, for this user; None if birthright did not make it."""
    named = {tag["Key"]: tag["Value"] for tag in tags}
    if named.get(MANAGED_BY) != BIRTHRIGHT:
        return None
    return named.get(USER) == tag_value(owner.user_name)
