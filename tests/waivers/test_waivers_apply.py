"""Which failures waivers cover, what is counted then, and how each waiver stands."""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.findings.model import (
    AccountSummary,
    CoverageSummary,
    Document,
    DocumentScan,
    Evidence,
    Finding,
    OuSummary,
    PolicySummary,
    Summary,
    WaiverState,
)
from birthright.policies.pack import load_pack
from birthright.waivers.apply import misfits, waive
from birthright.waivers.file import WaiverEntry

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
TODAY = NOW.date()
BORN, MFA, UNUSED = "access-key-created-with-user", "console-user-without-mfa", "access-key-unused"
ONE, TWO = "111122223333", "444455556666"
KEY, ROTATED = "AKIAEXAMPLE000000001", "AKIAEXAMPLE000000002"


def finding(**values: Any) -> Finding:  # noqa: ANN401 - any field of Finding
    """Make a failure of a key, or, with `access_key_id=None` and a policy about people, of a person."""
    about_key = values.get("policy", BORN) != MFA
    usual: dict[str, Any] = {
        "fingerprint": "0" * 32,
        "policy": BORN,
        "verdict": "fail",
        "risk": "low",
        "account_id": ONE,
        "user_name": "ann",
        "user_arn": None,
        "access_key_id": KEY if about_key else None,
        "status": "Active" if about_key else None,
        "created_at": NOW if about_key else None,
        "user_created_at": NOW,
        "gap_seconds": 0,
        "ever_used": False if about_key else None,
        "last_used_at": None,
        "console_password": False,
        "remedy": "retire",
        "reason": "why",
        "evidence": (),
    }
    return Finding(**{**usual, **values})


def waiving(**values: Any) -> WaiverEntry:  # noqa: ANN401 - any field of Waiving
    """Make a waiver of that key that lasts two months."""
    usual: dict[str, Any] = {
        "policy": BORN,
        "account": ONE,
        "user": "ann",
        "access_key_id": KEY,
        "reason": "accepted",
        "owner": "ops",
        "created": TODAY - timedelta(days=1),
        "expires": TODAY + timedelta(days=60),
    }
    return WaiverEntry(**{**usual, **values})


def coverage(account: str, status: str = "ok", source: str = "ListAccessKeys") -> CoverageSummary:
    """Say whether an account answered."""
    return CoverageSummary(account, source, status, "", 1, 1, 0, 0.0, NOW)  # type: ignore[arg-type]


def document(
    findings: Collection[Finding], asked: Iterable[CoverageSummary] | None = None, *, listed: bool = True
) -> Document:
    """Make a document whose counts are those of its findings; account ONE is in a unit, TWO in another."""

    def count(verdict: str, **of: str) -> int:
        return sum(f.verdict == verdict and all(getattr(f, k) == v for k, v in of.items()) for f in findings)

    def counts(**of: str) -> tuple[int, int, int]:
        return count("fail", **of), count("unknown", **of), count("pass", **of)

    units = {ONE: "/One", TWO: "/Two"}
    return Document(
        "birthright.findings/1",
        DocumentScan("20261122T100000Z-000000", NOW, "0", "keys", listed=listed),
        Summary(2, 1, 1, *counts()),
        tuple(asked if asked is not None else map(coverage, units)),
        tuple(PolicySummary(i, i, "low", "low", {}, *counts(policy=i)) for i in (BORN, MFA)),
        findings,
        tuple(AccountSummary(i, 1, 1, 1, None, unit, *counts(account_id=i)) for i, unit in units.items()),
        tuple(OuSummary(unit, 1, 1, 1, *counts(account_id=i)[:2], 0) for i, unit in units.items()),
    )


def state(
    found: Collection[Finding], one: WaiverEntry, today: date = TODAY, **how: Any  # noqa: ANN401 - as of document
) -> tuple[WaiverState, int]:  # fmt: skip
    """Return how one waiver stands."""
    (line,) = waive(document(found, **how), (one,), today).waivers
    return line.state, line.findings


def test_a_covered_failure_is_marked_and_counted_apart() -> None:
    """It stays a failure, with its waiver, and moves from fail to waived in every count."""
    found = (finding(), finding(account_id=TWO), finding(policy=MFA))
    done = waive(document(found), (waiving(ticket="T-1"),), TODAY)
    first, *rest = done.findings
    assert first.verdict == "fail"
    assert first.waiver
    assert (first.waiver.reason, first.waiver.owner, first.waiver.ticket) == ("accepted", "ops", "T-1")
    assert [one.waiver for one in rest] == [None, None]
    assert (done.summary.fail, done.summary.waived) == (2, 1)
    assert {line.id: (line.fail, line.waived) for line in done.policies} == {BORN: (1, 1), MFA: (1, 0)}
    assert {line.account_id: (line.fail, line.waived) for line in done.accounts} == {ONE: (1, 1), TWO: (1, 0)}
    assert {line.ou_path: (line.fail, line.waived) for line in done.ous} == {"/One": (1, 1), "/Two": (1, 0)}


def test_without_waivers_nothing_changes() -> None:
    """A document that nobody waived anything of is the same one."""
    plain = document((finding(),))
    assert waive(plain, (), TODAY) is plain


def test_waiving_again_replaces_what_was_there() -> None:
    """A document from a file may carry waivers: the counts come out as if it had none."""
    plain = document((finding(), finding(account_id=TWO)))
    once = waive(plain, (waiving(),), TODAY)
    assert waive(once, (waiving(),), TODAY) == once
    assert waive(once, (), TODAY) == plain
    other = waiving(account=TWO, reason="other")
    assert waive(once, (other,), TODAY) == waive(plain, (other,), TODAY)
    assert waive(once, (waiving(expires=TODAY - timedelta(days=1)),), TODAY).summary == plain.summary


@pytest.mark.parametrize(
    "other",
    [
        finding(access_key_id=ROTATED),
        finding(account_id=TWO),
        finding(user_name="Ann"),
        finding(user_name="annie"),
        finding(policy=MFA),
        finding(verdict="pass"),
        finding(verdict="unknown"),
        finding(access_key_id=None),
        finding(user_name=None),
    ],
)
def test_what_a_waiver_does_not_cover(other: Finding) -> None:
    """Another key, account, user or policy, another verdict, a key without an id: none is waived."""
    done = waive(document((other,)), (waiving(),), TODAY)
    assert tuple(done.findings) == (other,)
    assert done.summary.waived == 0


def test_it_holds_through_its_last_day() -> None:
    """On the day it expires it holds; the day after it does not, and says so."""
    last = waiving().expires
    assert state((finding(),), waiving(), last) == ("expiring", 1)
    assert state((finding(),), waiving(), last + timedelta(days=1)) == ("expired", 0)
    assert state((finding(),), waiving(), last - timedelta(days=30)) == ("expiring", 1)
    assert state((finding(),), waiving(), last - timedelta(days=31)) == ("active", 1)


@pytest.mark.parametrize(
    ("account", "user", "covers"),
    [
        ("1111*", "a?n", True),
        (ONE, "*", True),
        ("*", "ann", True),
        ("1111*", "A*", False),
        ("4*", "ann", False),
        (ONE, "[a]nn", False),
    ],
)
def test_patterns(account: str, user: str, *, covers: bool) -> None:
    """Only * and ? are special, and case counts."""
    done = waive(document((finding(),)), (waiving(account=account, user=user),), TODAY)
    assert done.summary.waived == covers


def test_brackets_are_letters() -> None:
    """A name with brackets is met by itself, also where a pattern is around it."""
    odd = finding(user_name="[a]nn")
    for user in ("[a]nn", "[a]*"):
        assert state((odd,), waiving(user=user)) == ("active", 1)


def test_a_person_is_covered_by_an_entry_without_a_key() -> None:
    """And only by one."""
    person = finding(policy=MFA)
    assert state((person,), waiving(policy=MFA, access_key_id=None)) == ("active", 1)
    assert state((person,), waiving(policy=MFA)) == ("unread", 0)


@pytest.mark.parametrize(
    "nameless",
    [
        finding(access_key_id=None),
        finding(access_key_id=None, created_at=None, status=None, ever_used=None,
                evidence=(Evidence("slot", 1, "GetCredentialReport"),)),
    ],
)  # fmt: skip
def test_a_key_whose_id_was_not_read(nameless: Finding) -> None:
    """Nothing covers it, and of the waiver of a key nobody knows."""
    assert state((nameless,), waiving()) == ("unread", 0)
    assert state((nameless,), waiving(access_key_id=None)) == ("unmatched", 0)


def test_what_covers_nothing_any_more() -> None:
    """The account was read, the policy judged, and there is no such failure."""
    assert state((), waiving()) == ("unmatched", 0)
    assert state((finding(access_key_id=ROTATED),), waiving()) == ("unmatched", 0)
    assert state((finding(verdict="pass"),), waiving()) == ("unmatched", 0)


@pytest.mark.parametrize(
    ("found", "one", "asked", "listed"),
    [
        ([], waiving(policy=UNUSED), None, True),
        ([], waiving(account="777788889999"), None, True),
        ([], waiving(account="7*"), None, True),
        ([], waiving(), [coverage(ONE, "denied")], True),
        ([], waiving(account="*"), [coverage(ONE), coverage(TWO, "failed")], True),
        ([], waiving(account="1*"), [coverage(ONE), coverage("unknown", "failed")], True),
        ([], waiving(account="1*"), [coverage(ONE)], False),
        ([], waiving(), [coverage(ONE, source="GetCredentialReport")], True),
        ([], waiving(account="*"), [coverage(ONE), coverage(TWO, source="GetCredentialReport")], True),
        ([finding(verdict="unknown")], waiving(), None, True),
        ([finding(verdict="unknown", access_key_id=None)], waiving(), None, True),
        ([finding(verdict="unknown", access_key_id=None, user_name=None)], waiving(), None, True),
        ([finding(verdict="unknown", policy=MFA)], waiving(policy=MFA, access_key_id=None), None, True),
    ],
)
def test_what_was_not_read(
    found: list[Finding], one: WaiverEntry, asked: list[CoverageSummary] | None, *, listed: bool
) -> None:
    """Nobody knows whether such a waiver still covers something: it is never called unmatched."""
    assert state(found, one, asked=asked, listed=listed) == ("unread", 0)


def test_a_report_is_enough_for_what_is_not_about_a_key() -> None:
    """Its users are all there: an entry without a key id that covers nothing is unmatched."""
    asked = [coverage(ONE, source="GetCredentialReport")]
    assert state([], waiving(policy=MFA, access_key_id=None), asked=asked) == ("unmatched", 0)


@pytest.mark.parametrize(
    "other", [{"user_name": "bob"}, {"account_id": TWO}, {"access_key_id": ROTATED}, {"policy": MFA}]
)
def test_an_unknown_about_something_else(other: dict[str, str]) -> None:
    """It says nothing of this waiver."""
    assert state((finding(verdict="unknown", **other),), waiving()) == ("unmatched", 0)


def test_of_several_the_one_that_lasts_longest_is_shown() -> None:
    """Each counts what it covers, so that none is called unmatched; the failure is counted once."""
    long = waiving(user="a*", expires=TODAY + timedelta(days=90), reason="long")
    for order in ((waiving(), long), (long, waiving())):
        done = waive(document((finding(),)), order, TODAY)
        assert [line.findings for line in done.waivers] == [1, 1]
        assert (done.summary.fail, done.summary.waived) == (0, 1)
        (only,) = done.findings
        assert only.waiver
        assert only.waiver.reason == "long"


class _Stream(Collection[Finding]):
    """Findings that are made anew each time, and counts how often."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.passes = 0

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[Finding]:
        self.passes += 1
        for number in range(self.number):
            yield finding(user_name=f"u{number}")

    def __contains__(self, one: object) -> bool:
        return any(one == other for other in self)


def test_a_stream_stays_a_stream() -> None:
    """The findings are gone through once to count, then as often as they are asked for; never held."""
    stream = _Stream(50)
    plain = document(stream)
    stream.passes = 0
    done = waive(plain, (waiving(user="u1?"),), TODAY)
    assert stream.passes == 1
    assert not isinstance(done.findings, tuple)
    assert len(done.findings) == 50
    for _ in range(2):
        assert sum(one.waiver is not None for one in done.findings) == 10 == done.summary.waived
    assert next(iter(done.findings)) in done.findings


def test_no_pass_where_nothing_can_be_covered() -> None:
    """Expired ones, and those of other accounts, cost nothing."""
    stream = _Stream(5)
    plain = document(stream)
    stream.passes = 0
    done = waive(plain, (waiving(expires=TODAY - timedelta(days=1)), waiving(account="77*")), TODAY)
    assert stream.passes == 0
    assert [line.state for line in done.waivers] == ["expired", "unread"]


def test_entries_that_cannot_fit_their_policy() -> None:
    """A policy about keys needs a key id, another must not have one; unknown policies are not judged here."""
    pages = {page.id: page for page in load_pack()}
    right = [waiving(), waiving(policy=MFA, access_key_id=None), waiving(policy="own")]
    assert misfits(right, pages) == ()
    first, second = misfits([waiving(access_key_id=None), *right, waiving(policy=MFA)], pages)
    assert "waiver 1 covers nothing" in first
    assert "needs an access_key_id" in first
    assert "waiver 5 covers nothing" in second


names = st.sampled_from(["a", "ab", "a[b]", "B", "<root_account>", "x.y@z"])
accounts = st.sampled_from([ONE, TWO, "111122224444"])
keys = st.sampled_from([None, KEY, ROTATED])
some_findings = st.builds(
    finding,
    policy=st.sampled_from([BORN, MFA]),
    verdict=st.sampled_from(["fail", "fail", "unknown", "pass"]),
    account_id=accounts,
    user_name=st.none() | names,
    access_key_id=keys,
)
some_waivers = st.builds(
    waiving,
    policy=st.sampled_from([BORN, MFA]),
    account=accounts | st.sampled_from(["1111*", "*", "11112222????"]),
    user=names | st.sampled_from(["*", "a*", "?", "*[b]", "a?b]"]),
    access_key_id=keys,
    expires=st.integers(-3, 9).map(lambda days: TODAY + timedelta(days=days)),
)


def _is_covered(one: Finding, by: WaiverEntry) -> bool:
    """Say it plainly."""
    if one.verdict != "fail" or by.expires < TODAY or one.policy != by.policy:
        return False
    if not fnmatchcase(one.account_id, by.account):
        return False
    if not fnmatchcase(one.user_name or "", by.user.replace("[", "[[]")):
        return False
    is_of_key = one.access_key_id is not None or one.status is not None
    return one.access_key_id == by.access_key_id if by.access_key_id else not is_of_key


@given(
    st.lists(some_findings, max_size=12),
    st.lists(some_waivers, max_size=6, unique_by=lambda one: one.subject),
)
@settings(max_examples=100)
def test_matching_agrees_with_a_plain_oracle(found: list[Finding], waivers: list[WaiverEntry]) -> None:
    """Which failures are covered, how many by each, and the counts; afresh and over what was there before."""
    asked = [coverage(ONE), coverage(TWO), coverage("111122224444")]
    plain = document(tuple(found), asked)
    done = waive(plain, tuple(waivers), TODAY)
    covered = [any(_is_covered(one, by) for by in waivers) for one in found]
    assert [one.waiver is not None for one in done.findings] == covered
    assert [msgspec.structs.replace(one, waiver=None) for one in done.findings] == found
    assert done.summary.waived == sum(covered)
    assert done.summary.fail + done.summary.waived == plain.summary.fail
    for line, by in zip(done.waivers, waivers, strict=True):
        assert line.findings == sum(_is_covered(one, by) for one in found)
        assert (line.state == "expired") is (by.expires < TODAY)
        assert (line.state in {"active", "expiring"}) is bool(line.findings)
    for account in done.accounts:
        own = [flag for one, flag in zip(found, covered, strict=True) if one.account_id == account.account_id]
        assert account.waived == sum(own)
    assert waive(done, tuple(waivers), TODAY) == done
    assert waive(done, (), TODAY) == plain
