"""The terminal: what fails, by what to do about it; what could not be known; what was read."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from birthright.findings.model import CoverageSummary, Document, Finding, PolicySummary, Remedy
from birthright.findings.ranking import SHOWN, rank
from birthright.reports.headline import Tone, headline
from birthright.reports.interface import Report
from birthright.reports.organization import AccountsOverview, named, print_coverage, print_units, print_worst
from birthright.reports.status import print_changes, print_fixed, print_waivers
from birthright.reports.subjects import age_of
from birthright.reports.survey import Sample, Survey, survey
from birthright.tables import GAP, add_row, fixed, grid, keys_table, number, table
from birthright.text import printable, write_console
from birthright.times import format_duration

_GROUPS: tuple[tuple[Remedy, str, str], ...] = (
    ("retire", "Not in use: verify, disable, wait, delete", "red"),
    ("rotate", "In use: make a new key, move over, then retire this one", "yellow"),
    ("review", "Needs review: root's, or its use is not known", "magenta"),
    ("none", "Other findings: manual remediation", "cyan"),
)
_TONES: dict[Tone, str] = {"bad": "bold red", "unsure": "yellow", "waived": "yellow", "good": "green"}
_READS = ("AssumeRole", "GetCredentialReport", "ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed")
_DATES_FIT = 110  # columns: from there on a table has room for the day a key was made
_FRESH = frozenset({"new", "again"})


def render(report: Report, out: TextIO) -> None:
    """Write it for people; colours only where `out` is a terminal."""
    write_console(out, lambda console: _draw(console, report.document))


def _draw(console: Console, document: Document) -> None:
    accounts = AccountsOverview(document)
    alarm = accounts.alarm()
    found = survey(document, several=accounts.several)
    console.print(_title(document, accounts))
    if alarm:
        console.print(alarm)
    _print_answer(console, document, found)
    if accounts.several:
        print_units(console, document)
        print_worst(console, document)
    _print_failing(console, document, found, several=accounts.several)
    print_fixed(console, document)
    _print_unknown(console, found)
    print_waivers(console, document.waivers)
    _print_policies(console, document)
    if accounts.several:
        print_coverage(console, document)
        console.print()
    else:
        _print_coverage(console, document)
    console.print(_verdict(document))
    if alarm:
        console.print(alarm)
    console.print(Text(f"scan {document.scan.id}", "dim"))


def _title(document: Document, accounts: AccountsOverview) -> Text:
    text = Text.assemble(("birthright", "bold"), f"  {accounts.title()}  ")
    return text.append(f"{document.scan.as_of:%Y-%m-%d %H:%M} UTC", "dim")


def _print_answer(console: Console, document: Document, found: Survey) -> None:
    """Answer the question birthright is asked first, and what has changed."""
    for note in document.scan.notes:
        console.print(Text(printable(note), "yellow"))
    answer = headline(document, found.born)
    if answer:
        detail = f": {answer.detail}" if answer.detail else ""
        console.print(Text.assemble((answer.text, _TONES[answer.tone]), f"{detail}."))
    elif not document.read:
        console.print(Text("No account was read.", "bold yellow"))
    print_changes(console, document.changes)


def _print_failing(console: Console, document: Document, found: Survey, *, several: bool) -> None:
    """Show what is new, if there is an earlier scan; then all failures, by what to do about them."""
    groups = [(Text("New since then", "bold red"), found.fresh)] if _since(document) else []
    groups += [(Text(title, f"bold {colour}"), found.failing[remedy]) for remedy, title, colour in _GROUPS]
    for title, group in groups:
        if group.count:
            _print_group(console, document, title, group, several=several)


def _since(document: Document) -> bool:
    """Whether there is an earlier scan to be new against."""
    return document.changes is not None and document.changes.since is not None


def _print_group(console: Console, document: Document, title: Text, group: Sample, *, several: bool) -> None:
    dated = console.width >= _DATES_FIT
    keys = any(findings[0].access_key_id or findings[0].created_at for findings in group.shown)
    names = [("account", several), ("user", True), ("access key", keys), ("created", keys and dated)]
    names += [("last used", keys), ("first seen", document.changes is not None), ("why", True)]
    made = keys_table(*(name for name, wanted in names if wanted))
    for findings in group.shown:
        cells = zip(names, _cells(findings, document.scan.as_of), strict=True)
        add_row(made, *(cell for (_, wanted), cell in cells if wanted))
    console.print()
    console.print(title.append(f" ({group.count})"))
    console.print(made)
    if group.count > SHOWN:
        console.print(Text(f"and {group.count - SHOWN} more: -o findings.csv has all", "dim"))


def _cells(findings: Sequence[Finding], as_of: datetime) -> Iterator[str]:
    """Give one row: whose, which key, when made, when last used, and why: the weightiest reason."""
    first = findings[0]
    yield first.account_id
    yield printable(first.user_name or "(the account)")
    yield first.access_key_id or ("(id not read)" if first.created_at else "")
    yield f"{first.created_at:%Y-%m-%d}" if first.created_at else ""
    yield _last_used(first, as_of)
    yield min((age_of(finding, as_of) for finding in findings), key=_newest)
    more = len(findings) - 1
    yield printable(first.reason) + (f" (+{more})" if more else "")


def _newest(age: str) -> bool:
    """Put first what is not known for long: of a key's findings one may be new."""
    return age not in _FRESH


def _last_used(finding: Finding, as_of: datetime) -> str:
    if finding.last_used_at:
        ago = format_duration(max(as_of - finding.last_used_at, timedelta()))
        return " ".join([*ago.split()[:2], "ago"])
    if finding.created_at is None:
        return ""
    return {False: "never", True: "yes", None: "not known"}[finding.ever_used]


def _print_unknown(console: Console, found: Survey) -> None:
    if not found.unknown:
        return
    console.print()
    console.print(Text(f"Could not be judged ({sum(one.count for one in found.unknown.values())})", "bold"))
    made = grid(number(), "")
    for reason, one in sorted(found.unknown.items(), key=lambda item: -item[1].count)[:SHOWN]:
        whom = named(one.names, one.subjects)
        add_row(made, str(one.count), f"{reason} ({whom})")
    console.print(made)
    if len(found.unknown) > SHOWN:
        console.print(Text(f"and {len(found.unknown) - SHOWN} more reasons: -o findings.csv has all", "dim"))


def _print_policies(console: Console, document: Document) -> None:
    waived = ["waived"] if document.summary.waived else []
    lines = sorted(document.policies, key=lambda line: rank(line.id, line.risk))
    titled = _has_room(console, lines)
    title = [fixed()] if titled else []
    made = table("policy", fixed("risk"), *map(number, ("fail", *waived, "unknown", "pass")), *title)
    for line in lines:
        colour = "bold red" if line.fail else "yellow" if line.unknown else "green"
        fail = Text(str(line.fail), colour if line.fail else "dim")
        cells = [
            Text(line.id, colour),
            Text(line.risk),
            fail,
            *([Text(str(line.waived), "" if line.waived else "dim")] if waived else []),
            Text(str(line.unknown)),
            Text(str(line.passed)),
        ]
        add_row(made, *cells, *([Text(printable(line.title), "dim")] if titled else []))
    console.print()
    console.print(made)


def _has_room(console: Console, lines: Iterable[PolicySummary]) -> bool:
    """Whether the titles fit: the ids say it too, and folded titles double the table."""
    counts = sum(len(name) + GAP for name in ("critical", "12345", "unknown", "12345"))
    widest = max((len(line.title) for line in lines), default=0)
    return max((len(line.id) for line in lines), default=0) + GAP + counts + widest <= console.width


def _print_coverage(console: Console, document: Document) -> None:
    lines = sorted(document.coverage, key=_read_order)
    console.print()
    if lines:
        console.print(_coverage_table(lines[:SHOWN]))
    if len(lines) > SHOWN:
        console.print(Text(f"and {len(lines) - SHOWN} more that could not be read", "yellow"))
    if lines:
        console.print()


def _coverage_table(lines: Iterable[CoverageSummary]) -> Table:
    made = table(fixed("API call"), fixed("status"), number("items"), "")
    for line in lines:
        colour = {"ok": "dim", "skipped": "dim"}.get(line.status, "bold yellow")
        add_row(made, line.source, line.status, str(line.rows), line.detail, style=colour)
    return made


def _read_order(line: CoverageSummary) -> tuple[str, int, str]:
    place = _READS.index(line.source) if line.source in _READS else len(_READS)
    return line.account_id, place, line.source


def _verdict(document: Document) -> Text:
    summary = document.summary
    colour = "red" if summary.fail else "yellow" if summary.unknown or not document.complete else "green"
    failures = f"{summary.fail} failure{'' if summary.fail == 1 else 's'}"
    waived = f", {summary.waived} waived" if summary.waived else ""
    text = Text.assemble(
        (f"{failures}, {summary.unknown} unknown, {summary.passed} passed{waived}", f"bold {colour}"),
        f" over {summary.principals} principals and {summary.access_keys} access keys",
    )
    if not document.complete:
        missing = "not everything could be" if document.read else "no account was"
        text.append(f"; {missing} read", "bold yellow")
    return text
