"""What the JSON services' actions share: inputs read into types, tags, times."""

from typing import TYPE_CHECKING, TypeVar

import msgspec

from birthright.sandbox.wire import AwsError

if TYPE_CHECKING:
    from datetime import datetime

    from birthright.sandbox.calls import Call

T = TypeVar("T")


class Input(msgspec.Struct, rename="pascal", kw_only=True):
    """Base of all inputs: the model's member names; members the sandbox does not know are ignored."""


class Tag(Input):
    """One tag."""

    key: str
    value: str = ""


def read(call: "Call", kind: type[T]) -> T:
    """Return the call's input, or ValidationException."""
    try:
        return msgspec.convert(call.body, kind)
    except msgspec.ValidationError as error:
        message = f"1 validation error detected: {error}"
        raise AwsError(400, "ValidationException", message) from None


def written_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags as the services write them."""
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def read_tags(tags: tuple[Tag, ...]) -> dict[str, str]:
    """Return tags by key."""
    return {tag.key: tag.value for tag in tags}


def epoch(moment: "datetime") -> float:
    """Write an instant as JSON 1.1 does: seconds since 1970, milliseconds kept."""
    return round(moment.timestamp(), 3)
