"""The terminal report of several accounts: what was read, the worst units and accounts, and why not all."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from birthright.findings.model import (
    AccountSummary,
    CoverageSummary,
    Document,
    DocumentScan,
    Finding,
    OuSummary,
    Summary,
)
from birthright.reports.formats import renderer
from birthright.reports.interface import Report

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
SCAN = DocumentScan("20261122T100000Z-000000", NOW, "0", "keys")


def line(account: int, source: str = "ListUsers", status: str = "ok", detail: str = "") -> CoverageSummary:
    """Make a line of coverage."""
    return CoverageSummary(f"{account:012}", source, status, detail, 1, 1, 0, 0.1, None)  # type: ignore[arg-type]


def unknown(account: int, user: str | None, reason: str) -> Finding:
    """Make an unknown finding."""
    fields = dict.fromkeys(Finding.__struct_fields__) | {
        "policy": "access-key-created-with-user",
        "verdict": "unknown",
        "risk": "low",
        "account_id": f"{account:012}",
        "user_name": user,
        "remedy": "none",
        "reason": reason,
        "evidence": (),
    }
    return Finding(**fields)  # type: ignore[arg-type]


def document(
    coverage: Iterable[CoverageSummary],
    accounts: Iterable[AccountSummary] = (),
    ous: Iterable[OuSummary] = (),
    findings: Iterable[Finding] = (),
) -> Document:
    """Make a document."""
    lines, found = tuple(coverage), tuple(findings)
    summary = Summary(len({line.account_id for line in lines}), 0, 0, 0, len(found), 0)
    return Document("birthright.findings/1", SCAN, summary, lines, (), found, tuple(accounts), tuple(ous))


def shown(what: Document) -> str:
    """Render for people."""
    out = io.StringIO()
    renderer("terminal")(Report(what), out)
    return out.getvalue()


def test_the_title_counts_accounts() -> None:
    """Asked for, read, skipped and not read add up; nothing is named that could not be read through."""
    skipped = line(3, "ListAccounts", "skipped", "SUSPENDED in the organization")
    text = shown(document([line(1), line(2), skipped, line(4, "AssumeRole", "denied")]))
    assert "birthright  4 accounts asked for, 2 read, 1 skipped, 1 not read" in text.splitlines()[0]


def test_what_is_missing_is_said_first_and_last() -> None:
    """A reader who sees only the beginning or only the end knows that not everything was read."""
    partly = [line(2), line(2, "ListAccessKeys", "partial")]
    text = shown(document([line(1), *partly, line(4, "AssumeRole", "denied")]))
    alarm = "NOT EVERYTHING WAS READ: 1 of 3 accounts not at all, 1 in part."
    assert text.splitlines()[1] == alarm
    assert text.splitlines()[-2] == alarm


def test_a_scan_that_did_not_finish_says_how_to_go_on() -> None:
    """Also of one account; the command is there to be copied."""
    scan = msgspec.structs.replace(SCAN, finished=False, complete=False)
    for lines in ([line(1), line(2, "AssumeRole", "failed")], [line(2, "AssumeRole", "failed")]):
        text = shown(msgspec.structs.replace(document(lines), scan=scan))
        alarm = f"THIS SCAN DID NOT FINISH: 1 of {len(lines)} accounts were not read."
        assert text.count(f"{alarm} 'birthright scan --resume {SCAN.id}' goes on.") == 2


def test_a_list_that_was_cut_short_is_told() -> None:
    """Nobody can say how many accounts were not read, so no number pretends to."""
    scan = msgspec.structs.replace(SCAN, finished=False, complete=False, listed=False)
    for count in (1, 3):
        text = shown(msgspec.structs.replace(document(map(line, range(count))), scan=scan))
        title = f"at least {count} accounts asked for, {count} read, at least 0 not read"
        assert title in text.splitlines()[0]
        alarm = f"THIS SCAN DID NOT FINISH: it was cut short before all accounts were listed; {count} were"
        assert text.count(alarm) == 2
        assert f"0 of {count}" not in text


def test_what_the_list_lacks_is_told() -> None:
    """A note that was kept with the scan is shown, harmlessly."""
    scan = msgspec.structs.replace(SCAN, notes=("the OUs are not known: \x1b[31m",))
    text = shown(msgspec.structs.replace(document([line(1), line(2)]), scan=scan))
    assert text.splitlines()[1] == "the OUs are not known: \\x1b[31m"


def test_profiles_that_could_not_be_used_are_accounts() -> None:
    """Each counts as one and is named, though nobody knows its id."""
    dead = [
        msgspec.structs.replace(
            line(0, "GetCallerIdentity", "failed", f"profile {name}: expired"),
            account_id="unknown",
            account_name=name,
        )
        for name in ("b", "c")
    ]
    text = shown(document([line(1), *dead]))
    assert "3 accounts asked for, 1 read, 2 not read" in text.splitlines()[0]
    assert "NOT EVERYTHING WAS READ: 2 of 3 accounts" in text
    assert "GetCallerIdentity failed: profile b: expired (b)" in text
    assert "GetCallerIdentity failed: profile c: expired (c)" in text


def failing(account: int, number: int, risk: str = "low") -> Finding:
    """Make a failure."""
    key = f"AKIA{account:08}{number:08}"
    changed = {"verdict": "fail", "remedy": "retire", "access_key_id": key, "created_at": NOW, "risk": risk}
    return msgspec.structs.replace(unknown(account, f"user{number}", "why"), **changed)


def test_the_first_ten_are_of_several_accounts() -> None:
    """At most two of an account while others of equal weight wait; what weighs more comes first."""
    found = [failing(account, number) for account in range(1, 4) for number in range(20)]
    found.append(failing(9, 0, "critical"))
    rows = [row.split()[:2] for row in shown(document(map(line, (1, 2, 3, 9)), findings=found)).splitlines()]
    first = [row for row in rows if len(row) == 2 and row[1].startswith("user") and row[1][4:].isdigit()]
    accounts = [row[0].lstrip("0") for row in first]
    assert accounts == ["9", "1", "1", "1", "1", "1", "2", "2", "3", "3"]


def test_everything_read_raises_no_alarm() -> None:
    """Skipped accounts are nothing that is missing."""
    text = shown(document([line(1), line(2), line(3, "ListAccounts", "skipped", "SUSPENDED")]))
    assert "NOT" not in text
    assert "1 account  ListAccounts skipped: SUSPENDED (000000000003)" in text


def test_the_same_reason_is_one_line() -> None:
    """Five hundred accounts that deny the role are one line, though each reason holds its account's id."""
    denied = [line(i, "AssumeRole", "denied", f"arn:aws:iam::{i:012}:role/birthright") for i in range(500)]
    text = " ".join(shown(document([*denied, line(600), line(601, "ListUsers", "failed")])).split())
    reason = "AssumeRole denied: arn:aws:iam::ACCOUNT:role/birthright"
    assert f"500 accounts {reason} (000000000000, 000000000001, 000000000002 and 497 more)" in text
    assert "1 account ListUsers failed (000000000601)" in text


def test_unknown_findings_of_many_accounts_are_grouped() -> None:
    """The same reason in two accounts is one line that names who and counts the rest."""
    findings = [unknown(i, None, f"could not be judged: no role in {i:012}") for i in range(9)]
    findings.append(unknown(9, "ann", "why"))
    text = shown(document(map(line, range(10)), findings=findings))
    named = "000000000000, 000000000001, 000000000002 and 6 more"
    assert f"9  could not be judged: no role in ACCOUNT ({named})" in text
    assert "Could not be judged (10)" in text


def test_the_ten_worst_accounts_come_first() -> None:
    """Most failures first, then most unknowns; accounts in order are not listed."""
    accounts = [
        AccountSummary(f"{i:012}", 5, i + 10, 1, f"[b]name {i}", "/Prod", fail=i % 12, unknown=i)
        for i in range(24)
    ]
    text = shown(document(map(line, range(24)), accounts, [OuSummary("/Prod", 24, 1, 2, 3, 4, 0)]))
    rows = [row for row in text.splitlines() if "[b]name" in row]
    assert [row.split()[0] for row in rows[:3]] == ["000000000023", "000000000011", "000000000022"]
    assert len(rows) == 10
    assert rows[0].split() == ["000000000023", "[b]name", "23", "/Prod", "11", "23", "33"]
    assert "The accounts with the most failures (10 of 24)" in text


def test_units_are_listed_worst_first_and_at_most_fifteen() -> None:
    """The rest is counted; without known units there is no such table."""
    units = [OuSummary(f"/Unit{i:02}", 1, 2, 3, i, 0, 0) for i in range(20)]
    text = shown(document(map(line, range(20)), ous=units))
    rows = [row.split()[0] for row in text.splitlines() if row.startswith("/Unit")]
    assert rows == [f"/Unit{i:02}" for i in range(19, 4, -1)]
    assert "and 5 more units: -o findings.json has all" in text
    assert "organizational unit" not in shown(document(map(line, range(20))))


def test_hostile_names_of_accounts_and_units_are_printable() -> None:
    """Whoever names an account does not speak to the terminal."""
    accounts = [AccountSummary("1" * 12, 1, 1, 1, "\x1b[31m\u202e", "/\x07", fail=1)]
    text = shown(document([line(1), line(2, detail="\x1b", status="failed")], accounts,
                          [OuSummary("/\x07", 1, 1, 1, 1, 1, 0)]))  # fmt: skip
    assert text.replace("\n", "").isprintable()
