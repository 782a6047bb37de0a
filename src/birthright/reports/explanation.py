"""One subject in full: what was seen, when and where, each verdict, the rule behind it, and what to do."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from birthright.errors import UsageError
from birthright.facts.answers import ROOT_NAME
from birthright.findings.build import by_subject
from birthright.findings.model import Document, Evidence, Finding
from birthright.policies.page import Page
from birthright.times import format_duration, format_instant

_LEAST_PREFIX = 6
_WORDS = {"fail": ("fails", "bold red"), "unknown": ("unknown", "bold yellow"), "pass": ("passes", "green")}
_NEXT = {
    "retire": "The key is not in use: disable it, wait, delete it.",
    "rotate": "The key is in use: make a second one, move over, then disable and delete this one.",
    "review": "A person has to look first: it is root's key, or nobody knows whether it is in use.",
    "none": "",
}


def explain(document: Document, pages: Mapping[str, Page], subject: str, out: TextIO) -> None:
    """Write all about a fingerprint, a key id or a user name. Raises UsageError if nothing matches."""
    findings = matching(document.findings, subject)
    if not findings:
        raise UsageError(
            f"scan {document.scan.id} knows no fingerprint, key id or user {subject!r}",
            "'birthright scan --all --format csv' lists every subject",
        )
    console = Console(file=out, highlight=False, width=None if out.isatty() else 110)
    for group in by_subject(findings).values():
        _print_subject(console, document, pages, group)


def matching(findings: Iterable[Finding], subject: str) -> list[Finding]:
    """Find by fingerprint (six characters or more are enough), key id, or user name; `root` is root."""
    name = ROOT_NAME if subject == "root" else subject
    found = [f for f in findings if name in {f.access_key_id, f.user_name, f.user_arn}]
    if found or len(subject) < _LEAST_PREFIX:
        return found
    return [f for f in findings if f.fingerprint.startswith(subject.lower())]


def _print_subject(
    console: Console, document: Document, pages: Mapping[str, Page], findings: Sequence[Finding]
) -> None:
    first = findings[0]
    name = first.user_name or "the whole account"
    key = f"  access key {first.access_key_id}" if first.access_key_id else ""
    console.print(Text.assemble((name, "bold"), (key, "bold"), f"  account {first.account_id}"))
    _print_evidence(console, document, findings)
    for finding in sorted(findings, key=lambda f: (f.verdict == "pass", f.verdict, f.policy)):
        _print_finding(console, pages[finding.policy], finding)
    console.print()


def _print_evidence(console: Console, document: Document, findings: Sequence[Finding]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for column in ("fact", "value", "said by", "as of"):
        table.add_column(column, overflow="fold")
    seen: dict[str, Evidence] = {}
    for evidence in (item for finding in findings for item in finding.evidence):
        seen.setdefault(evidence.fact, evidence)
    for item in seen.values():
        value = "not known" if item.value is None else str(item.value)
        when = format_instant(item.as_of) if item.as_of else ""
        table.add_row(item.fact, Text(value), item.source, when)
    console.print(Padding(table, (1, 0, 0, 2)))
    for line in _derived(document, findings[0]):
        console.print(Padding(Text(line), (0, 0, 0, 2)))


def _derived(document: Document, finding: Finding) -> list[str]:
    lines = []
    if finding.gap_seconds is not None:
        lines.append(f"gap: the key was made {_gap(finding.gap_seconds)}")
    if finding.last_used_at:
        ago = max(document.scan.as_of - finding.last_used_at, timedelta())
        lines.append(f"last use: {format_duration(ago)} before this scan")
    elif finding.ever_used is False:
        lines.append("last use: never, as far as AWS has noted")
    return lines


def _gap(seconds: int) -> str:
    length = format_duration(timedelta(seconds=abs(seconds)))
    return f"{length} {'before' if seconds < 0 else 'after'} its user"


def _print_finding(console: Console, page: Page, finding: Finding) -> None:
    word, style = _WORDS[finding.verdict]
    console.print()
    console.print(Text.assemble((f"{word:<8}", style), (page.id, "bold"), f"  risk {finding.risk}"))
    console.print(Padding(Text(finding.reason), (0, 0, 0, 2)))
    if finding.verdict == "pass":
        return
    console.print(Padding(Text(f"fingerprint {finding.fingerprint}", "dim"), (0, 0, 0, 2)))
    if finding.verdict == "fail":
        _print_remedy(console, page, finding)
    console.print(Padding(Text("the rule:", "dim"), (0, 0, 0, 2)))
    console.print(Padding(Text(page.rule, "dim"), (0, 0, 0, 4)))


def _print_remedy(console: Console, page: Page, finding: Finding) -> None:
    if _NEXT[finding.remedy]:
        console.print(Padding(Text(_NEXT[finding.remedy]), (0, 0, 0, 2)))
    commands = cli_commands(page, finding)
    if commands:
        console.print(Padding(Text("with the AWS CLI:", "dim"), (0, 0, 0, 2)))
        # A command that is wrapped cannot be copied.
        for line in commands.splitlines():
            console.print(Text(f"    {line}"), soft_wrap=True)


def cli_commands(page: Page, finding: Finding) -> str:
    """Return the page's AWS CLI commands for this finding; values are quoted for a shell."""
    section = re.search(r"^### AWS CLI\s*\n(.*?)(?=^### |\Z)", page.remediation, re.MULTILINE | re.DOTALL)
    block = re.search(r"^```\w*\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL) if section else None
    values = {
        "user_name": finding.user_name,
        "access_key_id": finding.access_key_id,
        "account_id": finding.account_id,
    }
    return re.sub(
        r"\{(user_name|access_key_id|account_id)\}",
        lambda match: shlex.quote(values[match[1]] or "") if values[match[1]] else match[1].upper(),
        block[1] if block else "",
    ).rstrip()
