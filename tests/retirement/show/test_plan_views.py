"""How plans are shown: to people, for change requests, and to programs; names are hostile."""

import io
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from birthright.errors import UsageError
from birthright.findings.model import Waiver
from birthright.retirement.planning.plan import Plan
from birthright.retirement.show.formats import FORMATS, format_of, renderer
from birthright.retirement.show.plan_markdown import code, text
from cli_helpers import Screen
from plan_helpers import AS_OF, NOW, days, evidence, finding, key_id, planned, used

LARGE = "9" * 12
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def shown(form: str, plan: Plan) -> str:
    """Render to text."""
    out = io.StringIO()
    renderer(form)(plan, out)
    return out.getvalue()


def example() -> Plan:
    """Plan something of everything, in two accounts."""
    plan = planned(
        finding(),
        used(120, user_name="ci-deploy", access_key_id=key_id(2), policy="access-key-unused", risk="medium",
             reason="last used 120 d ago"),
        used(120, user_name="ci-deploy", access_key_id=key_id(2)),
        finding(user_name="old", access_key_id=key_id(3), status="Inactive", policy="access-key-inactive",
                reason="inactive and never used"),
        used(0.1, user_name="backup", access_key_id=key_id(4), account_id=LARGE),
        used(5, user_name="-rf|`x`", access_key_id=key_id(5)),
        used(2, user_name="twice", access_key_id=key_id(6), user_keys=2),
        used(8, user_name="twice", access_key_id=key_id(7), user_keys=2),
        used(3, user_name="mailer", access_key_id=key_id(8), evidence=evidence("ses")),
        finding(user_name="<root_account>", access_key_id=None),
        finding(user_name="new", access_key_id=key_id(9), created_at=AS_OF),
        annotate=True,
    )  # fmt: skip
    fixed = msgspec.structs.replace(
        plan, tool_version="0", id="plan-20261122T100500Z-000000", digest="0" * 64
    )
    assert {item.action for item in fixed.items} == {"retire", "rotate", "refuse"}
    return fixed


@pytest.mark.parametrize("form", list(FORMATS))
def test_each_format(form: str, snapshot: SnapshotAssertion) -> None:
    """A plan of everything looks like this."""
    out = shown(form, example())
    assert "\x1b" not in out
    assert out == snapshot


@pytest.mark.parametrize("form", list(FORMATS))
def test_an_empty_plan(form: str) -> None:
    """Nothing to plan is said so, not shown as an empty table."""
    out = shown(form, planned())
    assert ("nothing to plan" in out) is (form != "json")
    assert "undo" not in out


def test_the_terminal_fits_its_width() -> None:
    """No line of piped output is wider than 120 columns, and no key id is torn."""
    out = shown("terminal", example())
    assert max(map(len, out.splitlines())) <= 120
    assert all(key_id(i) in out for i in range(2, 10))


def test_a_long_reason_stands_beside_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a narrow terminal the further lines of a reason stand below its first, not below the count."""
    monkeypatch.setenv("COLUMNS", "80")
    waiver = Waiver("moved away " * 9, "ops@example.com", None, NOW.date(), NOW.date())
    renderer("terminal")(planned(finding(waiver=waiver)), screen := Screen())
    lines = [plain for line in screen.getvalue().splitlines() if "moved" in (plain := _COLOURS.sub("", line))]
    assert len(lines) > 1
    assert lines[0].startswith("   1  waived until ")
    assert all(line.startswith(("      moved", "      away")) for line in lines[1:])


def test_many_refusals_are_counted() -> None:
    """The terminal shows ten keys of a reason and counts the rest; Markdown has all."""
    plan = planned(*(finding(user_name=f"u{i}", access_key_id=key_id(i), remedy="review") for i in range(30)))
    assert "and 20 more: --format markdown has all" in shown("terminal", plan)
    assert shown("markdown", plan).count("AKIAEXAMPLE") == 30


def test_different_hand_overs_are_a_column() -> None:
    """Where secrets go to different places, each row says where."""
    handover = {"bob": "ssm:/x/{user_name}", "*": "secrets-manager:y/{user_name}"}
    two = planned(used(), used(user_name="bob", access_key_id=key_id(2)), handover=handover)
    out = shown("terminal", two)
    assert "new secret goes to" in out
    assert "ssm:/x/" in out


hostile = st.text(min_size=1) | st.sampled_from(
    [
        "\x1b[2J",
        "a\u202eb",
        "[red]x[/]",
        "a|b",
        "`x`",
        "``",
        "</td><script>",
        "![x](http://e)",
        "a\n# b",
        "\x00",
    ]
)


@settings(deadline=None)
@given(hostile, hostile, st.booleans())
def test_no_name_or_reason_reaches_anybody_raw(name: str, reason: str, in_use: bool) -> None:  # noqa: FBT001
    """Whatever is in names, reasons and statuses: printable text and line ends only."""
    make = used if in_use else finding
    plan = planned(
        make(user_name=name, reason=reason, status=name),
        make(user_name="bob", access_key_id=key_id(2), reason=reason),
    )
    for form in ("terminal", "markdown"):
        assert shown(form, plan).replace("\n", "").isprintable()


@given(hostile)
def test_markdown_is_never_markup(words: str) -> None:
    """Escaped words have no markup of their own, and code cannot be ended from within."""
    bare = re.sub(r"\\.", "", text(words))
    assert not re.search(r"[`*_\[\]<>|~&#!$\\]|\w://", bare)
    fenced = code(words)
    fence = re.match("`*", fenced)
    assert fence is not None
    inside = fenced[len(fence[0]) : -len(fence[0])] if fenced else ""
    assert fence[0] not in re.findall("`+", inside)
    assert not re.search(r"(?<!\\)\|", inside)


def test_rows_of_markdown_have_their_columns() -> None:
    """A bar in a name makes no column more."""
    out = shown("markdown", planned(finding(user_name="a|b`c", reason="x|y"), finding(remedy="review")))
    rows = [line for line in out.splitlines() if line.startswith("| `1111")]
    assert rows
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {6, 10}


def test_the_format_follows_the_ending() -> None:
    """Each format has its ending; another one is wrong usage that names them all."""
    for name, (_, ending, *_) in FORMATS.items():
        assert format_of(Path(f"plan{ending}")) == name
    with pytest.raises(UsageError, match=r"\.md"):
        format_of(Path("plan.pdf"))


def test_ages_are_of_the_scan() -> None:
    """An age is told as of the scan's facts, not of the day the plan is read."""
    assert days(120) < NOW
    assert "120 d ago" in shown("terminal", planned(used(120)))
