"""Plans as files: they come back as they were, or are refused in one line."""

import hashlib
import io
import stat
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birthright.errors import PlanError, StoreError
from birthright.retirement.planning import plan_file
from birthright.retirement.planning.plan import Plan, digest_of
from birthright.retirement.planning.plan_file import check_fresh, load_plan, save_plan, write_plan
from plan_helpers import NOW, finding, key_id, planned, used

PLAN = planned(finding(), used(user_name="bob", access_key_id=key_id(2)), used(user_name="eve", user_keys=2))


def encoded(plan: Plan) -> bytes:
    out = io.StringIO()
    write_plan(plan, out)
    return out.getvalue().encode()


DATA = encoded(PLAN)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name a file."""
    return tmp_path_factory.mktemp("plans") / "plan.json"


def refusal(path: Path, data: bytes) -> str:
    """Load these bytes, which must be refused in one line with a hint; return it."""
    path.write_bytes(data)
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    assert caught.value.hint
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_plan_comes_back(path: Path) -> None:
    """What is saved is loaded, and only its owner can read it."""
    save_plan(path, PLAN)
    assert load_plan(path) == PLAN
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == DATA


def test_a_plan_is_written_whole_or_not_at_all(path: Path) -> None:
    """Where nothing can be written the trouble is told, and nothing is left."""
    with pytest.raises(StoreError, match="cannot write"):
        save_plan(path.parent / "nowhere" / "plan.json", PLAN)
    assert not (path.parent / "nowhere").exists()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not a plan"),
        (b"\x00" * 100, "is not a plan"),
        (b"[]", "is not a plan"),
        (b"{}", "is not a plan"),
        (b"\xff\xfe", "is not a plan"),
        (b"[" * 1_000_000, "is not a plan"),
        (b'{"schema": ' + b"[" * 1_000_000, "is not a plan"),
        (b'{"schema": "birthright.findings/1"}', "is not a plan"),
        (b'{"schema": "birthright.plan/"}', "is not a plan"),
        (b'{"schema": "birthright.plan/1"}', "is damaged"),
        (b'{"schema": "birthright.plan/2"}', "newer birthright"),
        (DATA[:-10], "is not a plan"),
        (DATA.replace(b'"alice"', b'"al\x00ce"'), "is not a plan"),
        (DATA.replace(b'"alice"', b'"mallory"'), "was edited"),
        (DATA.replace(b'"refuse"', b'"retire"'), "was edited"),
        (DATA.replace(b'"refuse"', b'"remove"'), "is damaged"),
        (DATA.replace(b'"P14D"', b'"P1D"'), "was edited"),
        (DATA.replace(b'"P14D"', b'"P99999999999999D"'), "is damaged"),
        (DATA.replace(PLAN.digest.encode(), b"0" * 64), "was edited"),
    ],
)
def test_what_is_no_plan(data: bytes, says: str, path: Path) -> None:
    """Other files, torn ones, newer ones and edited ones are each told apart."""
    assert data != DATA
    assert says in refusal(path, data)


def test_files_that_cannot_be_read(path: Path) -> None:
    """A missing file and a folder are told like that."""
    for place in (path.parent / "missing.json", path.parent):
        with pytest.raises(PlanError, match="cannot read"):
            load_plan(place)


def test_files_that_are_too_large(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is read than a plan can have."""
    shorter = msgspec.structs.replace(plan_file._FORM, longest=len(DATA))
    monkeypatch.setattr(plan_file, "_FORM", shorter)
    path.write_bytes(DATA)
    assert load_plan(path) == PLAN
    assert "too large" in refusal(path, DATA + b" ")


def test_a_naive_expiry_is_refused(path: Path) -> None:
    """Times that cannot be compared never reach whoever applies the plan."""
    naive = msgspec.structs.replace(PLAN, expires_at=PLAN.expires_at.replace(tzinfo=None))
    forged = msgspec.structs.replace(naive, digest=digest_of(naive))
    assert "not UTC" in refusal(path, encoded(forged))


@pytest.mark.parametrize("count", [0, 1, 257])
def test_a_plan_is_written_as_one_document(count: int) -> None:
    """Items are written and digested one by one; the bytes are those of the whole plan in one go."""
    hostile = used(user_name='"items":[]', reason='\n  "items": []')
    plan = planned(*(used(user_name=f"u{i}", access_key_id=key_id(i)) for i in range(count)), hostile)
    plan = msgspec.structs.replace(plan, items=plan.items[:count])
    assert encoded(plan) == msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"
    bare = msgspec.structs.replace(plan, digest="")
    assert digest_of(plan) == hashlib.sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()


def test_expiry() -> None:
    """A plan holds until its last second, not in it."""
    check_fresh(PLAN, NOW)
    check_fresh(PLAN, PLAN.expires_at - timedelta(seconds=1))
    with pytest.raises(PlanError, match="expired at 2026-11-23T10:05:00Z") as caught:
        check_fresh(PLAN, PLAN.expires_at)
    assert "birthright plan" in caught.value.hint


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, len(DATA) - 1),
    st.binary(min_size=1, max_size=1),
    st.sampled_from(["replace", "insert", "delete"]),
)
def test_any_byte_changed_is_refused_or_changes_nothing(
    path: Path, place: int, byte: bytes, how: str
) -> None:
    """Change, add or remove any byte: the file is refused, or the plan is the very same."""
    data = DATA[:place] + (b"" if how == "delete" else byte) + DATA[place + (how != "insert") :]
    path.write_bytes(data)
    try:
        plan = load_plan(path)
    except PlanError:
        return
    assert plan == PLAN
