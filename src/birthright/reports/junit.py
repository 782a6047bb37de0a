"""JUnit XML: a test suite a policy, a test case a finding, and a suite for what was not read."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import IO, Literal, TextIO
from xml.sax.saxutils import escape, quoteattr

from birthright.errors import StoreError
from birthright.facts.coverage import WHOLE
from birthright.findings.model import CoverageSummary, Document, Evidence, Finding
from birthright.reports.interface import Report
from birthright.reports.subjects import NAME, subject, titles, what_to_do
from birthright.text import printable
from birthright.times import format_instant

Outcome = Literal["failure", "error", "skipped"]

_COUNTED: dict[Outcome, str] = {"failure": "failures", "error": "errors", "skipped": "skipped"}
_COVERAGE = "coverage"
_IN_MEMORY = 1 << 20
_SHORT = 8


class _Suite:
    """The cases of one suite, in a file once they are many, and their counts, which stand before them."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        self.name = name
        self.tests = 0
        self.counts: Counter[Outcome] = Counter()
        self._cases: IO[str] = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - the stack closes it
            _IN_MEMORY, "w+", encoding="utf-8", newline=""
        )
        stack.callback(self._close)

    def add(
        self, place: str, name: str, outcome: Outcome | None = None, message: str = "", text: str = ""
    ) -> None:
        """Add a case; without an outcome it passes. All text is escaped here."""
        self.tests += 1
        case = f"<testcase classname={_attribute(place)} name={_attribute(name)}"
        if outcome is None:
            self._cases.write(f"    {case}/>\n")
            return
        self.counts[outcome] += 1
        body = f">{_element(text)}</{outcome}>" if text else "/>"
        self._cases.write(f"    {case}><{outcome} message={_attribute(message)}{body}</testcase>\n")

    def _close(self) -> None:
        # What could not be written before cannot be now, and is of no use.
        with suppress(OSError):
            self._cases.close()

    def write(self, out: TextIO, timestamp: str) -> None:
        """Write the suite."""
        out.write(f"  <testsuite name={_attribute(self.name)}{_attributes(self.tests, self.counts)}")
        out.write(f' time="0" timestamp="{timestamp}">\n')
        self._cases.seek(0)
        while some := self._cases.read(_IN_MEMORY):
            out.write(some)
        out.write("  </testsuite>\n")


def render(report: Report, out: TextIO) -> None:
    """Write the suites. Cases wait in temporary files, because findings do not come policy by policy.

    Raises StoreError if there is no room for these.
    """
    with ExitStack() as stack:
        try:
            suites = _gathered(report.document, stack)
        except OSError as error:
            reason = f"no room for JUnit's test cases: {error.strerror}"
            raise StoreError(reason, "set TMPDIR to a folder with room") from error
        _write(suites, report.document, out)


def _gathered(document: Document, stack: ExitStack) -> list[_Suite]:
    names = titles(document)
    suites = {line.id: _Suite(f"{line.id}: {names[line.id]}", stack) for line in document.policies}
    for finding in document.findings:
        if finding.policy not in suites:
            suites[finding.policy] = _Suite(finding.policy, stack)
        _add_finding(suites[finding.policy], finding)
    _add_passes(suites, document)
    coverage = _Suite(_COVERAGE, stack)
    _add_coverage(coverage, document)
    return [coverage, *suites.values()]


def _write(suites: Sequence[_Suite], document: Document, out: TextIO) -> None:
    counts: Counter[Outcome] = sum((suite.counts for suite in suites), Counter())
    tests = sum(suite.tests for suite in suites)
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    out.write(f'<testsuites name="{NAME}"{_attributes(tests, counts)} time="0">\n')
    for suite in suites:
        # The form has no time zones; it is UTC.
        suite.write(out, format_instant(document.scan.as_of).removesuffix("Z"))
    out.write("</testsuites>\n")


def _attributes(tests: int, counts: Counter[Outcome]) -> str:
    shown = (f' {name}="{counts[outcome]}"' for outcome, name in _COUNTED.items())
    return f' tests="{tests}"{"".join(shown)}'


def _attribute(text: str) -> str:
    # What is not printable, such as control characters, XML would not allow.
    return quoteattr(printable(text))


def _element(text: str) -> str:
    return escape("\n".join(printable(line) for line in text.split("\n")))


def _add_finding(suite: _Suite, finding: Finding) -> None:
    # The fingerprint distinguishes keys whose ids were not read.
    name = f"{subject(finding)} [{finding.fingerprint[:_SHORT]}]"
    outcome, message = _outcome(finding)
    suite.add(finding.account_id, name, outcome, message, "\n".join(_details(finding)) if outcome else "")


def _outcome(finding: Finding) -> tuple[Outcome | None, str]:
    """Say how CI is to show it. Unknown is an error: a check that could not be made is no pass."""
    if finding.verdict == "pass":
        return None, ""
    if finding.verdict == "unknown":
        return "error", finding.reason
    if finding.waiver is None:
        return "failure", finding.reason
    return (
        "skipped",
        f"waived until {finding.waiver.expires} by {finding.waiver.owner}: {finding.waiver.reason}",
    )


def _details(finding: Finding) -> Iterator[str]:
    yield f"{subject(finding)}, account {finding.account_id}: {finding.reason}".replace("\n", " ")
    yield f"risk {finding.risk}. {what_to_do(finding)}"
    yield from map(_evidence, finding.evidence)
    yield f"birthright explain {finding.fingerprint[:_SHORT]}"


def _evidence(item: Evidence) -> str:
    moment = f" ({format_instant(item.as_of)})" if item.as_of else ""
    value = str(item.value).lower() if isinstance(item.value, bool) else item.value
    value = "not known" if value is None else value
    return f"{item.fact}: {value}, said {item.source}{moment}".replace("\n", " ")


def _add_passes(suites: dict[str, _Suite], document: Document) -> None:
    """Keep a policy whose passes are not listed from looking as if it had judged nothing."""
    for line in document.policies:
        suite = suites[line.id]
        if suite.tests == 0 and line.passed:
            suite.add(line.id, f"{line.passed} passed (not listed)")
        elif suite.tests == 0:
            suite.add(
                line.id, "nothing to judge", "skipped", "nothing that was read is what this policy judges"
            )


def _add_coverage(suite: _Suite, document: Document) -> None:
    """Say what was not read: as errors, or a scan that read nothing would be all green."""
    scan = document.scan
    if not document.read:
        suite.add(_COVERAGE, "accounts", "error", "no account was read")
    if not scan.finished:
        suite.add(_COVERAGE, "scan", "error", "the scan did not finish: not all accounts were tried")
    if not scan.listed:
        suite.add(
            _COVERAGE, "list of accounts", "error", "the scan was cut short before it knew all accounts"
        )
    for place, note in enumerate(scan.notes, 1):
        suite.add(_COVERAGE, f"note {place}", "error", note)
    for line in document.coverage:
        if line.status != "ok":
            _add_gap(suite, line)
    answered = sum(line.status == "ok" for line in document.coverage)
    if answered:
        suite.add(_COVERAGE, f"{answered} of {len(document.coverage)} reads were answered")
    if not document.complete and not suite.counts["error"]:
        suite.add(_COVERAGE, "scan", "error", "the scan says that it is not complete")


def _add_gap(suite: _Suite, line: CoverageSummary) -> None:
    name = f"{line.source} ({line.account_name})" if line.account_name else line.source
    outcome: Outcome = "skipped" if line.status in WHOLE else "error"
    suite.add(line.account_id, name, outcome, f"{line.status}: {line.detail}")
