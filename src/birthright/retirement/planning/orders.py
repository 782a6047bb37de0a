"""From a plan's items to the retirements that the journal opens."""

import secrets
from datetime import datetime
from typing import Literal

from birthright.retirement.model import PlanRef, Retirement
from birthright.retirement.planning.plan import Item, Plan


def orders(plan: Plan, *, ticket: str, reason: str, by: str, now: datetime) -> list[Retirement]:
    """Make one retirement of every item that is not refused; `by` is the caller's ARN, `now` AWS's time."""
    source = PlanRef(plan.id, plan.digest, plan.expires_at)
    return [
        Retirement(
            id=f"r-{now:%Y%m%d}-{secrets.token_hex(6)}",
            account_id=item.account_id,
            partition=item.partition,
            user_name=item.user_name,
            user_arn=item.user_arn,
            access_key_id=item.access_key_id or "",
            action=_action(item),
            terms=plan.terms,
            plan=source,
            planned=item.facts,
            findings=item.findings,
            handover=item.handover,
            annotate=plan.annotate,
            ticket=ticket,
            reason=reason,
            opened_at=now,
            opened_by=by,
        )
        for item in plan.items
        if item.action != "refuse"
    ]


def _action(item: Item) -> Literal["retire", "rotate"]:
    return "rotate" if item.action == "rotate" else "retire"
