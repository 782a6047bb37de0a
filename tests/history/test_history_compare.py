"""Findings against earlier scans: a plain loop over dictionaries is the judge."""

import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.findings.model import Changes, Document, Finding
from birthright.history.compare import compare
from birthright.history.earlier import Baseline
from birthright.reports.formats import renderer
from birthright.reports.interface import Report
from history_helpers import (
    ACCOUNTS,
    AGE,
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

# So many that each example has many histories.
PLACES = [(f"{number:012}", user) for number in range(12) for user in ("ann", "bob")]
# How an account answers in one scan; not at all: it is not asked for.
ANSWERS = (*["read"] * 4, *["old"] * 3, "denied", "skipped", "broken", None)
# What becomes of one key in one scan. unread: could not read this user's keys.
HOW = ("active", "active", "inactive", "none", "unread")


def world_of(random: Random) -> World:
    """Make a world; one account is always read, as a scan of nothing is refused."""
    answers = {account: random.choice(ANSWERS) for account, _ in PLACES}
    asked = {account: answer for account, answer in answers.items() if answer}
    keys = {place: random.choice(HOW) for place in PLACES}
    return World({"333333333333": "read", **asked}, keys, (random.choice([BORN] * 4 + [OTHER.id]),))


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


def test_an_older_report_brings_nothing_back() -> None:
    """A key that a listing saw disabled is not back because a report from before that still has it."""
    active, off, old = one("active"), one("inactive"), one("active", "old")
    assert states(sequence(active, off, old)) == [("fail", "persisting")]
    assert states(sequence(active, off, old, old)) == [("fail", "persisting")]
    assert [(line.new, line.fixed) for line in sequence(active, off, old, old).history] == [
        (1, 0), (0, 1), (0, 0), (0, 0),
    ]  # fmt: skip
    assert counts(sequence(active, off, old, off)) == (0, 0, 0, 0, 0)
    # That it is back indeed is told even so.
    assert states(sequence(active, off, old, active)) == [("fail", "reappeared")]
    assert states(sequence(active, off, active, old)) == [("fail", "persisting")]
    # Whether it failed already, or came of age since, nobody knows of one that never failed.
    assert states(sequence(off, old)) == [("fail", "new")]


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
    assert states(compare(everything, Baseline())) == [("pass", None), ("fail", "new")]


def test_compared_documents_are_valid_json() -> None:
    """What comparing adds fits the published schema: it can be written and read back."""
    out = io.StringIO()
    document = sequence(one("active"), one("none"))
    renderer("json")(Report(document), out)
    again = msgspec.json.decode(out.getvalue(), type=Document)
    assert (again.changes, again.fixed, again.history) == (document.changes, document.fixed, document.history)


@pytest.mark.usefixtures("in_rounds")
@given(st.integers(0, 2**64), st.integers(1, 6), st.integers(-1, 4))
@settings(max_examples=8)
def test_a_plain_loop_agrees(seed: int, number: int, upto: int) -> None:
    """Keys made, deleted, disabled, not read; accounts denied, skipped, not asked; policies left out."""
    random = Random(seed)  # noqa: S311
    scans = [world_of(random) for _ in range(number)]
    upto = min(upto, number - 2)
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
        standing: dict[str, tuple[int, Finding]] = {}
        gone: set[str] = set()
        failed: set[str] = set()
        first: dict[str, datetime] = {}
        for place, document in enumerate(documents):
            found = {finding.fingerprint: finding for finding in document.findings}
            for name in found:
                first.setdefault(name, instant(place))
            if place > upto:
                continue
            for name, (at, finding) in list(standing.items()):
                if name not in found and self.sees(place, at, finding):
                    del standing[name]
                    gone.add(name)
            for name, finding in found.items():
                if self.stale(place, finding):
                    continue
                standing[name] = (place, finding)
                gone.discard(name)
                failed |= {name} if finding.verdict == "fail" else set()
        now = {finding.fingerprint: finding for finding in documents[-1].findings}
        self.states = [
            (self._state(finding, standing.keys(), gone, failed), first[name])
            for name, finding in now.items()
        ]
        lost = [one for name, one in standing.items() if one[1].verdict == "fail" and name not in now]
        world, last = scans[-1], len(scans) - 1
        lost = [
            one for one in lost if one[1].policy in world.policies and one[1].account_id in world.accounts
        ]
        self.fixed = {finding.fingerprint for at, finding in lost if self.sees(last, at, finding)}
        self.unread = len(lost) - len(self.fixed)

    def _state(self, finding: Finding, standing: object, gone: set[str], failed: set[str]) -> str:
        name = finding.fingerprint
        if finding.verdict == "fail" and name not in failed:
            return "new"
        if name in standing:  # type: ignore[operator]
            return "persisting"
        if name not in gone:
            return "new"
        return "persisting" if self.stale(len(self.scans) - 1, finding) else "reappeared"

    def knows(self, place: int, account: str) -> datetime:
        """Give the instant of what a scan knows of an account."""
        return instant(place) - (AGE if self.scans[place].accounts.get(account) == "old" else timedelta())

    def stale(self, place: int, finding: Finding) -> bool:
        """Whether a scan before this one knew more lately that the finding, known before, was gone."""
        name, account, had = finding.fingerprint, finding.account_id, None
        for other in range(place):
            found = {one.fingerprint: one for one in self.documents[other].findings}
            if name in found:
                had = other, found[name]
            elif had and self.sees(other, *had) and self.knows(other, account) > self.knows(place, account):
                return True
        return False

    def sees(self, place: int, at: int, finding: Finding) -> bool:
        """Whether a scan looked for the subject of a finding of the scan `at`, and could have found it."""
        world, account = self.scans[place], finding.account_id
        if finding.policy not in world.policies or world.accounts.get(account) not in {"read", "old"}:
            return False
        if self.knows(place, account) < self.knows(at, account):
            return False
        if finding.policy != BORN or finding.user_name is None:
            return True
        return world.keys[finding.account_id, finding.user_name] != "unread"
