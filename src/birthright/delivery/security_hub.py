"""Brings Security Hub up to date with a scan: `birthright report --push security-hub`.

It writes findings to Security Hub, of the caller's own account and region, and nothing else; never IAM.
Nothing is pushed unless it is asked for.

AWS's rules, which decide how this is done:

 - With the default product, `AwsAccountId` must be the caller's account. So every finding is put into the
   caller's, whatever account it is about; that one is in its ProductFields and its resources.
 - A finding with the same Id is updated, if its UpdatedAt is later than the one that is there; else AWS
   ignores it in silence. UpdatedAt is the scan's instant: an old scan cannot undo what a newer one said.
 - Workflow, Note, VerificationState and UserDefinedFields belong to the customer. AWS ignores them in
   updates, so a waiver that was imported as SUPPRESSED could never end: none of them is sent, and a waived
   finding is archived instead, which the next scan can take back.
"""

import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from birthright.aws.session import AwsSession
from birthright.delivery.hub import Failed, Hub, Item
from birthright.history.visibility import Sighting, could_see
from birthright.reports.asff import Product, asff_finding
from birthright.reports.interface import Report
from birthright.text import printable

# Identify a finding; `reports/asff.py` writes them.
_POLICY, _ACCOUNT, _USER = "birthright/policy", "birthright/account_id", "birthright/user_name"
_FINGERPRINT = "birthright/fingerprint"
# These fields belong to the customer.
_NOT_OURS = ("Workflow", "WorkflowState", "Note", "UserDefinedFields", "VerificationState")
# The fields that birthright writes, and repeats when it archives a finding; AWS adds the rest.
_SAID = frozenset({
    "AwsAccountId", "Compliance", "CreatedAt", "Description", "FindingProviderFields", "FirstObservedAt",
    "GeneratorId", "Id", "LastObservedAt", "ProductArn", "ProductFields", "Remediation", "Resources",
    "SchemaVersion", "Severity", "SourceUrl", "Title", "Types",
})  # fmt: skip
_AWS_FIELDS = "aws/"
_SAME_SCAN = timedelta(seconds=1)
_LATER = timedelta(milliseconds=1)


class Pushed(msgspec.Struct, frozen=True):
    """The result of a push.

    active: findings that stand in Security Hub as active, new or updated. waived: put there as archived,
    for their waivers' sake. fixed: archived because they do not fail any more. left: active ones that this
    scan could not judge, left as they were. outdated: Security Hub has the word of a newer scan. failed: what
    AWS did not take.
    """

    account_id: str
    region: str
    active: int
    waived: int
    fixed: int
    left: int
    outdated: int
    failed: tuple[Failed, ...]

    @property
    def words(self) -> str:
        """Describe it: a line of counts, and a line for each reason why AWS refused findings."""
        counts = {
            "active": self.active, "waived (archived)": self.waived, "fixed (archived)": self.fixed,
            "not judged, left as they were": self.left, "of a newer scan, left as they were": self.outdated,
        }  # fmt: skip
        said = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing to say"
        refused = (
            f"Security Hub did not take {one.count}: {printable(one.code)}, such as "
            f"{printable(', '.join(one.ids))}"
            for one in self.failed
        )
        return "\n".join([f"Security Hub of {self.account_id}, {self.region}: {said}", *refused])


class _ImportedFinding(msgspec.Struct, frozen=True, gc=False):
    """A finding of birthright that is active in Security Hub; `packed` holds its fields, compressed."""

    sighting: Sighting
    fingerprint: str
    created_at: str
    updated_at: datetime
    packed: bytes


def push(report: Report, session: AwsSession, sleep: Callable[[float], None] = time.sleep) -> Pushed:
    """Import a report's failures and unknown findings; archive those of earlier scans that are gone.

    Only what the scan read and judged is archived. Findings are streamed; of what Security Hub holds, a
    compressed copy is kept in memory. Raises BirthrightError: before anything is written where Security Hub
    is not enabled or refuses the caller, later where it cannot be reached any more. Pushing again is safe.
    """
    return _Push(report, Hub(session, sleep)).run()


class _Push:
    def __init__(self, report: Report, hub: Hub) -> None:
        self._report = report
        self._hub = hub
        self._as_of = report.document.scan.as_of
        self._product = Product(hub.product_arn, hub.account_id, hub.region)
        self._known: dict[str, _ImportedFinding] = {}
        self._unknown: list[Sighting] = []
        self._counts: Counter[str] = Counter()

    def run(self) -> Pushed:
        self._known = {item["Id"]: _known(item) for item in self._hub.active()}
        done = Counter(
            "waived" if _is_archived(item) else "active" for item in self._hub.put(self._current())
        )
        done["fixed"] = sum(1 for _ in self._hub.put(self._gone()))
        counts = {name: done[name] for name in ("active", "waived", "fixed")}
        counts |= {name: self._counts[name] for name in ("left", "outdated")}
        return Pushed(self._hub.account_id, self._hub.region, **counts, failed=self._hub.failed)

    def _current(self) -> Iterator[Item]:
        """Yield the findings of the scan, and remove them from `known`: what is left is missing from it."""
        for finding in self._report.document.findings:
            if finding.verdict == "pass":
                continue
            item: Item = asff_finding(finding, self._report, self._product)
            if finding.verdict == "unknown":
                self._unknown.append(_sighting(item))
            known = self._known.pop(item["Id"], None)
            moment = self._moment(known)
            if moment is None:
                self._counts["outdated"] += 1
                continue
            yield self._update(item, known, moment, waived=finding.waiver is not None)

    def _update(self, item: Item, known: _ImportedFinding | None, moment: datetime, *, waived: bool) -> Item:
        return {
            **{name: value for name, value in item.items() if name not in _NOT_OURS},
            "AwsAccountId": self._hub.account_id,
            "CreatedAt": known.created_at if known else item["CreatedAt"],
            "UpdatedAt": _exact(moment),
            "RecordState": "ARCHIVED" if waived else "ACTIVE",
        }

    def _gone(self) -> Iterator[Item]:
        """Yield, archived, the active findings that the scan could have seen and does not have."""
        fixed = {finding.fingerprint for finding in self._report.document.fixed}
        missing = list(self._known.values())
        seen = could_see(self._report.document, self._unknown, [known.sighting for known in missing])
        for known, could in zip(missing, seen, strict=True):
            moment = self._moment(known)
            if moment is None:
                self._counts["outdated"] += 1
            elif could or known.fingerprint in fixed:
                yield _archived(known, moment)
            else:
                self._counts["left"] += 1

    def _moment(self, known: _ImportedFinding | None) -> datetime | None:
        """Choose the time of an update; None if Security Hub has the finding from a newer scan."""
        if known is None or known.updated_at < self._as_of:
            return self._as_of
        later = known.updated_at + _LATER
        return later if later < self._as_of + _SAME_SCAN else None


def _known(item: Item) -> _ImportedFinding:
    fields = item.get("ProductFields", {})
    said = {name: value for name, value in item.items() if name in _SAID}
    said["ProductFields"] = {
        name: value for name, value in fields.items() if not name.startswith(_AWS_FIELDS)
    }
    return _ImportedFinding(
        sighting=_sighting(item),
        fingerprint=fields.get(_FINGERPRINT, ""),
        created_at=item["CreatedAt"],
        updated_at=_moment_of(item["UpdatedAt"]),
        packed=zlib.compress(msgspec.json.encode(said), 1),
    )


def _sighting(item: Item) -> Sighting:
    """Return what an imported finding is about, and as of when it was found."""
    fields = item.get("ProductFields", {})
    # Times of scans are whole seconds; what is later within that second is the same scan, pushed again.
    seen = _moment_of(item["UpdatedAt"]).replace(microsecond=0)
    return Sighting(fields.get(_POLICY, ""), fields.get(_ACCOUNT, ""), fields.get(_USER), _made(item), seen)


def _made(item: Item) -> datetime | None:
    """Return the creation time of the finding's key, if it has one."""
    details = (resource.get("Details", {}).get("AwsIamAccessKey", {}) for resource in item["Resources"])
    return next((_moment_of(one["CreatedAt"]) for one in details if "CreatedAt" in one), None)


def _archived(known: _ImportedFinding, moment: datetime) -> Item:
    item: Item = msgspec.json.decode(zlib.decompress(known.packed))
    compliance: dict[str, Any] = {**item.get("Compliance", {}), "Status": "PASSED"}
    return {**item, "Compliance": compliance, "UpdatedAt": _exact(moment), "RecordState": "ARCHIVED"}


def _is_archived(item: Item) -> bool:
    return bool(item["RecordState"] == "ARCHIVED")


def _exact(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment_of(text: str) -> datetime:
    """Parse a time of Security Hub, with fractions of a second; without a time zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
