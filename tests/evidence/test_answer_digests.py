"""The digests of what AWS answered, and raw reports: what they are of, and scans that have none."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pyarrow.parquet as pq
import pytest

from account_helpers import Canned, scan, scan_in, statuses
from birthright.facts.model import AccountFacts
from birthright.policies.engine import Engine
from birthright.policies.evaluator import Evaluator
from birthright.sandbox import Sandbox
from birthright.scans.record import ScanInfo, load_info, load_tables, report_files
from birthright.scans.request import ReadOptions, ReportFiles
from birthright.scans.store import FolderStore
from birthright.scans.writer import ScanWriter, parquet_of, save_scan
from birthright.sources.files import collect_files
from evidence_helpers import ACCOUNT, AS_OF, REPORT, account, saved


@pytest.fixture
def box() -> Any:  # noqa: ANN401 - a generator of sandboxes
    with Sandbox.create(users=30, frozen=True).running() as running:
        yield running


def digests(facts: AccountFacts) -> dict[str, str | None]:
    return {line.source: line.sha256 for line in facts.coverage}


def client(box: Sandbox) -> Any:  # noqa: ANN401 - boto3's clients have no types
    key = box.credentials
    return boto3.session.Session().client(
        "iam",
        endpoint_url=box.url,
        region_name="us-east-1",
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
    )


def test_the_reports_digest_is_of_its_bytes(box: Sandbox) -> None:
    """Whoever downloads the same report gets the same digest."""
    facts = scan(box, ReadOptions(raw=True))
    content = client(box).get_credential_report()["Content"]
    assert digests(facts)["GetCredentialReport"] == hashlib.sha256(content).hexdigest()
    assert facts.report == content
    assert scan(box).report is None


def test_a_report_that_cannot_be_read_is_kept(box: Sandbox) -> None:
    """Its digest is of its own bytes, as that of any other; what is not known of it stays unknown."""
    box.faults.add("report-body", body="user,arn\nx,y")
    facts = scan(box, ReadOptions(raw=True))
    assert statuses(facts)["GetCredentialReport"] == "failed"
    assert facts.report == b"user,arn\nx,y"
    assert digests(facts)["GetCredentialReport"] == hashlib.sha256(facts.report).hexdigest()


def test_the_same_answers_have_the_same_digests(box: Sandbox) -> None:
    """In whatever order the answers come; a key that is switched off changes that of its listing only."""
    first = digests(scan(box))
    assert set(first) == {"GetCredentialReport", "ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed"}
    assert all(first.values())
    assert digests(scan(box, ReadOptions(max_in_flight=1))) == first
    iam = client(box)
    user = _other_user(iam, box)
    iam.update_access_key(UserName=user, AccessKeyId=_keys(iam, user)[0], Status="Inactive")
    second = digests(scan(box))
    assert second["ListAccessKeys"] != first["ListAccessKeys"]
    assert second["ListUsers"] == first["ListUsers"]


def _keys(iam: Any, user: str) -> list[str]:  # noqa: ANN401 - boto3's clients have no types
    found = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    return [key["AccessKeyId"] for key in found if key["Status"] == "Active"]


def _other_user(iam: Any, box: Sandbox) -> str:  # noqa: ANN401 - boto3's clients have no types
    """Name a user with an active key that is not the scan's own."""
    users: list[str] = [user["UserName"] for user in iam.list_users()["Users"]]
    return next(name for name in users if {*_keys(iam, name)} - {box.credentials.access_key_id})


def test_digests_by_hand() -> None:
    """Of one answer its result's; of several that of their digests, sorted, a line each; errors have none."""
    member = (
        "<member><UserName>{0}</UserName><Arn>arn:aws:iam::111122223333:user/{0}</Arn>"
        "<CreateDate>2025-01-01T00:00:00Z</CreateDate></member>"
    )
    users = f"<Users>{member.format('ann')}{member.format('bob')}</Users>"
    no_keys = "<AccessKeyMetadata/><Of>{UserName}</Of>"
    canned = Canned(
        GenerateCredentialReport="<State>COMPLETE</State>",
        GetCredentialReport="<Content>?</Content>",
        ListUsers=users,
        ListAccessKeys=lambda call: no_keys.format(**call),
    )
    with canned.running():
        found = digests(scan_in(canned.environment()))

    def one(action: str, text: str) -> str:
        return hashlib.sha256(f"<{action}Result>{text}</{action}Result>".encode()).hexdigest()

    keys = sorted(one("ListAccessKeys", no_keys.format(UserName=name)) for name in ("ann", "bob"))
    assert found == {
        "GetCredentialReport": found["GetCredentialReport"],
        "ListUsers": one("ListUsers", users),
        "ListAccessKeys": hashlib.sha256("".join(f"{key}\n" for key in keys).encode()).hexdigest(),
    }


def test_files_have_the_digest_of_the_reports_file(tmp_path: Path) -> None:
    """Of a scan of files it is what sha256sum says of the file; the file is kept if that is asked for."""
    slots = ",".join(f"access_key_{slot}_{what}" for slot in (1, 2) for what in ("active", "last_rotated"))
    header = f"user,arn,user_creation_time,password_enabled,{slots}"
    row = f"ann,arn:aws:iam::{ACCOUNT}:user/ann,2025-01-01T00:00:00+00:00,false,false,N/A,false,N/A"
    text = f"{header}\n{row}\n"
    path = tmp_path / "report.csv"
    path.write_text(text)
    facts = collect_files(ReportFiles(path), AS_OF, raw=True).facts
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digests(facts) == {"GetCredentialReport": digest, "ListUsers": None, "ListAccessKeys": None,
                              "GetAccessKeyLastUsed": None}  # fmt: skip
    assert facts.report == text.encode()
    assert collect_files(ReportFiles(path), AS_OF).facts.report is None


def test_kept_reports_are_parts_of_a_scan(tmp_path: Path) -> None:
    """Listed with size and digest, private, gone with a part that is written anew or was never committed."""
    facts = msgspec.structs.replace(account(), report=REPORT)
    folder, info = saved(tmp_path, facts)
    file = info.parts[0].reports[ACCOUNT]
    assert (file.size, file.rows, file.sha256) == (len(REPORT), 2, hashlib.sha256(REPORT).hexdigest())
    path = report_files(folder)[ACCOUNT]
    assert path.read_bytes() == REPORT
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_info(FolderStore(tmp_path)).parts[0].reports == info.parts[0].reports

    info = ScanInfo(id="20261122T100000Z-bbbbbb", as_of=AS_OF, tool_version="0", depth="keys", complete=False)
    store = FolderStore(tmp_path)
    writer = ScanWriter.begin(store, msgspec.structs.replace(info, as_of=AS_OF + timedelta(days=3650)))
    writer.add("a", [facts])
    writer.add("b", [facts, msgspec.structs.replace(_of_account("4" * 12), report=b"other\n")])
    (tmp_path / "scans" / info.id / "reports" / "lost.csv").write_bytes(b"lost")
    finished = writer.finish()
    assert {account for part in finished.parts for account in part.reports} == {ACCOUNT, "4" * 12}
    assert sum(len(part.reports) for part in finished.parts) == 2
    there = {path.name for path in (tmp_path / "scans" / info.id / "reports").iterdir()}
    assert there == {file.name for part in finished.parts for file in part.reports.values()}


def test_a_part_whose_report_is_gone_is_read_again(tmp_path: Path) -> None:
    """As with any of its files."""
    info = ScanInfo(
        id="20261122T100000Z-bbbbbb", as_of=AS_OF + timedelta(days=3650), tool_version="0", depth="keys",
        complete=False,
    )  # fmt: skip
    store = FolderStore(tmp_path)
    ScanWriter.begin(store, info).add("a", [msgspec.structs.replace(account(), report=REPORT)])
    assert ScanWriter.resume(store, info.id).read_so_far() == {ACCOUNT}
    for path in (tmp_path / "scans" / info.id / "reports").iterdir():
        path.unlink()
    assert ScanWriter.resume(store, info.id).read_so_far() == set()


def _of_account(account_id: str) -> AccountFacts:
    facts = account()
    rows = {
        name: tuple(msgspec.structs.replace(row, account_id=account_id) for row in getattr(facts, name))
        for name in ("principals", "access_keys", "coverage")
    }
    return msgspec.structs.replace(facts, **rows)


@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)])
def test_scans_without_digests_are_read(tmp_path: Path, which: tuple[int, ...]) -> None:
    """Files of an earlier version lack the column: it is NULL, also where others have it."""
    others = [account(), _of_account("4" * 12)]
    info = ScanInfo(id="20261122T100000Z-cccccc", as_of=AS_OF, tool_version="0", depth="keys", complete=True)
    folder = tmp_path / "scans" / save_scan(FolderStore(tmp_path), info, others).id
    text = (folder / "scan.json").read_text()
    for path in [sorted((folder / "coverage").iterdir())[number] for number in which]:
        old = parquet_of(pq.ParquetFile(path).read().drop_columns(["sha256"]))
        text = text.replace(f'"size": {path.stat().st_size}', f'"size": {len(old)}')
        path.write_bytes(old)
    (folder / "scan.json").write_text(text)
    digest = hashlib.sha256(REPORT).hexdigest()
    expected = {account: None if number in which else digest for number, account in
                enumerate([ACCOUNT, "4" * 12])}  # fmt: skip
    engine = Engine(folder)
    rows = engine.rows(engine.select("select distinct account_id, sha256 from coverage"))
    assert dict(rows) == expected
    loaded = load_tables(folder)["coverage"]
    assert dict(zip(loaded["account_id"].to_pylist(), loaded["sha256"].to_pylist(), strict=True)) == expected
    scope = Evaluator(folder, AS_OF).scope
    assert {row.account_id: row.sha256 for row in scope.coverage} == expected
