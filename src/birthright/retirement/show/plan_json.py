"""JSON: the plan itself, as `birthright apply` reads it."""

from typing import TextIO

from birthright.retirement.planning.plan import Plan
from birthright.retirement.planning.plan_file import encode_plan


def render(plan: Plan, out: TextIO) -> None:
    """Write the plan, indented, with a final newline."""
    out.write(encode_plan(plan).decode())
