"""The facts of a scan are the account's own truth, for any account."""

from datetime import datetime
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from account_helpers import ALL_OK, scan, statuses
from birthright.sandbox import Sandbox
from birthright.sandbox.account import Key, User
from birthright.sandbox.report_csv import Style
from birthright.scans.request import ReadOptions

Row = tuple[str, str | None, datetime | None, datetime | None, str | None]
Truth = dict[str, Row]


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    users=st.integers(0, 90),
    report=st.sampled_from(("cached", "none")),
    page=st.integers(3, 50),
    style=st.builds(Style, zulu=st.booleans(), extra_column=st.booleans(), root_booleans=st.booleans()),
)
def test_every_key_is_found_once_as_it_is(
    *, seed: int, users: int, report: Literal["cached", "none"], page: int, style: Style
) -> None:
    """Id, owner, status, and both creation times of each key there is, and of no other."""
    with Sandbox.create(users=users, seed=seed, report=report, report_style=style).running() as box:
        box.faults.add("short-pages", size=page)
        facts = scan(box)
        unseen = {one.access_key_id for one in box.expected if one.optional} if report == "cached" else set()
        found: Truth = {
            str(key.access_key_id): (
                key.user_name,
                key.user_arn,
                key.user_created_at,
                key.created_at,
                key.status,
            )
            for key in facts.access_keys
            if not key.is_root
        }
        assert found == {name: one for name, one in _truth(box).items() if name not in unseen}
        assert len(found) == sum(not key.is_root for key in facts.access_keys)
        assert statuses(facts).items() >= ALL_OK.items()


def _truth(box: Sandbox) -> Truth:
    users = box.account().users.values()
    return {key.access_key_id: _row(user, key) for user in users for key in user.keys.values()}


def _row(user: User, key: Key) -> Row:
    return user.name, user.arn, user.created_at, key.created_at, key.status


@pytest.mark.parametrize("seed", range(3))
def test_asking_for_all_users_finds_all_keys(seed: int) -> None:
    """With all_users also the first key of a user whom the report shows without."""
    with Sandbox.create(users=70, seed=seed).running() as box:
        facts = scan(box, ReadOptions(all_users=True))
        assert {key.access_key_id for key in facts.access_keys if not key.is_root} == _truth(box).keys()


@pytest.mark.parametrize("seed", range(3))
def test_last_use_is_never_older_than_the_reports(seed: int) -> None:
    """Each key's last use is the account's, or what the report could know; used keys are not unused."""
    with Sandbox.create(users=100, seed=seed).running() as box:
        facts = scan(box)
        report = box.account().report
        assert report is not None
        for row in facts.access_keys:
            key = box.account().credentials.get(row.access_key_id or "")
            if not isinstance(key, Key) or row.user_name == "birthright-scanner":
                continue
            used = key.last_used_at
            if used is None or used < report.generated_at or row.last_used_source == "lookup":
                assert (row.last_used_at, row.ever_used) == (used, used is not None)
