"""Many accounts: the same findings over the whole scan or in batches, counts, and accounts not read."""

import io
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.errors import PageError
from birthright.facts.model import AccessKey, Account, Coverage, Principal
from birthright.facts.schema import TABLES, to_table, to_tables
from birthright.findings.document import build_document
from birthright.findings.grading import exit_code
from birthright.findings.model import AccountSummary, Document, OuSummary
from birthright.findings.stream import Findings
from birthright.policies.evaluator import Evaluator
from birthright.policies.pack import load_pack
from birthright.policies.page import Page, parse_page
from birthright.reports.formats import FORMATS, renderer
from birthright.reports.interface import Report
from birthright.scans.record import ScanInfo
from birthright.scans.request import Judging
from policy_helpers import PAGE

if TYPE_CHECKING:
    import pyarrow as pa

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
INFO = ScanInfo(id="20261122T100000Z-000000", as_of=NOW, tool_version="0", depth="keys", complete=True)
READS = ("AssumeRole", "GetAccessKeyLastUsed", "GetCredentialReport", "ListAccessKeys", "ListUsers")
PAGES = load_pack()
ALL_SEEING = """select *, created_at > avg(created_at) over () as compliant,
    'one of ' || count(*) over () || ' keys of all accounts' as reason from access_keys"""

ages = st.sampled_from([None, *(timedelta(days=days) for days in (0, 1, 40, 91, 400))])
maybe = st.sampled_from([True, False, None])


# A few at a time, as each costs a query for each batch; several, as their findings are merged.
some_pages = st.lists(st.sampled_from(PAGES), min_size=1, max_size=4, unique_by=lambda page: page.id)


@st.composite
def keys(draw: st.DrawFn, account: str) -> list[AccessKey]:
    """Draw some keys of a few users of an account, some of them alike."""
    found = []
    for place in range(draw(st.integers(0, 5))):
        name = draw(st.sampled_from(["ann", "bob", "Z", "é"]))
        age = draw(ages)
        made = NOW - age if age is not None else None
        used = draw(maybe)
        found.append(
            AccessKey(
                account,
                f"arn:aws:iam::{account}:user/{name}",
                name,
                user_created_at=draw(st.sampled_from([made, NOW - timedelta(days=400)])),
                access_key_id=draw(st.sampled_from([f"AKIA{account}{place}", None])),
                slot=draw(st.sampled_from([1, 2, None])),
                status=draw(st.sampled_from(["Active", "Active", "Inactive", None])),
                created_at=made,
                created_source="listing",
                ever_used=used,
                last_used_at=NOW - timedelta(days=draw(st.integers(0, 99))) if used else None,
            )
        )
    return found


@st.composite
def scans(draw: st.DrawFn) -> "dict[str, pa.Table]":
    """Draw a scan of some accounts in any order: read, read in part, denied, skipped or never reached."""
    rows: dict[str, list[msgspec.Struct]] = {name: [] for name in TABLES}
    accounts = draw(st.permutations([f"{number:012}" for number in range(1, 7)]))
    for account in accounts:
        place = draw(st.sampled_from(["/", "/Prod", None]))
        rows["accounts"].append(Account(account, f"name of {account}", "ACTIVE", None, place, "ListAccounts"))
        how = draw(st.sampled_from(["read", "read", "read", "partial", "denied", "skipped", "unreached"]))
        rows["coverage"] += asked(account, how)
        if how in {"read", "partial"}:
            some = draw(keys(account))
            names = sorted({key.user_name for key in some} | {"root"})
            rows["access_keys"] += some
            rows["principals"] += [
                Principal(account, None, name, is_root=name == "root", console_password=draw(maybe),
                          mfa_active=draw(maybe), in_report=True, in_listing=name != "root" or None)
                for name in names
            ]  # fmt: skip
    return to_tables(rows)


def asked(account: str, how: str) -> list[Coverage]:
    """Make the coverage of an account."""
    if how == "unreached":
        return []
    if how == "skipped":
        return [Coverage(account, "ListAccounts", "skipped", "SUSPENDED in the organization")]
    if how == "denied":
        return [Coverage(account, "AssumeRole", "denied", f"not for {account}")]
    refused = {"GetCredentialReport"} if how == "partial" else set()
    return [Coverage(account, read, "denied" if read in refused else "ok", as_of=NOW) for read in READS]


def scan_of(*accounts: tuple[str, str, str | None]) -> "dict[str, pa.Table]":
    """Make a scan without keys of accounts: id, how it was read, organizational unit."""
    rows: dict[str, list[msgspec.Struct]] = {name: [] for name in TABLES}
    for account, how, path in accounts:
        rows["accounts"].append(Account(account, None, None, None, path, "ListAccounts"))
        rows["coverage"] += asked(account, how)
        if how in {"read", "partial"}:
            rows["principals"].append(Principal(account, None, "ann", in_report=True, in_listing=True))
    return to_tables(rows)


def judged(tables: "dict[str, pa.Table]", pages: Sequence[Page] = PAGES, batch_rows: int = 10**6) -> Document:
    """Judge such a scan."""
    return build_document(INFO, Evaluator(tables, NOW, batch_rows), pages, Judging())


def rendered(form: str, document: Document) -> str:
    """Render to text."""
    out = io.StringIO()
    renderer(form)(Report(document), out)
    return out.getvalue()


def own(rule: str) -> Page:
    """Make a page of one's own with this rule."""
    head, _, rest = PAGE.partition("```sql\n")
    head = head.replace("parameters:\n  max_age: {default: 90d, about: How old a key may be.}\n", "")
    return parse_page(f"{head}```sql\n{rule}\n{rest[rest.index('```') :]}", "tiny.md")


@pytest.mark.usefixtures("in_rounds")
@settings(max_examples=13, deadline=None)
@given(scans(), some_pages, st.integers(1, 12), st.booleans(), st.sampled_from(sorted(FORMATS)))
def test_batches_change_nothing(
    tables: "dict[str, pa.Table]",
    pages: list[Page],
    batch_rows: int,
    passes: bool,  # noqa: FBT001
    form: str,
) -> None:
    """Whole or in batches the document is the same, byte for byte, in any format; also asked for twice."""
    pages = [*pages, own(ALL_SEEING)]
    if not any(table.num_rows for name, table in tables.items() if name == "coverage"):
        return
    whole, parts = (
        build_document(INFO, Evaluator(tables, NOW, rows), pages, Judging(), passes=passes)
        for rows in (10**6, batch_rows)
    )
    assert isinstance(whole.findings, tuple)
    assert tuple(parts.findings) == whole.findings
    assert len(parts.findings) == len(whole.findings)
    assert rendered(form, parts) == rendered(form, whole)


@pytest.mark.usefixtures("in_rounds")
@settings(max_examples=9, deadline=None)
@given(scans(), some_pages, st.integers(1, 12))
def test_counts_are_those_of_the_findings(
    tables: "dict[str, pa.Table]", pages: list[Page], batch_rows: int
) -> None:
    """Summary, policies, accounts and units count what the findings are; nothing is counted twice."""
    document = build_document(INFO, Evaluator(tables, NOW, batch_rows), pages, Judging(), passes=True)
    found = list(document.findings)
    verdicts = Counter(finding.verdict for finding in found)
    summary = document.summary
    assert (summary.fail, summary.unknown, summary.passed) == tuple(
        verdicts[verdict] for verdict in ("fail", "unknown", "pass")
    )
    for name in ("fail", "unknown", "passed"):
        assert getattr(summary, name) == sum(getattr(line, name) for line in document.policies)
        assert getattr(summary, name) == sum(getattr(line, name) for line in document.accounts)
    by_account = Counter((finding.account_id, finding.verdict) for finding in found)
    for line in document.accounts:
        assert (line.fail, line.unknown) == tuple(
            by_account[line.account_id, verdict] for verdict in ("fail", "unknown")
        )
    inside = [line for line in document.accounts if line.ou_path is not None]
    assert sum(unit.accounts for unit in document.ous) == len(inside)
    assert sum(unit.fail for unit in document.ous) == sum(line.fail for line in inside)
    assert found == sorted(found, key=lambda finding: (finding.account_id, finding.policy))


def test_many_accounts_are_judged_in_batches() -> None:
    """The findings of a scan of more than one batch are not kept; there are at most about 16 batches."""
    tables = scan_of(*((f"{number:012}", "read", None) for number in range(100)))
    document = judged(tables, batch_rows=1)
    assert isinstance(document.findings, Findings)
    assert document.findings.is_large
    assert 15 <= len(Evaluator(tables, NOW, 1).batches()) <= 18
    first = next(iter(document.findings))
    assert first in document.findings
    assert msgspec.structs.replace(first, account_id="9" * 12) not in document.findings


def test_a_rule_that_looks_at_all_accounts_sees_them_all() -> None:
    """In batches, too, a window over everything is over everything."""
    tables = scan_of(*((f"{number:012}", "read", None) for number in range(20)))
    rule = "select *, true and null as compliant, 'of ' || count(*) over () as reason from principals"
    page = own(rule)
    front = msgspec.structs.replace(page.front, subject="principal")
    document = judged(tables, [msgspec.structs.replace(page, front=front)], batch_rows=2)
    assert {finding.reason for finding in document.findings} == {"of 20"}


def test_an_account_that_could_not_be_entered_says_why() -> None:
    """The role that was denied is the reason, not the reads that nobody tried."""
    document = judged(scan_of(("1" * 12, "denied", None), ("2" * 12, "read", None)))
    reasons = {finding.reason for finding in document.findings if finding.account_id == "1" * 12}
    assert reasons == {f"could not be judged: AssumeRole denied: not for {'1' * 12}"}
    assert not document.complete
    assert exit_code(document) == 3


def test_a_suspended_account_is_not_in_scope() -> None:
    """It has no findings and no line of counts, and leaves the scan complete; coverage tells of it."""
    document = judged(scan_of(("1" * 12, "skipped", "/Old"), ("2" * 12, "read", "/")))
    assert "1" * 12 not in {finding.account_id for finding in document.findings}
    assert [line.account_id for line in document.accounts] == ["2" * 12]
    assert [unit.ou_path for unit in document.ous] == ["/"]
    assert (document.summary.accounts, document.complete) == (1, True)
    assert ("1" * 12, "skipped") in {(line.account_id, line.status) for line in document.coverage}


def test_an_account_that_was_not_reached_is_told() -> None:
    """It is unread, failed in the coverage, unknown to every policy, and makes the exit code 3."""
    document = judged(scan_of(("1" * 12, "unreached", "/"), ("2" * 12, "read", "/")), PAGES[:1])
    (line,) = (line for line in document.coverage if line.account_id == "1" * 12)
    said = (line.source, line.status, line.detail)
    assert said == ("AssumeRole", "failed", "not read: the scan did not finish")
    assert {finding.reason for finding in document.findings if finding.account_id == "1" * 12} == {
        "could not be judged: not read: the scan did not finish"
    }
    assert exit_code(document) == 3
    assert document.ous == (OuSummary("/", 2, 1, 0, 0, 1, 1),)


def test_lines_have_names_and_places() -> None:
    """Names and units come from the accounts that were asked for; a name also from what was read."""
    tables = scan_of(("1" * 12, "read", "/Prod"))
    named = Coverage("2" * 12, "ListUsers", "ok", account_name="two")
    rows = [*asked("1" * 12, "read"), named, *asked("2" * 12, "read")]
    tables["coverage"] = to_table(rows, TABLES["coverage"].schema)
    first, second = judged(tables, PAGES[:1]).accounts
    assert first == AccountSummary("1" * 12, 1, 0, 0, None, "/Prod")
    assert second == AccountSummary("2" * 12, 0, 0, 0, "two", None)


def test_a_scan_that_says_it_is_not_complete_is_not() -> None:
    """Whatever its coverage says: somebody knows better."""
    info = msgspec.structs.replace(INFO, complete=False, finished=False)
    tables = scan_of(("2" * 12, "read", None))
    document = build_document(info, Evaluator(tables, NOW), PAGES[:1], Judging())
    assert not document.complete
    assert not document.scan.finished
    assert exit_code(document) == 3


def test_a_row_without_an_account_is_refused() -> None:
    """Nobody could say whose finding it is."""
    tables = scan_of(("2" * 12, "read", None))
    rule = "select * replace (null::varchar as account_id), true as compliant from principals"
    page = own(rule)
    page = msgspec.structs.replace(page, front=msgspec.structs.replace(page.front, subject="principal"))
    with pytest.raises(PageError, match="without account_id"):
        judged(tables, [page])


def test_a_scan_cut_short_before_its_list_was_whole_says_so() -> None:
    """Without the table of accounts nobody knows what else was asked for; notes are kept."""
    rows = scan_of(("1" * 12, "read", None))
    info = msgspec.structs.replace(INFO, finished=False, complete=False, extra={"note": "no OUs"})
    for tables, listed in ((rows, True), ({**rows, "accounts": rows["accounts"][:0]}, False)):
        document = build_document(info, Evaluator(tables, NOW), PAGES, Judging())
        assert (document.scan.listed, document.scan.notes) == (listed, ("no OUs",))
    assert judged({**rows, "accounts": rows["accounts"][:0]}).scan.listed
