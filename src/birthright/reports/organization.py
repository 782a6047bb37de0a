"""The parts of a report for people that only a scan of several accounts has."""

from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from birthright.facts.coverage import Reach, accounts_in, reach_of
from birthright.facts.model import UNKNOWN
from birthright.findings.model import AccountSummary, CoverageSummary, Document
from birthright.findings.ranking import NAMED, SHOWN
from birthright.reports.survey import without_account
from birthright.tables import add_row, fixed, grid, number, table
from birthright.text import printable

_UNITS = 15
_PARTIAL = frozenset({"partial", "denied", "failed"})


class AccountsOverview:
    """How far the accounts of a document were read."""

    def __init__(self, document: Document) -> None:
        self.reach = reach_of(document.coverage)
        self.all = tuple(account for account, _ in accounts_in(document.coverage))
        self._document = document

    @property
    def several(self) -> bool:
        """Whether the scan was about more than one account."""
        return len(self.all) > 1

    def count(self, reach: Reach) -> int:
        """Count the accounts that were read so far."""
        return sum(1 for account in self.all if self.reach[account] == reach)

    def title(self) -> str:
        """Say how many there are of each kind."""
        listed = self._document.scan.listed
        if not self.several and listed:
            return f"account {printable(', '.join(self.reach))}"
        least = "" if listed else "at least "
        words = [f"{least}{len(self.all)} accounts asked for", f"{self.count('read')} read"]
        words += [f"{self.count('skipped')} skipped"] if self.count("skipped") else []
        return ", ".join([*words, f"{least}{self.count('unread')} not read"])

    def alarm(self) -> Text | None:
        """Say aloud what a reader must not miss; None if there is no such thing.

        What one account did not answer stands in its table.
        """
        scan, unread = self._document.scan, self.count("unread")
        if not scan.finished:
            missing = f"{unread} of {len(self.all)} accounts were not read"
            if not scan.listed:
                missing = f"it was cut short before all accounts were listed; {self.count('read')} were read"
            text = f"THIS SCAN DID NOT FINISH: {missing}. "
            return Text(f"{text}'birthright scan --resume {scan.id}' goes on.", "bold red")
        if not self.several or self._document.complete:
            return None
        lines = (line for line in self._document.coverage if line.status in _PARTIAL)
        partly = {line.account_id for line in lines if self.reach[line.account_id] == "read"}
        missing = f"{unread} of {len(self.all)} accounts not at all, {len(partly)} in part"
        text = f"NOT EVERYTHING WAS READ: {missing}." if unread or partly else "NOT EVERYTHING WAS READ."
        return Text(text, "bold yellow")


def named(names: Sequence[str], count: int) -> str:
    """Name the first few of so many, and count the rest."""
    more = count - len(names[:NAMED])
    return printable(", ".join(names[:NAMED])) + (f" and {more} more" if more > 0 else "")


def print_units(console: Console, document: Document) -> None:
    """Print the organizational units, the worst first."""
    if not document.ous:
        return
    counted = ("accounts", "not read", "keys", "fail", "unknown")
    made = table("organizational unit", *map(number, counted))
    for unit in sorted(document.ous, key=lambda unit: (-unit.fail, -unit.unknown, unit.ou_path))[:_UNITS]:
        numbers = (unit.accounts, unit.unread, unit.access_keys, unit.fail, unit.unknown)
        add_row(made, unit.ou_path, *map(str, numbers))
    console.print()
    console.print(made)
    if len(document.ous) > _UNITS:
        console.print(Text(f"and {len(document.ous) - _UNITS} more units: -o findings.json has all", "dim"))


def print_worst(console: Console, document: Document) -> None:
    """Print the accounts with the most failures."""
    bad = [line for line in document.accounts if line.fail or line.unknown]
    if not bad:
        return
    unit = ["organizational unit"] if document.ous else []
    made = table(fixed("account"), "name", *unit, *map(number, ("fail", "unknown", "keys")))
    for line in sorted(bad, key=_badness)[:SHOWN]:
        place = [line.ou_path or ""] if document.ous else []
        numbers = (line.fail, line.unknown, line.access_keys)
        add_row(made, line.account_id, line.account_name or "", *place, *map(str, numbers))
    console.print()
    shown = min(len(bad), SHOWN)
    console.print(Text(f"The accounts with the most failures ({shown} of {len(document.accounts)})", "bold"))
    console.print(made)


def _badness(line: AccountSummary) -> tuple[int, int, str]:
    return -line.fail, -line.unknown, line.account_id


def print_coverage(console: Console, document: Document) -> None:
    """Print what was not answered, by reason: five hundred accounts often have the same one."""
    reasons: dict[tuple[bool, str], list[str]] = defaultdict(list)
    for line in document.coverage:
        if line.status != "ok":
            reasons[line.status == "skipped", _reason(line)].append(_whose(line))
    if not reasons:
        return
    made = grid(number(), "")
    ordered = sorted(reasons.items(), key=lambda item: (item[0][0], -len(item[1]), item[0][1]))
    for (skipped, reason), accounts in ordered[:SHOWN]:
        colour = "dim" if skipped else "bold yellow"
        count = f"{len(accounts)} account{'' if len(accounts) == 1 else 's'}"
        add_row(made, count, f"{reason} ({named(accounts, len(accounts))})", style=colour)
    console.print()
    console.print(Text("Not read", "bold"))
    console.print(made)
    if len(ordered) > SHOWN:
        more = f"and {len(ordered) - SHOWN} more reasons: -o findings.json has all"
        console.print(Text(more, "yellow"))


def _whose(line: CoverageSummary) -> str:
    return line.account_name or UNKNOWN if line.account_id == UNKNOWN else line.account_id


def _reason(line: CoverageSummary) -> str:
    detail = without_account(line.detail, line.account_id, several=True)
    return printable(f"{line.source} {line.status}" + (f": {detail}" if detail else ""))
