"""A Security Hub on loopback that keeps the rules AWS documents; and documents to push to it."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from birthright.facts.model import Status
from birthright.findings.model import CoverageSummary, Document, DocumentScan, Finding, PolicySummary, Summary
from birthright.reports.interface import Report
from plan_helpers import ACCOUNT, AS_OF, BORN, finding

_MOST, _LARGEST, _LARGEST_CALL = 100, 240_000, 6_000_000
_PAGE = 100
_OF_CUSTOMERS = ("Workflow", "Note", "VerificationState", "UserDefinedFields")
_STS = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:{partition}:iam::{account}:user/pusher</Arn><UserId>AIDA</UserId><Account>{account}</Account>
</GetCallerIdentityResult><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""

Item = dict[str, Any]


class SecurityHub:
    """What is in it (`findings`, by id), what was imported (`calls`), and what goes wrong.

    failing: ErrorCode by Id, with how many times. refusing: an error code for every call of an operation.
    """

    def __init__(self, account_id: str = ACCOUNT, partition: str = "aws") -> None:
        self.account_id, self.partition = account_id, partition
        self.findings: dict[str, Item] = {}
        self.calls: list[list[Item]] = []
        self.sizes: list[int] = []
        self.pages = 0
        self.failing: dict[str, tuple[str, int]] = {}
        self.refusing: dict[str, tuple[int, str]] = {}
        self.url = ""

    def standing(self, state: str) -> set[str]:
        """Return the birthright fingerprints of what is ACTIVE, or ARCHIVED."""
        return {
            item["ProductFields"]["birthright/fingerprint"]
            for item in self.findings.values()
            if item["RecordState"] == state
        }

    @contextmanager
    def running(self) -> Iterator["SecurityHub"]:
        """Serve."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = hub.answer(self.path, body)
                payload = answer.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    def answer(self, path: str, body: bytes) -> tuple[int, str]:
        """Answer one request: HTTP status and body."""
        if path == "/":
            return 200, _STS.format(partition=self.partition, account=self.account_id)
        operation = {"/findings": "GetFindings", "/findings/import": "BatchImportFindings"}[path]
        if operation in self.refusing:
            status, code = self.refusing[operation]
            return status, json.dumps({"__type": code, "Code": code, "Message": "no"})
        asked = json.loads(body)
        if operation == "GetFindings":
            return 200, json.dumps(self._page(asked))
        self.calls.append(asked["Findings"])
        self.sizes.append(len(body))
        if len(asked["Findings"]) > _MOST or len(body) > _LARGEST_CALL:
            return 400, json.dumps({"__type": "InvalidInputException", "Message": "too much"})
        failed = [
            {"Id": item["Id"], "ErrorCode": code, "ErrorMessage": "no"}
            for item in asked["Findings"]
            if (code := self._import(item))
        ]
        done = len(asked["Findings"]) - len(failed)
        return 200, json.dumps({"FailedCount": len(failed), "SuccessCount": done, "FailedFindings": failed})

    def _page(self, asked: Item) -> Item:
        self.pages += 1
        found = [
            item
            for item in self.findings.values()
            if all(_fits(item, name, rule) for name, (rule,) in asked["Filters"].items())
        ]
        start = int(asked.get("NextToken", 0))
        end = start + min(asked.get("MaxResults", _PAGE), _PAGE)
        return {"Findings": found[start:end], **({"NextToken": str(end)} if end < len(found) else {})}

    def _import(self, item: Item) -> str:
        """Take one finding; return AWS's error code if it is not taken."""
        if item["Id"] in self.failing:
            code, times = self.failing.pop(item["Id"])
            if times > 1:
                self.failing[item["Id"]] = (code, times - 1)
            return code
        if item["AwsAccountId"] != self.account_id:
            return "InvalidAccess"
        reserved = any(name.startswith("aws/") for name in item["ProductFields"])
        if reserved or len(json.dumps(item)) > _LARGEST:
            return "InvalidInput"
        old = self.findings.get(item["Id"])
        if old and _time(item["UpdatedAt"]) <= _time(old["UpdatedAt"]):
            return ""
        new = deepcopy(item)
        new["ProductFields"]["aws/securityhub/FindingId"] = f"{item['ProductArn']}/{item['Id']}"
        new["ProductName"] = "Default"
        if old:
            new |= {name: old[name] for name in _OF_CUSTOMERS if name in old}
        self.findings[item["Id"]] = {"Workflow": {"Status": "NEW"}, **new}
        return ""


def _fits(item: Item, name: str, rule: dict[str, str]) -> bool:
    compare: Callable[[str], bool] = (
        item[name].startswith if rule["Comparison"] == "PREFIX" else item[name].__eq__
    )
    return compare(rule["Value"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def failure(number: int, **values: Any) -> Finding:  # noqa: ANN401 - any field of Finding
    """Make a failure of a user of its own."""
    return finding(**{"fingerprint": f"{number:032x}", "user_name": f"user-{number}", **values})


def line(
    account: str = ACCOUNT,
    source: str = "GetCredentialReport",
    status: Status = "ok",
    report_hours: float | None = None,
) -> CoverageSummary:
    """Say what an account was asked for and how that went; the report's time is in hours after AS_OF."""
    made = None if report_hours is None else AS_OF + timedelta(hours=report_hours)
    return CoverageSummary(account, source, status, "", 1, 1, 0, 0.0, made)


def report(
    findings: Iterable[Finding] = (),
    coverage: Iterable[CoverageSummary] = (line(),),
    hours: float = 0,
    policies: Iterable[str] = (BORN,),
) -> Report:
    """Make what a scan says so many hours after the first."""
    findings = tuple(findings)
    judged = tuple(PolicySummary(name, name, "low", "low", {}, 0, 0, 0) for name in policies)
    scan = DocumentScan("20261122T100000Z-000000", AS_OF + timedelta(hours=hours), "0", "keys")
    counts = Summary(1, 1, 1, len(findings), 0, 0)
    return Report(Document("birthright.findings/1", scan, counts, tuple(coverage), judged, findings))
