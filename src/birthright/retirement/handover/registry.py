"""All kinds of destinations, and the one line of text that names one: `KIND:REST`.

Such a line is called a spec. It is the same in birthright.toml, on the command line and in plans. A new
kind is a module here that is a `DestinationType`, and one line in KINDS.
"""

from fnmatch import fnmatchcase

from birthright.errors import UsageError
from birthright.retirement.handover import age, command, existing_secret, profile, secrets_manager, ssm
from birthright.retirement.handover.interface import Destination, DestinationType, Owner

KINDS: dict[str, DestinationType] = {
    "secrets-manager": secrets_manager,
    "existing-secret": existing_secret,
    "ssm": ssm,
    "age": age,
    "profile": profile,
    "command": command,
}


def destination(spec: str, owner: Owner) -> Destination:
    """Make the destination a spec names for one user; asks nobody.

    Raises UsageError for a bad spec, and for a user whose name cannot stand in it.
    """
    kind, rest = _read(spec)
    kind.check(rest)
    return kind.destination(rest, owner)


def check_spec(spec: str) -> None:
    """Refuse a spec that can never work, whoever the user is. Raises UsageError."""
    kind, rest = _read(spec)
    kind.check(rest)


def spec_for(user_name: str, handover: str | dict[str, str]) -> str:
    """Choose the spec of a user from the settings: the one for all, or the first pattern that matches.

    Raises UsageError if no pattern matches.
    """
    if isinstance(handover, str):
        return handover
    for pattern, spec in handover.items():
        if fnmatchcase(user_name, pattern):
            return spec
    raise UsageError(
        f"[retirement.handover] says nothing about user {user_name}",
        'add a line for it, or a last one for everybody else: "*" = "secrets-manager:birthright/{user_name}"',
    )


def actions(spec: str) -> tuple[tuple[str, str], ...]:
    """Return the IAM actions a spec needs, each with the pattern of the ARNs it is needed on.

    A pattern is `*`, or an ARN that may hold `{partition}` and `{account_id}`. Raises UsageError.
    """
    kind, rest = _read(spec)
    kind.check(rest)
    return kind.actions(rest)


def _read(spec: str) -> tuple[DestinationType, str]:
    """Take a spec apart. What it says is not repeated: somebody may have put a secret there."""
    if not spec.isprintable():
        raise UsageError("a hand-over destination is one line of text without control characters")
    name, _, rest = spec.partition(":")
    kind = KINDS.get(name.strip())
    if kind is None:
        raise UsageError(
            f"{name[:20]!r} is no kind of hand-over destination",
            f"write KIND:REST, where KIND is {', '.join(KINDS)}",
        )
    return kind, rest.strip()
