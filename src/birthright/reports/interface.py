"""What every output format writes."""

from collections.abc import Collection, Mapping

import msgspec

from birthright.findings.model import Document, Finding
from birthright.findings.stream import LazyFindings
from birthright.policies.page import Page


class Report(msgspec.Struct, frozen=True):
    """What a report is made from: all that a scan says, and the pages that judged it, by policy.

    A page may be missing: a document from elsewhere may have been judged by other pages. Without
    `passes` the findings that pass are not to be listed; some may be there to be drawn.
    """

    document: Document
    pages: Mapping[str, Page] = {}
    passes: bool = True

    def without_passes(self) -> "Report":
        """Return the same report for a format that only lists findings."""
        found: Collection[Finding] = self.document.findings
        summary = self.document.summary
        if isinstance(found, LazyFindings):
            found = found.without_passes(summary.fail + summary.waived + summary.unknown)
        else:
            found = tuple(finding for finding in found if finding.verdict != "pass")
        return msgspec.structs.replace(self, document=msgspec.structs.replace(self.document, findings=found))
