"""The least-privilege IAM policies that let birthright do its work."""

from birthright.aws.identifiers import is_partition, is_role_name
from birthright.errors import UsageError
from birthright.operations.requests import PermissionsChoice
from birthright.settings import Settings


def policy_for(purpose: str, choice: PermissionsChoice, settings: Settings) -> dict[str, object]:
    """Return the policy for a purpose: `read`, `org`, `retire` or `security-hub`. Raises UsageError."""
    if not is_partition(choice.partition):
        raise UsageError(f"{choice.partition!r} is not a partition", "it is aws, aws-cn, aws-us-gov, ...")
    make = {"read": _reading, "org": _organization, "retire": _retiring, "security-hub": _pushing}
    return make[purpose](choice, settings)


def _reading(choice: PermissionsChoice, _: Settings) -> dict[str, object]:
    from birthright.sources.permissions import read_policy

    return read_policy(choice.depth, choice.partition)


def _organization(choice: PermissionsChoice, _: Settings) -> dict[str, object]:
    from birthright.sources.permissions import organization_policy

    if not is_role_name(choice.role):
        raise UsageError(f"--role {choice.role!r} is no role's name", "birthright, or audit/birthright")
    return organization_policy(choice.partition, choice.role, tags=choice.tags)


def _retiring(choice: PermissionsChoice, settings: Settings) -> dict[str, object]:
    from birthright.retirement.permissions import retire_policy

    configured = settings.retirement.handover
    every = (configured,) if isinstance(configured, str) else tuple(configured.values())
    return retire_policy(
        choice.partition, choice.handover or every, rotate=choice.rotate, annotate=choice.annotate
    )


def _pushing(choice: PermissionsChoice, _: Settings) -> dict[str, object]:
    from birthright.delivery.permissions import push_policy

    return push_policy(choice.partition)
