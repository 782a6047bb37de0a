"""Which earlier scans a scan is compared with, and that what is kept of them is never believed blindly."""

import hashlib
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from birthright.errors import StoreError, UsageError
from birthright.findings.document import build_document
from birthright.findings.model import Document
from birthright.history import earlier as past_module
from birthright.history.compare import compare
from birthright.history.earlier import Baseline, SavedScan, past_of
from birthright.policies.evaluator import Evaluator
from birthright.policies.pack import choose
from birthright.policies.page import parse_page
from birthright.reports.formats import renderer
from birthright.reports.interface import Report
from birthright.scans.record import ScanInfo
from birthright.scans.request import Judging
from birthright.scans.store import FolderStore
from birthright.scans.writer import save_scan
from history_helpers import ACCOUNTS, BORN, PAGES, World, counts, facts, instant, saved, states
from history_helpers import judged as scanned
from policy_helpers import PAGE

A = ACCOUNTS[0]
BORN_PAGE = choose(PAGES, [BORN])


class Shelf(FolderStore):
    """A folder that counts what is read from it, and may refuse to be written."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read_only = False
        self.asked: list[str] = []

    def get(self, path: str) -> bytes | None:
        """Read, and remember."""
        self.asked.append(path)
        return super().get(path)

    def local(self, folder: str) -> Path:
        """Give the folder, and remember."""
        self.asked.append(f"local {folder}")
        return super().local(folder)

    def put(self, path: str, data: bytes) -> None:
        """Write, unless that is refused."""
        if self.read_only:
            raise StoreError("cannot write")
        super().put(path, data)


@pytest.fixture
def store(tmp_path: Path) -> Shelf:
    """Give an empty store."""
    return Shelf(tmp_path / "store")


def judged(store: FolderStore, info: ScanInfo, pages: Sequence[object] = BORN_PAGE) -> SavedScan:
    """Say how a scan is judged."""
    return SavedScan(store, info, tuple(pages), Judging())  # type: ignore[arg-type]


def document(how: SavedScan) -> Document:
    """Judge a scan."""
    evaluator = Evaluator(how.store.local(f"scans/{how.info.id}"), how.info.as_of)
    return build_document(how.info, evaluator, how.pages, how.selection)


def compared(how: SavedScan, since: str = "last", *, cache: bool = True) -> Document:
    """Judge a scan and compare it."""
    return compare(document(how), past_of(how, since, cache=cache))


def ledgers(store: Shelf, tmp_path: Path) -> list[Path]:
    """Name the ledgers that are kept."""
    assert store.name == str(tmp_path / "store")
    return sorted((tmp_path / "store" / "history").glob("*"))


def test_a_first_scan_is_all_new(store: Shelf) -> None:
    """Without an earlier scan there are changes all the same: everything is new, since now."""
    found = compared(judged(store, saved(store, 0, a="active")))
    assert states(found) == [("fail", "new")]
    assert [finding.first_seen for finding in found.findings] == [instant(0)]
    assert counts(found) == (1, 0, 0, 0, 0)
    assert [line.new for line in found.history] == [1]
    assert found.changes
    assert not found.changes.since


def test_last_is_the_newest_that_read_an_account_of_this_scan(store: Shelf) -> None:
    """A scan of another account, made later, is not what this one is compared with."""
    first = saved(store, 0, a="active")
    saved(store, 1, b="active")
    found = compared(judged(store, saved(store, 2, a="none")))
    assert found.changes
    assert (found.changes.since, found.changes.since_as_of) == (first.id, instant(0))
    assert [finding.account_id for finding in found.fixed] == [A]
    assert [line.id for line in found.history] == [first.id, found.scan.id]


def test_the_scan_that_is_named_counts(store: Shelf) -> None:
    """What changed before the named scan is not told; an account that it did not read has an older one."""
    saved(store, 0, a="none", b="active")
    named = saved(store, 1, a="active")
    saved(store, 2, a="none")
    found = compared(judged(store, saved(store, 3, a="active", b="active")), named.id)
    assert found.changes
    assert found.changes.since == named.id
    assert states(found) == [("fail", "persisting")] * 2


def test_a_later_scan_is_never_what_an_earlier_one_is_compared_with(store: Shelf) -> None:
    """Judging an old scan again compares it with those before it."""
    saved(store, 0, a="none")
    old, newer = saved(store, 1, a="active"), saved(store, 2, a="active")
    found = compared(judged(store, old))
    assert states(found) == [("fail", "new")]
    for named in (old, newer):
        with pytest.raises(UsageError, match="not earlier"):
            past_of(judged(store, old), named.id)


def test_two_scans_of_one_second_are_in_the_order_they_were_made(store: Shelf) -> None:
    """The id's random end says nothing: the one that was written first is the earlier one."""
    first = saved(store, 0, "ffffff", a="active")
    second = saved(store, 0, "000000", a="none")
    assert len(compared(judged(store, second)).fixed) == 1
    assert compared(judged(store, first)).changes == compared(judged(store, first), cache=False).changes
    assert counts(compared(judged(store, first))) == (1, 0, 0, 0, 0)


def test_a_changed_rule_makes_nothing_new(store: Shelf) -> None:
    """Earlier facts are judged by today's page: what it finds now it would have found then, too."""
    saved(store, 0, a="inactive")
    info = saved(store, 1, a="inactive")
    lax, strict = (parse_page(PAGE.replace("90d", age), "tiny.md") for age in ("9000d", "90d"))
    assert states(compared(judged(store, info, [lax]))) == []
    assert states(compared(judged(store, info, [strict]))) == [("fail", "persisting")]


def test_a_changed_parameter_makes_nothing_new(store: Shelf) -> None:
    """The same of a parameter."""
    saved(store, 0, a="active")
    how = judged(store, saved(store, 1, a="active"))
    past_of(how, "last")
    wider = how._replace(selection=Judging(overrides={BORN: {"window": "0s"}}))
    assert counts(compared(wider)) == (0, 0, 0, 0, 0)
    assert counts(compared(how)) == (0, 1, 0, 0, 0)


def test_what_is_kept_is_used(store: Shelf, tmp_path: Path) -> None:
    """The second time no facts of earlier scans are read, and each scan costs two looks."""
    for place in range(3):
        info = saved(store, place, a="active")
    how = judged(store, info)
    cold = compared(how)
    store.asked.clear()
    past_of(how, "last")
    assert [path for path in store.asked if path.startswith("local")] == []
    assert len(store.asked) == 2
    assert len(ledgers(store, tmp_path)) == 2
    assert compared(how) == cold == compared(how, cache=False)


@pytest.mark.parametrize("how", ["cut", "turned", "emptied", "foreign", "other", "rubbish"])
def test_a_damaged_ledger_changes_nothing(how: str, store: Shelf, tmp_path: Path) -> None:
    """A ledger that is damaged, of another scan, or something else is made again."""
    saved(store, 0, a="active", b="none")
    saved(store, 1, a="active", b="active")
    last = judged(store, saved(store, 2, a="active", b="active"))
    right = compared(last)
    first, second = ledgers(store, tmp_path)
    whole = second.read_bytes()
    payload = b"this is no ledger"
    second.write_bytes({
        "cut": whole[:-7],
        "turned": whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
        "emptied": b"",
        "foreign": first.read_bytes(),
        "other": hashlib.sha256(payload).digest() + payload,
        "rubbish": bytes(1000),
    }[how])  # fmt: skip
    assert compared(last) == right
    assert second.read_bytes() == whole


def test_a_store_that_cannot_be_written_is_no_hindrance(store: Shelf, tmp_path: Path) -> None:
    """Nothing is kept, and the answer is the same."""
    saved(store, 0, a="active")
    how = judged(store, saved(store, 1, a="active"))
    store.read_only = True
    found = compared(how)
    assert counts(found) == (0, 1, 0, 0, 0)
    assert ledgers(store, tmp_path) == []


def test_a_file_counts_as_it_was_judged_then(store: Shelf, tmp_path: Path) -> None:
    """A findings document is what the scan is compared with, whatever the store holds."""
    before = compared(judged(store, saved(store, 0, a="active")))
    file = tmp_path / "before.json"
    written(before, file)
    now = judged(store, saved(store, 1, a="none"))
    found = compared(now, str(file))
    assert [finding.first_seen for finding in found.fixed] == [instant(0)]
    assert found.changes
    assert found.changes.since == before.scan.id
    elsewhere = compare(document(now), past_of(None, str(file)))
    assert elsewhere == found


def test_a_chain_of_files_remembers(store: Shelf, tmp_path: Path) -> None:
    """Where no store is kept, each document carries first sight and history on to the next."""
    files = [tmp_path / f"{place}.json" for place in range(3)]
    for place, file in enumerate(files):
        info = saved(store, place, a="active")
        since = past_of(None, str(files[place - 1])) if place else Baseline()
        written(compare(document(judged(store, info)), since), file)
    last = msgspec.json.decode(files[2].read_bytes(), type=Document)
    assert [finding.first_seen for finding in last.findings] == [instant(0)]
    assert [line.as_of for line in last.history] == [instant(0), instant(1), instant(2)]
    assert [line.new for line in last.history] == [1, 0, 0]


def test_a_chain_of_files_keeps_what_was_fixed(store: Shelf, tmp_path: Path) -> None:
    """What a document says of its own scan is carried on: that scan alone knows what was fixed in it."""
    since = Baseline()
    for place, state in enumerate(("active", "none", "none", "active")):
        found = compare(document(judged(store, saved(store, place, a=state))), since)
        written(found, tmp_path / f"{place}.json")
        since = past_of(None, str(tmp_path / f"{place}.json"))
    assert [(line.new, line.fixed) for line in found.history] == [(1, 0), (0, 1), (0, 0), (1, 0)]


@pytest.mark.parametrize(
    ("nights", "state", "first", "unread"),
    [
        (["active", "denied", "active"], "persisting", 0, [0, 1, 0]),
        (["active", "denied", "denied", "active"], "persisting", 0, [0, 1, 1, 0]),
        (["active", "denied", "none"], "fixed", 0, [0, 1, 0]),
        (["active", "none", "denied", "active"], "new", 3, [0, 0, 0, 0]),
    ],
)
def test_a_chain_of_files_remembers_what_one_night_could_not_see(
    nights: list[str], state: str, first: int, unread: list[int], tmp_path: Path
) -> None:
    """A failure in an account that was denied is carried on until a scan sees the account again."""
    file = tmp_path / "findings.json"
    since, counted = Baseline(), []
    for place, night in enumerate(nights):
        how = "denied" if night == "denied" else "read"
        world = World({ACCOUNTS[0]: how, ACCOUNTS[1]: "read"}, {(ACCOUNTS[0], "ann"): night})
        found = compare(scanned(world, place), since)
        assert found.changes
        counted.append(found.changes.unread)
        assert len(found.unread or ()) == found.changes.unread
        written(found, file)
        since = past_of(None, str(file))
    one = next(one for one in (*found.findings, *found.fixed) if one.verdict == "fail")
    assert (one.state, one.first_seen, counted) == (state, instant(first), unread)
    assert [line.as_of for line in found.history] == [instant(place) for place in range(len(nights))]


@pytest.mark.parametrize("what", ["scan.json", "access_keys"])
def test_an_earlier_scan_that_is_damaged(what: str, store: Shelf, tmp_path: Path) -> None:
    """One line names it and says what to do; when it is deleted, the scans before it count."""
    for place in range(3):
        info = saved(store, place, a="active")
    spoilt = tmp_path / "store" / "scans" / f"{instant(1):%Y%m%dT%H%M%SZ}-000000"
    for path in (spoilt / what).glob("*") if what == "access_keys" else [spoilt / what]:
        path.write_bytes(b"x")
    with pytest.raises(StoreError, match=rf"is damaged.*\(bring scans/{spoilt.name} back, or delete it"):
        compared(judged(store, info))
    shutil.rmtree(spoilt)
    found = compared(judged(store, info)).changes
    assert found
    assert found.since_as_of == instant(0)


def written(found: Document, file: Path) -> None:
    """Write a document as JSON."""
    out = io.StringIO()
    renderer("json")(Report(found), out)
    file.write_text(out.getvalue())


@pytest.mark.parametrize(
    ("since", "message"),
    [
        ("yesterday", "not the id of a scan"),
        ("20200101T000000Z-000000", "there is no scan 20200101T000000Z-000000"),
        ("nothing.json", "cannot read nothing.json"),
    ],
)
def test_what_cannot_be_compared_with(since: str, message: str, store: Shelf) -> None:
    """A wrong name is one clear line."""
    how = judged(store, saved(store, 0, a="active"))
    with pytest.raises(UsageError, match=message):
        past_of(how, since)


def test_a_file_with_a_broken_fingerprint(store: Shelf, tmp_path: Path) -> None:
    """A document that somebody has changed is refused by name."""
    found = compared(judged(store, saved(store, 0, a="active")))
    file = tmp_path / "x.json"
    for wrong in ("zz", "00"):
        (finding,) = found.findings
        written(
            msgspec.structs.replace(found, findings=(msgspec.structs.replace(finding, fingerprint=wrong),)),
            file,
        )
        with pytest.raises(UsageError, match=r"x\.json is damaged"):
            past_of(None, str(file))


def test_findings_of_no_store_need_a_file() -> None:
    """A document from elsewhere has no scans before it."""
    with pytest.raises(UsageError, match=r"--since FILE\.json"):
        past_of(None, "last")


def test_looking_back_is_bounded(store: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older scans than the bound are not judged, and nobody claims to know what was new in the first one."""
    monkeypatch.setattr(past_module, "LOOK_BACK", 2)
    oldest = saved(store, 0, a="active")
    for place in range(1, 5):
        info = saved(store, place, a="active")
    found = compared(judged(store, info))
    assert [line.as_of for line in found.history] == [instant(2), instant(3), instant(4)]
    assert [line.new for line in found.history] == [0, 0, 0]
    named = compared(judged(store, info), oldest.id)
    assert named.changes
    assert named.changes.since == oldest.id
    assert [finding.first_seen for finding in named.findings] == [instant(0)]


def test_fingerprints_do_not_depend_on_depth_or_version(store: Shelf) -> None:
    """A key that a report-only scan of an older birthright saw is the one that a scan of all keys sees."""
    as_of = instant(0)
    whole = facts(A, "active", as_of)
    key = msgspec.structs.replace(whole.access_keys[0], access_key_id=None, created_source="report")
    shallow = msgspec.structs.replace(whole, access_keys=(key,), coverage=whole.coverage[:1])
    info = ScanInfo(
        id=f"{as_of:%Y%m%dT%H%M%SZ}-000000", as_of=as_of, tool_version="0.0.1", depth="report", complete=True
    )
    save_scan(store, info, [shallow])
    found = compared(judged(store, saved(store, 1, a="active"), choose(PAGES, [BORN])))
    assert states(found) == [("fail", "persisting")]
