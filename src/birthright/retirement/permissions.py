"""The least IAM policy for retiring, made from what the hand-over destinations declare."""

from collections.abc import Sequence

from birthright.retirement.handover.registry import parse_spec

_RETIRE = ("iam:DeleteAccessKey", "iam:GetAccessKeyLastUsed", "iam:ListAccessKeys", "iam:UpdateAccessKey")
_ROTATE = "iam:CreateAccessKey"
_ANNOTATE = "iam:TagUser"


def retire_policy(
    partition: str,
    handovers: Sequence[str],
    *,
    rotate: bool = True,
    annotate: bool = False,
    account_id: str = "*",
) -> dict[str, object]:
    """Return an IAM policy document that allows what retiring asks for, and nothing else.

    handovers: the specs in use; they count only with `rotate`. account_id: 12 digits, or `*` for a policy
    that fits every account. Raises UsageError for a bad spec.
    """
    users = f"arn:{partition}:iam::{account_id}:user/*"
    on_users = {*_RETIRE, *((_ROTATE,) if rotate else ()), *((_ANNOTATE,) if annotate else ())}
    needed = {(action, users) for action in on_users}
    for kind, rest in map(parse_spec, handovers if rotate else ()):
        needed |= {(name, _filled(pattern, partition, account_id)) for name, pattern in kind.actions(rest)}
    return {"Version": "2012-10-17", "Statement": _statements(needed, users)}


def _filled(pattern: str, partition: str, account_id: str) -> str:
    return pattern.replace("{partition}", partition).replace("{account_id}", account_id)


def _statements(needed: set[tuple[str, str]], users: str) -> list[dict[str, object]]:
    """Group actions that are needed on the same resources; users come first."""
    where: dict[str, tuple[str, ...]] = {
        action: tuple(sorted(resource for name, resource in needed if name == action)) for action, _ in needed
    }
    groups: dict[tuple[str, ...], list[str]] = {}
    for action, resources in sorted(where.items()):
        groups.setdefault(resources, []).append(action)
    ordered = sorted(groups.items(), key=lambda group: (group[0] != (users,), group[1]))
    return [
        {
            "Sid": "RetireKeys" if resources == (users,) else f"HandOver{place}",
            "Effect": "Allow",
            "Action": names,
            "Resource": resources[0] if len(resources) == 1 else list(resources),
        }
        for place, (resources, names) in enumerate(ordered)
    ]
