"""What is asked of a plan again where it is applied: it may come from another machine, or from a stranger.

A plan's digest shows an accident, not a forgery. What a plan may do is bounded by the settings here: users
that are protected, waits that are shorter, and programs and files of this machine that nobody here named.
"""

from birthright.aws.identifiers import UserArn, parse_user_arn
from birthright.errors import PlanError, UsageError
from birthright.retirement.handover.registry import parse_spec, spec_for
from birthright.retirement.planning.guards import protecting
from birthright.retirement.planning.plan import Item, Plan
from birthright.settings import RetirementSettings
from birthright.times import format_duration, parse_duration


def vet(plan: Plan, settings: RetirementSettings, handover: str | None) -> None:
    """Raise PlanError for a plan that goes beyond the settings; `handover` is one named for this run.

    Raises UsageError for a destination that can never work.
    """
    for name in ("in_use", "quarantine", "quiet"):
        ours, theirs = parse_duration(getattr(settings, name)), getattr(plan.terms, name)
        if theirs < ours:
            told = f"{name} is {format_duration(theirs)} in the plan and {format_duration(ours)} here"
            raise PlanError(told, "plan again with the settings of this machine")
    for item in plan.items:
        if item.action != "refuse":
            _vet_item(item, settings, handover)


def _vet_item(item: Item, settings: RetirementSettings, handover: str | None) -> None:
    if protecting(item.user_name, item.user_arn, settings.protected) is not None:
        raise PlanError(f"the plan touches {item.user_name}, who is protected here", "plan again")
    if parse_user_arn(item.user_arn) != UserArn(item.partition, item.account_id, item.user_name):
        raise PlanError(f"the ARN {item.user_arn} is not that of user {item.user_name}", "plan again")
    spec = item.handover
    if spec is None or parse_spec(spec)[0].scope == "aws":
        return
    if spec != _named_here(item.user_name, settings, handover):
        raise PlanError(
            f"the plan hands {item.user_name}'s secret to {spec!r}, which nobody named here",
            "look at it; then name it in [retirement.handover], or with --handover",
        )


def _named_here(user_name: str, settings: RetirementSettings, handover: str | None) -> str | None:
    try:
        return handover or spec_for(user_name, settings.handover)
    except UsageError:
        return None
