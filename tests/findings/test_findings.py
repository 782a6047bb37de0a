"""Verdicts become findings: remedies, evidence, gaps, numbers, exit codes. The facts are in memory."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.errors import StoreError
from birthright.facts.model import AccessKey, Coverage, Principal
from birthright.facts.schema import to_tables
from birthright.findings.document import build_document, by_subject, overrides_of
from birthright.findings.grading import exit_code
from birthright.findings.model import AccountSummary, Document, Finding, Remedy
from birthright.policies.evaluator import Evaluator
from birthright.policies.pack import choose, load_pack
from birthright.reports.formats import renderer
from birthright.reports.interface import Report
from birthright.scans.record import ScanInfo
from birthright.scans.request import Judging

if TYPE_CHECKING:
    from birthright.policies.page import Page

BORN = "access-key-created-with-user"
ACCOUNT = "111122223333"
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
MADE = datetime(2025, 1, 1, 0, 0, 5, tzinfo=UTC)
REPORTED = NOW - timedelta(hours=2)
INFO = ScanInfo(id="20261122T100000Z-000000", as_of=NOW, tool_version="0", depth="keys", complete=True)
READS = ("GetCredentialReport", "ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed")
PAGES = load_pack()


def key(**facts: Any) -> AccessKey:  # noqa: ANN401 - any field of AccessKey
    """Make an active key born with its user; `facts` change it."""
    usual: dict[str, Any] = {
        "account_id": ACCOUNT,
        "user_arn": f"arn:aws:iam::{ACCOUNT}:user/u",
        "user_name": "u",
        "user_created_at": MADE - timedelta(seconds=1),
        "access_key_id": "AKIAEXAMPLE000000001",
        "slot": 1,
        "status": "Active",
        "created_at": MADE,
        "created_source": "listing",
        "ever_used": False,
        "last_used_source": "report",
    }
    return AccessKey(**{**usual, **facts})


def coverage(**statuses: str) -> list[Coverage]:
    """Make the coverage of an account whose every read was answered; `statuses` change some."""
    return [
        Coverage(
            ACCOUNT,
            source,
            statuses.get(source, "ok"),  # type: ignore[arg-type]
            as_of=NOW,
            report_generated_at=REPORTED if source == "GetCredentialReport" else None,
        )
        for source in READS
    ]


def judge(
    keys: Sequence[AccessKey],
    *,
    asked: Sequence[Coverage] | None = None,
    policy: str = BORN,
    passes: bool = False,
    in_listing: bool | None = True,
    earliest: datetime | None = None,
) -> Document:
    """Judge such an account by one policy; its facts may be as old as `earliest`."""
    names = {one.user_name: one for one in keys}
    people = [
        Principal(
            ACCOUNT,
            one.user_arn,
            name,
            is_root=one.is_root,
            in_listing=in_listing,
            console_password=one.console_password,
            password_last_changed_at=one.user_created_at,
        )
        for name, one in names.items()
    ]
    rows = {"principals": people, "access_keys": keys, "coverage": coverage() if asked is None else asked}
    tables = to_tables(rows)
    pages: list[Page] = choose(PAGES, [policy])
    evaluator = Evaluator(tables, NOW, as_of_earliest=earliest)
    return build_document(INFO, evaluator, pages, Judging(), passes=passes)


def only(document: Document) -> Finding:
    """Return the one finding."""
    (finding,) = document.findings
    return finding


@pytest.mark.parametrize(
    ("facts", "remedy"),
    [
        ({"ever_used": True, "last_used_at": NOW - timedelta(days=90, seconds=-1)}, "rotate"),
        ({"ever_used": True, "last_used_at": NOW - timedelta(days=90)}, "retire"),
        ({"ever_used": True, "last_used_at": NOW}, "rotate"),
        ({"ever_used": False}, "retire"),
        ({"ever_used": None}, "review"),
        ({"ever_used": True, "last_used_at": None}, "review"),
        ({"is_root": True, "user_name": "<root_account>", "access_key_id": None}, "review"),
        ({"is_root": True, "ever_used": True, "last_used_at": NOW}, "review"),
    ],
)
def test_the_remedy_follows_the_use(facts: dict[str, Any], remedy: Remedy) -> None:
    """In use is used within 90 days; root's key, and one nobody knows the use of, are for a person."""
    assert only(judge([key(**facts)])).remedy == remedy


@pytest.mark.parametrize(
    ("facts", "remedy"),
    [
        ({"ever_used": True, "last_used_at": NOW - timedelta(days=113)}, "review"),
        ({"ever_used": True, "last_used_at": NOW - timedelta(days=190)}, "retire"),
        ({"ever_used": True, "last_used_at": NOW - timedelta(days=89)}, "rotate"),
        ({"ever_used": False, "created_at": NOW - timedelta(days=100, hours=23)}, "review"),
        ({"ever_used": False, "created_at": NOW - timedelta(days=101)}, "retire"),
    ],
)
def test_use_that_depends_on_an_unknown_time_is_for_a_person(facts: dict[str, Any], remedy: Remedy) -> None:
    """Facts of some time within 100 days: a key used 13 days before them is not called unused."""
    born = {"user_created_at": facts.get("created_at", MADE) - timedelta(seconds=1), **facts}
    assert only(judge([key(**born)], earliest=NOW - timedelta(days=100))).remedy == remedy


@pytest.mark.parametrize(
    ("age", "remedy"),
    [(timedelta(days=1), "retire"), (timedelta(days=1, seconds=-1), "review"), (timedelta(0), "review")],
)
def test_a_key_younger_than_a_day_is_not_called_unused(age: timedelta, remedy: Remedy) -> None:
    """AWS notes a use hours late: disuse counts from a day on."""
    made = NOW - age
    young = key(created_at=made, user_created_at=made - timedelta(seconds=1))
    assert only(judge([young])).remedy == remedy


def test_passes_unknowns_and_policies_without_a_remedy_have_none() -> None:
    """Only a failing key is to be retired."""
    assert only(judge([key(status="Inactive")], passes=True)).remedy == "none"
    assert only(judge([key(created_at=None)])).remedy == "none"
    root = key(is_root=True, user_name="<root_account>")
    finding = next(iter(judge([root], policy="root-access-key").findings))
    assert (finding.verdict, finding.remedy) == ("fail", "none")


@settings(max_examples=25, deadline=None)
@given(st.integers(min_value=-(10**7), max_value=10**7))
def test_the_gap_is_key_minus_user(seconds: int) -> None:
    """The gap is a whole number of seconds, negative where the key is older than its user."""
    document = judge([key(user_created_at=MADE - timedelta(seconds=seconds))], passes=True)
    finding = only(document)
    assert finding.gap_seconds == seconds
    assert finding.verdict == ("unknown" if seconds < 0 else "fail" if seconds < 7 else "pass")


def test_no_gap_without_both_times() -> None:
    """A time that is not known makes no gap, and no pass."""
    for facts in ({"created_at": None}, {"user_created_at": None}):
        finding = only(judge([key(**facts)]))
        assert (finding.gap_seconds, finding.verdict) == (None, "unknown")


def said(document: Document) -> dict[str, tuple[object, str, datetime | None]]:
    """Return fact -> value, source, as_of."""
    evidence = only(document).evidence
    return {item.fact: (item.value, item.source, item.as_of) for item in evidence}


def test_evidence_names_value_source_and_time() -> None:
    """Each fact comes with who said it and when: the report as of its making, calls as of the scan."""
    used = key(ever_used=True, last_used_at=NOW, last_used_region="us-east-1", last_used_service="s3")
    assert said(judge([used])) == {
        "status": ("Active", "ListAccessKeys", NOW),
        "created_at": ("2025-01-01T00:00:05Z", "ListAccessKeys", NOW),
        "ever_used": (True, "GetCredentialReport", REPORTED),
        "last_used_at": ("2026-11-22T10:00:00Z", "GetCredentialReport", REPORTED),
        "last_used_region": ("us-east-1", "GetCredentialReport", REPORTED),
        "last_used_service": ("s3", "GetCredentialReport", REPORTED),
        "user_created_at": ("2025-01-01T00:00:04Z", "ListUsers", NOW),
        "console_password": (None, "GetCredentialReport", REPORTED),
    }
    looked_up = key(last_used_source="lookup")
    assert said(judge([looked_up]))["ever_used"] == (False, "GetAccessKeyLastUsed", NOW)


def test_a_console_password_is_dated() -> None:
    """When it was set and last used, as far as the report says; nothing of it for users without one."""
    with_password = said(judge([key(console_password=True)]))
    assert with_password["password_last_changed_at"] == (
        "2025-01-01T00:00:04Z",
        "GetCredentialReport",
        REPORTED,
    )
    assert "password_last_used_at" not in with_password
    without = said(judge([key(console_password=False)]))
    assert not [name for name in without if name.startswith("password")]


@pytest.mark.parametrize(
    ("status", "in_listing", "source"),
    [
        ("ok", True, "ListUsers"),
        ("partial", True, "ListUsers"),
        ("partial", None, "GetCredentialReport"),
        ("denied", None, "GetCredentialReport"),
    ],
)
def test_a_users_creation_is_ascribed_to_who_told_it(
    status: str,
    in_listing: bool | None,  # noqa: FBT001 - a parameter
    source: str,
) -> None:
    """Where ListUsers did not tell of the user, the report is the source."""
    document = judge([key()], asked=coverage(ListUsers=status), in_listing=in_listing)
    assert said(document)["user_created_at"][1] == source


def test_keys_without_ids_show_their_slot() -> None:
    """Where only the report was read, the slot is what tells a user's keys apart."""
    keys = [key(access_key_id=None, slot=slot, created_source="report") for slot in (1, 2)]
    findings = judge(keys, asked=coverage(ListUsers="skipped", ListAccessKeys="skipped")).findings
    slots = [item.value for finding in findings for item in finding.evidence if item.fact == "slot"]
    assert sorted(map(str, slots)) == ["1", "2"]
    assert len(by_subject(findings)) == 2


ids = st.permutations(["AKIAEXAMPLE000000001", "AKIAEXAMPLE000000002", "AKIAEXAMPLE000000003"])


@pytest.mark.usefixtures("in_rounds")
@settings(max_examples=7, deadline=None)
@given(ids, st.lists(st.sampled_from(["Active", "Inactive", None]), min_size=3, max_size=3), st.booleans())
def test_fingerprints_of_the_same_second(names: list[str], statuses: list[str | None], passes: bool) -> None:  # noqa: FBT001
    """Keys of one second are numbered: no two are equal, and order, ids and --all change no failure's."""
    with_ids = [key(access_key_id=n, slot=None, status=s) for n, s in zip(names, statuses, strict=True)]
    with_slots = [key(access_key_id=None, slot=i, status=s) for i, s in enumerate(statuses, 1)]

    def prints(document: Document) -> list[str]:
        return sorted(f.fingerprint for f in document.findings if f.verdict == "fail")

    first = judge(with_ids, passes=passes)
    assert len({f.fingerprint for f in first.findings}) == len(first.findings)
    assert prints(first) == prints(judge(list(reversed(with_ids)), passes=True)) == prints(judge(with_slots))


def test_fingerprints_name_account_user_policy_and_second() -> None:
    """Another user, second or policy is another finding; id, ARN, status, use and time of scan are not."""
    usual = only(judge([key()])).fingerprint
    same = key(access_key_id="AKIAOTHER00000000001", user_arn="arn:aws:iam::111122223333:user/p/u", slot=2)
    assert only(judge([same])).fingerprint == usual
    others = [
        only(judge([key(user_name="v")])),
        only(judge([key(created_at=MADE + timedelta(seconds=1))])),
        only(judge([key()], policy="access-key-never-used")),
    ]
    assert len({usual, *(finding.fingerprint for finding in others)}) == 4


def test_an_account_that_answered_nothing_is_one_unknown_per_policy() -> None:
    """An unread account never passes: one unknown with the reason, and exit code 3."""
    denied = coverage(GetCredentialReport="denied", ListAccessKeys="denied", ListUsers="denied")
    document = judge([], asked=denied)
    finding = only(document)
    assert (finding.verdict, finding.user_name, finding.evidence) == ("unknown", None, ())
    assert finding.reason.startswith("could not be judged: GetCredentialReport denied")
    assert finding.account_id == ACCOUNT
    assert exit_code(document) == 3


@pytest.mark.parametrize(
    ("keys", "statuses", "code"),
    [
        ([key(status="Inactive")], {}, 0),
        ([key()], {}, 1),
        ([key()], {"ListUsers": "denied"}, 1),
        ([key(created_at=None)], {}, 3),
        ([key(status="Inactive")], {"ListUsers": "failed"}, 3),
        ([key(status="Inactive")], {"GetAccessKeyLastUsed": "partial"}, 3),
        ([key(status="Inactive")], {"GetAccessKeyLastUsed": "skipped"}, 0),
        ([key(), key(created_at=None)], {}, 1),
    ],
)
def test_exit_codes(keys: list[AccessKey], statuses: dict[str, str], code: int) -> None:
    """1 something fails, 3 nothing fails but something is unknown or was not read, 0 all is well."""
    assert exit_code(judge(keys, asked=coverage(**statuses))) == code


def test_an_account_that_nobody_was_to_ask_is_not_in_order() -> None:
    """Where each account was skipped nothing was read: no green headline, and exit code 3."""
    closed = Coverage(ACCOUNT, "ListAccounts", "skipped", "PENDING_CLOSURE in the organization")
    document = judge([], asked=[closed])
    assert (document.complete, document.read, exit_code(document)) == (False, False, 3)
    out = io.StringIO()
    renderer("terminal")(Report(document), out)
    assert "No account was read." in out.getvalue()
    assert "; no account was read" in out.getvalue()
    assert "No active access key" not in out.getvalue()


def test_profiles_that_could_not_be_used_are_accounts_each() -> None:
    """Their ids are not known; they count, their names are kept, and the reason names them all."""
    dead = [
        Coverage("unknown", "GetCallerIdentity", "failed", f"profile {name}: no credentials", name)
        for name in ("b", "c")
    ]
    document = judge([key()], asked=[*coverage(), *dead])
    assert document.summary.accounts == 3
    assert [line.account_name for line in document.coverage if line.account_id == "unknown"] == ["b", "c"]
    line = next(line for line in document.accounts if line.account_id == "unknown")
    assert (line.account_name, line.unknown) == ("b, c", 1)
    reason = next(f.reason for f in document.findings if f.account_id == "unknown")
    assert (
        "GetCallerIdentity failed: profile b: no credentials; GetCallerIdentity failed: profile c" in reason
    )


def test_findings_without_evidence_are_the_same_otherwise() -> None:
    """Reports that show no evidence are spared its cost, and lose nothing else."""
    rows = {"principals": (), "access_keys": (key(),), "coverage": coverage()}
    tables = to_tables(rows)
    evaluator, pages = Evaluator(tables, NOW), choose(PAGES, [BORN])
    full = only(build_document(INFO, evaluator, pages, Judging()))
    bare = only(build_document(INFO, evaluator, pages, Judging(), evidence=False))
    assert bare.evidence == ()
    assert msgspec.structs.replace(full, evidence=()) == bare


@pytest.mark.parametrize(
    ("keys", "counted"),
    [
        ([key()], [1]),
        ([key(), key(access_key_id="AKIAEXAMPLE000000002", status="Inactive")], [2, 2]),
        ([key(), key(user_name="v", access_key_id="AKIAEXAMPLE000000002")], [1, 1]),
        ([key(), key(access_key_id=None, slot=2)], [None, None]),
        ([key(access_key_id=None)], [None]),
        ([key(access_key_id=None, slot=None, status=None, created_at=None)], [None]),
    ],
)
def test_a_finding_says_how_many_keys_its_user_has(keys: list[AccessKey], counted: list[int | None]) -> None:
    """All keys of the user count, active or not; where one was not listed nobody knows."""
    assert [finding.user_keys for finding in judge(keys, passes=True).findings] == counted


def test_accounts_are_counted() -> None:
    """Each account that was asked has its counts; a row that stands for unread keys is no key."""
    keys = [
        key(),
        key(access_key_id="AKIAEXAMPLE000000002", status="Inactive"),
        key(user_name="v", access_key_id=None, slot=None, status=None, created_at=None),
    ]
    silent = Coverage("999988887777", "ListUsers", "denied")
    document = judge(keys, asked=[*coverage(), silent])
    assert document.accounts == (
        AccountSummary(ACCOUNT, 2, 2, 1, fail=1, unknown=1, passed=1),
        AccountSummary("999988887777", 0, 0, 0, unknown=1),
    )


def test_subjects_gather_findings_of_one_key() -> None:
    """Findings of one key stand together, another key's and its user's apart."""
    keys = [key(), key(access_key_id="AKIAEXAMPLE000000002", slot=2)]
    findings = [
        finding
        for policy in (BORN, "access-key-never-used", "access-key-not-rotated")
        for finding in judge(keys, policy=policy).findings
    ]
    groups = by_subject(findings)
    assert [len({f.access_key_id for f in group}) for group in groups] == [1, 1]
    assert [len(group) for group in groups] == [3, 3]


def test_later_settings_win() -> None:
    """Of two values for one parameter the later holds."""
    assert overrides_of([("p", "a", "1"), ("p", "b", "2"), ("p", "a", "3")]) == {"p": {"a": "3", "b": "2"}}


def test_a_scan_that_does_not_say_what_was_read_is_not_judged() -> None:
    """No coverage at all would look like an account in order, so it is told as damage."""
    with pytest.raises(StoreError, match="does not say what was read"):
        build_document(INFO, Evaluator({}, NOW), choose(PAGES, [BORN]), Judging())
