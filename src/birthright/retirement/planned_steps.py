"""The steps of a retirement as a plan tells them: what, after which wait, and the AWS CLI's way."""

from birthright.retirement import aws_cli
from birthright.retirement.candidates import Candidate
from birthright.retirement.handover.interface import Owner
from birthright.retirement.model import PlannedStep, Terms
from birthright.times import format_duration, format_instant

_DEFAULT_SECRET = "birthright/{user_name}"  # noqa: S105 - a name
