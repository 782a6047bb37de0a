"""Findings made by hand, and the plans that are made of them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from birthright.findings.model import AccountSummary, Document, DocumentScan, Evidence, Finding, Summary
from birthright.retirement.model import Terms
from birthright.retirement.planning.candidates import PlanRequest
from birthright.retirement.planning.plan import Item, Plan, build_plan

ACCOUNT = "111122223333"
AS_OF = datetime(2026, 11, 22, 10, tzinfo=UTC)
NOW = AS_OF + timedelta(minutes=5)
REPORTED = AS_OF - timedelta(hours=2)
BORN = "access-key-created-with-user"
HANDOVER = "secrets-manager:birthright/{user_name}"


def days(number: float) -> datetime:
    """Return the instant so many days before the scan."""
    return AS_OF - timedelta(days=number)


def key_id(number: int = 1) -> str:
    """Make an access key id."""
    return f"AKIAEXAMPLE{number:09}"


def evidence(
    service: str | None = "s3", region: str | None = "us-east-1", as_of: datetime | None = REPORTED
) -> tuple[Evidence, ...]:
    """Say what the report says of a use."""
    told = {"ever_used": True, "last_used_region": region, "last_used_service": service}
    return tuple(Evidence(fact, value, "GetCredentialReport", as_of) for fact, value in told.items())


def finding(**values: Any) -> Finding:  # noqa: ANN401 - any field of Finding
    """Make a failure: a key of a year ago that was never used and is to be retired."""
    user = values.get("user_name", "alice")
    usual: dict[str, Any] = {
        "fingerprint": "0" * 32,
        "policy": BORN,
        "verdict": "fail",
        "risk": "low",
        "account_id": ACCOUNT,
        "user_name": user,
        "user_arn": f"arn:aws:iam::{values.get('account_id', ACCOUNT)}:user/{user}",
        "access_key_id": key_id(),
        "status": "Active",
        "created_at": days(365),
        "user_created_at": days(365),
        "gap_seconds": 0,
        "ever_used": False,
        "last_used_at": None,
        "console_password": False,
        "remedy": "retire",
        "reason": "created 0 s after its user",
        "evidence": (Evidence("ever_used", value=False, source="GetCredentialReport", as_of=REPORTED),),
        "user_keys": 1,
    }
    return Finding(**{**usual, **values})


def used(ago: float = 1, **values: Any) -> Finding:  # noqa: ANN401 - any field of Finding
    """Make a failure: a key that was used so many days ago; to be rotated within 90 days."""
    usual: dict[str, Any] = {
        "ever_used": True,
        "last_used_at": days(ago),
        "remedy": "rotate" if ago < 90 else "retire",
        "evidence": evidence(),
    }
    return finding(**{**usual, **values})


def document(findings: Iterable[Finding], active: int | None = 1000) -> Document:
    """Make a document; each account has so many active keys, None leaves the counts out."""
    findings = tuple(findings)
    accounts = sorted({one.account_id for one in findings})
    lines = [] if active is None else [AccountSummary(name, active, active, active) for name in accounts]
    scan = DocumentScan("20261122T100000Z-000000", AS_OF, "0", "keys")
    summary = Summary(1, 1, 1, len(findings), 0, 0)
    return Document("birthright.findings/1", scan, summary, (), (), findings, tuple(lines))


def planned(
    *findings: Finding, active: int | None = 1000, terms: Terms | None = None, **choices: Any  # noqa: ANN401
) -> Plan:  # fmt: skip
    """Plan for these findings."""
    chosen = PlanRequest(**{"handover": HANDOVER, **choices})
    return build_plan(document(findings, active), terms or Terms(), chosen, NOW)


def only(plan: Plan) -> Item:
    """Return the one item."""
    (item,) = plan.items
    return item
