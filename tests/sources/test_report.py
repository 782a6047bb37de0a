"""The credential report parser, against reports written from the facts it should find."""

import base64
import csv
import io
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birthright.errors import AnswerError
from birthright.facts.answers import CredentialReport, LastUse, ReportSlot, ReportUser
from birthright.sources.report import (
    MORE,
    OPTIONAL,
    REQUIRED,
    parse_report,
    parse_report_document,
)

LIVE_HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,"
    "password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,"
    "access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,"
    "access_key_2_last_used_region,access_key_2_last_used_service,"
    "cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)
ROOT = (
    "<root_account>,arn:aws:iam::111122223333:root,2014-03-01T10:00:00Z,not_supported,"
    "2026-01-02T03:04:05Z,not_supported,not_supported,true,false,N/A,N/A,N/A,N/A,"
    "false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
)
ALICE = (
    "alice,arn:aws:iam::111122223333:user/alice,2026-01-01T10:00:00Z,true,no_information,"
    "2026-01-01T10:00:00Z,N/A,false,true,2026-01-01T10:00:01Z,N/A,N/A,N/A,"
    "true,2026-02-01T10:00:00Z,2026-03-01T10:00:00Z,eu-west-1,s3,true,2026-01-01T10:00:00Z,false,N/A"
)
COLUMNS = LIVE_HEADER.split(",")
NO_ROOT = "there is no row of <root_account>: it is not a whole report"
BORN = datetime(2026, 1, 1, 10, tzinfo=UTC)


def report(*rows: str, header: str = LIVE_HEADER) -> bytes:
    return "\n".join((header, *rows)).encode()


def alice(**cells: str) -> str:
    row = dict(zip(COLUMNS, ALICE.split(","), strict=True)) | cells
    return ",".join(row.values())


def only(data: bytes) -> ReportUser:
    (user,) = parse_report(data).users
    return user


def test_a_live_report_is_read() -> None:
    """The 22 columns in AWS's order give every fact of root and of a user with two keys."""
    root, user = parse_report(report(ROOT, ALICE)).users
    assert root.user_name == "<root_account>"
    assert root.console_password is None
    assert root.mfa_active is True
    assert not root.may_have_keys
    assert user == ReportUser(
        "alice",
        "arn:aws:iam::111122223333:user/alice",
        BORN,
        console_password=True,
        password_ever_used=False,
        password_last_changed_at=BORN,
        mfa_active=False,
        active_certificates=1,
        slots=(
            ReportSlot(
                active=True,
                last_rotated=BORN + timedelta(seconds=1),
                last_use=LastUse(ever_used=False),
            ),
            ReportSlot(
                active=True,
                last_rotated=datetime(2026, 2, 1, 10, tzinfo=UTC),
                last_use=LastUse(
                    ever_used=True,
                    at=datetime(2026, 3, 1, 10, tzinfo=UTC),
                    region="eu-west-1",
                    service="s3",
                ),
            ),
        ),
    )


# --- any report that can be written from facts is read back as those facts

# Python 3.11's csv.writer leaves a carriage return unquoted when lines end in "\n".
names = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=12)
words = st.none() | st.sampled_from(["us-east-1", "s3", "a,b", 'quo"ted'])
instants = st.none() | st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
flags = st.sampled_from([True, False, None])


@st.composite
def last_uses(draw: st.DrawFn) -> LastUse:
    if moment := draw(instants):
        return LastUse(ever_used=True, at=moment, region=draw(words), service=draw(words))
    return LastUse(ever_used=draw(st.sampled_from([False, None])))


slots = st.builds(ReportSlot, flags, instants, last_uses())


@st.composite
def users(draw: st.DrawFn) -> ReportUser:
    console, used_at = draw(flags), draw(instants)
    never = draw(st.booleans()) and console is not False
    return ReportUser(
        draw(names),
        draw(st.none() | st.just("arn:aws:iam::111122223333:user/x")),
        draw(instants),
        console_password=console,
        password_ever_used=True if used_at else False if never else None,
        password_last_used_at=used_at,
        password_last_changed_at=draw(instants),
        mfa_active=draw(flags),
        active_certificates=draw(st.sampled_from([None, 0, 1, 2])),
        slots=(draw(slots), draw(slots)),
        more_credentials=draw(st.booleans()),
    )


reports = st.lists(users(), min_size=1, max_size=5, unique_by=lambda user: user.user_name)


def write_instant(draw: st.DrawFn, moment: datetime | None, nothing: str = "N/A") -> str:
    if moment is None:
        return nothing
    zone = timezone(timedelta(minutes=draw(st.sampled_from([0, 0, 330, -480]))))
    text = moment.astimezone(zone).isoformat()
    return text.replace("+00:00", "Z") if draw(st.booleans()) else text


def write_flag(draw: st.DrawFn, *, flag: bool | None) -> str:
    if flag is None:
        return draw(st.sampled_from(["not_supported", "N/A", ""]))
    word = str(flag).lower()
    return draw(st.sampled_from([word, word.upper(), word.title(), f" {word} "]))


def write_slot(draw: st.DrawFn, number: int, slot: ReportSlot) -> dict[str, str]:
    use, key = slot.last_use, f"access_key_{number}_"
    never = "N/A" if use.ever_used is False else "not_supported"
    return {
        f"{key}active": write_flag(draw, flag=slot.active),
        f"{key}last_rotated": write_instant(draw, slot.last_rotated),
        f"{key}last_used_date": write_instant(draw, use.at, never),
        f"{key}last_used_region": use.region or "N/A",
        f"{key}last_used_service": use.service or "not_supported",
    }


def write_user(draw: st.DrawFn, user: ReportUser) -> dict[str, str]:
    never = "no_information" if user.password_ever_used is False else "not_supported"
    certificates = user.active_certificates
    return {
        "user": user.user_name,
        "arn": user.user_arn or "",
        "user_creation_time": write_instant(draw, user.created_at),
        "password_enabled": write_flag(draw, flag=user.console_password),
        "password_last_used": write_instant(draw, user.password_last_used_at, never),
        "password_last_changed": write_instant(draw, user.password_last_changed_at),
        "mfa_active": write_flag(draw, flag=user.mfa_active),
        "cert_1_active": write_flag(draw, flag=None if certificates is None else certificates > 0),
        "cert_2_active": write_flag(draw, flag=None if certificates is None else certificates > 1),
        MORE: "1" if user.more_credentials else draw(st.sampled_from(["N/A", "0", ""])),
        "password_next_rotation": "whatever",
        "a_new_column": "x",
        **write_slot(draw, 1, user.slots[0]),
        **write_slot(draw, 2, user.slots[1]),
    }


@st.composite
def written(draw: st.DrawFn) -> tuple[tuple[ReportUser, ...], bytes]:
    facts = draw(reports)
    columns = draw(st.permutations([*REQUIRED, *OPTIONAL, MORE, "a_new_column"]))
    file = io.StringIO(newline="")
    end = draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(file, lineterminator=end, quoting=draw(st.sampled_from([0, 1])))
    pad, style = draw(st.sampled_from(["", " "])), draw(st.sampled_from(["lower", "upper"]))
    writer.writerow([pad + getattr(name, style)() + pad for name in columns])
    for user in facts:
        cells = write_user(draw, user)
        writer.writerow([cells[name] for name in columns])
    text = file.getvalue() if draw(st.booleans()) else file.getvalue().removesuffix(end)
    return tuple(facts), text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))


@given(written())
def test_what_is_written_is_read(case: tuple[tuple[ReportUser, ...], bytes]) -> None:
    """Column order, letter case, line ends, BOM, quoting and zones change nothing."""
    facts, data = case
    found = parse_report(data)
    assert found.users == facts
    assert found.problems == (NO_ROOT,)


# --- single cells


@pytest.mark.parametrize(
    ("enabled", "cell", "ever"),
    [
        ("true", "2026-03-01T10:00:00Z", True),
        ("true", "no_information", False),
        ("true", "N/A", False),
        ("false", "N/A", None),
        ("false", "no_information", None),
        ("not_supported", "no_information", False),
        ("not_supported", "N/A", None),
        ("true", "not_supported", None),
        ("true", "", None),
        ("true", "soon", None),
    ],
)
def test_password_use(enabled: str, cell: str, *, ever: bool | None) -> None:
    """A password is unused only where the report says so of a password that exists."""
    user = only(report(alice(password_enabled=enabled, password_last_used=cell)))
    assert user.password_ever_used is ever


@pytest.mark.parametrize(
    ("cell", "ever"),
    [("N/A", False), ("no_information", None), ("not_supported", None), ("", None), ("x", None)],
)
def test_key_use(cell: str, *, ever: bool | None) -> None:
    """Only `N/A`, the word AWS documents for it, says that a key was never used."""
    user = only(report(alice(access_key_1_last_used_date=cell)))
    assert user.slots[0].last_use.ever_used is ever


@pytest.mark.parametrize(
    "cell",
    [
        "2024-13-01",
        "2024-01-01",
        "2024-01-01T10",
        "yesterday",
        "1704103200",
        "2024-02-30T00:00:00Z",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "2024-01-01T10:00+00:00",
    ],
)
def test_a_bad_date_is_unknown_and_told(cell: str) -> None:
    """A date that is none, or not to the second, is no fact, and its slot may hold a key."""
    found = parse_report(report(ROOT, alice(access_key_1_last_rotated=cell)))
    slot = found.users[1].slots[0]
    assert slot.last_rotated is None
    assert not slot.readable
    assert found.problems == (f"line 3, access_key_1_last_rotated: '{cell}' is not a date",)


def test_a_bad_boolean_is_unknown_and_told() -> None:
    """A slot with an unreadable status may hold a key."""
    found = parse_report(report(ROOT, alice(access_key_2_active="yes", mfa_active="1")))
    assert found.users[1].mfa_active is None
    assert found.users[1].slots[1].active is None
    assert not found.users[1].slots[1].readable
    assert found.users[1].slots[0].readable
    assert found.problems == (
        "line 3, mfa_active: '1' is not true or false",
        "line 3, access_key_2_active: 'yes' is not true or false",
    )


@pytest.mark.parametrize(
    ("active", "used", "may_hold_key"),
    [
        ("false", "2026-03-01T10:00:00Z", True),
        ("FALSE", "2026-03-01T10:00:00Z", True),
        ("false", "soon", True),
        ("false", "N/A", False),
        ("false", "no_information", False),
        ("false", "", False),
    ],
)
def test_a_last_use_shows_a_key_without_a_date(active: str, used: str, *, may_hold_key: bool) -> None:
    """AWS documents N/A as the date of a key that is not active: only its last use shows it then."""
    cells = {"active": active, "last_rotated": "N/A", "last_used_date": used}
    slot = only(report(alice(**{f"access_key_1_{name}": cell for name, cell in cells.items()}))).slots[0]
    assert (slot.active, slot.last_rotated) == (False, None)
    assert slot.may_hold_key is may_hold_key
    assert slot.holds_key is used.endswith("Z")


def test_a_bad_last_use_leaves_the_slot_readable() -> None:
    """That the last use is unknown does not make the key doubtful."""
    slot = only(report(alice(access_key_1_last_used_date="?"))).slots[0]
    assert slot.readable
    assert slot.last_use == LastUse()


def test_problems_show_little_and_no_control_characters() -> None:
    """A cell in a message has at most 40 characters, none of which moves a terminal's cursor."""
    cell = "\x1b[2J\x9b\u202e" + "x" * 100
    (line,) = parse_report(report(ROOT, alice(user_creation_time=cell))).problems
    assert line.isprintable()
    assert r"'\x1b[2J\x9b\u202e" in line
    assert "x" * 35 not in line


def test_problems_are_capped() -> None:
    """A report without any readable date says so in 21 lines."""
    rows = [alice(user=f"user{n}", user_creation_time="?") for n in range(50)]
    problems = parse_report(report(ROOT, *rows)).problems
    assert len(problems) == 21
    assert problems[-1] == "and 30 more problems"


@pytest.mark.parametrize(
    ("cell", "more"), [("2", True), ("yes", True), ("", False), ("0", False), ("N/A", False)]
)
def test_the_23rd_column(cell: str, *, more: bool) -> None:
    """The documented 23rd column tells of more credentials, and its absence is no problem."""
    assert only(report(f"{ALICE},{cell}", header=f"{LIVE_HEADER},{MORE}")).more_credentials is more


def test_certificates_are_unknown_unless_both_are_read() -> None:
    """A count that misses an unreadable certificate would be wrong."""
    assert only(report(alice(cert_2_active="?"))).active_certificates is None


# --- rows


def test_rows_of_another_width_lend_only_their_name() -> None:
    """In a short or long row cells may have moved: the user is kept, its facts are not."""
    short = ",".join(ALICE.split(",")[:9])
    found = parse_report(report(ROOT, short, f"{ALICE},x".replace("alice", "bob")))
    for user, name in zip(found.users[1:], ("alice", "bob"), strict=True):
        assert user == ReportUser(name, slots=(ReportSlot(readable=False),) * 2)
        assert user.may_have_keys
    assert [line.split(";")[0] for line in found.problems] == [
        "line 3: 9 cells instead of 22",
        "line 4: 23 cells instead of 22",
    ]


def test_a_row_without_a_name_is_left_out() -> None:
    """A row that names nobody is a problem, not a user."""
    found = parse_report(report(ROOT, alice(user="")))
    assert len(found.users) == 1
    assert found.problems == ("line 3: no user name; the row is left out",)


def test_blank_lines_are_nothing() -> None:
    """Empty lines before, between and after the rows do not matter."""
    data = b"\n\n" + report(ROOT, "", ALICE, "", "")
    assert parse_report(data).users == parse_report(report(ROOT, ALICE)).users


def test_a_repeated_row_is_read_once() -> None:
    """The same row twice is one user and a problem."""
    found = parse_report(report(ROOT, ALICE, ALICE))
    assert found.users == parse_report(report(ROOT, ALICE)).users
    assert found.problems == ("line 4: 'alice' has the same row twice",)


def test_contradicting_rows_are_not_believed() -> None:
    """Two different rows of one user leave nothing known, so that neither can make it pass."""
    found = parse_report(report(ROOT, alice(access_key_1_active="false"), ALICE))
    assert found.users[1:] == (ReportUser("alice", slots=(ReportSlot(readable=False),) * 2),)
    assert found.problems == (
        "line 4: 'alice' has rows that contradict each other: only the name is believed",
    )


def test_a_report_without_root_is_not_whole() -> None:
    """AWS always writes root's row; who cut it out may have cut out others."""
    assert parse_report(report(ALICE)).problems == (NO_ROOT,)
    assert parse_report(report(ALICE, ROOT)).problems == ()


# --- what is no report


@pytest.mark.parametrize("column", REQUIRED)
def test_a_missing_needed_column_is_an_error(column: str) -> None:
    """Without a column that rules need, no user of the report could be judged."""
    data = report(ALICE).replace(f"{column},".encode(), f"x_{column},".encode(), 1)
    with pytest.raises(AnswerError, match=f"lacks the column {column}"):
        parse_report(data)


@pytest.mark.parametrize("column", OPTIONAL)
def test_a_missing_other_column_is_one_problem(column: str) -> None:
    """Without another column its facts are unknown; that is said once, not once a row."""
    data = report(ROOT, ALICE).replace(f",{column},".encode(), f",x_{column},".encode(), 1)
    found = parse_report(data)
    assert found.problems == (f"the column {column} is missing",)
    assert len(found.users) == 2


def test_a_column_twice_is_an_error() -> None:
    """Of two columns of one name nobody knows which is right."""
    with pytest.raises(AnswerError, match="has the column mfa_active twice"):
        parse_report(report(f"{ALICE},true", header=f"{LIVE_HEADER},MFA_Active"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \r\n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (LIVE_HEADER.encode(), "a header and no users"),
        (b'{"Users": []}', "this is JSON"),
        (b"<html><body>Sign in</body></html>", "this is HTML"),
        (b"name;value\n1;2", "something else"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "not UTF-8"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"\xed\xa0\x80", "not UTF-8"),
        (report(ALICE) + b"\0", "NUL"),
        (report(alice(user='"alice')), "not well-formed CSV"),
        (report(alice(user="a" * 200_000)), "not well-formed CSV"),
    ],
)
def test_what_is_no_report_is_an_error(data: bytes, message: str) -> None:
    """Nothing but a report is taken for one, and the message says what it was."""
    with pytest.raises(AnswerError, match=message) as caught:
        parse_report(data)
    assert caught.value.hint


# --- saved documents

MADE = datetime(2026, 11, 22, 9, 0, 1, tzinfo=UTC)


def envelope(data: bytes, **fields: object) -> bytes:
    content = base64.b64encode(data).decode()
    return json.dumps({"Content": content, "ReportFormat": "text/csv", **fields}, indent=4).encode()


@pytest.mark.parametrize(
    "made",
    [
        "2026-11-22T09:00:01+00:00",
        "2026-11-22T09:00:01.500000Z",
        "2026-11-22T10:00:01+01:00",
        "2026-11-22T09:00:01",
        MADE.timestamp(),
    ],
)
def test_the_cli_output_is_read(made: object) -> None:
    """The JSON of the AWS CLI gives the report and the time AWS made it."""
    found = parse_report_document(envelope(report(ALICE), GeneratedTime=made))
    assert found == parse_report(report(ALICE), MADE)
    assert found.generated_at == MADE


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_other_ways_to_save_it_are_read(encoding: str) -> None:
    """JSON, CSV and base64 in any encoding a shell makes of them give the same report."""
    plain = report(ROOT, ALICE)
    for text in (plain, base64.encodebytes(plain), envelope(plain)):
        found = parse_report_document(text.decode().encode(encoding))
        assert found == parse_report(plain)


@pytest.mark.parametrize("content", [lambda data: data.decode(), str], ids=["text", "bytes"])
def test_dumps_of_boto3_are_read(content: Callable[[bytes], str]) -> None:
    """boto3 decodes `Content`; people dump that as text, or as Python writes bytes, with its datetime."""
    data = report(ROOT, alice(user='"o\'neil, é"'))
    dump = {"Content": content(data), "GeneratedTime": str(MADE), "ResponseMetadata": {"RetryAttempts": 0}}
    found = parse_report_document(json.dumps(dump).encode())
    assert found == parse_report(data, MADE)
    assert found.users[1].user_name == "o'neil, é"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{}", "missing required field `Content`"),
        (b'{"Content": "', "not the JSON"),
        (b'{"Content": "%%%"}', "not base64"),
        (b'{"Content": "\\ud800"}', "not "),
        (b'{"Content": ""}', "is empty"),
        (b'{"Content": "b\'user"}', "not Python's bytes"),
        (b'{"Content": "b\'a\' + 1"}', "not Python's bytes"),
        (b'{"Content": "hello, world"}', "something else"),
        (b'{"Content": "AAAA"}', "NUL"),
        (b'{"Content": "QQ==", "ReportFormat": "x"}', "format is 'x'"),
        (b'{"Content": "QQ==", "GeneratedTime": "x"}', "GeneratedTime"),
        (b"", "is empty"),
        (b"QQ=", "not base64"),
    ],
)
def test_a_bad_document_is_an_error(data: bytes, message: str) -> None:
    """A damaged envelope says what is wrong with it."""
    with pytest.raises(AnswerError, match=message):
        parse_report_document(data)


def test_five_thousand_users_are_read_quickly() -> None:
    """The largest account AWS allows by default takes far less than its download."""
    data = report(ROOT, *(ALICE.replace("alice", f"user{n}") for n in range(5000)))
    started = time.process_time()
    found: CredentialReport = parse_report(data)
    assert len(found.users) == 5001
    assert time.process_time() - started < 0.5
