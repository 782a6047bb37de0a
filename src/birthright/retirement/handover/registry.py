"""All kinds of destinations, and the one line of text that names one: `KIND:REST`.

Such a line is called a spec. It is the same in birthright.toml, on the command line and in plans. A new
kind is a module here with a `KIND`, and its name in the line below.
"""

from fnmatch import fnmatchcase

from birthright.errors import UsageError
from birthright.retirement.handover import age, command, existing_secret, profile, secrets_manager, ssm
from birthright.retirement.handover.interface import Destination, DestinationType, Owner

_MODULES = (secrets_manager, existing_secret, ssm, age, profile, command)
KINDS: dict[str, DestinationType] = {module.KIND.name: module.KIND for module in _MODULES}
DEFAULT_SPEC = f"{secrets_manager.KIND.name}:{secrets_manager.KIND.default}"


def parse_spec(spec: str) -> tuple[DestinationType, str]:
    """Return the kind and the rest of a spec that can work. Raises UsageError.

    What the spec says is not repeated: it may hold a secret by mistake.
    """
    if not spec.isprintable():
        raise UsageError("a hand-over destination is one line of text without control characters")
    name, _, rest = spec.partition(":")
    kind = KINDS.get(name.strip())
    if kind is None:
        raise UsageError(
            f"{name[:20]!r} is no kind of hand-over destination",
            f"write KIND:REST, where KIND is {', '.join(KINDS)}",
        )
    rest = rest.strip() or kind.default
    kind.check(rest)
    return kind, rest


def destination(spec: str, owner: Owner) -> Destination:
    """Make the destination a spec names for one user; asks nobody.

    Raises UsageError for a bad spec, and for a user whose name cannot stand in it.
    """
    kind, rest = parse_spec(spec)
    return kind.destination(rest, owner)


def slot(spec: str, account_id: str, where: str) -> tuple[str, str] | None:
    """Name the place that holds one new secret at a time; None for a program: it knows where each one goes.

    where: the destination in words. Raises UsageError for a bad spec.
    """
    scope = parse_spec(spec)[0].scope
    if scope == "program":
        return None
    return "" if scope == "machine" else account_id, where


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
        f'add a line for it, or a last one for everybody else: "*" = "{DEFAULT_SPEC}"',
    )
