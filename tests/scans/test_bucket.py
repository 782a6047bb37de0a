"""Scans in a bucket: the same as in a folder, judged by moto's S3."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from birthright.cli.main import run as birthright
from birthright.errors import StoreError, UsageError
from birthright.sandbox import Sandbox
from birthright.scans.bucket import BucketStore
from birthright.scans.opening import open_store
from birthright.scans.record import ScanInfo, find_scan, list_scans, list_unfinished, scan_dir
from birthright.scans.request import ManyAccounts
from birthright.scans.store import FolderStore
from birthright.scans.writer import ScanWriter, save_scan
from fleet_helpers import AS_OF, ORG, begin, entered, facts, facts_in, fleet_of, go, ids, names_in, steady

SECRET = "bucket/secret/known/to/everyone/00000001"
ACCOUNTS = ids(range(1, 4))


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """Serve moto's S3; give a client of it, and point this module at it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}".replace("0.0.0.0", "127.0.0.1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIABUCKET0000000001")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_REGION", "us-east-1")
        client = boto3.session.Session().client("s3", endpoint_url=url, region_name="us-east-1")
        client.create_bucket(Bucket="scans-of-ours")
        yield client
    server.stop()


@pytest.fixture(autouse=True)
def cache(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: ANN401
    """Give each test a cache of its own."""
    assert s3
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "birthright" / "scans"


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return f"s3://scans-of-ours/{request.node.name.replace('[', '-').strip(']')}/here"


def keys(s3: Any, url: str) -> list[str]:  # noqa: ANN401 - boto3 has no types
    """Name what is below a URL."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    found = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
    return sorted(str(item["Key"]).removeprefix(f"{prefix}/") for item in found)


def finished(store: Any) -> ScanInfo:  # noqa: ANN401 - any store
    writer = begin(store, ManyAccounts(ORG), AS_OF)
    writer.ask_for([])
    for account in ACCOUNTS:
        writer.add(f"part-{account}", [facts(account, users=2)])
    return writer.finish()


def test_a_bucket_holds_what_a_folder_holds(s3: Any, url: str, tmp_path: Path) -> None:  # noqa: ANN401
    """The same scan, written part by part, is the same files."""
    in_bucket, in_folder = finished(open_store(url)), finished(FolderStore(tmp_path / "store"))
    folder = tmp_path / "store" / "scans" / in_folder.id
    there = [key for key in keys(s3, f"{url}/scans/{in_bucket.id}") if not key.endswith("/") and key]
    assert there == names_in(folder)
    assert (in_bucket.parts, in_bucket.accounts) == (in_folder.parts, in_folder.accounts)
    assert facts_in(scan_dir(open_store(url), "latest")) == facts_in(folder)
    assert list_scans(open_store(url)) == [in_bucket.id]
    assert list_unfinished(open_store(url)) == []


def test_the_cache_is_private_and_used_again(
    s3: Any,  # noqa: ANN401
    url: str,
    cache: Path,
) -> None:
    """Copies are 0700 and 0600; a finished scan's facts are fetched once, a foreign file in them goes."""
    finished(open_store(url))
    place = scan_dir(open_store(url), "latest")
    assert place.parent == cache
    modes = {stat.S_IMODE(p.stat().st_mode) for p in cache.rglob("*") if p.is_dir()}
    assert modes | {stat.S_IMODE(cache.stat().st_mode)} == {0o700}
    assert {stat.S_IMODE(p.stat().st_mode) for p in cache.rglob("*") if p.is_file()} == {0o600}
    copies = {p: p.stat().st_mtime_ns for p in place.rglob("*.parquet")}
    assert copies
    (place / "principals" / "foreign.parquet").write_bytes(b"x")
    cut = min(copies)
    cut.write_bytes(b"half")
    assert scan_dir(open_store(url), "latest") == place
    again = {p: p.stat().st_mtime_ns for p in place.rglob("*.parquet")}
    assert again.keys() == copies.keys()
    assert [p for p in copies if copies[p] != again[p]] == [cut]
    assert s3


def test_a_damaged_copy_is_fetched_again(url: str) -> None:
    """Also one of the right size: the bucket's facts are fine, and to scan again would help nobody."""
    finished(open_store(url))
    place = scan_dir(open_store(url), "latest")
    before = facts_in(place)
    for path in place.rglob("*.parquet"):
        path.write_bytes(bytes(path.stat().st_size))
    assert facts_in(scan_dir(open_store(url), "latest")) == before


def test_another_machine_goes_on(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one machine has begun another finishes; each sees what is there now, not what was."""
    writer = begin(open_store(url), ManyAccounts(ORG), AS_OF)
    writer.ask_for([])
    writer.add("a", [facts(ACCOUNTS[0])])
    assert set(facts_in(scan_dir(open_store(url), writer.info.id))) == {ACCOUNTS[0]}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert list_unfinished(open_store(url)) == [writer.info.id]
    again = ScanWriter.resume(open_store(url), writer.info.id)
    assert again.read_so_far() == {ACCOUNTS[0]}
    again.add("b", [facts(ACCOUNTS[1])])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert set(facts_in(scan_dir(open_store(url), writer.info.id))) == set(ACCOUNTS[:2])
    # The same number of parts, one of them replaced by another of the same length.
    again.add("b", [facts(ACCOUNTS[2])])
    assert set(facts_in(scan_dir(open_store(url), writer.info.id))) == {ACCOUNTS[0], ACCOUNTS[2]}
    again.finish()
    assert set(facts_in(scan_dir(open_store(url), "latest"))) == {ACCOUNTS[0], ACCOUNTS[2]}


def test_a_name_in_the_bucket_leads_nowhere_else(
    s3: Any,  # noqa: ANN401
    url: str,
    tmp_path: Path,
) -> None:
    """Whoever may write to the bucket writes no other file of this machine."""
    info = finished(open_store(url))
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    top = f"{prefix}/scans/{info.id}"
    target = tmp_path / "stolen"
    for name in (
        "../../../../stolen",
        "/../../stolen",
        f"/{target}",
        "principals/../../../../stolen",
        "a//b",
    ):
        s3.put_object(Bucket=bucket, Key=f"{top}/{name}", Body=b"evil")
    before = [name for name in names_in(tmp_path) if "cache" not in name]
    place = scan_dir(open_store(url), info.id)
    assert set(facts_in(place)) == set(ACCOUNTS)
    assert [name for name in names_in(tmp_path) if "cache" not in name] == before
    assert not [name for name in names_in(tmp_path) if "stolen" in name]


def test_a_scan_that_fails_leaves_nothing(s3: Any, url: str) -> None:  # noqa: ANN401
    """What was put before the failure is removed."""
    info = ScanInfo(id="20261122T220312Z-00aa11", as_of=AS_OF, tool_version="0", depth="keys", complete=True)

    def broken() -> Iterator[Any]:
        yield facts(ACCOUNTS[0])
        raise ConnectionError

    with pytest.raises(ConnectionError):
        save_scan(open_store(url), info, broken())
    assert [key for key in keys(s3, url) if not key.endswith("/")] == []
    save_scan(open_store(url), info, [facts(ACCOUNTS[0])])
    assert find_scan(open_store(url), "latest") == info.id


@pytest.mark.parametrize(
    "name", ["s3://", "s3://A/b", "s3://x/../y", "s3://ab c", "gs://bucket/x", "s3://b/\n"]
)
def test_what_is_no_bucket_is_refused(name: str) -> None:
    """A wrong URL is told before anything is asked."""
    with pytest.raises(UsageError, match=r"no bucket's URL|no place for scans"):
        open_store(name)


def test_a_bucket_that_refuses_is_told(
    s3: Any,  # noqa: ANN401
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No such bucket, no network, nothing there: one line, with a hint, without a secret."""
    assert s3
    with Sandbox.create(users=2).running() as box, entered(box) as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, box.environment()[name])
        said = told(capsys, 4, "scan", "--store", "s3://nobody-has-this/x")
        assert "cannot write s3://nobody-has-this/x" in said
        assert "check the bucket's name" in said
        said = told(capsys, 2, "query", "select 1", "--store", "s3://scans-of-ours/empty")
        assert "there is no scan in s3://scans-of-ours/empty" in said
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
        for command in (("scan",), ("query", "select 1"), ("explain", "ann")):
            said = told(capsys, 4, *command, "--store", "s3://scans-of-ours/x")
            assert "s3://scans-of-ours/x" in said


def told(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    capsys.readouterr()
    assert birthright(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert not [secret for secret in (SECRET, os.environ["AWS_SECRET_ACCESS_KEY"]) if secret in err]
    return err


def test_the_commands_read_a_bucket(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """scan, query, explain and plan give what they give of a folder."""
    monkeypatch.chdir(tmp_path)
    with Sandbox.create(users=8, accounts=3).running() as box, entered(box):
        writers = [
            begin(store, ManyAccounts(ORG), AS_OF) for store in (open_store(url), FolderStore(tmp_path / "s"))
        ]
        for writer in writers:
            go(fleet_of(writer, ManyAccounts(ORG)).read())
            writer.finish()
        found: list[list[tuple[int, str]]] = []
        for place, writer in zip((url, str(tmp_path / "s")), writers, strict=True):
            said = []
            for arguments in (
                ("scan", "--from", writer.info.id, "--format", "json", "--all"),
                ("query", "select account_id, count(*) from access_keys group by all order by all"),
                ("explain", "born-1s"),
                ("plan", "-o", f"plan-{len(found)}.json"),
            ):
                capsys.readouterr()
                code = birthright([*arguments, "--store", place])
                out, err = capsys.readouterr()
                said.append((code, steady(out).replace(f"plan-{len(found)}", "plan")))
                assert code in {0, 1, 3}, err
            found.append(said)
        assert found[0] == found[1]


def test_one_account_is_kept_in_a_bucket(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A plain scan takes a bucket as well, and its findings can be had again."""
    with Sandbox.create(users=5).running() as box, entered(box):
        assert birthright(["scan", "--store", url, "--format", "json"]) == 1
        first, _ = capsys.readouterr()
        assert birthright(["scan", "--from", "latest", "--store", url, "--format", "json"]) == 1
        assert capsys.readouterr()[0] == first


def test_the_names_of_secrets_are_not_shown(url: str) -> None:
    """Neither the store nor its parts show the credentials that open it."""
    store = open_store(url)
    assert isinstance(store, BucketStore)
    assert SECRET not in repr(store) + str(vars(store)) + store.name
    with pytest.raises(StoreError) as caught:
        open_store("s3://nobody-has-this").put("x", b"")
    assert SECRET not in str(caught.value)
