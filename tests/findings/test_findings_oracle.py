"""The engine's findings are those of plain Python, and their JSON is msgspec's, byte for byte."""

from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.facts.model import AccessKey, Coverage, Principal, Status
from birthright.facts.schema import to_tables
from birthright.findings.model import Finding
from birthright.findings.stream import FindingOptions, Findings
from birthright.policies.evaluator import Evaluator
from birthright.policies.pack import load_pack
from birthright.policies.scope import Accounts
from finding_oracle import Oracle

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
PAGES = {page.id: page for page in load_pack()}
IN_USE = timedelta(days=90)

# Names that JSON escapes, that sort by what they are made of, and that only look alike.
names = st.one_of(
    st.sampled_from(["ann", "Z", "é", "e\u0301", "\U0001f511", "\uffff", "<root_account>"]),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=4),
    st.text(st.sampled_from('\\"/u001bB\x00\x01\t\n\r\x0b\x1b\x1f\x7f\u2028'), min_size=1, max_size=8),
)
times = st.one_of(
    st.none(),
    st.sampled_from([NOW - timedelta(days=days) for days in (0, 1, 89, 90, 91, 400)]),
    # The years that Python knows.
    st.integers(-62_135_596_800, 253_402_300_799).map(
        lambda s: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=s)
    ),
)
maybe = st.sampled_from([True, False, None])
sources = ["GetCredentialReport", "ListAccessKeys", "GetAccessKeyLastUsed", "ListUsers"]


@st.composite
def keys(draw: st.DrawFn, account: str, name: str, place: int) -> AccessKey:
    """Draw a key; a user's keys are often alike."""
    return AccessKey(
        account,
        draw(st.one_of(st.none(), names)),
        name,
        is_root=draw(st.sampled_from([False, False, True])),
        console_password=draw(maybe),
        user_created_at=draw(times),
        access_key_id=draw(st.sampled_from([None, "", f"AKIA{place}", f"AKIA{account}{place}"])),
        slot=draw(st.sampled_from([None, 1, 2])),
        status=draw(st.sampled_from(["Active", "Inactive", None])),
        created_at=draw(times),
        created_source=draw(st.sampled_from(["listing", "report", None])),
        ever_used=draw(maybe),
        last_used_at=draw(times),
        last_used_region=draw(st.one_of(st.none(), names)),
        last_used_service="s3",
        last_used_source=draw(st.sampled_from(["lookup", "report"])),
    )


@st.composite
def scans(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Draw the facts of one to three accounts."""
    rows: dict[str, list[Any]] = {"principals": [], "access_keys": [], "coverage": []}
    for account in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
            rows["principals"].append(
                Principal(
                    account, f"arn:{name}", name, is_root=draw(maybe) or False, console_password=draw(maybe),
                    created_at=draw(times), password_last_used_at=draw(times),
                    password_last_changed_at=draw(times), mfa_active=draw(maybe), in_report=draw(maybe),
                    in_listing=draw(maybe), active_certificates=draw(st.sampled_from([None, 0, 1])),
                )
            )  # fmt: skip
            rows["access_keys"] += [draw(keys(account, name, n)) for n in range(draw(st.integers(0, 3)))]
        for source in sources:
            status: Status = draw(st.sampled_from(["ok", "ok", "partial", "denied"]))
            detail = draw(st.one_of(st.just(""), names))
            made = draw(times) if source == "GetCredentialReport" else None
            told = Coverage(account, source, status, detail, as_of=draw(times), report_generated_at=made)
            rows["coverage"].append(told)
    return rows


@settings(max_examples=30, deadline=None)
@given(
    scans(),
    st.lists(st.sampled_from(sorted(PAGES)), min_size=1, max_size=3, unique=True),
    maybe,
    st.booleans(),
)
def test_findings_are_those_of_plain_python(
    rows: dict[str, list[Any]], policies: list[str], earlier: bool | None, passes: bool  # noqa: FBT001
) -> None:  # fmt: skip
    """Fingerprint, remedy, order, evidence, number of keys: all of it, whatever the names and times are."""
    pages = [PAGES[policy] for policy in policies]
    earliest = NOW - timedelta(days=100) if earlier else None
    evaluator = Evaluator(to_tables(rows), NOW, as_of_earliest=earliest)
    given_passes = frozenset(policies) if passes else frozenset()
    how = FindingOptions(IN_USE, given_passes, evidence=True)
    found = Findings(evaluator, [evaluator.rule(page) for page in pages], how, 0)
    judgements = [evaluator.judge(page, passes=passes) for page in pages]
    expected = Oracle(rows, {NOW, earliest or NOW}, IN_USE).findings(judgements)
    assert list(found) == expected
    assert b"".join(found.lines()) == msgspec.json.Encoder().encode_lines(expected)
    some = tuple(sorted({row.account_id for row in rows["coverage"]})[:1])
    assert list(found.of(some)) == [finding for finding in expected if finding.account_id in some]


def test_lines_are_blocks_of_whole_findings() -> None:
    """Thousands of findings come some at a time, each line a finding, in one order."""
    keys = [
        AccessKey("111122223333", None, f"user-{n:05}", status="Active", ever_used=False, created_at=NOW)
        for n in range(20_000)
    ]
    coverage = [Coverage("111122223333", source, "ok", as_of=NOW) for source in sources]
    evaluator = Evaluator(to_tables({"access_keys": keys, "coverage": coverage}), NOW)
    page = PAGES["access-key-never-used"]
    how = FindingOptions(IN_USE, frozenset({page.id}), evidence=False)
    blocks = list(Findings(evaluator, [evaluator.rule(page)], how, 0).lines())
    assert len(blocks) > 10
    decoder = msgspec.json.Decoder(Finding)
    found = list(chain.from_iterable(map(decoder.decode_lines, blocks)))
    assert [finding.user_name for finding in found] == [key.user_name for key in keys]
    assert Accounts(("111122223333",)).holds("111122223333")
