"""Who lives in the sandbox."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from birthright.errors import UsageError
from birthright.sandbox import Sandbox
from birthright.sandbox.account import SandboxAccount, User
from birthright.sandbox.cases import CASES

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


def box(**options: int | bool | str) -> Sandbox:
    return Sandbox.create(clock=START, frozen=True, **options)  # type: ignore[arg-type]


def everyone(account: SandboxAccount) -> list[User]:
    return [account.root, *account.users.values()]


def test_the_same_seed_makes_the_same_account() -> None:
    """Users, ids, secrets, dates and the report depend on the options and nothing else."""
    one, two = box(users=200, seed=5).account(), box(users=200, seed=5).account()
    assert everyone(one) == everyone(two)
    assert one.report == two.report
    other = box(users=200, seed=6).account()
    assert everyone(one) != everyone(other)


def test_every_case_is_there() -> None:
    """All named users come first; their names are IAM's, and told once."""
    names = [case.name for case in CASES]
    assert len(set(map(str.casefold, names))) == len(names)
    assert all(re.fullmatch(r"[\w+=,.@-]{1,64}", name, re.ASCII) for name in names)
    account = box(users=len(CASES)).account()
    gone = {case.name for case in CASES if case.since == "deleted"}
    assert account.users.keys() == set(names) - gone | {"birthright-scanner"}


def test_few_users_are_the_first_cases() -> None:
    """`users` counts those besides the scanner, named ones first."""
    assert box(users=2).account().users.keys() == {
        "birthright-scanner",
        "ci-deploy-born-with-key",
        "console-with-born-key-never-used",
    }
    assert len(box(users=300, cases=False).account().users) == 301


def plain_verdict(user: User, access_key_id: str) -> str:
    """Apply the truth table in plain Python to the state the listings show."""
    key = user.keys[access_key_id]
    gap = key.created_at - user.created_at
    if key.status != "Active":
        return "pass"
    if gap < timedelta(0):
        return "unknown"
    return "fail" if gap < timedelta(seconds=7) else "pass"


def test_the_expectations_follow_the_truth_table() -> None:
    """What is written down by hand for each key is what its dates and status say."""
    running = box(users=len(CASES))
    account = running.account()
    users = {user.name: user for user in everyone(account)}
    for expected in running.expected:
        if expected.verdict == "absent":
            assert expected.access_key_id not in account.credentials
        else:
            user = users[expected.user_name]
            assert plain_verdict(user, expected.access_key_id) == expected.verdict, user.name
    assert {one.verdict for one in running.expected} == {"fail", "pass", "unknown", "absent"}


def test_expectations_tell_what_the_report_hides() -> None:
    """The true last use, and the one key nobody sees who trusts "no keys" in a stale report."""
    running = box(users=len(CASES))
    of = {one.user_name: one for one in running.expected}
    used_at = of["used-minutes-ago"].used_at
    assert used_at is not None
    assert timedelta(0) < START - used_at < timedelta(minutes=30)
    assert [one.user_name for one in running.expected if one.optional] == ["key-created-since-report"]


def test_an_account_id_has_twelve_digits() -> None:
    """Anything else is refused."""
    with pytest.raises(UsageError):
        Sandbox.create(account_id="1234")


def test_history_makes_sense() -> None:
    """Nothing is used before it exists or after the start; the crowd did nothing since the report."""
    account = box(users=2000).account()
    for user in everyone(account):
        assert user.created_at <= START
        for key in user.keys.values():
            assert key.created_at <= START
            assert key.last_used_at is None or key.created_at <= key.last_used_at <= START, user.name


def test_the_crowd_is_realistic() -> None:
    """About 70% of ordinary users hold a key, and about 8% one born with them."""
    account = box(users=5000, cases=False).account()
    users = account.users.values()
    with_key = sum(bool(user.keys) for user in users)
    born = sum(any(plain_verdict(user, name) == "fail" for name in user.keys) for user in users)
    assert 0.65 < with_key / 5000 < 0.75
    assert 0.05 < born / 5000 < 0.10


def test_without_a_report() -> None:
    """The account can start with no report at all."""
    assert box(users=3, report="none").account().report is None
    assert box(users=3).account().report is not None
