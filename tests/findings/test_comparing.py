"""Findings against earlier scans: a plain loop over dictionaries is the judge."""

import io
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.findings.comparing import compare
from birthright.findings.model import Changes, Document, Finding
from birthright.findings.past import Past
from birthright.reports.formats import renderer
from birthright.reports.interface import Report
from history_helpers import (
    ACCOUNTS,
    BORN,
    MADE,
    OTHER,
    World,
    counts,
    instant,
    judged,
    one,
    past_of_documents,
    sequence,
    states,
)

# What becomes of one key in one scan. unread: nobody could read this user's keys.
HOW = ("active", "active", "inactive", "none", "unread")

worlds = st.builds(
    World,
    accounts=st.fixed_dictionaries(
        # A scan of nothing is refused.
        {"333333333333": st.just("read")},
        optional=dict.fromkeys(ACCOUNTS, st.sampled_from(["read", "read", "denied", "skipped", "broken"])),
    ),
    keys=st.fixed_dictionaries({(a, u): st.sampled_from(HOW) for a in ACCOUNTS for u in ("ann", "bob")}),
    policies=st.sampled_from([(BORN,), (BORN,), (BORN,), (OTHER.id,)]),
)


@pytest.mark.parametrize(
    ("scans", "found", "counted"),
    [
        pytest.param(["active"], [("fail", "new")], (1, 0, 0, 0, 0), id="the first scan"),
        pytest.param(["active"] * 2, [("fail", "persisting")], (0, 1, 0, 0, 0), id="still there"),
        pytest.param(["none", "active"], [("fail", "new")], (1, 0, 0, 0, 0), id="new"),
        pytest.param(["active", "none"], [], (0, 0, 0, 1, 0), id="deleted"),
        pytest.param(["active", "inactive"], [], (0, 0, 0, 1, 0), id="disabled"),
        pytest.param(["active", "none", "none"], [], (0, 0, 0, 0, 0), id="fixed once only"),
        pytest.param(["active", "none", "active"], [("fail", "reappeared")], (0, 0, 1, 0, 0), id="again"),
        pytest.param(["active", "unread"], [("unknown", "new")], (1, 0, 0, 0, 1), id="keys not read"),
        pytest.param(["active", "unread", "active"], [("fail", "persisting")], (0, 1, 0, 0, 0), id="read"),
        pytest.param(["active", "unread", "none"], [], (0, 0, 0, 1, 0), id="read, and gone"),
        pytest.param(["unread", "active"], [("fail", "new")], (1, 0, 0, 0, 0), id="never failed before"),
        pytest.param(["unread", "none"], [], (0, 0, 0, 0, 0), id="an unknown that is gone"),
    ],
)  # fmt: skip
def test_the_truth_table(
    scans: list[str], found: list[tuple[str, str]], counted: tuple[int, int, int, int, int]
) -> None:
    """One key through several scans: its state, and what is counted."""
    document = sequence(*map(one, scans))
    assert states(document) == found
    assert counts(document) == counted
    assert len(document.fixed) == counted[3]


@pytest.mark.parametrize(
    ("last", "unread"),
    [
        pytest.param(one("none", "denied"), 1, id="denied"),
        pytest.param(one("none", "skipped"), 1, id="suspended"),
        pytest.param(World({}, {}), 0, id="not asked for"),
        pytest.param(one("none", "read", OTHER.id), 0, id="the policy not judged"),
        pytest.param(one("none", "broken"), 1, id="the listing broke off"),
    ],
)
def test_what_was_not_read_is_not_fixed(last: World, unread: int) -> None:
    """A key that failed and that this scan did not look for is not fixed; what it asked for is counted."""
    # Another account keeps the scan from being one of nothing.
    world = msgspec.structs.replace(last, accounts={**last.accounts, ACCOUNTS[1]: "read"})
    document = sequence(one("active"), world)
    changes = document.changes
    assert changes
    assert (changes.fixed, changes.unread, document.fixed) == (0, unread, ())


def test_a_scan_of_one_account_does_not_make_the_others_new() -> None:
    """An account is compared with the newest scan that read it, whatever came between."""
    both = World(dict.fromkeys(ACCOUNTS, "read"), {(a, "ann"): "active" for a in ACCOUNTS})
    document = sequence(both, one("active"), one("none"), both)
    assert states(document) == [("fail", "reappeared"), ("fail", "persisting")]
    assert document.changes
    assert document.changes.since_as_of == instant(2)
    # The scans of one of two accounts are half of them.
    assert [line.accounts for line in document.history] == [2, 1, 1, 2]


def test_a_report_from_before_the_key_says_nothing_of_it() -> None:
    """A scan that reads an old report only does not see younger keys: they are not fixed."""
    young = one("active")
    before = judged(young, 1)
    old = [
        msgspec.structs.replace(
            line, status="ok" if line.source == "GetCredentialReport" else "denied",
            report_generated_at=MADE - timedelta(1),
        )
        for line in before.coverage
    ]  # fmt: skip
    after = msgspec.structs.replace(judged(one("none"), 2), coverage=tuple(old))
    document = compare(after, past_of_documents([before]))
    assert counts(document) == (0, 0, 0, 0, 1)


def test_fixed_findings_are_those_of_the_last_scan_that_had_them() -> None:
    """A fixed finding is shown whole, as it was, with its state and since when it was known."""
    documents = [judged(one("active"), 0), judged(one("active"), 1), judged(one("none"), 2)]
    (was,) = documents[1].findings
    (fixed,) = compare(documents[2], past_of_documents(documents[:2])).fixed
    assert fixed == msgspec.structs.replace(was, state="fixed", first_seen=instant(0))


def test_first_seen_is_the_first_scan_of_all() -> None:
    """A finding that is there again keeps the instant of the first scan that ever had it."""
    (finding,) = sequence(one("none"), one("active"), one("none"), one("active")).findings
    assert (finding.state, finding.first_seen) == ("reappeared", instant(1))


def test_comparing_with_an_older_scan_leaves_out_what_came_between() -> None:
    """What was fixed and came back since the scan that was named is persisting, or new."""
    documents = [judged(one(state), n) for n, state in enumerate(["active", "none", "active"])]
    document = compare(documents[2], past_of_documents(documents[:2], upto=0))
    assert states(document) == [("fail", "persisting")]
    documents = [judged(one(state), n) for n, state in enumerate(["none", "active", "active"])]
    document = compare(documents[2], past_of_documents(documents[:2], upto=0))
    assert states(document) == [("fail", "new")]
    assert [finding.first_seen for finding in document.findings] == [instant(1)]


def test_history_says_what_came_and_went() -> None:
    """Each scan's line has its failures, what was new in it and what it found fixed."""
    scans = [one(state) for state in ("active", "active", "none", "unread", "active")]
    lines = sequence(*scans).history
    assert [(line.fail, line.unknown, line.new, line.fixed) for line in lines] == [
        (1, 0, 1, 0), (1, 0, 0, 0), (0, 0, 0, 1), (0, 1, 0, 0), (1, 0, 1, 0),
    ]  # fmt: skip
    assert [line.as_of for line in lines] == [instant(place) for place in range(5)]


def test_a_large_scan_is_compared_as_it_streams() -> None:
    """Findings that are made anew each time have the same states each time, and the document is the same."""
    world = World(dict.fromkeys(ACCOUNTS, "read"), {(a, u): "active" for a in ACCOUNTS for u in "abc"})
    before = judged(World({ACCOUNTS[0]: "read"}, world.keys), 0)
    whole, streamed = (
        compare(judged(world, 1, batch_rows=rows), past_of_documents([before])) for rows in (10**6, 1)
    )
    assert not isinstance(streamed.findings, tuple)
    assert tuple(streamed.findings) == tuple(streamed.findings) == whole.findings
    assert len(streamed.findings) == len(whole.findings) == 6
    assert streamed.changes == whole.changes


def test_passes_have_no_state() -> None:
    """With --all what passes is there, too, and the failures beside it keep theirs."""
    world = World({ACCOUNTS[0]: "read"}, {(ACCOUNTS[0], "ann"): "inactive", (ACCOUNTS[0], "bob"): "active"})
    document = judged(world, 0)
    passing = msgspec.structs.replace(document.findings[0], verdict="pass", user_name="ann")  # type: ignore[index]
    everything = msgspec.structs.replace(document, findings=(passing, *document.findings))
    assert states(compare(everything, Past())) == [("pass", None), ("fail", "new")]


def test_compared_documents_are_valid_json() -> None:
    """What comparing adds fits the published schema: it can be written and read back."""
    out = io.StringIO()
    document = sequence(one("active"), one("none"))
    renderer("json")(Report(document), out)
    again = msgspec.json.decode(out.getvalue(), type=Document)
    assert (again.changes, again.fixed, again.history) == (document.changes, document.fixed, document.history)


@given(st.lists(worlds, min_size=1, max_size=5), st.integers(-1, 4))
@settings(max_examples=25)
def test_a_plain_loop_agrees(scans: list[World], upto: int) -> None:
    """Keys made, deleted, disabled, not read; accounts denied, skipped, not asked; policies left out."""
    upto = min(upto, len(scans) - 2)
    documents = [judged(world, place) for place, world in enumerate(scans)]
    document = compare(documents[-1], past_of_documents(documents[:-1], upto))
    expected = _Loop(scans, documents, upto)
    assert [(f.state, f.first_seen) for f in document.findings] == expected.states
    assert {finding.fingerprint for finding in document.fixed} == expected.fixed
    changes = document.changes
    assert isinstance(changes, Changes)
    assert (changes.fixed, changes.unread) == (len(expected.fixed), expected.unread)
    assert changes.new + changes.persisting + changes.reappeared == len(document.findings)


class _Loop:
    """The same by walking through the scans; it knows from the worlds, not from the facts, what was read."""

    def __init__(self, scans: Sequence[World], documents: Sequence[Document], upto: int) -> None:
        self.scans = scans
        self.documents = documents
        standing: dict[str, tuple[bool, Finding]] = {}
        gone: set[str] = set()
        failed: set[str] = set()
        first: dict[str, datetime] = {}
        for place, document in enumerate(documents):
            found = {finding.fingerprint: finding for finding in document.findings}
            for name in found:
                first.setdefault(name, instant(place))
            if place > upto:
                continue
            for name, (_, finding) in list(standing.items()):
                if name not in found and self.sees(place, finding):
                    del standing[name]
                    gone.add(name)
            for name, finding in found.items():
                standing[name] = (finding.verdict == "fail", finding)
                gone.discard(name)
                failed |= {name} if finding.verdict == "fail" else set()
        now = {finding.fingerprint: finding for finding in documents[-1].findings}
        self.states = [
            (self._state(finding, standing.keys(), gone, failed), first[name])
            for name, finding in now.items()
        ]
        lost = [f for name, (fails, f) in standing.items() if fails and name not in now]
        lost = [f for f in lost if f.policy in scans[-1].policies and f.account_id in scans[-1].accounts]
        self.fixed = {f.fingerprint for f in lost if self.sees(len(scans) - 1, f)}
        self.unread = len(lost) - len(self.fixed)

    def _state(self, finding: Finding, standing: object, gone: set[str], failed: set[str]) -> str:
        name = finding.fingerprint
        if finding.verdict == "fail" and name not in failed:
            return "new"
        if name in standing:  # type: ignore[operator]
            return "persisting"
        return "reappeared" if name in gone else "new"

    def sees(self, place: int, finding: Finding) -> bool:
        """Whether a scan looked for this subject and could have found it."""
        world = self.scans[place]
        if finding.policy not in world.policies or world.accounts.get(finding.account_id) != "read":
            return False
        if finding.policy != BORN or finding.user_name is None:
            return True
        return world.keys[finding.account_id, finding.user_name] != "unread"
