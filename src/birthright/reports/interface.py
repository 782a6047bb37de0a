"""What every output format writes."""

from collections.abc import Mapping

import msgspec

from birthright.findings.model import Document
from birthright.findings.stream import WithoutPasses
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
        found = self.document.findings
        summary = self.document.summary
        rest = WithoutPasses(found, summary.fail + summary.waived + summary.unknown)
        findings = tuple(rest) if isinstance(found, tuple) else rest
        return msgspec.structs.replace(
            self, document=msgspec.structs.replace(self.document, findings=findings)
        )
