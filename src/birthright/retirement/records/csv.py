"""CSV for spreadsheets: a step a row, with whose key it is; cells that would run as formulas are defused."""

import csv
from collections.abc import Iterator
from typing import TextIO

from birthright.retirement.journal.encoding import instant_text, json_text
from birthright.retirement.model import Retirement, Step
from birthright.retirement.records.interface import ChangeRecord
from birthright.text import cell

_OF_RETIREMENT = (
    "ticket", "reason", "account_id", "user_name", "user_arn", "access_key_id", "action", "state",
    "retirement_id", "opened_by", "plan", "policies", "findings", "facts", "handover", "replacement_key_id",
    "secret_went_to",
)  # fmt: skip
_OF_STEP = (
    "seq", "at", "kind", "actor", "call", "request_id", "detail", "changes", "previous", "digest",
)  # fmt: skip


def render(record: ChangeRecord, out: TextIO) -> None:
    """Write the header and the rows (RFC 4180, but lines end with LF)."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*_OF_RETIREMENT, *_OF_STEP))
    for group in record.tickets:
        for change in group.changes:
            whose = list(_whose(change.retirement))
            for step in change.steps:
                writer.writerow([cell(value) for value in (*whose, *_what(step))])


def _whose(retirement: Retirement) -> Iterator[object]:
    """Give what is the same in all rows of a retirement."""
    replacement, findings = retirement.replacement, retirement.findings
    yield from (retirement.ticket, retirement.reason, retirement.account_id, retirement.user_name)
    yield from (retirement.user_arn, retirement.access_key_id, retirement.action, retirement.state)
    yield from (retirement.id, retirement.opened_by, retirement.plan.id)
    yield "; ".join(finding.policy for finding in findings)
    yield "; ".join(finding.reason for finding in findings)
    yield json_text(retirement.planned)
    yield retirement.handover
    yield replacement.access_key_id if replacement else None
    yield replacement.destination if replacement else None


def _what(step: Step) -> Iterator[object]:
    """Give a step, its instant to the microsecond as its digest needs it."""
    yield from (step.seq, instant_text(step.at), step.kind, step.actor, step.call, step.request_id)
    yield from (json_text(step.detail), json_text(step.changes), step.previous, step.digest)
