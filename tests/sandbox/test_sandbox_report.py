"""The credential report's life and its columns."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.client import BaseClient

from birthright.sandbox import Sandbox
from birthright.sandbox.report_csv import Style

Make = Callable[..., Any]
Refused = Callable[..., tuple[str, int]]

# A live account's header of 2026-09, as recorded in the project's AWS facts.
LIVE_HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,"
    "password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,"
    "access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,"
    "access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,"
    "cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)
START = datetime(2026, 11, 22, 12, tzinfo=UTC)


def text(iam: BaseClient) -> str:
    return str(iam.get_credential_report()["Content"].decode())


def rows(iam: BaseClient) -> dict[str, dict[str, str]]:
    return {row["user"]: row for row in csv.DictReader(text(iam).split("\n"))}


def fresh(iam: BaseClient) -> dict[str, dict[str, str]]:
    iam.generate_credential_report()
    return rows(iam)


def test_the_life_of_a_report(client: Make, refused: Refused) -> None:
    """Not present, started, in progress, complete, kept for four hours, expired, started again."""
    start = Sandbox.create(users=1, report="none", report_seconds=5, clock=START, frozen=True)
    with start.running() as box:
        iam = client(box)
        generate = iam.generate_credential_report
        assert refused(iam.get_credential_report) == ("ReportNotPresent", 410)
        assert generate()["State"] == "STARTED"
        assert generate()["State"] == "INPROGRESS"
        assert refused(iam.get_credential_report) == ("ReportInProgress", 404)
        box.clock.advance(timedelta(seconds=5))
        assert generate()["State"] == "COMPLETE"
        answer = iam.get_credential_report()
        assert (answer["GeneratedTime"], answer["ReportFormat"]) == (START, "text/csv")
        box.clock.set(START + timedelta(hours=3, minutes=59))
        assert generate()["State"] == "COMPLETE"
        box.clock.set(START + timedelta(hours=4))
        assert refused(iam.get_credential_report) == ("ReportExpired", 410)
        assert generate()["State"] == "STARTED"


def test_a_young_report_is_served_stale(box: Sandbox, client: Make) -> None:
    """Whatever has changed, a report younger than four hours comes as it is."""
    iam = client(box)
    iam.create_user(UserName="unseen")
    assert "unseen" not in fresh(iam)
    box.clock.advance(timedelta(hours=2))
    assert "unseen" in fresh(iam)


def test_the_form_of_the_csv(box: Sandbox, client: Make) -> None:
    """22 columns in the live order, root first, LF, no final newline, +00:00."""
    lines = text(client(box)).split("\n")
    assert lines[0] == LIVE_HEADER
    assert lines[1].startswith("<root_account>,arn:aws:iam::111122223333:root,")
    assert lines[1].split(",")[2].endswith("+00:00")
    assert lines[1].split(",")[3] == "not_supported"
    assert all(line and "\r" not in line for line in lines)


def test_other_forms(client: Make) -> None:
    """On request: Z, the documented 23rd column, root's password columns with values."""
    style = Style(zulu=True, extra_column=True, root_booleans=True)
    with Sandbox.create(users=100, report_style=style).running() as box:
        found = rows(client(box))
        assert found["<root_account>"]["password_enabled"] == "true"
        assert found["born-1s"]["user_creation_time"].endswith("Z")
        assert found["three-keys"]["additional_credentials_info"].startswith("1 ")


@pytest.fixture(scope="module")
def report() -> dict[str, dict[str, str]]:
    """Return the report that is there at the start."""
    import base64

    found = Sandbox.create(users=100).account().report
    assert found is not None
    lines = base64.b64decode(found.content).decode().split("\n")
    return {row["user"]: row for row in csv.DictReader(lines)}


@pytest.mark.parametrize(
    ("user", "column", "value"),
    [
        ("console-never-used", "password_last_used", "no_information"),
        ("born-1s", "password_last_used", "N/A"),
        ("nobody", "access_key_1_last_rotated", "N/A"),
        ("slot2-only-born", "access_key_1_active", "false"),
        ("slot2-only-born", "access_key_2_active", "true"),
        ("ses-smtp", "access_key_1_last_used_service", "ses"),
        ("never-used-old-key", "access_key_1_last_used_date", "N/A"),
        ("used-minutes-ago", "access_key_1_last_used_date", "N/A"),
        ("certificate-active", "cert_1_active", "true"),
        ("certificates-mixed", "cert_2_active", "true"),
        ("comma,plus+at@example.com", "mfa_active", "false"),
        ("deleted-since-report", "access_key_1_active", "true"),
        ("key-disabled-since-report", "access_key_1_active", "true"),
        ("key-deleted-since-report", "access_key_1_active", "true"),
        ("key-created-since-report", "access_key_1_active", "false"),
    ],
)
def test_cells(report: dict[str, dict[str, str]], user: str, column: str, value: str) -> None:
    """The words AWS uses, and the world as it was two hours before the start."""
    assert report[user][column] == value


def test_inactive_keys_keep_their_date(report: dict[str, dict[str, str]]) -> None:
    """Seen live: a key that is off keeps its creation date in the report."""
    row = report["born-inactive"]
    assert row["access_key_1_active"] == "false"
    assert row["access_key_1_last_rotated"] == row["user_creation_time"]


def test_slots_are_not_in_order_of_age(report: dict[str, dict[str, str]]) -> None:
    """Slot 1 may hold the newer key."""
    row = report["slot2-born"]
    assert row["access_key_1_last_rotated"] > row["access_key_2_last_rotated"]


def test_who_came_later_is_missing(report: dict[str, dict[str, str]]) -> None:
    """A user made after the report is not in it."""
    assert not {"newer-than-report", "newer-without-key"} & report.keys()


def test_a_freed_slot_is_filled_again(box: Sandbox, client: Make) -> None:
    """A new key takes the slot of a deleted one, whatever its age."""
    iam, name = client(box), "ci-deploy-born-with-key"
    (old,) = box.account().users[name].keys
    second = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    iam.delete_access_key(UserName=name, AccessKeyId=old)
    third = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    slots = {key.access_key_id: key.slot for key in box.account().users[name].keys.values()}
    assert slots == {second: 2, third: 1}
