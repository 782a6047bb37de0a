"""JSON: the plan itself, as `birthright apply` reads it."""

from birthright.retirement.planning.plan_file import write_plan

render = write_plan
