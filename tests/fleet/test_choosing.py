"""Which accounts are chosen, and that tags are asked of the undecided ones only."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birthright.errors import UsageError
from birthright.facts.model import Account, AccountFacts, Coverage
from birthright.fleet.choosing import AccountFilter, is_open, skipped

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
A = Account("111111111111", "team-a", "ACTIVE")
B = Account("222222222222", "Team-b", "ACTIVE")
C = Account("333333333333", "[prod] pay*", "ACTIVE")
D = Account("444444444444")
ALL = [A, B, C, D]
TAGS = {
    A.account_id: {"env": "prod", "owner": "x"},
    B.account_id: {"env": "dev"},
    C.account_id: {"env": "", "a=b": "c"},
    D.account_id: {},
}


def chosen(include: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[Account]:
    return AccountFilter(include, exclude).of(ALL, lambda ids: {i: TAGS[i] for i in ids})


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([], [], ALL),
        (["222222222222"], [], [B]),
        (["team-*"], [], [A]),
        (["?eam-*"], [], [A, B]),
        (["[prod] pay*"], [], [C]),
        (["[[]prod]*"], [], [C]),
        (["*"], [], [A, B, C]),
        (["nobody"], [], []),
        ([], ["team-*"], [B, C, D]),
        ([], ["444444444444", "?eam-*"], [C]),
        (["*", "444444444444"], ["team-a"], [B, C, D]),
        (["tag:env=prod"], [], [A]),
        (["tag:env"], [], [A, B, C]),
        (["tag:env="], [], [C]),
        (["tag:a=b=c"], [], [C]),
        (["tag:a=b"], [], [C]),
        (["tag:ENV=prod", "tag:env=pro*"], [], []),
        ([], ["tag:env=dev"], [A, C, D]),
        (["team-*", "tag:env=dev"], ["tag:owner=x"], [B]),
        (["111111111111"], ["111111111111"], []),
    ],
)
def test_choosing(include: list[str], exclude: list[str], expected: list[Account]) -> None:
    """Nothing included means all, excluding wins, names are globs or literal, tags exact; case counts."""
    assert chosen(include, exclude) == expected


ACCOUNTS = st.lists(
    st.builds(
        Account,
        st.sampled_from(["111111111111", "222222222222", "333333333333", "444444444444"]),
        st.sampled_from([None, "a", "ab", "tag:x", "b*"]),
    ),
    max_size=4,
    unique_by=lambda account: account.account_id,
)
PATTERNS = st.lists(
    st.sampled_from(["111111111111", "222222222222", "a", "a*", "b[*]", "tag:x", "tag:x=1", "tag:y=2"]),
    max_size=3,
)
TAGGED = st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"]))


@given(ACCOUNTS, PATTERNS, PATTERNS, st.data())
def test_asking_late_changes_nothing(
    accounts: list[Account], include: list[str], exclude: list[str], data: st.DataObject
) -> None:
    """The choice is that of all tags known; tags are asked once, only where they decide something."""
    tags = {account.account_id: data.draw(TAGGED) for account in accounts}
    asked: list[str] = []

    def ask(ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        assert not asked
        asked.extend(ids)
        return {i: tags[i] for i in ids}

    def by_tag(account: Account, patterns: list[str]) -> bool:
        own = tags[account.account_id].items()
        words = {word for key, value in own for word in (f"tag:{key}", f"tag:{key}={value}")}
        return not words.isdisjoint(patterns)

    def plainly(account: Account, patterns: list[str]) -> bool:
        names = [pattern for pattern in patterns if not pattern.startswith("tag:")]
        name = account.account_name
        return account.account_id in names or any(name and fnmatchcase(name, pattern) for pattern in names)

    def is_chosen(account: Account, *, included: bool, excluded: bool) -> bool:
        wanted = not include or included or plainly(account, include)
        return wanted and not excluded and not plainly(account, exclude)

    choice = AccountFilter(include, exclude)
    expected = [
        account
        for account in accounts
        if is_chosen(account, included=by_tag(account, include), excluded=by_tag(account, exclude))
    ]
    assert choice.of(accounts, ask) == expected
    # What the tags could say, for each option that has a pattern for them.
    says = [
        {False, any(pattern.startswith("tag:") for pattern in patterns)} for patterns in (include, exclude)
    ]
    for account in accounts:
        outcomes = {is_chosen(account, included=i, excluded=e) for i in says[0] for e in says[1]}
        assert (account.account_id in asked) == (len(outcomes) == 2)


def test_ids_that_nobody_has() -> None:
    """A mistyped id is wrong usage, once all accounts are known; names that match nothing are not."""
    ids = {account.account_id for account in ALL}
    AccountFilter(["111111111111", "nobody", "tag:no"], ["222222222222"]).check_ids(ids)
    assert AccountFilter(exclude=["222222222222"]).names_ids
    assert not AccountFilter(["nobody"], ["tag:no"]).names_ids
    with pytest.raises(UsageError) as caught:
        AccountFilter(["999999999999"]).check_ids(ids)
    assert str(caught.value) == "--include 999999999999: there is no such account in the organization"
    with pytest.raises(UsageError, match=r"--exclude 999999999999: .* in accounts.csv"):
        AccountFilter(exclude=["999999999999"]).check_ids(ids, "accounts.csv")


@pytest.mark.parametrize("pattern", ["", " ", "tag:", "tag: ", "1112223333", "1111222233334"])
def test_patterns_that_cannot_be_meant(pattern: str) -> None:
    """Empty patterns and ids that lost a digit are refused, not taken for names that match nothing."""
    for include, exclude in (([pattern], []), ([], [pattern])):
        with pytest.raises(UsageError):
            AccountFilter(include, exclude)


@pytest.mark.parametrize("state", ["PENDING_ACTIVATION", "SUSPENDED", "PENDING_CLOSURE", "CLOSED"])
def test_closed_accounts_are_skipped(state: str) -> None:
    """What is not active is not read; one line of coverage says so."""
    account = Account("111111111111", "one", state)
    assert not is_open(account)
    line = Coverage(
        "111111111111",
        "ListAccounts",
        "skipped",
        f"{state} in the organization",
        account_name="one",
        partition="aws-cn",
        as_of=NOW,
    )
    assert skipped(account, "aws-cn", NOW) == AccountFacts((), (), (line,))


@pytest.mark.parametrize("state", ["ACTIVE", None, "A_NEW_WORD"])
def test_open_accounts_are_read(state: str | None) -> None:
    """Active accounts are read, and those of which nobody knows better."""
    assert is_open(Account("111111111111", "one", state))
