"""The parts of the terminal's report that say how findings stand: against an earlier scan, and waived."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from birthright.findings.model import Changes, Document, WaiverState, WaiverSummary
from birthright.findings.ranking import SHOWN
from birthright.tables import add_row, fixed, table

# Which waivers need review, the most urgent first.
_TO_DO: dict[WaiverState, str] = {
    "expired": "ended {expires}",
    "unmatched": "covers nothing any more: remove it",
    "expiring": "ends on {expires}",
    "unread": "is about something that was not read",
}


def print_changes(console: Console, changes: Changes | None) -> None:
    """Say in a line what is new and what is fixed."""
    if changes is None:
        return
    if changes.since_as_of is None:
        console.print(Text("There is no earlier scan to compare with: everything is new.", "dim"))
        return
    since = f"Since {changes.since_as_of:%Y-%m-%d %H:%M} UTC"
    words = [(changes.new, "new", "bold red"), (changes.reappeared, "reappeared", "bold red")]
    words += [(changes.fixed, "fixed", "green"), (changes.persisting, "unchanged", "dim")]
    words += [(changes.unread, "not read this time", "yellow")] if changes.unread else []
    text = Text(f"{since}: ")
    for place, (count, word, colour) in enumerate(words):
        text.append(", " if place else "").append(f"{count} {word}", colour if count else "dim")
    console.print(text.append("."))


def print_fixed(console: Console, document: Document) -> None:
    """Name what failed in the earlier scan and does not any more."""
    if not document.fixed:
        return
    made = table("user", fixed("access key"), "policy")
    for finding in document.fixed[:SHOWN]:
        whose = finding.user_name or finding.account_id
        add_row(made, whose, finding.access_key_id or "", finding.policy)
    console.print()
    console.print(Text(f"Fixed ({len(document.fixed)})", "bold green"))
    console.print(made)
    if len(document.fixed) > SHOWN:
        console.print(Text(f"and {len(document.fixed) - SHOWN} more: -o findings.json has all", "dim"))


def print_waivers(console: Console, waivers: Sequence[WaiverSummary]) -> None:
    """Print the waivers that need review; the others are in the counts only."""
    found = [line for line in waivers if line.state in _TO_DO]
    if not found:
        return
    made = table("policy", "user", fixed("access key"), "owner", "")
    order = [*_TO_DO]
    for line in sorted(found, key=lambda line: order.index(line.state))[:SHOWN]:
        why = _TO_DO[line.state].format(expires=line.expires)
        style = "yellow" if line.state == "expired" else ""
        add_row(made, line.policy, line.user, line.access_key_id or "", line.owner, why, style=style)
    console.print()
    console.print(Text(f"Waivers to review ({len(found)} of {len(waivers)})", "bold yellow"))
    console.print(made)
    if len(found) > SHOWN:
        console.print(Text(f"and {len(found) - SHOWN} more: -o findings.json has all", "dim"))
