"""What both Secrets Manager destinations do: look at a secret, and add a version to it."""

from typing import Any

from birthright.errors import HandoverError
from birthright.retirement.handover.foreign import ask, request_id, tell
from birthright.retirement.handover.interface import DeliveredSecret, NewSecret, Owner
from birthright.retirement.handover.value import stored_value

_SERVICE = "secretsmanager"


def describe(owner: Owner, name: str) -> dict[str, Any] | None:
    """Return what Secrets Manager says of a secret without its value; None if there is none.

    Raises HandoverError, certain, also if the secret is about to be deleted.
    """
    try:
        found = ask(owner, _SERVICE, "describe_secret", SecretId=name)
    except HandoverError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise
    if found.get("DeletedDate"):
        raise HandoverError(
            f"the secret {name} is scheduled for deletion",
            f"aws secretsmanager restore-secret --secret-id {name}, or choose another place",
        )
    return found


def has_version(found: dict[str, Any] | None, token: str) -> bool:
    """Whether the secret has the version of a hand-over; versions are named by its token."""
    return found is not None and token in found.get("VersionIdsToStages", {})


def put(owner: Owner, name: str, parcel: NewSecret, where: str) -> DeliveredSecret:
    """Add a version that becomes AWSCURRENT; the one before stays as AWSPREVIOUS. Raises HandoverError."""
    answer = tell(
        owner,
        _SERVICE,
        "put_secret_value",
        SecretId=name,
        ClientRequestToken=parcel.token,
        SecretString=stored_value(owner, parcel),
    )
    return DeliveredSecret(where=where, request_id=request_id(answer))
