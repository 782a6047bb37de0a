"""What the tests of the formats share: a document with a finding of every kind, and documents of any text."""

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from birthright.findings.model import (
    AccountSummary,
    Changes,
    CoverageSummary,
    Document,
    DocumentScan,
    Evidence,
    Finding,
    PolicySummary,
    Summary,
    Waiver,
    WaiverSummary,
)
from birthright.policies.pack import load_pack
from birthright.reports.formats import renderer
from birthright.reports.interface import Report

AS_OF = datetime(2026, 11, 22, 10, tzinfo=UTC)
BORN = "access-key-created-with-user"
ACCOUNT = "111122223333"
PAGES = {page.id: page for page in load_pack()}
HOSTILE = (
    "<script>alert(1)</script>",
    "a|b`c`\\|d",
    "\u202eevil\u202c",
    "bell\x07 and \x1b[31m",
    "'\"]]>&amp;<!--",
    "@octocat #1 GH-1 https://example.com www.example.com",
    "[link](javascript:alert(1)) ![x](y)",
    "../..",
    "..",
    " ",
    "{0} {{x}}",
    "\ufffe\uffff\x00",
)
WAIVER = Waiver("the vendor | needs <it>", "ops@example.com", "T-1", date(2026, 11, 1), date(2027, 1, 1))


def finding(**values: Any) -> Finding:  # noqa: ANN401 - any field of Finding
    """Make a failure of ann's key; `values` change it."""
    usual: dict[str, Any] = dict.fromkeys(Finding.__struct_fields__)
    usual |= {
        "fingerprint": "0" * 32,
        "policy": BORN,
        "verdict": "fail",
        "risk": "low",
        "account_id": ACCOUNT,
        "user_name": "ann",
        "user_arn": f"arn:aws:iam::{ACCOUNT}:user/people/ann",
        "access_key_id": "AKIAEXAMPLE000000001",
        "status": "Active",
        "created_at": AS_OF - timedelta(days=300),
        "user_created_at": AS_OF - timedelta(days=300, seconds=2),
        "gap_seconds": 2,
        "ever_used": True,
        "last_used_at": AS_OF - timedelta(days=200),
        "remedy": "retire",
        "reason": "created 2 s after its user",
        "evidence": (Evidence("status", "Active", "ListAccessKeys", AS_OF),),
    }
    return Finding(**{**usual, **values})


ROOT = {"user_name": "<root_account>", "user_arn": f"arn:aws:iam::{ACCOUNT}:root", "remedy": "review"}
NO_KEY: dict[str, Any] = dict.fromkeys(
    ("access_key_id", "status", "created_at", "ever_used", "last_used_at", "gap_seconds")
)
NO_USER: dict[str, Any] = {**NO_KEY, "user_name": None, "user_arn": None, "user_created_at": None}
UNREAD = {**NO_USER, "verdict": "unknown", "remedy": "none", "reason": "could not be judged: denied"}


def numbered(*kinds: dict[str, Any]) -> tuple[Finding, ...]:
    """Make findings, each with a fingerprint of its own."""
    return tuple(
        finding(**{"fingerprint": f"{place:08x}" * 4, **kind}) for place, kind in enumerate(kinds, 1)
    )


EVERY_KIND = numbered(
    {"state": "new", "first_seen": AS_OF},
    {"state": "persisting", "first_seen": AS_OF - timedelta(days=30), "remedy": "rotate"},
    {"state": "reappeared", "first_seen": AS_OF - timedelta(days=60), "risk": "critical"},
    {"state": "persisting", "waiver": WAIVER},
    {"verdict": "unknown", "remedy": "none", "reason": "could not read when the key was created"},
    {"verdict": "unknown", "remedy": "none", "access_key_id": None, "status": "Expired", "user_arn": None},
    {"verdict": "pass", "remedy": "none", "risk": "high", "reason": "not born with its user"},
    ROOT,
    {**ROOT, **NO_KEY, "policy": "root-without-mfa", "risk": "critical", "remedy": "none"},
    {**NO_KEY, "policy": "console-user-without-mfa", "risk": "medium", "remedy": "none"},
    {**UNREAD, "account_id": "444455556666"},
    {**UNREAD, "account_id": "unknown"},
    {"policy": "somebody-elses", "risk": "high"},
    *({"user_name": name, "user_arn": None, "reason": name} for name in HOSTILE),
    {"user_name": "n" * 3000, "user_arn": None, "reason": "r" * 3000, "access_key_id": None},
)
FIXED = (finding(fingerprint="f" * 32, state="persisting", first_seen=AS_OF - timedelta(days=90)),)


def document(*findings: Finding, **values: Any) -> Document:  # noqa: ANN401 - any field of Document
    """Make a document of these findings, with counts that are right; `values` change it."""
    lines = [_line(name, findings) for name in dict.fromkeys((BORN, *(f.policy for f in findings)))]
    usual: dict[str, Any] = {
        "schema": "birthright.findings/1",
        "scan": DocumentScan("20261122T100000Z-000000", AS_OF, "1.2.3", "keys"),
        "summary": Summary(1, 1, 1, *(sum(getattr(line, n) for line in lines) for n in _COUNTS)),
        "coverage": (asked(ACCOUNT, "ListUsers"), asked(ACCOUNT, "ListAccessKeys")),
        "policies": tuple(lines),
        "findings": findings,
        "accounts": (AccountSummary(ACCOUNT, 1, 1, 1, "prod <b>", "/Workloads"),),
    }
    return Document(**{**usual, **values})


_COUNTS = ("fail", "unknown", "passed", "waived")


def _line(name: str, findings: tuple[Finding, ...]) -> PolicySummary:
    own = [f for f in findings if f.policy == name]
    waived = sum(f.waiver is not None for f in own)
    fail, unknown, passed = (sum(f.verdict == v for f in own) for v in ("fail", "unknown", "pass"))
    page = PAGES.get(name)
    title, risk = (page.front.title, page.front.risk) if page else ("A | title <b>", "high")
    return PolicySummary(name, title, risk, "low", {"window": "7 s"}, fail - waived, unknown, passed, waived)


def asked(account: str, source: str, status: Any = "ok", **values: Any) -> CoverageSummary:  # noqa: ANN401
    """Make a line of coverage."""
    line = CoverageSummary(account, source, status, "", 1, 1, 0, 0.1, None)
    return msgspec.structs.replace(line, **values) if values else line


def waiver_line(state: Any, **values: Any) -> WaiverSummary:  # noqa: ANN401
    """Make a line of the waivers' file."""
    usual = {
        "policy": BORN,
        "account": "*",
        "user": "a|b*",
        "access_key_id": None,
        "findings": 0,
        "state": state,
    }
    return WaiverSummary(**{**usual, **msgspec.structs.asdict(WAIVER), **values})


def everything() -> Document:
    """Make a document with a finding, gap, change and waiver of every kind."""
    coverage = (
        asked(ACCOUNT, "ListUsers"),
        asked(ACCOUNT, "GetCredentialReport", "partial", detail="<b>half</b> | of it"),
        asked("444455556666", "AssumeRole", "denied", detail="not authorized\x1b"),
        asked("unknown", "GetCallerIdentity", "failed", detail="no profile", account_name="pro|file @x"),
        asked("777788889999", "ListAccounts", "skipped", detail="SUSPENDED"),
    )
    whole = document(*EVERY_KIND, coverage=coverage, fixed=FIXED)
    scan = msgspec.structs.replace(
        whole.scan, finished=False, complete=False, listed=False, notes=("no | OUs",)
    )
    waivers = tuple(waiver_line(state) for state in ("active", "expiring", "expired", "unmatched", "unread"))
    changes = Changes("20261101T100000Z-000000", AS_OF - timedelta(days=21), 1, 2, 1, 1, 3)
    return msgspec.structs.replace(whole, scan=scan, waivers=waivers, changes=changes)


def rendered(form: str, what: Document, *, pages: bool = True) -> str:
    """Render to text."""
    out = io.StringIO()
    renderer(form)(Report(what, PAGES if pages else {}), out)
    return out.getvalue()


@st.composite
def any_text(draw: st.DrawFn) -> Document:
    """Draw a document in which names, reasons and details are any text."""
    text = st.text(max_size=40) | st.sampled_from(HOSTILE)
    made = numbered(
        {"user_name": draw(text), "reason": draw(text), "user_arn": None},
        {"user_name": draw(text), "reason": draw(text), "access_key_id": None, "verdict": "unknown"},
        {
            "user_name": draw(text),
            "waiver": msgspec.structs.replace(WAIVER, reason=draw(text), owner=draw(text), ticket=draw(text)),
            "evidence": (Evidence(draw(text), draw(text), draw(text), AS_OF),),
        },
    )
    gap = asked(ACCOUNT, "ListUsers", "denied", detail=draw(text), account_name=draw(text))
    line = waiver_line("expired", reason=draw(text), owner=draw(text), user=draw(text), ticket=draw(text))
    account = AccountSummary(ACCOUNT, 1, 1, 1, draw(text), draw(text))
    return document(*made, coverage=(gap,), waivers=(line,), accounts=(account,))


@dataclass(frozen=True)
class Endless(Collection[Finding]):
    """Findings that are made as they are asked for: whoever keeps them all needs the memory for them."""

    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Finding]:
        return map(self._made, range(self.count))

    def _made(self, place: int) -> Finding:
        return finding(
            fingerprint=f"{place:08x}" * 4, account_id=f"{place // 100:012}", user_name=f"u{place}"
        )

    def __contains__(self, item: object) -> bool:
        return any(item == one for one in self)
