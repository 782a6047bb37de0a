"""The public Python API: what the commands do, as functions of values.

Unlike the command line it reads no settings, waivers or environment's wishes that it is not told of: a file
of settings counts if it is named (`config`), and so does one of waivers. Only BIRTHRIGHT_STORE and AWS's own
variables count as always. What the command line warns of goes to the logger `birthright`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import msgspec

from birthright.findings.model import Finding, Summary
from birthright.operations.assess import assess, waivers_of
from birthright.operations.judging import load_scan
from birthright.operations.requests import (
    ApplyRequest,
    AssessRequest,
    BundleChoice,
    CallerChoice,
    PlanChoice,
    PolicyChoice,
    RetirementQuery,
    ScanChoice,
    WaiverChoice,
)
from birthright.operations.workspace import Workspace
from birthright.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from birthright.evidence.bundle import BundleResult
    from birthright.evidence.verifying import BundleVerification
    from birthright.history.earlier import SavedScan
    from birthright.operations.retire import Retiring
    from birthright.reports.interface import Report
    from birthright.retirement.engine.state_machine import Result
    from birthright.retirement.model import Retirement
    from birthright.retirement.planning.plan import Plan

StrPath = str | PathLike[str]
_log = logging.getLogger("birthright")


class Judged(TypedDict, total=False):
    """How findings are made.

    policies: ids of policies; all without. pages: a folder with pages of one's own. parameters: values
    as text, by `POLICY.PARAMETER`. waivers: a waivers' file. since: `last`, a scan's id, or a findings file.
    """

    policies: Sequence[str]
    pages: StrPath
    parameters: Mapping[str, str]
    waivers: StrPath
    since: str


class Placed(TypedDict, total=False):
    """Where things are kept: the store of scans, a file of settings, and the journal of retirements."""

    store: StrPath
    config: StrPath
    journal: str


class Reading(Judged, Placed, total=False):
    """Which accounts are read, and how; without any, the account of the AWS environment.

    Files instead of AWS: credential_report, access_keys, users, and what they do not say themselves. Many
    accounts: org, ou, accounts (a file) or profiles. Durations are texts like `5m`.
    """

    profile: str
    region: str
    depth: str
    report_deadline: str
    max_in_flight: int
    all_users: bool
    raw: bool
    credential_report: StrPath
    access_keys: Sequence[StrPath]
    users: StrPath
    report_time: datetime
    account_id: str
    resume: str
    org: bool
    ou: Sequence[str]
    include: Sequence[str]
    exclude: Sequence[str]
    accounts: StrPath
    profiles: Sequence[str]
    role: str
    external_id: str
    session_name: str
    role_duration: str
    role_everywhere: bool
    max_calls: int
    dask: str


class Caller(Placed, total=False):
    """Who changes AWS: a local profile, and the role to assume in accounts that are not its own."""

    profile: str
    region: str
    role: str
    external_id: str


class Planning(TypedDict, total=False):
    """Which findings are planned for (patterns; ids of keys), and how; `expires` is a duration like 24h."""

    policies: Sequence[str]
    accounts: Sequence[str]
    users: Sequence[str]
    keys: Sequence[str]
    handover: str
    allow_ses: bool
    annotate: bool
    expires: str


class Scan:
    """A saved scan. Its findings are made anew whenever they are asked for; its facts never change."""

    def __init__(self, workspace: Workspace, saved: "SavedScan", asked: Judged) -> None:
        self._workspace = workspace
        self._saved = saved
        self._request = _assessing(workspace, asked)

    @property
    def id(self) -> str:
        """The scan's id, by which `open_scan` finds it again."""
        return self._saved.info.id

    @property
    def as_of(self) -> datetime:
        """The instant its facts are of, UTC, whole seconds."""
        return self._saved.info.as_of

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for was answered."""
        return self._saved.info.complete

    @property
    def summary(self) -> Summary:
        """How many accounts, principals and keys there are, and how many verdicts of each kind."""
        return self.report(evidence=False).document.summary

    def findings(
        self,
        *,
        policy: str | None = None,
        verdict: str | None = None,
        account: str | None = None,
        user: str | None = None,
        passes: bool = False,
        evidence: bool = True,
    ) -> Iterator[Finding]:
        """Yield failures and unknowns, with `passes` everything, in the order of the report.

        Raises UsageError for a policy that did not judge, PageError, StoreError.
        """
        from birthright.policies.pack import choose

        saved = self._saved
        if policy is not None:
            saved = saved._replace(pages=choose(saved.pages, [policy]))
        passes = passes or verdict == "pass"
        request = msgspec.structs.replace(self._request, passes=passes, evidence=evidence)
        for finding in assess(saved, request).document.findings:
            if (
                verdict in {None, finding.verdict}
                and account in {None, finding.account_id}
                and user in {None, finding.user_name}
            ):
                yield finding

    def report(self, *, passes: bool = False, evidence: bool = True) -> "Report":
        """Return all that the scan says, waived and compared; `report.document` is the JSON's contents."""
        request = msgspec.structs.replace(self._request, passes=passes, evidence=evidence)
        return assess(self._saved, request)

    def write(self, *files: StrPath, format: str | None = None, passes: bool = False) -> None:  # noqa: A002
        """Write reports, each whole or not at all; the extension says the format unless `format` does.

        Raises UsageError, StoreError.
        """
        from birthright.operations.deliver import check_outputs, formats_of, write_report

        paths = tuple(map(Path, files))
        check_outputs(paths, format)
        request = formats_of(self._request, paths, format, passes=passes)
        write_report(assess(self._saved, request), paths, format)

    def query(self, sql: str, **parameters: Any) -> "pa.Table":  # noqa: ANN401 - any value DuckDB takes
        """Run one SELECT over the facts, with `$as_of` and the parameters bound. Raises QueryError."""
        from birthright.operations.query import Query

        return Query(self._workspace, self.id).table(sql, parameters)

    def plan(self, **asked: Unpack[Planning]) -> "Plan":
        """Plan how the keys that fail are retired or rotated; AWS is not asked. Raises UsageError."""
        from birthright.operations.plan import make_plan

        lists = {"policies", "accounts", "users", "keys"}
        said: Mapping[str, Any] = {**asked}
        said = {name: tuple(value) if name in lists else value for name, value in said.items()}
        return make_plan(self._workspace, PlanChoice(self.id, **said), self._request.waivers).plan

    def evidence(
        self,
        file: StrPath,
        *,
        raw: bool = False,
        mask: bool = False,
        waivers: StrPath | None = None,
        sign_key: "Ed25519PrivateKey | None" = None,
    ) -> "BundleResult":
        """Put the scan, its verdicts and what they rest on into one file, whole or not at all."""
        from birthright.operations.deliver import check_output
        from birthright.operations.evidence import bundle, waivers_bytes

        check_output(Path(file), "file")
        accepted = waivers_bytes(WaiverChoice(_path(waivers), none=waivers is None), self._workspace)
        choice = BundleChoice(raw, mask)
        return bundle(self._workspace, self._saved, Path(file), choice, waivers=accepted, sign_key=sign_key)


def scan(**asked: Unpack[Reading]) -> Scan:
    """Read accounts, keep what they say in the store, and return the scan.

    Raises BirthrightError; UsageError where an event loop is running: await `scan_async` there.
    """
    from birthright.operations.scan import request_of
    from birthright.operations.scan import scan as read

    workspace = _workspace(asked, asked.get("profile"))
    request = request_of(workspace, _scan_choice(asked), _policies(asked))
    return Scan(workspace, read(workspace, request, _assessing(workspace, asked)), asked)


async def scan_async(**asked: Unpack[Reading]) -> Scan:
    """Do what `scan` does inside a running event loop."""
    from birthright.operations.scan import request_of
    from birthright.operations.scan import scan_async as read

    workspace = _workspace(asked, asked.get("profile"))
    request = request_of(workspace, _scan_choice(asked), _policies(asked))
    return Scan(workspace, await read(workspace, request, _assessing(workspace, asked)), asked)


class Opening(Judged, Placed, total=False):
    """How a saved scan is opened; `profile` is whose credentials open a bucket."""

    profile: str


def open_scan(scan_id: str = "latest", **asked: Unpack[Opening]) -> Scan:
    """Open a saved scan; it is judged as it was, but for what is said here. Raises UsageError, StoreError."""
    workspace = _workspace(asked, asked.get("profile"))
    return Scan(workspace, load_scan(workspace, scan_id, _policies(asked)), asked)


def list_scans(**places: Unpack[Placed]) -> list[str]:
    """Return the ids of all finished scans in the store, oldest first. Raises StoreError."""
    from birthright.scans.record import list_scans as listed

    return listed(_workspace(places).store)


class Live(Judged, total=False):
    """Whose credentials read, and how what they read is judged; `waivers` and `since` do not apply."""

    profile: str
    region: str
    config: StrPath


async def judge_user(user_name: str, **asked: Unpack[Live]) -> "Report":
    """Read one user of the account live, and judge it by the policies that its own reads can answer.

    Nothing is stored. Raises NoSuchUserError, ReadError, UsageError, PageError.
    """
    from birthright.aws.session import AwsSession
    from birthright.operations.judge_user import judge_user as judged
    from birthright.operations.judging import judging_of

    settings = _workspace(asked).settings
    session = AwsSession(asked.get("profile") or settings.scan.profile, asked.get("region"))
    return await judged(session, user_name, judging_of(_policies(asked), settings))


def save_plan(plan: "Plan", file: StrPath) -> None:
    """Write a plan, whole or not at all, for people to review and `load_plan` to read. Raises StoreError."""
    from birthright.retirement.planning.plan_file import save_plan as saved

    saved(Path(file), plan)


def load_plan(file: StrPath) -> "Plan":
    """Read a plan. Raises PlanError if it is none, is damaged, was edited, or is of a newer birthright."""
    from birthright.retirement.planning.plan_file import load_plan as loaded

    return loaded(Path(file))


def apply(
    plan: "Plan",
    *,
    confirm: "Callable[[Plan], bool]",
    ticket: str = "",
    reason: str = "",
    handover: str | None = None,
    again: bool = False,
    **caller: Unpack[Caller],
) -> "list[Result]":
    """Change AWS as a plan says, once `confirm` agreed to it; every step is in the journal.

    Blocks, with threads of its own: `await asyncio.to_thread(...)` where an event loop is running.
    Raises BirthrightError; what goes wrong with a key is in its result.
    """
    request = ApplyRequest(ticket, reason, handover, again)

    def begun(retiring: "Retiring") -> "list[Retirement]":
        return retiring.begin(plan, request, confirm) or []

    return _advanced(caller, begun)


def apply_due(**caller: Unpack[Caller]) -> "list[Result]":
    """Continue every retirement whose wait is over. Blocks, as `apply` does."""
    return _advanced(caller, lambda retiring: retiring.due())


def undo(key: str, **caller: Unpack[Caller]) -> "list[Result]":
    """Enable a key again that was disabled, and close its retirement. Raises UsageError."""
    from birthright.operations.retire import open_retiring

    with open_retiring(_workspace(caller), _caller(caller)) as retiring:
        return retiring.undo(key)


def retirements(
    *, key: str = "", account: str = "", user: str = "", ticket: str = "", open_only: bool = False,
    **places: Unpack[Placed],
) -> "list[Retirement]":  # fmt: skip
    """Find retirements in the journal; an empty filter does not narrow. Raises JournalError, UsageError."""
    from birthright.operations.retire import find_retirements

    return find_retirements(_workspace(places), RetirementQuery(key, account, user, ticket, open_only))


def verify_evidence(file: StrPath, public_key: StrPath | None = None) -> "BundleVerification":
    """Check a bundle: digests, signature, and whether its facts give its findings. Raises UsageError."""
    from birthright.operations.evidence import verify

    return verify(Path(file), _path(public_key))


def _advanced(caller: Caller, begin: "Callable[[Retiring], list[Retirement]]") -> "list[Result]":
    from birthright.operations.retire import open_retiring

    with open_retiring(_workspace(caller), _caller(caller)) as retiring:
        return list(retiring.advance(begin(retiring)))


def _workspace(places: Mapping[str, Any], profile: str | None = None) -> Workspace:
    named = {name: str(places[name]) for name in ("store", "journal") if name in places}
    config = _path(places.get("config"))
    if config is None:
        return Workspace(Settings(), profile=profile, warn=_log.warning, **named)
    return Workspace.load(config, profile=profile, warn=_log.warning, **named)


def _assessing(workspace: Workspace, asked: Judged) -> AssessRequest:
    """Read the waivers that were named; without any, nothing is waived."""
    choice = WaiverChoice(_path(asked.get("waivers")), none="waivers" not in asked)
    return AssessRequest(waivers_of(choice, workspace.settings.scan), asked.get("since"))


def _policies(asked: Mapping[str, Any]) -> PolicyChoice:
    texts = tuple(f"{name}={value}" for name, value in asked.get("parameters", {}).items())
    return PolicyChoice(tuple(asked.get("policies", ())), _path(asked.get("pages")), texts)


def _scan_choice(asked: Mapping[str, Any]) -> ScanChoice:
    """Return the choice that the command line would make of the same words."""
    said = {name: value for name, value in asked.items() if name in ScanChoice.__struct_fields__}
    for name in ("credential_report", "users"):
        said[name] = _path(said.get(name))
    for name in ("ou", "include", "exclude"):
        said[name] = tuple(said.get(name, ()))
    said["access_keys"] = tuple(map(Path, said.get("access_keys", ())))
    if "accounts" in said:
        said["accounts"] = str(said["accounts"])
    if "profiles" in said:
        said["profiles"] = ",".join(said["profiles"])
    return ScanChoice(**said)


def _caller(caller: Mapping[str, Any]) -> CallerChoice:
    return CallerChoice(**{name: caller.get(name) for name in CallerChoice.__struct_fields__})


def _path(place: StrPath | None) -> Path | None:
    return None if place is None else Path(place)
