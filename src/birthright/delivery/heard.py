"""Of which subjects a scan can say that they do not fail any more: those it read, and judged."""

from datetime import datetime
from typing import NamedTuple

from birthright.facts.coverage import ANSWERED
from birthright.findings.model import Document

_REPORT, _USERS, _KEYS = "GetCredentialReport", "ListUsers", "ListAccessKeys"
# Either tells of every user; of a part of them, nobody knows who is missing.
_LISTINGS = frozenset({_REPORT, _USERS})


class Subject(NamedTuple):
    """What a finding is about, and by which policy; the user is None where it is the account."""

    policy: str
    account_id: str
    user_name: str | None


class _Sight(NamedTuple):
    """`until`: the instant of what a scan knows of an account's keys; `report`: when the report was made."""

    until: datetime
    report: datetime | None


class Heard:
    """Collects what a scan does not know; then says whether its silence about a finding means anything."""

    def __init__(self, document: Document) -> None:
        self._sights = _sights(document)
        self._policies = frozenset(line.id for line in document.policies)
        self._unknown: set[Subject] = set()

    def note_unknown(self, subject: Subject) -> None:
        """Learn of an unknown finding of the scan.

        Keys that could not be listed are one unknown finding of their user, and an account that could not be
        judged is one without a user: neither has the fingerprint of what it stands for.
        """
        self._unknown.add(subject)

    def judged(self, subject: Subject, seen: datetime, made: datetime | None) -> bool:
        """Whether the scan would have told of a finding, after all unknown ones were noted.

        seen: when it was last found. made: when its key was made. A report that is older than either knows
        nothing of it.
        """
        sight = self._sights.get(subject.account_id)
        if sight is None or subject.policy not in self._policies:
            return False
        young = sight.report is not None and made is not None and made >= sight.report
        late = sight.until >= seen.replace(microsecond=0)
        return late and not young and self._unknown.isdisjoint({subject, subject._replace(user_name=None)})


def _sights(document: Document) -> dict[str, _Sight]:
    """Say, by id, how late the accounts were seen of which all users are known."""
    rows = [row for row in document.coverage if row.status in ANSWERED]
    reports = {row.account_id: row.report_generated_at for row in rows if row.report_generated_at}
    listed = {row.account_id for row in rows if row.source == _KEYS}
    found: dict[str, _Sight] = {}
    for account in {row.account_id for row in rows if row.source in _LISTINGS and row.status == "ok"}:
        report = reports.get(account)
        found[account] = _Sight(document.scan.as_of if account in listed or not report else report, report)
    return found
