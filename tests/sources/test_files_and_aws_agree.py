"""The offline source and the live one are two ways to the same facts."""

import asyncio
import json
from datetime import datetime
from pathlib import Path

import boto3
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birthright.aws.session import AwsSession
from birthright.facts.model import AccessKey, AccountFacts
from birthright.sandbox.sandbox import Sandbox
from birthright.scans.request import ReadOptions, ReportFiles
from birthright.sources.account import collect_account
from birthright.sources.files import collect_files
from birthright.times import now


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), users=st.integers(1, 90))
def test_files_made_from_an_account_give_its_facts(seed: int, users: int, tmp_path: Path) -> None:
    """What the AWS CLI saved, read offline, gives the principals and keys that the live scan gives."""
    with (
        Sandbox.create(users=users, seed=seed, frozen=True).running() as box,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in box.environment().items():
            patch.setenv(name, value)
        live = asyncio.run(collect_account(AwsSession(), ReadOptions(all_users=True), now()))
        report, listing, keys = _save(tmp_path)
    offline = collect_files(ReportFiles(report, (keys,), listing), now()).facts
    assert offline.principals == live.principals
    assert _shared(offline, offline, live) == _shared(live, offline, live)


def _save(folder: Path) -> tuple[Path, Path, Path]:
    """Write what the CLI's three commands print."""
    iam = boto3.session.Session().client("iam")
    answer = iam.get_credential_report()
    answer["Content"] = answer["Content"].decode()
    report, listing, keys = folder / "report.csv", folder / "users.json", folder / "keys.json"
    report.write_text(answer["Content"])
    users = [user for page in iam.get_paginator("list_users").paginate() for user in page["Users"]]
    listing.write_text(json.dumps({"Users": users}, default=datetime.isoformat))
    keys.write_text("\n".join(_keys(iam.list_access_keys(UserName=user["UserName"])) for user in users))
    return report, listing, keys


def _keys(answer: dict[str, object]) -> str:
    return json.dumps(
        {"AccessKeyMetadata": answer["AccessKeyMetadata"]}, default=datetime.isoformat, indent=2
    )


def _shared(facts: AccountFacts, offline: AccountFacts, live: AccountFacts) -> list[AccessKey]:
    """Leave out what only a look-up says, and what files cannot know.

    A file with no keys names nobody; a key disabled since the report may as well be enabled since the file.
    """
    have_keys = {key.user_name for key in live.access_keys if key.created_source}
    looked_up = {key.access_key_id for key in live.access_keys if key.last_used_source == "lookup"}
    disabled = {key.access_key_id for key in live.access_keys if key.status == "Inactive"}
    doubted = {key.access_key_id for key in offline.access_keys if key.status is None} & disabled
    return [
        _masked(key, looked_up, doubted)
        for key in facts.access_keys
        if key.user_name in have_keys and key.created_source
    ]


def _masked(key: AccessKey, looked_up: set[str | None], doubted: set[str | None]) -> AccessKey:
    if key.access_key_id in looked_up:
        nothing = dict.fromkeys(("last_used_at", "last_used_region", "last_used_service", "last_used_source"))
        key = msgspec.structs.replace(key, ever_used=None, **nothing)
    return msgspec.structs.replace(key, status=None) if key.access_key_id in doubted else key
