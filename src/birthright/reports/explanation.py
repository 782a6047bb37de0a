"""One subject in full: each verdict, what was seen, when and where, what to do, and the rules behind it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from birthright.errors import UsageError
from birthright.facts.answers import ROOT_NAME
from birthright.findings.document import by_subject
from birthright.findings.model import Document, Evidence, Finding
from birthright.findings.ranking import rank
from birthright.policies.page import Page
from birthright.reports.remedies import NEXT, template_of, values_of, why_not
from birthright.tables import GAP, add_row, fixed, grid, table
from birthright.text import printable, write_console
from birthright.times import format_duration, format_instant

_LEAST_PREFIX = 6
_MOST = 10
_PIPED_WIDTH = 110
_NARROW = 90  # columns: below that whole instants would be broken in two
_WORDS = {"fail": ("fails", "bold red"), "unknown": ("unknown", "bold yellow"), "pass": ("passes", "green")}


class SubjectQuery(NamedTuple):
    """What is to be explained: a fingerprint, key id or user name, in any account or in one."""

    subject: str
    account: str | None = None


def explain(document: Document, pages: Mapping[str, Page], asked: SubjectQuery, out: TextIO) -> None:
    """Write all about what was asked. Raises UsageError if nothing matches, or too much to be read."""
    findings = matching(_inside(document, asked.account), asked.subject)
    if not findings:
        where = f" in account {asked.account!r}" if asked.account else ""
        raise UsageError(
            f"scan {document.scan.id} knows no fingerprint, key id or user {asked.subject!r}{where}",
            "'birthright scan --from latest --all --format csv' lists every subject",
        )
    groups = by_subject(findings)
    if len(groups) > _MOST and not asked.account:
        raise _too_many(asked.subject, groups)

    def draw(console: Console) -> None:
        for group in groups:
            _print_subject(console, document, pages, sorted(group, key=_weight))

    write_console(out, draw, _PIPED_WIDTH)


def _inside(document: Document, account: str | None) -> Iterable[Finding]:
    return (finding for finding in document.findings if account in {None, finding.account_id})


def _too_many(subject: str, groups: Sequence[Sequence[Finding]]) -> UsageError:
    # A user and a key of theirs without an id have one name.
    named = (f"{group[0].account_id} {group[0].access_key_id or group[0].user_name}" for group in groups)
    names = list(dict.fromkeys(named))
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    text = f"{subject!r} is in several accounts: {', '.join(names[:_MOST])}{more}"
    return UsageError(text, "choose one with --account")


def matching(findings: Iterable[Finding], subject: str) -> list[Finding]:
    """Find by fingerprint (six characters or more are enough), key id, or user name; `root` is root."""
    name = ROOT_NAME if subject == "root" else subject
    prefix = subject.lower() if len(subject) >= _LEAST_PREFIX else None
    found: dict[int, list[Finding]] = {place: [] for place in range(3)}
    for f in findings:
        if subject in {f.access_key_id, f.user_name, f.user_arn}:
            found[0].append(f)
        elif f.user_name == name:
            found[1].append(f)
        elif prefix and f.fingerprint.startswith(prefix):
            found[2].append(f)
    return found[0] or found[1] or found[2]


def _weight(finding: Finding) -> tuple[int, bool, int, str]:
    return list(_WORDS).index(finding.verdict), *rank(finding.policy, finding.risk)


def _print_subject(
    console: Console, document: Document, pages: Mapping[str, Page], findings: Sequence[Finding]
) -> None:
    first = findings[0]
    name = printable(first.user_name or "the whole account")
    key = f", access key {first.access_key_id}" if first.access_key_id else ""
    if first.subject:
        key = f", {printable(first.subject)}"
    elif not key and first.created_at:
        key = f", an access key made {format_instant(first.created_at)}"
    console.print(Text.assemble((f"{name}{key}", "bold"), f"  account {first.account_id}"))
    console.print(Text(f"as of {document.scan.as_of:%Y-%m-%d %H:%M} UTC, scan {document.scan.id}", "dim"))
    console.print()
    console.print(_indented(_verdicts(findings)))
    _print_evidence(console, document, findings)
    _print_remedies(
        console, pages, [finding for finding in findings if finding.verdict == "fail" and not finding.waiver]
    )
    _print_rules(console, document, pages, [f for f in findings if f.verdict != "pass"])
    console.print()


def _indented(what: RenderableType) -> Padding:
    return Padding(what, (0, 0, 0, 2))


def _verdicts(findings: Iterable[Finding]) -> Table:
    made = grid(fixed(), fixed(), "")
    for finding in findings:
        word, style = ("waived", "yellow") if finding.waiver else _WORDS[finding.verdict]
        add_row(made, Text(word, style), finding.policy, _why(finding))
    return made


def _why(finding: Finding) -> str:
    """Say what the rule said, and why it was accepted, if it was."""
    if finding.waiver is None:
        return finding.reason
    ticket = f" ({finding.waiver.ticket})" if finding.waiver.ticket else ""
    accepted = f"until {finding.waiver.expires} by {finding.waiver.owner}: {finding.waiver.reason}{ticket}"
    return f"{finding.reason}; waived {accepted}"


def _print_evidence(console: Console, document: Document, findings: Sequence[Finding]) -> None:
    narrow = console.width < _NARROW
    made = table("fact", "value", "source", "as of", gap=1 if narrow else GAP)
    seen: dict[str, Evidence] = {}
    for evidence in (item for finding in findings for item in finding.evidence):
        seen.setdefault(evidence.fact, evidence)
    for item in seen.values():
        when = _when(item.as_of, to_the_minute=narrow) if item.as_of else ""
        add_row(made, item.fact, _value(item), item.source, when)
    console.print()
    console.print(Text("What was seen", "bold"))
    if seen:
        console.print(_indented(made))
    for line in _derived(document, findings[0]):
        console.print(_indented(Text(line)))
    if not seen:
        console.print(_indented(Text("nothing: the account did not answer")))


def _when(moment: datetime, *, to_the_minute: bool) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if to_the_minute else format_instant(moment)


def _value(item: Evidence) -> str:
    """Show the value as AWS writes it, but truth as yes and no."""
    if item.value is None:
        return "not known"
    return ("yes" if item.value else "no") if isinstance(item.value, bool) else printable(str(item.value))


def _derived(document: Document, finding: Finding) -> list[str]:
    lines = []
    if finding.gap_seconds is not None:
        lines.append(f"The key was made {_gap(finding.gap_seconds)}.")
    if finding.last_used_at:
        ago = max(document.scan.as_of - finding.last_used_at, timedelta())
        lines.append(f"It was last used {format_duration(ago)} before this scan.")
    elif finding.ever_used is False:
        lines.append("It was never used, as far as AWS has noted.")
    return lines


def _gap(seconds: int) -> str:
    if seconds == 0:
        return "in the same second as its user"
    length = format_duration(timedelta(seconds=abs(seconds)))
    return f"{length} {'before' if seconds < 0 else 'after'} its user"


def _print_remedies(console: Console, pages: Mapping[str, Page], failures: Sequence[Finding]) -> None:
    """Say what to do: the remedy once, then each page's commands, those that several share once."""
    if not failures:
        return
    console.print()
    console.print(Text("What to do", "bold"))
    for text in dict.fromkeys(NEXT[finding.remedy] for finding in failures):
        if text:
            console.print(_indented(Text(text)))
    for finding in _one_way_each(pages, failures):
        # A command that is wrapped cannot be copied.
        for line in _commands_or_why_not(pages[finding.policy], finding).splitlines():
            console.print(Text(f"    {line}"), soft_wrap=True)


def _one_way_each(pages: Mapping[str, Page], failures: Sequence[Finding]) -> list[Finding]:
    """Choose whose commands to show: a key is retired once, however many policies ask for it."""
    retiring = [finding for finding in failures if pages[finding.policy].front.remedy == "retire"]
    return retiring[:1] + [finding for finding in failures if finding not in retiring]


def _print_rules(
    console: Console, document: Document, pages: Mapping[str, Page], findings: Sequence[Finding]
) -> None:
    """Print the weightiest finding's rule, and where the others' can be read."""
    for finding in findings[:1]:
        page = pages[finding.policy]
        given = next(line.parameters for line in document.policies if line.id == page.id)
        words = [page.front.title, *(f"{name} = {value}" for name, value in given.items())]
        console.print()
        console.print(Text.assemble((f"The rule {page.id}", "bold"), f", risk {finding.risk}"))
        console.print(_indented(Text(printable("; ".join(words)))))
        console.print(_indented(Text(f"fingerprint {finding.fingerprint}", "dim")))
        for line in page.rule.splitlines():
            console.print(Text(f"    {printable(line)}", "dim"), soft_wrap=True)
    if findings[1:]:
        console.print()
        console.print(Text("The other rules (birthright policy show ID) and fingerprints", "bold"))
        console.print(_indented(_others(findings[1:])))


def _others(findings: Iterable[Finding]) -> Table:
    made = grid("", "")
    for finding in findings:
        add_row(made, finding.policy, Text(finding.fingerprint, "dim"))
    return made


def _commands_or_why_not(page: Page, finding: Finding) -> str:
    return why_not(template_of(page, finding.remedy), finding) or cli_commands(page, finding)


def cli_commands(page: Page, finding: Finding) -> str:
    """Return the page's AWS CLI commands for this finding; values are quoted for a shell."""
    template = template_of(page, finding.remedy)
    return template.filled(values_of(template, finding))
