"""SARIF 2.1.0: one run with all policies as rules, as GitHub's code scanning and other viewers read it."""

from collections.abc import Iterator
from typing import TextIO
from urllib.parse import quote

import msgspec

from birthright.facts.coverage import WHOLE
from birthright.findings.model import Document, Finding, PolicySummary, State, Waiver
from birthright.policies.page import Page, Risk
from birthright.reports.interface import Report
from birthright.reports.jsonlist import write_list
from birthright.reports.subjects import (
    NAME,
    clip,
    controls,
    first_paragraph,
    is_root,
    one_line,
    sentence_of,
    subject,
    what_to_do,
)
from birthright.text import printable
from birthright.times import format_instant

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: dict[Risk, str] = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
# GitHub's bands: over 9 is critical, from 7 high, from 4 medium, below low.
_SEVERITIES: dict[Risk, str] = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0"}
_KINDS = {"fail": "fail", "unknown": "open", "pass": "pass"}
_BASELINES: dict[State, str] = {"new": "new", "reappeared": "new", "persisting": "unchanged"}
# GitHub's limits.
_DESCRIPTION = 1024
_TAGS = 10
# GitHub wants a whole region; nothing is in these lines.
_REGION = msgspec.Raw(b'{"startLine":1,"startColumn":1,"endLine":1,"endColumn":1}')
_PLAIN = str.maketrans({"[": "\\[", "]": "\\]"})


def render(report: Report, out: TextIO) -> None:
    """Write the log: what is known before the results, the results as they come, then the file's end."""
    head = {"tool": {"driver": _driver(report)}, "invocations": [_invocation(report.document)]}
    out.write(f'{{"$schema": "{_SCHEMA}", "version": "2.1.0", "runs": [\n')
    out.write(msgspec.json.encode({**head, **_rest(report.document)}).decode()[:-1])
    out.write(',\n"results": ')
    write_list(out, _results(report.document))
    out.write("}\n]}\n")


def artifact_uri(finding: Finding) -> str:
    """Return the relative URI that stands for the account, its root or a user: the same in every scan.

    The key is left out, because not every depth knows its id; the fingerprint distinguishes keys.
    """
    account = f"aws/{quote(finding.account_id, safe='')}"
    if finding.user_name is None:
        return account
    return f"{account}/iam/root" if is_root(finding) else f"{account}/iam/user-{_quoted(finding)}"


def _quoted(finding: Finding) -> str:
    return quote(finding.user_name or "", safe="")


def _driver(report: Report) -> dict[str, object]:
    policies = report.document.policies
    rules = [_rule(line, report.pages.get(line.id)) for line in policies]
    return {"name": NAME, "version": report.document.scan.tool_version, "rules": rules}


def _rule(line: PolicySummary, page: Page | None) -> dict[str, object]:
    title = clip(printable(line.title), _DESCRIPTION)
    prose = first_paragraph(page.prose) if page else ""
    found: dict[str, object] = {
        "id": line.id,
        "name": "".join(word.capitalize() for word in line.id.split("-")),
        "shortDescription": {"text": title},
        "fullDescription": {"text": clip(prose or title, _DESCRIPTION)},
        "help": _help(line, page),
        "defaultConfiguration": {"level": _LEVELS[line.risk]},
        "properties": {
            "tags": _tags(line, page),
            "precision": "high",
            "security-severity": _SEVERITIES[line.risk],
            "risk": line.risk,
            "effort": line.effort,
            "parameters": line.parameters,
        },
    }
    link = next((one for one in page.front.references if one.startswith("https://")), None) if page else None
    return found | ({"helpUri": link} if link else {})


def _help(line: PolicySummary, page: Page | None) -> dict[str, str]:
    if page is None or not (page.prose or page.remediation):
        return {"text": printable(line.title)}
    markdown = f"{page.prose}\n\n## Remediation\n\n{page.remediation}"
    return {"text": markdown, "markdown": markdown}


def _tags(line: PolicySummary, page: Page | None) -> list[str]:
    tags = ["security", "aws", "iam", f"risk-{line.risk}"]
    tags += [page.front.subject] if page else []
    # Of each framework the newest version, which stands last.
    newest = {framework: (version, control) for framework, version, control in controls(page)}
    tags += [one_line(f"{framework} {version} {control}") for framework, (version, control) in newest.items()]
    return tags[:_TAGS]


def _invocation(document: Document) -> dict[str, object]:
    problems = list(_notifications(document))
    return {
        "executionSuccessful": document.complete,
        "endTimeUtc": format_instant(document.scan.as_of),
        **({"toolExecutionNotifications": problems} if problems else {}),
    }


def _notifications(document: Document) -> Iterator[dict[str, object]]:
    """Say what was not read."""
    if not document.read:
        yield _notification("error", "no account was read")
    if not document.scan.finished:
        yield _notification("error", "the scan did not finish: accounts that were asked for were not tried")
    if not document.scan.listed:
        yield _notification("error", "the scan was cut short before it knew all accounts")
    for note in document.scan.notes:
        yield _notification("warning", note)
    for line in document.coverage:
        if line.status not in WHOLE:
            name = f" ({line.account_name})" if line.account_name else ""
            what = f"account {line.account_id}{name}: {line.source} {line.status}: {line.detail}"
            yield _notification("warning" if line.status == "partial" else "error", what)


def _notification(level: str, text: str) -> dict[str, object]:
    return {"level": level, "message": {"text": _message(text)}}


def _rest(document: Document) -> dict[str, object]:
    summary = msgspec.to_builtins(document.summary)
    fixed = {"fixed": len(document.fixed)} if document.changes else {}
    properties = {"scan": document.scan.id, "complete": document.complete, "summary": summary, **fixed}
    return {"columnKind": "unicodeCodePoints", "properties": properties}


def _results(document: Document) -> Iterator[dict[str, object]]:
    places = {line.id: place for place, line in enumerate(document.policies)}
    # All results say whether they are suppressed, or none does.
    weighed = bool(document.waivers or document.summary.waived)
    for finding in document.findings:
        yield _result(finding, places.get(finding.policy), weighed=weighed)


def _result(finding: Finding, place: int | None, *, weighed: bool) -> dict[str, object]:
    result: dict[str, object] = {
        "ruleId": finding.policy,
        "kind": _KINDS[finding.verdict],
        "level": _LEVELS[finding.risk] if finding.verdict == "fail" else "none",
        "message": {"text": _message(sentence_of(finding))},
        "locations": [_location(finding)],
        # GitHub looks at the second only.
        "partialFingerprints": {
            "birthright/v1": finding.fingerprint,
            "primaryLocationLineHash": f"{finding.fingerprint}:1",
        },
        "properties": _properties(finding),
    }
    if place is not None:
        result["ruleIndex"] = place
    if finding.state in _BASELINES:
        result["baselineState"] = _BASELINES[finding.state]
    if finding.waiver or weighed:
        result["suppressions"] = [_suppression(finding.waiver)] if finding.waiver else []
    return result


def _location(finding: Finding) -> dict[str, object]:
    physical = {"artifactLocation": {"uri": artifact_uri(finding)}, "region": _REGION}
    kind = (
        "principal" if finding.subject or not (finding.access_key_id or finding.created_at) else "accessKey"
    )
    logical = {
        "name": printable(finding.access_key_id or finding.user_name or finding.account_id),
        "fullyQualifiedName": _qualified(finding),
        "kind": kind if finding.user_name is not None else "account",
    }
    return {"physicalLocation": physical, "logicalLocations": [logical]}


def _qualified(finding: Finding) -> str:
    """Return the ARN, or where it was not read what stands for it; with the key's id, if it is about one."""
    whole = finding.user_arn or artifact_uri(finding)
    return printable(f"{whole}/{finding.access_key_id}" if finding.access_key_id else whole)


def _suppression(waiver: Waiver) -> dict[str, object]:
    ticket = f", {waiver.ticket}" if waiver.ticket else ""
    text = f"{waiver.reason} ({waiver.owner}{ticket}, until {waiver.expires})"
    return {"kind": "external", "status": "accepted", "justification": printable(text)}


def _properties(finding: Finding) -> dict[str, object]:
    said: dict[str, object] = {
        "verdict": finding.verdict,
        "risk": finding.risk,
        "accountId": finding.account_id,
        "subject": subject(finding),
        "remedy": finding.remedy,
        "action": what_to_do(finding),
        "gapSeconds": finding.gap_seconds,
        "createdAt": finding.created_at,
        "lastUsedAt": finding.last_used_at,
        "firstSeen": finding.first_seen,
        "state": finding.state,
    }
    return {name: value for name, value in said.items() if value is not None}


def _message(text: str) -> str:
    """Write plain text as SARIF has it: square brackets would be a link."""
    return printable(text).translate(_PLAIN)
