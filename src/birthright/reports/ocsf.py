"""OCSF: an array of Compliance Findings (class 2003), in the newest version of the schema."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import TextIO

import msgspec

from birthright.findings.model import AccountSummary, Finding, State
from birthright.policies.evaluator import Verdict
from birthright.policies.page import Page, Risk
from birthright.reports.interface import Report
from birthright.reports.jsonlist import write_list
from birthright.reports.subjects import (
    NAME,
    controls,
    first_paragraph,
    home_region,
    is_root,
    partition,
    sentence_of,
    subject,
    titles,
    what_to_do,
)
from birthright.text import printable

VERSION = "1.8.0"
_CLASS = 2003
_ACTIVITIES: dict[State | None, tuple[int, str]] = {
    None: (1, "Create"),
    "new": (1, "Create"),
    "reappeared": (2, "Update"),
    "persisting": (2, "Update"),
    "fixed": (3, "Close"),
}
_SEVERITIES: dict[Risk, tuple[int, str]] = {
    "low": (2, "Low"),
    "medium": (3, "Medium"),
    "high": (4, "High"),
    "critical": (5, "Critical"),
}
_INFORMATIONAL = (1, "Informational")
# Warning, says the schema, is a check without a result for want of information.
_VERDICTS: dict[Verdict, tuple[int, str]] = {
    "pass": (1, "Pass"),
    "unknown": (2, "Warning"),
    "fail": (3, "Fail"),
}
_NEW, _SUPPRESSED, _RESOLVED = (1, "New"), (3, "Suppressed"), (4, "Resolved")
_TECHNIQUE = re.compile(r"T\d{4}(?:\.\d{3})?")
_TECHNIQUES = "https://attack.mitre.org/techniques/"
_AWS_ACCOUNT = {"type": "AWS Account", "type_id": 10}
_TARGET, _RELATED = {"role_id": 1, "role": "Target"}, {"role_id": 4, "role": "Related"}


def render(report: Report, out: TextIO) -> None:
    """Write the array, an event a line, as the events come."""
    render_version(report, out, VERSION)


def render_version(report: Report, out: TextIO, version: str) -> None:
    """Write the array in a version of the schema, `1.6.0` or later; findings that are fixed come last."""
    events = _Events(report, version)
    document = report.document
    write_list(out, chain(map(events.of, document.findings), map(events.of_fixed, document.fixed)))
    out.write("\n")


class _Policy(msgspec.Struct, frozen=True):
    """What all events of a policy share; `remediation` is without its advice, which depends on the key."""

    title: str
    compliance: dict[str, object]
    analytic: dict[str, object]
    advice: str
    references: tuple[str, ...]
    attacks: tuple[dict[str, object], ...]


class _Events:
    def __init__(self, report: Report, version: str) -> None:
        scan = report.document.scan
        self._scan = scan
        self._time = _milliseconds(scan.as_of)
        self._pages = report.pages
        self._titles = titles(report.document)
        self._policies: dict[str, _Policy] = {}
        self._accounts: Mapping[str, AccountSummary] = {
            line.account_id: line for line in report.document.accounts
        }
        self._provider = {} if version.startswith("1.6.") else {"provider": "AWS"}
        product = {"name": NAME, "vendor_name": NAME, "version": scan.tool_version}
        self._metadata = {"version": version, "product": product, "profiles": ["cloud"]}

    def of(self, finding: Finding) -> dict[str, object]:
        """Make the event of a finding that the scan has."""
        return self._event(finding, finding.state)

    def of_fixed(self, finding: Finding) -> dict[str, object]:
        """Make the event of a finding that an earlier scan had, and that is gone."""
        return self._event(finding, "fixed")

    def _event(self, finding: Finding, state: State | None) -> dict[str, object]:
        policy = self._policy(finding.policy)
        activity, activity_name = _ACTIVITIES[state]
        verdict: Verdict = "pass" if state == "fixed" else finding.verdict
        severity, severity_name = _SEVERITIES[finding.risk] if verdict == "fail" else _INFORMATIONAL
        status, status_name = _status(finding, state)
        return {
            "metadata": {
                **self._metadata,
                "uid": f"{self._scan.id}/{finding.fingerprint}",
                "event_code": finding.policy,
            },
            "category_uid": 2,
            "category_name": "Findings",
            "class_uid": _CLASS,
            "class_name": "Compliance Finding",
            "activity_id": activity,
            "activity_name": activity_name,
            "type_uid": _CLASS * 100 + activity,
            "type_name": f"Compliance Finding: {activity_name}",
            "time": self._time,
            "severity_id": severity,
            "severity": severity_name,
            "status_id": status,
            "status": status_name,
            "status_code": verdict.upper(),
            "status_detail": printable(finding.reason),
            "confidence_id": 3,
            "confidence": "High",
            "message": sentence_of(finding),
            "finding_info": self._info(finding, policy, state),
            "compliance": _compliance(finding, policy, verdict),
            "cloud": self._cloud(finding),
            "resources": list(self._resources(finding)),
            "remediation": _remediation(finding, policy),
            "unmapped": _unmapped(finding),
        }

    def _policy(self, name: str) -> _Policy:
        if name not in self._policies:
            page = self._pages.get(name)
            self._policies[name] = _policy(name, self._titles.get(name, name), page)
        return self._policies[name]

    def _info(self, finding: Finding, policy: _Policy, state: State | None) -> dict[str, object]:
        first = _milliseconds(finding.first_seen) if finding.first_seen else None
        info: dict[str, object] = {
            "uid": finding.fingerprint,
            "title": policy.title,
            "desc": sentence_of(finding),
            "created_time": first or self._time,
            "modified_time": self._time,
            "analytic": policy.analytic,
        }
        if first:
            info["first_seen_time"] = first
        if state != "fixed":
            info["last_seen_time"] = self._time
        if policy.attacks:
            info["attacks"] = policy.attacks
        if finding.evidence:
            info["data_sources"] = sorted({item.source for item in finding.evidence})
        return info

    def _cloud(self, finding: Finding) -> dict[str, object]:
        line = self._accounts.get(finding.account_id)
        name = printable(line.account_name if line and line.account_name else finding.account_id)
        account = {"uid": finding.account_id, "name": name, **_AWS_ACCOUNT}
        where = partition(finding)
        cloud: dict[str, object] = {
            "provider": "AWS",
            "account": account,
            "region": home_region(where),
            "cloud_partition": where,
        }
        if line and line.ou_path:
            unit = {"name": "AWS Organizations", "ou_name": printable(line.ou_path)}
            return {**cloud, "org": unit}
        return cloud

    def _resources(self, finding: Finding) -> Iterator[dict[str, object]]:
        """Give what it is about first: the key, then its user; or the user; or the account."""
        where = partition(finding)
        shared = {"cloud_partition": where, "region": home_region(where), **self._provider}
        if finding.user_name is None:
            yield {**_resource("AwsAccount", finding.account_id, finding.account_id), **_TARGET, **shared}
            return
        keyed = bool(finding.access_key_id or finding.created_at)
        if keyed:
            yield {**_key(finding), **_TARGET, **shared}
        uid = finding.user_arn or f"{finding.account_id}/{finding.user_name}"
        kind = "AwsRootUser" if is_root(finding) else "AwsIamUser"
        data = {"created_at": finding.user_created_at, "console_password": finding.console_password}
        user = {**_resource(kind, uid, finding.user_name), "data": data}
        yield {**user, **(_RELATED if keyed else _TARGET), **shared}


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _status(finding: Finding, state: State | None) -> tuple[int, str]:
    if state == "fixed":
        return _RESOLVED
    return _SUPPRESSED if finding.waiver else _NEW


def _resource(kind: str, uid: str, name: str) -> dict[str, object]:
    return {"type": kind, "uid": printable(uid), "name": printable(name), "group": {"name": "iam"}}


def _key(finding: Finding) -> dict[str, object]:
    """Make the resource of a key; where its id was not read, its fingerprint stands for it."""
    uid = finding.access_key_id or f"{finding.account_id}/{finding.fingerprint}"
    data = {
        "status": finding.status,
        "created_at": finding.created_at,
        "ever_used": finding.ever_used,
        "last_used_at": finding.last_used_at,
    }
    return {**_resource("AwsIamAccessKey", uid, finding.access_key_id or subject(finding)), "data": data}


def _policy(name: str, title: str, page: Page | None) -> _Policy:
    placed = [one for one in controls(page) if not _TECHNIQUE.search(one[2])]
    standards = [f"{framework} {version}" for framework, version, _ in placed]
    compliance: dict[str, object] = {"control": name, "desc": title}
    if placed:
        compliance["control"] = " ".join(placed[-1])
        compliance["standards"] = standards
        compliance["requirements"] = [" ".join(one) for one in placed]
    found = sorted({code for *_, text in controls(page) for code in _TECHNIQUE.findall(text)})
    return _Policy(
        title=title,
        compliance=compliance,
        analytic={"type_id": 1, "type": "Rule", "uid": name, "name": title},
        advice=first_paragraph(page.remediation) if page else "",
        references=page.front.references if page else (),
        attacks=tuple(map(_attack, found)),
    )


def _attack(code: str) -> dict[str, object]:
    whole, _, part = code.partition(".")
    attack: dict[str, object] = {
        "technique": {"uid": whole, "name": whole, "src_url": f"{_TECHNIQUES}{whole}"}
    }
    if part:
        attack["sub_technique"] = {"uid": code, "name": code, "src_url": f"{_TECHNIQUES}{whole}/{part}"}
    return attack


def _compliance(finding: Finding, policy: _Policy, verdict: Verdict) -> dict[str, object]:
    status, name = _VERDICTS[verdict]
    check = {"uid": finding.policy, "name": policy.title, "status_id": status, "status": name}
    details = [printable(finding.reason)]
    return {
        **policy.compliance,
        "status_id": status,
        "status": name,
        "status_details": details,
        "checks": [check],
    }


def _remediation(finding: Finding, policy: _Policy) -> dict[str, object]:
    text = f"{what_to_do(finding)} {policy.advice}".strip()
    return {"desc": text, **({"references": policy.references} if policy.references else {})}


def _unmapped(finding: Finding) -> dict[str, object]:
    unmapped: dict[str, object] = {
        "remedy": finding.remedy,
        "gap_seconds": finding.gap_seconds,
        "user_keys": finding.user_keys,
        "state": finding.state,
        "evidence": finding.evidence,
    }
    return {**unmapped, "waiver": finding.waiver} if finding.waiver else unmapped
