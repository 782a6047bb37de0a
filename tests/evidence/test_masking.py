"""Masked bundles: no id can be read, every verdict and fingerprint stays, and they verify."""

import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from birthright.errors import UsageError
from birthright.evidence.masking import Mask, masked, numbers
from birthright.findings.model import Document
from birthright.policies.page import parse_page
from birthright.retirement.journal.opening import open_journal
from evidence_helpers import AS_OF, BORN, KEYS, account, bundle, check, contents, key, pages, waivers_of
from journal_helpers import filled

IDS = st.text("ABCZ27", min_size=4, max_size=6).map(lambda end: f"AKIA{end:A<16}"[:20])
SECONDS = st.sampled_from([None, AS_OF, AS_OF + timedelta(seconds=1)])
USER_KEYS = st.lists(st.tuples(SECONDS, IDS), min_size=1, max_size=6, unique_by=lambda pair: pair[1])
TAILS = st.sampled_from(["QWERTY", "ASDFGH"])


@pytest.mark.parametrize(
    ("key_id", "shown"),
    [
        ("AKIAIOSFODNN7EXAMPLE", "AKIA************MPLE"),
        ("AKIAANN1", "AKIA****"),
        ("abc", "abc*"),
        ("A" * 128, "AAAA" + "*" * 120 + "AAAA"),
    ],
)
def test_an_id(key_id: str, shown: str) -> None:
    """Four characters at each end stay, of a short one those in front; never the whole."""
    assert masked(key_id) == shown


@given(USER_KEYS)
@example([(AS_OF, "AKIAQQQQQQQQQQQQ000B"), (AS_OF, "AKIARRRRRRRRRRRR000A")])
@example([(None, "AKIAQQQQQQQQQQQQ0001"), (AS_OF, "AKIARRRRRRRRRRRR0001")])
def test_keys_of_a_user_stay_apart_and_in_order(keys: list[tuple[None, str]]) -> None:
    """No two masks are the same; within a second they are ordered as the ids are."""
    mask = Mask(numbers(keys))
    shown = {one: mask.key(one) for _, one in keys}
    assert len(set(shown.values())) == len(keys)
    for second in {made for made, _ in keys}:
        ids = sorted(one for made, one in keys if made == second)
        assert [shown[one] for one in ids] == sorted(shown[one] for one in ids)
    for key_id, text in shown.items():
        assert len(text) == len(key_id)
        assert key_id[6:-4] not in text


@settings(max_examples=5, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from([0, 1, 50]), IDS, TAILS), min_size=1, max_size=6
    )
)
def test_masked_bundles_hold(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, str, str]]
) -> None:
    """Each finding is the same but for its id, and the bundle verifies."""
    ids = {f"{start[:14]}{tail}": (user, after) for user, after, start, tail in rows}
    facts = account([key(0, user, after, access_key_id=one) for one, (user, after) in ids.items()])
    folder = tmp_path_factory.mktemp("masked")
    plain, hidden = (bundle(folder, facts, name=f"{mask}.zip", mask=mask) for mask in (False, True))
    assert check(hidden).problem is None
    before, after = (
        msgspec.json.decode(contents(path)["findings.json"], type=Document) for path in (plain, hidden)
    )
    assert len({(f.user_name, f.access_key_id) for f in after.findings}) == len(ids)
    named = [
        {f.fingerprint: msgspec.structs.replace(f, access_key_id=None) for f in document.findings}
        for document in (before, after)
    ]
    assert named[0] == named[1]
    tails = [
        {f.fingerprint: (f.access_key_id or "")[-4:] for f in document.findings}
        for document in (before, after)
    ]
    assert tails[0] == tails[1]
    data = hidden.read_bytes()
    assert not [one for one in ids if one.encode() in data]


def test_nothing_in_it_shows_an_id(tmp_path: Path) -> None:
    """Not the facts, CSV, findings, journal, waivers or scan.json, nor the names of files."""
    with open_journal(str(tmp_path / "journal.sqlite")) as journal:
        filled(journal)
        facts = account([key(), key(1)], detail=f"not told apart: {KEYS[0]}, {KEYS[1]}")
        waivers = waivers_of(KEYS[0])
        order: dict[str, Any] = {"journal": journal, "waivers": waivers}
        plain = bundle(tmp_path, facts, name="plain.zip", **order)
        path = bundle(tmp_path, facts, mask=True, **order)
    assert check(path).problem is None
    files = contents(path)
    for name, data in files.items():
        if not name.startswith("policies/"):
            assert not re.search(rb"AKIA[A-Z0-9]{16}", data), name
    assert f"not told apart: {masked(KEYS[0])}, {masked(KEYS[1])}" in files["csv/coverage.csv"].decode()
    assert files["waivers.yaml"] == waivers_of(masked(KEYS[0]))
    for one in (contents(plain), files):
        document = msgspec.json.decode(one["findings.json"], type=Document)
        (waived,) = (finding for finding in document.findings if finding.waiver)
        assert (waived.user_name, document.summary.waived, document.summary.fail) == ("ann", 1, 3)
        (line,) = document.waivers
        assert waived.access_key_id
        assert (line.access_key_id, line.reason) == (waived.access_key_id, f"not {waived.access_key_id}")
    assert json.loads(files["manifest.json"])["masked"] is True
    assert "ids are masked" in files["README.md"].decode()
    digests = {hashlib.sha256(data).hexdigest()[:12] for data in contents(plain).values()}
    changed = [name for name in files if name.startswith(("scan/access_keys/", "scan/coverage/"))]
    assert len(changed) == 2
    assert not [name for name in changed if name.rpartition("-")[2].removesuffix(".parquet") in digests]


def test_a_page_that_names_a_key(tmp_path: Path) -> None:
    """A page is shown as it ran: one that names a key of the scan cannot be masked."""
    (page,) = pages(BORN)
    named = parse_page(page.text.replace("## Rule", f"For {KEYS[0]}.\n\n## Rule", 1), "own")
    with pytest.raises(UsageError, match=re.escape(f"names the access key {masked(KEYS[0])}")):
        bundle(tmp_path, pages=[named], mask=True)
    assert check(bundle(tmp_path, name="b.zip", pages=[named])).problem is None
