"""Files of different ages contradict each other: what only one of them says is not taken for true."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from birthright.errors import UsageError
from birthright.facts.model import AccountFacts
from birthright.scans.request import ReportFiles
from birthright.sources.files import collect_files

BORN = datetime(2026, 11, 1, 10, tzinfo=UTC)
PRESENT = datetime(2026, 11, 22, tzinfo=UTC)
ROOT = "<root_account>,arn:aws:iam::111122223333:root,2014-03-01T10:00:00Z,true,false,N/A,N/A,false,N/A,N/A,"
HEAD = (
    "user,arn,user_creation_time,mfa_active,access_key_1_active,access_key_1_last_rotated,"
    "access_key_1_last_used_date,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,"
    "additional_credentials_info"
)


def row(key_2: str = "false,N/A,N/A", more: str = "") -> str:
    """Write alice's row: made at 10:00:00, her first key, active, a second later."""
    arn = "arn:aws:iam::111122223333:user/alice"
    made = "2026-11-01T10:00:0"
    return f"alice,{arn},{made}0Z,false,true,{made}1Z,N/A,{key_2},{more}"


def report(*rows: str) -> str:
    return "\n".join([HEAD, ROOT, *rows])


def listed(key_id: str, made: str = "2026-11-01T10:00:01Z", status: str = "Active") -> dict[str, str]:
    return {"UserName": "alice", "AccessKeyId": key_id, "Status": status, "CreateDate": made}


def person(name: str, made: str) -> dict[str, str]:
    arn = f"arn:aws:iam::111122223333:user/{name}"
    return {"Path": "/", "UserName": name, "UserId": "AIDA1", "Arn": arn, "CreateDate": made}


def collect(
    folder: Path, text: str, keys: Sequence[object] = (), users: object = None
) -> tuple[AccountFacts, dict[str, str]]:
    """Read the files; return the facts, and the status of each source."""
    (folder / "report").write_text(text)
    paths = [folder / f"keys{number}.json" for number in range(len(keys))]
    for path, content in zip(paths, keys, strict=True):
        path.write_text(json.dumps(content))
    (folder / "users.json").write_text(json.dumps(users))
    files = ReportFiles(folder / "report", tuple(paths), folder / "users.json" if users else None)
    facts = collect_files(files, PRESENT).facts
    return facts, {line.source: line.status for line in facts.coverage}


def alice(facts: AccountFacts) -> list[tuple[str | None, str | None, datetime | None]]:
    keys = (key for key in facts.access_keys if key.user_name == "alice")
    return [(key.access_key_id, key.status, key.created_at) for key in keys]


SECOND_LATER = BORN + timedelta(seconds=1)
BLANK = (None, None, None)


def times(
    folder: Path, text: str, made: str | None = None, keys: object = None, stated: datetime | None = None
) -> tuple[datetime, datetime | None, str]:
    """Read a report; return the scan's instant, the earliest it may be, and what coverage says of it."""
    if made:
        text = json.dumps({"Content": text, "GeneratedTime": made})
    (folder / "report").write_text(text)
    (folder / "keys.json").write_text(json.dumps(keys))
    listings = (folder / "keys.json",) if keys else ()
    request = ReportFiles(folder / "report", listings, report_time=stated)
    facts, as_of, earliest = collect_files(request, PRESENT)
    return as_of, earliest, facts.coverage[0].detail


def day(month: int, number: int) -> datetime:
    return datetime(2026, month, number, tzinfo=UTC)


def test_a_report_with_a_time_speaks_of_it(tmp_path: Path) -> None:
    """A report from the summer says nothing about the autumn, unless a listing does."""
    text = report().replace("2014-03-01", "2014-03-02")
    assert times(tmp_path, text, "2026-07-01T00:00:00Z")[:2] == (day(7, 1), None)
    newer = {"AccessKeyMetadata": [listed("AKIA1", "2026-09-01T00:00:00Z")]}
    assert times(tmp_path, text, "2026-07-01T00:00:00Z", newer)[:2] == (day(9, 1), None)
    future = {"AccessKeyMetadata": [listed("AKIA1", "2031-09-01T00:00:00Z")]}
    assert times(tmp_path, text, "2026-07-01T00:00:00Z", future)[:2] == (day(7, 1), None)


def test_a_report_without_a_time_is_of_any_since_its_newest(tmp_path: Path) -> None:
    """It was made at or after the newest time in it, whatever the listings hold, and before now."""
    assert times(tmp_path, report(row()))[:2] == (PRESENT, SECOND_LATER)
    later = report(row().replace("1Z,N/A", "1Z,2026-11-05T00:00:00Z", 1))
    assert times(tmp_path, later)[:2] == (PRESENT, day(11, 5))
    newer = {"AccessKeyMetadata": [listed("AKIA1", "2026-11-20T00:00:00Z")]}
    as_of, earliest, detail = times(tmp_path, report(row()), keys=newer)
    assert (as_of, earliest) == (PRESENT, SECOND_LATER)
    assert "made between 2026-11-01T10:00:01Z and this scan" in detail


def test_a_stated_time_is_the_reports(tmp_path: Path) -> None:
    """--report-time stands for the time that a CSV lacks."""
    as_of, earliest, detail = times(tmp_path, report(row()), stated=day(11, 3))
    assert (as_of, earliest) == (day(11, 3), None)
    assert detail.startswith("from file report; made 2026-11-03T00:00:00Z; the column")


@pytest.mark.parametrize(
    ("made", "stated", "says"),
    [
        (None, BORN, "the files have a later time, 2026-11-01T10:00:01Z"),
        (None, PRESENT + timedelta(seconds=1), "is in the future"),
        ("2026-11-02T00:00:00Z", PRESENT, "says itself when it was made, 2026-11-02T00:00:00Z"),
    ],
)
def test_a_stated_time_that_cannot_be_is_refused(
    made: str | None, stated: datetime, says: str, tmp_path: Path
) -> None:
    """The files, their own time and the clock say more than a person does."""
    with pytest.raises(UsageError, match=rf"--report-time {stated:%Y-%m-%d}.*{says}"):
        times(tmp_path, report(row()), made, stated=stated)


def test_one_future_time_does_not_move_the_instant(tmp_path: Path) -> None:
    """A time that cannot be bounds nothing, whether the report's own is known or not; coverage shows it."""
    text = report(row("true,2026-11-01T10:00:02Z,2031-01-01T00:00:00Z"))
    as_of, earliest, detail = times(tmp_path, text)
    assert (as_of, earliest) == (PRESENT, BORN + timedelta(seconds=2))
    assert "times in it are later than it can be, like 2031-01-01T00:00:00Z" in detail
    assert times(tmp_path, text, "2026-11-10T00:00:00Z")[:2] == (day(11, 10), None)
    # Also what is past by now was in the future when the report was made.
    as_of, earliest, detail = times(
        tmp_path, text.replace("2031-01-01", "2026-11-15"), "2026-11-10T00:00:00Z"
    )
    assert (as_of, earliest) == (day(11, 10), None)
    assert "like 2026-11-15" in detail


def test_a_report_from_the_future_is_not_whole(tmp_path: Path) -> None:
    """Its time is wrong, or the clock is; clocks may differ by five minutes."""
    as_of, _, detail = times(tmp_path, report(row()), "2026-12-24T00:00:00Z")
    assert as_of == PRESENT
    assert "made 2026-12-24T00:00:00Z; that is in the future" in detail
    assert "the future" not in times(tmp_path, report(row()), "2026-11-22T00:05:00Z")[2]
    assert "the future" in times(tmp_path, report(row()), "2026-11-22T00:05:01Z")[2]


def test_listings_without_a_report_are_of_any_time_since_their_newest(tmp_path: Path) -> None:
    """They do not say either when they were made."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"AccessKeyMetadata": [listed("AKIA1")]}))
    request = ReportFiles(access_keys=(path,), account_id="111122223333")
    assert collect_files(request, PRESENT)[1:] == (PRESENT, SECOND_LATER)
    timed = ReportFiles(access_keys=(path,), account_id="111122223333", report_time=day(11, 3))
    assert collect_files(timed, PRESENT)[1:] == (day(11, 3), None)
    with pytest.raises(UsageError, match="later time"):
        collect_files(ReportFiles(access_keys=(path,), account_id="111122223333", report_time=BORN), PRESENT)


def test_an_older_listing_of_a_name_used_again_is_not_believed(tmp_path: Path) -> None:
    """The younger user is the one that is there, whichever file tells of it."""
    old = {"Users": [person("alice", "2020-01-01T00:00:00Z")]}
    facts, status = collect(tmp_path, report(row()), [{"AccessKeyMetadata": [listed("AKIA1")]}], old)
    (key,) = (key for key in facts.access_keys if key.user_name == "alice")
    assert (key.user_created_at, key.created_at) == (BORN, SECOND_LATER)
    assert status["ListUsers"] == "partial"


def test_a_name_listed_twice_is_the_younger_user(tmp_path: Path) -> None:
    """Two outputs appended in the wrong order do not make a user older."""
    both = [
        {"Users": [person("alice", "2026-11-01T10:00:00Z")]},
        {"Users": [person("alice", "2020-01-01T00:00:00Z")]},
    ]
    facts, _ = collect(tmp_path, report(row()), users=both)
    assert {p.created_at for p in facts.principals if p.user_name == "alice"} == {BORN}


@pytest.mark.parametrize("said", ["Inactive", "Expired"])
def test_a_status_that_the_report_contradicts_is_not_known(said: str, tmp_path: Path) -> None:
    """Which of the two is newer nobody knows: the key may have been enabled again."""
    keys = [{"AccessKeyMetadata": [listed("AKIA1", status=said)]}]
    facts, status = collect(tmp_path, report(row()), keys)
    assert alice(facts) == [("AKIA1", None, SECOND_LATER)]
    assert status["ListAccessKeys"] == "partial"


def test_listings_that_disagree_about_a_key_leave_it_open(tmp_path: Path) -> None:
    """The order of files says nothing about their age."""
    pages = [
        {"AccessKeyMetadata": [listed("AKIA1")]},
        {"AccessKeyMetadata": [listed("AKIA1", "2019-01-01T00:00:00Z", "Inactive")]},
    ]
    facts, _ = collect(tmp_path, report(row()), pages)
    assert ("AKIA1", None, None) in alice(facts)


@pytest.mark.parametrize(
    "rows",
    [
        row(),
        row("true,2026-11-05T00:00:00Z,N/A").replace("true,2026-11-01T10:00:01Z", "false,N/A"),
        row("true,rubbish,N/A").replace("true,2026-11-01T10:00:01Z", "false,N/A"),
    ],
    ids=["slot 1", "slot 2", "unreadable"],
)
def test_a_key_of_the_report_that_is_not_listed_is_not_gone(rows: str, tmp_path: Path) -> None:
    """A file may be older than the key: the user's keys are then not known to be all."""
    keys = [{"AccessKeyMetadata": [listed("AKIAOLD", "2019-01-01T00:00:00Z")]}]
    facts, status = collect(tmp_path, report(rows), keys)
    assert BLANK in alice(facts)
    assert status["ListAccessKeys"] == "partial"


USED_ONLY = row("false,N/A,2026-11-10T00:00:00Z")


def test_a_last_use_without_a_date_is_an_inactive_key(tmp_path: Path) -> None:
    """The report dates only active keys, as AWS documents it: the other is of unknown age, root's too."""
    text = report(USED_ONLY).replace("false,N/A,N/A", "false,N/A,2026-10-01T00:00:00Z", 1)
    facts, _ = collect(tmp_path, text)
    assert (None, "Inactive", None) in alice(facts)
    (key,) = (key for key in facts.access_keys if key.is_root)
    assert (key.slot, key.status, key.created_at) == (1, "Inactive", None)
    assert (key.ever_used, key.last_used_at) == (True, datetime(2026, 10, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("others", "more"),
    [
        ([], True),
        ([listed("AKIA2", "2025-01-01T00:00:00Z", "Inactive")], False),
        ([listed("AKIA2", "2025-01-01T00:00:00Z")], True),
    ],
    ids=["not listed", "listed", "listed as active"],
)
def test_a_key_without_a_date_may_be_one_that_is_listed(
    others: list[object], *, more: bool, tmp_path: Path
) -> None:
    """The listing has its date: where it lists such a key, the user need not have another one."""
    facts, _ = collect(tmp_path, report(USED_ONLY), [{"AccessKeyMetadata": [listed("AKIA1"), *others]}])
    assert (BLANK in alice(facts)) is more


def test_more_credentials_than_slots_are_looked_for_in_the_listing(tmp_path: Path) -> None:
    """Where the report tells of more than two keys, one listed key is not all."""
    keys = [{"AccessKeyMetadata": [listed("AKIA1")]}]
    assert BLANK in alice(collect(tmp_path, report(row(more="1")), keys)[0])
    assert BLANK not in alice(collect(tmp_path, report(row()), keys)[0])


def test_users_picked_out_of_a_listing_prove_nobody_gone(tmp_path: Path) -> None:
    """A bare list of users, as a filter leaves it, does not say who else there is."""
    bob = person("bob", "2026-11-15T00:00:00Z")
    facts, status = collect(tmp_path, report(row()), users=[bob])
    assert alice(facts) == [(None, "Active", SECOND_LATER)]
    assert status["ListUsers"] == "partial"
    whole, _ = collect(tmp_path, report(row()), users={"Users": [bob]})
    assert alice(whole) == []
