"""Documents made by hand for the tests of the HTML report, and the report of each."""

import io
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from birthright.findings.model import (
    AccountSummary,
    Changes,
    CoverageSummary,
    Document,
    DocumentScan,
    Evidence,
    Finding,
    OuSummary,
    PastScan,
    PolicySummary,
    Summary,
    Waiver,
    WaiverSummary,
)
from birthright.findings.ranking import FIRST
from birthright.policies.pack import load_pack
from birthright.reports.html.page import render
from birthright.reports.interface import Report

if TYPE_CHECKING:
    from birthright.policies.evaluator import Verdict
    from birthright.policies.page import Page

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
THEN = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNT = "111122223333"
UNUSED = "access-key-unused"
HOSTILE = (
    "</script><script>globalThis.hacked=1</script>",
    "<!--<script>globalThis.hacked=1",
    "<img src=x onerror='globalThis.hacked=1'>",
    '"><b onmouseover="globalThis.hacked=1">\'`${globalThis.hacked=1}',
    "{{ 7 * 7 }}{% raw %}{# x #}",
    "a\u202eevil\u2066\u200fb\u2028c\u2029d\u0000e",
    "]]><svg onload=globalThis.hacked=1>&lt;b&gt;&#60;b>",
    "javascript:globalThis.hacked=1",
)


def born(user: str, gap: int | None, **values: Any) -> Finding:  # noqa: ANN401 - any field of Finding
    """Make the finding of a key made so long after its user; a failure if the gap is below seven seconds."""
    made = None if gap is None else THEN + timedelta(seconds=gap)
    verdict: Verdict = "unknown" if gap is None or gap < 0 else "fail" if gap < 7 else "pass"
    seen = (
        Evidence("status", "Active", "ListAccessKeys", NOW),
        Evidence("console_password", None, "GetCredentialReport", None),
    )
    finding = Finding(
        fingerprint=sha256(user.encode()).hexdigest()[:32],
        policy=FIRST,
        verdict=verdict,
        risk="low",
        account_id=ACCOUNT,
        user_name=user,
        user_arn=f"arn:aws:iam::{ACCOUNT}:user/{user}",
        access_key_id=f"AKIA{user.upper()}",
        status="Active",
        created_at=made,
        user_created_at=THEN,
        gap_seconds=gap,
        ever_used=None,
        last_used_at=None,
        console_password=False,
        remedy="retire" if verdict == "fail" else "none",
        reason=f"created {gap} s after its user",
        evidence=seen,
        user_keys=1,
    )
    return msgspec.structs.replace(finding, **values)


@cache
def _pages() -> "dict[str, Page]":
    return {page.id: page for page in load_pack()}


def _four() -> list[Finding]:
    waiver = Waiver("moves in spring", "ann@example.com", "OPS-1", date(2026, 11, 1), date(2027, 1, 31))
    used = {"ever_used": True, "last_used_at": NOW - timedelta(days=3), "remedy": "rotate"}
    return [
        born("ann", 0, ever_used=False),
        born("bob", 3, **used),
        born("cleo", 6, waiver=waiver),
        born("dora", None),
    ]


def single(findings: Iterable[Finding] | None = None, **values: Any) -> Report:  # noqa: ANN401 - of Document
    """Make a report of one account, with four findings unless others are given."""
    found = tuple(_four() if findings is None else findings)
    counts = {name: sum(f.verdict == name for f in found) for name in ("fail", "unknown", "pass")}
    waived = sum(f.waiver is not None for f in found)
    counts["fail"] -= waived
    numbers = (counts["fail"], counts["unknown"], counts["pass"], waived)
    document = Document(
        "birthright.findings/1",
        DocumentScan("20261122T100000Z-abcdef", NOW, "0.1.0", "keys"),
        Summary(1, len(found), len(found), *numbers),
        (CoverageSummary(ACCOUNT, "GetCredentialReport", "ok", "", 3, 1, 0, 0.1, NOW),),
        (PolicySummary(FIRST, "AWS access keys", "low", "low", {"window": "7 s"}, *numbers, "0" * 64),),
        found,
    )
    return Report(msgspec.structs.replace(document, **values), _pages())


def many(count: int) -> Report:
    """Make a report of so many failures of one account, each with its evidence."""
    names = ("status", "created_at", "ever_used", "last_used_at", "user_created_at", "console_password")
    evidence = tuple(Evidence(name, "2026-01-01T00:00:00Z", "GetCredentialReport", NOW) for name in names)
    return single([born(f"user-{number}", number % 7, evidence=evidence) for number in range(count)])


def organization(text: str = "text") -> Report:
    """Make a report with everything in it that a report can have, and `text` wherever text can be."""
    waiver = Waiver(text, text, text, date(2026, 11, 1), date(2027, 1, 31))
    found = (
        born("ann", 0, user_name=text, user_arn=text, reason=text, access_key_id=text, state="new",
             evidence=(Evidence(text, text, text, NOW),)),
        born("bob", 3, waiver=waiver, state="persisting", first_seen=THEN),
        born("cleo", -5, state="reappeared", first_seen=THEN),
        born("dora", 3600, account_id="222233334444", policy=UNUSED, verdict="fail", risk="medium",
             remedy="rotate", last_used_at=NOW - timedelta(days=2), ever_used=True, first_seen=THEN),
        born("emil", 99, account_id="222233334444", policy="of-our-own", verdict="fail", risk="critical"),
    )  # fmt: skip
    gone = (born("fritz", 2, state="fixed", reason=text),)
    changes = Changes(text, THEN, 1, 1, 1, 1, 2)
    history = [
        PastScan(f"{text}{n}", THEN + timedelta(days=n), n != 2, 2, {FIRST: 9 - n}, 1, 0, 1) for n in range(5)
    ]
    lines = [
        PolicySummary(name, text, "low", "low", {"window": text}, 1, 1, 1, 1, None)
        for name in (FIRST, UNUSED, "of-our-own")
    ]
    waivers = [
        WaiverSummary(FIRST, text, text, text, text, text, text, THEN.date(), NOW.date(), state, 1)
        for state in ("active", "expiring", "expired", "unmatched", "unread")
    ]  # fmt: skip
    return single(
        found,
        scan=DocumentScan("20261122T100000Z-abcdef", NOW, "0.1.0", "keys", complete=False, notes=(text,)),
        coverage=(
            CoverageSummary(ACCOUNT, "GetCredentialReport", "ok", "", 3, 1, 0, 0.1, NOW, text),
            CoverageSummary("222233334444", "ListUsers", "ok", text, 3, 1, 0, 0.1, None, text),
            CoverageSummary("222233334444", "ListAccessKeys", "denied", text, 0, 1, 0, 0.1, None, text),
            CoverageSummary(text, "AssumeRole", "failed", text, 0, 1, 0, 0.1, None, text),
        ),
        accounts=(
            AccountSummary(ACCOUNT, 3, 3, 3, text, text, 2, 1, 0, 1),
            AccountSummary("222233334444", 1, 1, 1, None),
        ),
        ous=(OuSummary(text, 2, 3, 3, 1, 1, 1, 1),),
        policies=tuple(lines),
        waivers=tuple(waivers),
        changes=changes,
        fixed=gone,
        history=tuple(history),
    )  # fmt: skip


def written(report: Report, file: Path) -> Path:
    """Write the report to a file and return it."""
    with file.open("w", encoding="utf-8") as out:
        render(report, out)
    return file


class Tags(HTMLParser):
    """What a page is made of: its tags with their attributes, and the text of its script elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.tags.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - as the parser calls it
        """Leave it."""
        self._within = ""

    def handle_data(self, data: str) -> None:
        """Keep what is in scripts and styles."""
        if self._within in {"script", "style"}:
            self.raw.append((self._within, data))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all such tags."""
        return [attributes for name, attributes in self.tags if name == tag]


def html(report: Report) -> str:
    """Return the page."""
    out = io.StringIO()
    render(report, out)
    return out.getvalue()


def embedded(text: str) -> dict[str, Any]:
    """Return the data within the page."""
    data: dict[str, Any] = json.loads(next(raw for tag, raw in Tags(text).raw if tag == "script"))
    return data


def rows(text: str) -> list[dict[str, Any]]:
    """Return the table's rows within the page."""
    data = embedded(text)
    return [dict(zip(data["fields"], row, strict=True)) for row in data["rows"]]
