"""The terminal: what fails, by what to do about it; what could not be known; what was read."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from birthright.findings.build import by_subject
from birthright.findings.model import Document, Finding, Remedy
from birthright.times import format_duration

_GROUPS: tuple[tuple[Remedy, str, str], ...] = (
    ("retire", "Not in use: disable, wait, delete", "red"),
    ("rotate", "In use: make a new key, move over, then retire this one", "yellow"),
    ("review", "A person has to look: root's, or nobody knows whether it is in use", "magenta"),
    ("none", "Other findings, mended by hand", "cyan"),
)
_SHOWN = 15
_NAMED = 3
_FIRST = "access-key-created-with-user"
_RISKS = {"critical": 0, "high": 1, "medium": 2, "low": 3}


def render(document: Document, out: TextIO) -> None:
    """Write it for people; colours only where `out` is a terminal."""
    console = Console(file=out, highlight=False, soft_wrap=False, width=None if out.isatty() else 120)
    console.print(_title(document))
    console.print(_headline(document))
    failing = _subjects(finding for finding in document.findings if finding.verdict == "fail")
    for remedy, title, colour in _GROUPS:
        group = [findings for findings in failing if _remedy(findings) == remedy]
        if group:
            _print_group(console, document, title, colour, group)
    _print_unknown(console, document)
    _print_policies(console, document)
    _print_coverage(console, document)
    console.print(_verdict(document))


def _title(document: Document) -> Text:
    accounts = sorted({line.account_id for line in document.coverage})
    word = "account" if len(accounts) == 1 else "accounts"
    text = Text.assemble(("birthright", "bold"), f"  {word} {_named(accounts)}  ")
    return text.append(f"{document.scan.as_of:%Y-%m-%d %H:%M} UTC, scan {document.scan.id}", "dim")


def _named(names: Sequence[str]) -> str:
    """Name the first few and count the rest."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _headline(document: Document) -> Text:
    """Answer the question birthright is asked first."""
    line = next((line for line in document.policies if line.id == _FIRST), None)
    if line is None:
        return Text()
    if line.fail:
        keys = "active access key was" if line.fail == 1 else "active access keys were"
        return Text(f"{line.fail} {keys} created together with their user.", "bold red")
    if line.unknown:
        return Text("No key is known to be born with its user, but not every key could be judged.", "yellow")
    return Text("No active access key was created together with its user.", "green")


def _subjects(findings: Iterable[Finding]) -> list[list[Finding]]:
    return list(by_subject(findings).values())


def _remedy(findings: Sequence[Finding]) -> Remedy:
    """Choose one remedy for a subject with several findings: the first of the groups that any asks for."""
    asked = {finding.remedy for finding in findings}
    return next(remedy for remedy, _, _ in _GROUPS if remedy in asked)


def _print_group(
    console: Console, document: Document, title: str, colour: str, group: Sequence[Sequence[Finding]]
) -> None:
    console.print()
    console.print(Text.assemble((title, f"bold {colour}"), (f"  {len(group)}", "bold")))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    several = document.summary.accounts > 1
    for name in (("account",) if several else ()) + ("user", "access key", "made", "last used", "why"):
        table.add_column(
            name, overflow="fold", no_wrap=name in {"account", "access key", "made", "last used"}
        )
    for findings in group[:_SHOWN]:
        cells = list(_cells(findings, document.scan.as_of))
        table.add_row(*([Text(findings[0].account_id)] if several else []), *cells)
    console.print(table)
    if len(group) > _SHOWN:
        console.print(Text(f"and {len(group) - _SHOWN} more: -o findings.csv shows all", "dim"))


def _cells(findings: Sequence[Finding], as_of: datetime) -> Iterator[Text]:
    """One row: user, key, when it was made, when it was last used, and every reason. Names stay plain text."""
    first = findings[0]
    yield Text(first.user_name or "(the account)")
    yield Text(first.access_key_id or ("(id not read)" if first.created_at else ""))
    yield Text(f"{first.created_at:%Y-%m-%d}" if first.created_at else "")
    yield Text(_last_used(first, as_of))
    ranked = sorted(findings, key=lambda f: (f.policy != _FIRST, _RISKS[f.risk], f.policy))
    yield Text("; ").join(Text(reason) for reason in dict.fromkeys(finding.reason for finding in ranked))


def _last_used(finding: Finding, as_of: datetime) -> str:
    if finding.last_used_at:
        ago = format_duration(max(as_of - finding.last_used_at, timedelta()))
        return " ".join([*ago.split()[:2], "ago"])
    if finding.created_at is None:
        return ""
    return {False: "never", True: "yes", None: "not known"}[finding.ever_used]


def _print_unknown(console: Console, document: Document) -> None:
    unknown = [finding for finding in document.findings if finding.verdict == "unknown"]
    if not unknown:
        return
    console.print()
    console.print(Text.assemble(("Could not be judged", "bold"), (f"  {len(unknown)}", "bold")))
    reasons = Counter(finding.reason for finding in unknown)
    for reason, count in reasons.most_common(_SHOWN):
        users = sorted({f.user_name or f.account_id for f in unknown if f.reason == reason})
        console.print(Text(f"{count:>5}  {reason} ({_named(users)})"))
    if len(reasons) > _SHOWN:
        console.print(Text(f"and {len(reasons) - _SHOWN} more reasons: -o findings.csv shows all", "dim"))


def _print_policies(console: Console, document: Document) -> None:
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("policy", no_wrap=True)
    for name in ("risk", "fail", "unknown", "pass"):
        table.add_column(name, justify="left" if name == "risk" else "right", no_wrap=True)
    table.add_column("", overflow="fold")
    for line in document.policies:
        colour = "bold red" if line.fail else "yellow" if line.unknown else "green"
        counts = [
            Text(str(line.fail), colour if line.fail else "dim"),
            Text(str(line.unknown)),
            Text(str(line.passed)),
        ]
        table.add_row(Text(line.id, colour), line.risk, *counts, Text(line.title, "dim"))
    console.print(table)


def _print_coverage(console: Console, document: Document) -> None:
    console.print()
    bad = [line for line in document.coverage if line.status != "ok"]
    read = [line for line in document.coverage if line.status == "ok"]
    for line in bad[:_SHOWN]:
        console.print(
            Text.assemble(
                (f"{line.status}  ", "bold yellow"), f"{line.account_id} {line.source}: {line.detail}"
            )
        )
    if len(bad) > _SHOWN:
        console.print(Text(f"and {len(bad) - _SHOWN} more that could not be read", "yellow"))
    if read and document.summary.accounts == 1:
        parts = [f"{line.source} {line.rows}" + (f" ({line.detail})" if line.detail else "") for line in read]
        console.print(Text("Read: " + "; ".join(parts), "dim"))


def _verdict(document: Document) -> Text:
    summary = document.summary
    colour = "red" if summary.fail else "yellow" if summary.unknown or not document.complete else "green"
    text = Text.assemble(
        (f"{summary.fail} failures, {summary.unknown} unknown, {summary.passed} passed", f"bold {colour}"),
        f" over {summary.principals} principals and {summary.access_keys} access keys",
    )
    if not document.complete:
        text.append("; not everything could be read", "bold yellow")
    return text
