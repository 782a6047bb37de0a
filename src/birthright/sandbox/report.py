"""IAM's actions on the credential report: its life cycle.

A report younger than four hours is returned as it is, whatever has changed.
"""

import base64
from datetime import timedelta

from birthright.sandbox.calls import Call
from birthright.sandbox.report_csv import make_report
from birthright.sandbox.wire import AwsError, instant, tag

LIFETIME = timedelta(hours=4)


def generate(call: Call) -> str:
    """GenerateCredentialReport: STARTED, then INPROGRESS, then COMPLETE for four hours."""
    report = call.account.report_times
    if call.struck("report-never-completes"):
        return tag("State", "INPROGRESS")
    if report is not None and call.now < report.ready_at:
        return tag("State", "INPROGRESS")
    if report is not None and call.now - report.generated_at < LIFETIME:
        return tag("State", "COMPLETE")
    call.account.report = make_report(call.account, call.now, call.cloud.delays.report, call.cloud.style)
    call.account.asked_report = True
    why = "No report exists. Starting a new report generation task"
    return tag("State", "STARTED") + tag("Description", why)


def get(call: Call) -> str:
    """GetCredentialReport: the report, or ReportNotPresent, ReportInProgress, ReportExpired."""
    report = call.account.report_times
    if report is None:
        raise AwsError(410, "ReportNotPresent", "The credential report is not present.")
    if call.now < report.ready_at or call.struck("report-never-completes"):
        raise AwsError(404, "ReportInProgress", "The credential report is still being generated.")
    if call.now - report.generated_at >= LIFETIME:
        raise AwsError(410, "ReportExpired", "The credential report has expired.")
    content, when = _content(call), instant(report.generated_at)
    return f"<Content>{content}</Content><ReportFormat>text/csv</ReportFormat>{tag('GeneratedTime', when)}"


def _content(call: Call) -> str:
    literal, report = call.struck("report-body"), call.account.report
    if literal is not None:
        return base64.b64encode(literal.body.encode()).decode()
    return report.content if report is not None else ""
