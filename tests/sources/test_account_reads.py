"""What is asked, what is answered, and what the facts say where it was not."""

import asyncio
import base64
import signal
import threading
import time
from datetime import timedelta

import pytest

from account_helpers import ALL_OK, Answer, Canned, coverage, scan, scan_in, statuses
from birthright.aws.session import AwsSession
from birthright.errors import CredentialsError
from birthright.facts.model import AccountFacts
from birthright.sandbox import Sandbox, SandboxCredentials
from birthright.sandbox.faults import Kind
from birthright.scans.request import ReadOptions
from birthright.sources.account import collect_account
from birthright.times import now

QUICK = ReadOptions(report_deadline=timedelta(seconds=1))


def _keys(facts: AccountFacts) -> set[str | None]:
    return {key.access_key_id for key in facts.access_keys if not key.is_root}


def _true_keys(box: Sandbox) -> set[str | None]:
    return {key for user in box.account().users.values() for key in user.keys}


def test_a_report_is_waited_for() -> None:
    """Without a report yet it is made (STARTED, INPROGRESS, COMPLETE), and everything is known."""
    with Sandbox.create(users=60, report="none", report_seconds=0.6).running() as box:
        facts = scan(box)
        assert statuses(facts).items() >= ALL_OK.items()
        assert box.calls["GenerateCredentialReport"] >= 3
        assert coverage(facts)["GetCredentialReport"].calls == box.calls["GenerateCredentialReport"] + 1
        assert _keys(facts) == _true_keys(box)


@pytest.mark.parametrize("fault", ["report-never-completes", "hang"])
def test_a_report_that_is_never_ready_costs_only_itself(fault: Kind) -> None:
    """The deadline is in the detail, all keys are there all the same, and what the report says is NULL."""
    with Sandbox.create(users=60).running() as box:
        box.faults.add(fault, action="*CredentialReport")
        facts = scan(box, QUICK)
        line = coverage(facts)["GetCredentialReport"]
        assert (line.status, line.rows, line.report_generated_at) == ("failed", 0, None)
        assert "was not ready in 1 s" in line.detail
        assert "--report-deadline" in line.detail
        assert _keys(facts) >= _true_keys(box)
        assert {user.mfa_active for user in facts.principals} == {None}
        assert {user.in_report for user in facts.principals} == {None}
        assert {user.in_listing for user in facts.principals if not user.is_root} == {True}


def test_a_report_that_expires_meanwhile_is_made_again() -> None:
    """ReportExpired between the two calls costs one more of each."""
    with Sandbox.create(users=5).running() as box:
        box.faults.add("report-expired", times=1)
        facts = scan(box)
        assert statuses(facts)["GetCredentialReport"] == "ok"
        assert (box.calls["GenerateCredentialReport"], box.calls["GetCredentialReport"]) == (2, 2)


def test_a_report_that_always_expires_fails() -> None:
    """It is not asked for endlessly."""
    with Sandbox.create(users=5).running() as box:
        box.faults.add("report-expired")
        line = coverage(scan(box, QUICK))["GetCredentialReport"]
        assert line.status == "failed"
        assert "ReportExpired" in line.detail
        assert line.calls < 20


@pytest.mark.parametrize("body", ["", "no report", "user,arn\n", "\x00"])
def test_a_report_that_is_none_fails_alone(body: str) -> None:
    """What is not a credential report is failed; the listings count."""
    with Sandbox.create(users=10).running() as box:
        box.faults.add("report-body", body=body)
        facts = scan(box)
        assert statuses(facts) | {"GetAccessKeyLastUsed": "ok"} == {
            **ALL_OK, "GetCredentialReport": "failed", "GetAccessKeyLastUsed": "ok",
        }  # fmt: skip
        assert _keys(facts) >= _true_keys(box)


def test_short_pages_are_followed() -> None:
    """A page may hold one user or one key; all are found, each once."""
    with Sandbox.create(users=60).running() as box:
        box.faults.add("short-pages", size=1)
        facts = scan(box, ReadOptions(all_users=True))
        assert statuses(facts).items() >= ALL_OK.items()
        assert box.calls["ListUsers"] == len(box.account().users)
        found = [key.access_key_id for key in facts.access_keys if not key.is_root]
        assert sorted(map(str, found)) == sorted(map(str, _true_keys(box)))


def _user(name: str) -> str:
    arn = f"arn:aws:iam::111122223333:user/{name}"
    dates = "<CreateDate>2024-01-02T03:04:05Z</CreateDate>"
    return f"<member><UserName>{name}</UserName><UserId>A</UserId><Arn>{arn}</Arn>{dates}</member>"


def _key(name: str, key: str, status: str) -> str:
    dates = "<CreateDate>2024-01-02T03:04:06Z</CreateDate>"
    said = f"<UserName>{name}</UserName><AccessKeyId>{key}</AccessKeyId><Status>{status}</Status>{dates}"
    return f"<AccessKeyMetadata><member>{said}</member></AccessKeyMetadata>"


REPORT = """\
user,arn,user_creation_time,access_key_1_active,access_key_1_last_rotated,access_key_2_active,\
access_key_2_last_rotated
ann,arn:aws:iam::111122223333:user/ann,2024-01-02T03:04:05Z,true,2024-01-02T03:04:06Z,false,N/A"""
CONTENT = base64.b64encode(REPORT.encode()).decode()
GOOD = {
    "GenerateCredentialReport": "<State>COMPLETE</State>",
    "GetCredentialReport": f"<Content>{CONTENT}</Content><GeneratedTime>2024-06-01T00:00:00Z</GeneratedTime>",
    "ListUsers": f"<Users>{_user('ann')}</Users><IsTruncated>false</IsTruncated>",
    "ListAccessKeys": _key("ann", "AKIAANN", "Active"),
    "GetAccessKeyLastUsed": "<AccessKeyLastUsed><Region>N/A</Region></AccessKeyLastUsed>",
    "GetCallerIdentity": "<Arn>arn:aws:sts::111122223333:assumed-role/a/b</Arn>",
}


def test_empty_pages_are_followed() -> None:
    """A page may hold nothing and still lead to the next."""
    more = "<IsTruncated>true</IsTruncated><Marker>{}</Marker>"
    pages = {"": more.format("a"), "a": "<Users/>" + more.format("b"), "b": GOOD["ListUsers"]}
    answers: dict[str, Answer | str] = {**GOOD, "ListUsers": lambda call: pages[call.get("Marker", "")]}
    with Canned(**answers).running() as aws:
        facts = scan_in(aws.environment())
        assert statuses(facts)["ListUsers"] == "ok"
        assert _keys(facts) == {"AKIAANN"}


@pytest.mark.parametrize("markers", [{"": "a", "a": "a"}, {"": "a", "a": "b", "b": "a"}, {"": ""}])
def test_a_marker_that_leads_nowhere_ends_the_listing(markers: dict[str, str]) -> None:
    """A repeated or missing marker is an error, not an endless loop; whoever was seen counts."""

    def page(call: dict[str, str]) -> str:
        marker = markers[call.get("Marker", "")]
        return f"<Users>{_user('ann')}</Users><IsTruncated>true</IsTruncated><Marker>{marker}</Marker>"

    answers: dict[str, Answer | str] = {**GOOD, "ListUsers": page}
    with Canned(**answers).running() as aws:
        facts = scan_in(aws.environment())
        line = coverage(facts)["ListUsers"]
        assert line.status == "partial"
        assert "marker" in line.detail
        assert _keys(facts) == {"AKIAANN"}
        assert aws.calls["ListUsers"] <= 4


@pytest.mark.parametrize(
    ("word", "status"), [("Expired", "Expired"), ("Suspended", None), ("active", None), ("?", None)]
)
def test_words_of_tomorrow_are_not_known(word: str, status: str | None) -> None:
    """A status that AWS has not documented may mean anything: it is not known, and coverage says so."""
    with Canned(**{**GOOD, "ListAccessKeys": _key("ann", "AKIAANN", word)}).running() as aws:
        facts = scan_in(aws.environment())
        assert [key.status for key in facts.access_keys if key.user_name == "ann"] == [status]
        detail = next(line.detail for line in facts.coverage if line.source == "ListAccessKeys")
        assert ("a status that is not known" in detail) is (status is None)


@pytest.mark.parametrize("arn", ["", "x", "arn:aws:iam", "arn:aws:iam::12:user/ann", "::::::"])
def test_arns_that_name_no_account_are_asked_for_elsewhere(arn: str) -> None:
    """Where the listings' ARN cannot be read the report's counts, then STS; there is no traceback."""
    answers = {name: text.replace("arn:aws:iam::111122223333:user/ann", arn) for name, text in GOOD.items()}
    answers["GetCredentialReport"] = "<Content></Content>"
    with Canned(**answers).running() as aws:
        facts = scan_in(aws.environment())
        assert {line.account_id for line in facts.coverage} == {"111122223333"}


@pytest.mark.parametrize("answer", ["", "<Arn>x</Arn>"])
def test_an_account_that_nobody_names_is_an_error(answer: str) -> None:
    """Without an account id there are no facts, but one line."""
    silent = {"GetCredentialReport": "", "ListUsers": "<Users/>", "GetCallerIdentity": answer}
    with Canned(**{**GOOD, **silent}).running() as aws, pytest.raises(Exception, match=r"^[^\n]+$") as caught:
        scan_in(aws.environment())
    assert type(caught.value).__name__ == "AnswerError"


READS = ["GenerateCredentialReport", "GetCredentialReport", "ListUsers", "ListAccessKeys",
         "GetAccessKeyLastUsed"]  # fmt: skip


@pytest.mark.parametrize("action", READS)
def test_a_read_that_is_denied_costs_only_itself(action: str) -> None:
    """The others count; coverage says `denied` and why; what it would have said is unknown."""
    with Sandbox.create(users=60).running() as box:
        box.faults.add("access-denied", action=action)
        facts = scan(box)
        source = "GetCredentialReport" if "Report" in action else action
        line = coverage(facts)[source]
        assert (line.status, line.rows) == ("denied", 0)
        assert "AccessDenied" in line.detail
        assert action in line.detail
        others = {name: status for name, status in statuses(facts).items() if name != source}
        assert set(others.values()) == {"ok"}
        _check_unknown(facts, source)


def _check_unknown(facts: AccountFacts, source: str) -> None:
    users = [user for user in facts.principals if not user.is_root]
    if source == "GetCredentialReport":
        assert {(user.in_report, user.mfa_active, user.console_password) for user in users} == {(None,) * 3}
        assert {key.slot for key in facts.access_keys} == {None}
    elif source == "ListUsers":
        assert {(user.in_listing, user.user_id) for user in users} == {(None, None)}
    elif source == "ListAccessKeys":
        assert _keys(facts) == {None}
        assert {key.created_source for key in facts.access_keys} == {"report", None}
    else:
        assert {key.last_used_source for key in facts.access_keys} == {"report", None}
        unmatched = [key for key in facts.access_keys if key.slot is None]
        assert {key.ever_used for key in unmatched} == {None}


def test_all_denied() -> None:
    """The account's id comes from STS; everything is denied or skipped, and root's key is unknown."""
    with Sandbox.create(users=20).running() as box:
        facts = scan(box, credentials=box.new_credentials("nobody-at-all", "sts:*"))
        assert statuses(facts) == {
            "GetCredentialReport": "denied", "ListUsers": "denied", "ListAccessKeys": "skipped",
        }  # fmt: skip
        assert {line.account_id for line in facts.coverage} == {box.account_id}
        assert [user.is_root for user in facts.principals] == [True]
        assert [(key.status, key.created_at) for key in facts.access_keys] == [(None, None)]


def test_users_of_the_pages_before_a_failure_count() -> None:
    """Seen users are in_listing; of the others that is not known. None is lost that the report knows."""
    with Sandbox.create(users=40, cases=False).running() as box:
        box.faults.add("short-pages", action="ListUsers", size=10)
        box.faults.add("access-denied", action="ListUsers", after=1)
        facts = scan(box)
        line = coverage(facts)["ListUsers"]
        assert (line.status, line.rows) == ("partial", 10)
        listed = [user.in_listing for user in facts.principals if not user.is_root]
        assert (listed.count(True), listed.count(None)) == (10, 31)
        assert _keys(facts) == _true_keys(box)


def test_keys_that_are_denied_for_some_users() -> None:
    """Their keys come from the report, without ids; users it does not know get an unknown row."""
    with Sandbox.create(users=60).running() as box:
        box.faults.add("access-denied", action="ListAccessKeys", user="newer-*")
        box.faults.add("access-denied", action="ListAccessKeys", user="born-*")
        facts = scan(box)
        line = coverage(facts)["ListAccessKeys"]
        assert line.status == "partial"
        assert "not answered" in line.detail
        assert "AccessDenied" in line.detail
        born = [key for key in facts.access_keys if key.user_name == "born-1s"]
        assert [(k.access_key_id, k.slot, k.status, k.created_source) for k in born] == [
            (None, 1, "Active", "report")
        ]
        newer = [key for key in facts.access_keys if key.user_name == "newer-than-report"]
        assert [(k.access_key_id, k.slot, k.status, k.created_at) for k in newer] == [(None,) * 4]


def test_a_user_deleted_between_the_listings_has_no_keys() -> None:
    """NoSuchEntity is an answer: none. Coverage stays ok."""
    with Sandbox.create(users=60, report="none", report_seconds=0.4).running() as box:

        def delete() -> None:
            while not box.calls["ListUsers"]:
                time.sleep(0.01)
            time.sleep(0.1)
            box.account().remove_user(box.account().users["born-1s"])

        thread = threading.Thread(target=delete)
        thread.start()
        facts = scan(box)
        thread.join()
        assert box.errors["NoSuchEntity"] == 1
        assert statuses(facts)["ListAccessKeys"] == "ok"
        assert not [key for key in facts.access_keys if key.user_name == "born-1s"]
        assert _keys(facts) == _true_keys(box)


@pytest.mark.parametrize("depth", ["report", "keys"])
def test_wrong_credentials(depth: str) -> None:
    """From the start: one line, and STS is not needed to say it."""
    with Sandbox.create(users=5).running() as box:
        for wrong in (
            SandboxCredentials("AKIANOBODY", "secret"),
            SandboxCredentials(box.credentials.access_key_id, "wrong"),
            SandboxCredentials(box.credentials.access_key_id, "wrong", "token"),
        ):
            with pytest.raises(CredentialsError) as caught:
                scan(box, ReadOptions(depth="report" if depth == "report" else "keys"), wrong)
            assert "\n" not in str(caught.value)
        assert box.calls["GetCallerIdentity"] == 0


def test_wrong_credentials_where_sts_is_asked() -> None:
    """What failed first is told: IAM's denial says more than what STS says then."""
    with Sandbox.create(users=5).running() as box:
        box.faults.add("access-denied", action="*CredentialReport")
        box.faults.add("expired-token", action="ListUsers")
        box.faults.add("expired-token", action="GetCallerIdentity")
        with pytest.raises(Exception, match=r"AccessDenied|ExpiredToken") as caught:
            scan(box)
        assert "\n" not in str(caught.value)


def test_credentials_that_expire_in_the_middle() -> None:
    """The facts so far are kept, coverage says what failed, and the rest comes from the report."""
    with Sandbox.create(users=60).running() as box:
        box.faults.add("expired-token", action="ListAccessKeys", after=10)
        box.faults.add("expired-token", action="GetAccessKeyLastUsed")
        facts = scan(box)
        line = coverage(facts)["ListAccessKeys"]
        assert line.status == "partial"
        assert "ExpiredToken" in line.detail
        assert len({key.user_name for key in facts.access_keys if key.access_key_id}) <= 10
        assert len({key.user_name for key in facts.access_keys}) > 40


def test_as_few_calls_as_can_be() -> None:
    """Three for report and users, and one for each user with keys: no other."""
    with Sandbox.create(users=300, cases=False).running() as box:
        facts = scan(box)
        owners = [user for user in box.account().users.values() if user.keys]
        assert statuses(facts) == ALL_OK
        assert box.calls.total() == 3 + len(owners)
        assert sum(line.calls for line in facts.coverage) == box.calls.total()


def test_depth_report_is_two_calls() -> None:
    """With a cached report: generate, get, and nothing else, not even STS."""
    with Sandbox.create(users=60).running() as box:
        facts = scan(box, ReadOptions(depth="report"))
        assert box.calls == {"GenerateCredentialReport": 1, "GetCredentialReport": 1}
        assert statuses(facts) == {"GetCredentialReport": "ok"}
        assert {line.account_id for line in facts.coverage} == {box.account_id}
        assert _keys(facts) == {None}


def test_the_reports_age_is_that_of_the_scan() -> None:
    """It is told from the scan's own moment, however long the scan takes or whatever the clock says."""
    with Sandbox.create(users=5).running() as box:
        made = box.account().report
        assert made is not None
        for age, told in (
            (timedelta(hours=3), "3 h"),
            (timedelta(days=9), "9 d"),
            (-timedelta(hours=1), "0 s"),
        ):
            facts = scan(box, ReadOptions(depth="report"), as_of=made.generated_at + age)
            assert coverage(facts)["GetCredentialReport"].detail == f"made {told} ago"


@pytest.mark.parametrize("users", [10, 20, 25, 39, 200])
def test_where_all_are_refused_the_others_are_not_asked(users: int) -> None:
    """Twenty refusals and no answer are enough; the detail says how many were not asked for."""
    with Sandbox.create(users=users, cases=False, report="none").running() as box:
        box.faults.add("access-denied", action="*CredentialReport")
        box.faults.add("access-denied", action="ListAccessKeys")
        line = coverage(scan(box))["ListAccessKeys"]
        total = users + 1
        asked = min(total, 20)
        assert (line.status, line.calls) == ("denied", asked)
        assert f"{total} of {total} not answered" in line.detail
        assert (f"{total - asked} of them not asked for" in line.detail) == (total > asked)


@pytest.mark.parametrize("fault", ["service-failure"])
def test_troubles_that_pass_do_not_stop_the_asking(fault: Kind) -> None:
    """After twenty failures that may pass the others are still asked for."""
    with Sandbox.create(users=30, cases=False, report="none").running() as box:
        box.faults.add("access-denied", action="*CredentialReport")
        box.faults.add(fault, action="ListAccessKeys", times=5 * 20)
        line = coverage(scan(box))["ListAccessKeys"]
        assert line.status in {"ok", "partial"}
        assert "not asked for" not in line.detail
        assert line.calls >= 31 + 20 * 4


@pytest.mark.parametrize("fault", ["cut", "drop"])
def test_a_bad_line_costs_retries_only(fault: Kind) -> None:
    """Where a tenth of the answers is lost everything is read all the same."""
    with Sandbox.create(users=60).running() as box:
        box.faults.add(fault, share=0.1)
        facts = scan(box)
        assert set(statuses(facts).values()) == {"ok"}
        assert _keys(facts) <= _true_keys(box)


def test_one_that_is_allowed_among_many_refused() -> None:
    """Refusals for most users do not hide the others."""
    with Sandbox.create(users=300, cases=False).running() as box:
        box.faults.add("access-denied", action="ListAccessKeys", user="[!b]*")
        line = coverage(scan(box))["ListAccessKeys"]
        owners = [user for user in box.account().users.values() if user.keys]
        assert (line.status, line.calls) == ("partial", len(owners))
        assert "not asked for" not in line.detail


@pytest.mark.parametrize("how", ["cancel", "interrupt"])
def test_stopping_leaves_nothing(how: str) -> None:
    """Cancelled, or interrupted from the keyboard, in the middle: no task and no connection is left.

    (An open socket would be a ResourceWarning, which is an error in these tests.)
    """
    with Sandbox.create(users=60, latency_ms=30).running() as box, pytest.MonkeyPatch.context() as patch:
        for name, value in box.environment().items():
            patch.setenv(name, value)

        async def stopped() -> set[asyncio.Task[object]]:
            task = asyncio.create_task(collect_account(AwsSession(), ReadOptions(), now()))
            while box.calls["ListAccessKeys"] < 5:  # noqa: ASYNC110 - the sandbox runs in a thread
                await asyncio.sleep(0.005)
            if how == "interrupt":
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(5)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            return asyncio.all_tasks() - {asyncio.current_task()}

        if how == "cancel":
            assert not asyncio.run(stopped())
        else:
            with pytest.raises(KeyboardInterrupt):
                asyncio.run(stopped())
        deadline = time.monotonic() + 2
        while box._connections and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not box._connections
