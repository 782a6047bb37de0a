"""How a bundle's facts are judged: the same when it is made and when it is checked."""

from collections.abc import Sequence
from pathlib import Path

from birthright.evidence.manifest import WAIVERS
from birthright.evidence.masking import parse_masked
from birthright.findings.document import build_document
from birthright.findings.model import Document
from birthright.policies.evaluator import STREAM_ROWS, Evaluator
from birthright.policies.page import Page
from birthright.scans.record import ScanInfo
from birthright.scans.request import Judging
from birthright.waivers.apply import waive


def judged(
    folder: Path, info: ScanInfo, pages: Sequence[Page], selection: Judging, waivers: bytes | None
) -> Document:
    """Judge a scan's folder by the pages, passes included, and apply the waivers.

    Raises PageError, UsageError for the waivers, StoreError.
    """
    evaluator = Evaluator(folder, info.as_of, as_of_earliest=info.as_of_earliest, batch_rows=STREAM_ROWS)
    document = build_document(info, evaluator, pages, selection, passes=True)
    if waivers is None:
        return document
    return waive(document, parse_masked(waivers, WAIVERS), info.as_of.date())
