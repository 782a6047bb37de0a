"""The waivers' file: what is read, what is refused and how it is said, and what adding an entry keeps."""

import os
import stat
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.errors import UsageError
from birthright.waivers.edit import NoPlaceError, add_waiver, entry_text
from birthright.waivers.file import WaiverEntry, load_waivers, parse_waivers, problems

TODAY = date(2026, 11, 22)
KEY = "AKIAEXAMPLE000000001"
FILE = f"""\
# Reviewed by security.
schema: birthright.waivers/1
waivers:
  - policy: access-key-created-with-user
    account: "111122223333"  # payments
    user: ci-*
    access_key_id: {KEY}
    reason: Vendor rotates it in January
    owner: team-payments@example.com
    ticket: SEC-1042
    created: 2026-11-22
    expires: "2027-01-31"

  # The second.
  - policy: console-user-without-mfa
    account: "1111*"
    user: ann
    reason: "a: 'quoted' # text"
    owner: ann
    created: 2026-11-22
    expires: 2026-11-23
# The end.
"""
FIRST = WaiverEntry(
    policy="access-key-created-with-user",
    account="111122223333",
    user="ci-*",
    access_key_id=KEY,
    reason="Vendor rotates it in January",
    owner="team-payments@example.com",
    ticket="SEC-1042",
    created=TODAY,
    expires=date(2027, 1, 31),
)
OTHER = WaiverEntry(
    policy="access-key-unused",
    account="444455556666",
    user="bob",
    access_key_id="AKIAEXAMPLE000000002",
    reason="yes",
    owner="- #",
    created=TODAY,
    expires=date(2027, 2, 1),
)


@pytest.fixture(autouse=True, scope="module")
def frozen() -> Iterator[None]:
    """Stop the clock."""
    with time_machine.travel(datetime(2026, 11, 22, 10, tzinfo=UTC), tick=False):
        yield


def refused(text: str | bytes) -> str:
    """Return the one line that such a file is refused with."""
    with pytest.raises(UsageError) as caught:
        parse_waivers(text if isinstance(text, bytes) else text.encode(), "w.yaml")
    line = str(caught.value)
    assert line.startswith("w.yaml")
    assert line.isprintable()
    assert len(line) < 300
    return line


def test_a_file_is_read() -> None:
    """Every field, in the file's order; a date may be quoted; the optional ones may be missing."""
    first, second = parse_waivers(FILE.encode(), "w.yaml")
    assert first == FIRST
    assert (second.access_key_id, second.ticket, second.reason) == (None, None, "a: 'quoted' # text")
    assert second.expires == date(2026, 11, 23)


@pytest.mark.parametrize("text", ["schema: birthright.waivers/1\nwaivers: []\n", "\ufeff" + FILE])
def test_other_forms_of_a_good_file(text: str) -> None:
    """No entries are no waivers; a byte order mark is no fault."""
    assert parse_waivers(text.encode(), "w.yaml") == (
        parse_waivers(FILE.encode(), "") if "ci" in text else ()
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "said"),
    [
        ("    expires: 2026-11-23", "    expires: 2027-11-24", 21, ".expires", "more than 366 days"),
        ("    expires: 2026-11-23", "    expires: 2026-11-22", 21, ".expires", "not after created"),
        ("    expires: 2026-11-23", "    expires: 2026-02-30", 21, ".expires", "is not a date"),
        ("    expires: 2026-11-23", "    expires: 20261123", 21, ".expires", "is not a date"),
        ("    expires: 2026-11-23", "    expires: 2026-11-23 10:00:00", 21, ".expires", "is not a date"),
        ("    expires: 2026-11-23", "    expires: [a]", 21, ".expires", "not one plain value"),
        ("    expires: 2026-11-23\n", "", 15, ".expires", "it is missing"),
        ("    user: ann\n", "", 15, ".user", "it is missing"),
        ("    user: ann", "    user:", 17, ".user", "it is empty"),
        ("    user: ann", "    user: '  '", 17, ".user", "it is empty"),
        ("    user: ann", '    user: "a\\u202en"', 17, ".user", "cannot be seen"),
        ("    user: ann", '    user: "a\\nn"', 17, ".user", "line break"),
        ("    user: ann", "    user: no", 17, ".user", "put it in quotes"),
        ("    user: ann", "    user: " + "a" * 1001, 17, ".user", "longer than"),
        ("    user: ann", "    user: ann\n    user: bob", 18, "", "'user' is written twice"),
        ("    user: ann", "    user: ann\n    usr: bob", 18, ".usr", "no such field"),
        ("    user: ann", "    user: ann\n    <<: {}", 18, ".<<", "no such field"),
        ("    user: ann", "    user: ann\n    [a]: b", 18, "", "a field's name is a word"),
        ('"1111*"', "111122223333", 16, ".account", "put it in quotes"),
        ('"1111*"', "000123456712", 16, ".account", "put it in quotes"),
        ('"1111*"', "prod", 16, ".account", "twelve digits"),
        ('"1111*"', "'1111222233334'", 16, ".account", "twelve digits"),
        ("console-user-without-mfa", "console-*", 15, ".policy", "patterns are for"),
        ("user: ann", f"user: ann\n    access_key_id: {KEY[:-1]}*", 18, ".access_key_id", "a pattern"),
        ("ann\n    created: 2026-11-22", "ann\n    created: 2026-11-24", 20, ".created", "to come"),
    ],
)  # fmt: skip
def test_a_wrong_entry_names_line_and_field(old: str, new: str, line: int, field: str, said: str) -> None:
    """The message says where: the line, the entry, the field, and what is wrong."""
    text = FILE.replace(old, new)
    assert text != FILE
    message = refused(text)
    assert message.startswith(f"w.yaml, line {line}: ")
    assert said in message
    if field:
        assert f"entry 2 (waivers[1]{field}): " in message


def test_wildcards_alone_cover_nothing() -> None:
    """A pattern for all users of all accounts is an accident, unless a key is named."""
    text = FILE.replace('"1111*"', "'*'").replace("user: ann", "user: '*?'")
    assert "every user of every account" in refused(text)
    keyed = text.replace("user: '*?'", f"user: '*'\n    access_key_id: {KEY}")
    assert parse_waivers(keyed.encode(), "")[1].user == "*"


def test_two_about_the_same() -> None:
    """A duplicate is refused, although its words differ; another key of the same user is none."""
    second = entry_text(msgspec.structs.replace(FIRST, reason="other"), 2)
    assert "(waivers[2]): it names the same as entry 1" in refused(FILE + second)
    other = entry_text(msgspec.structs.replace(FIRST, access_key_id=KEY[:-1] + "9"), 2)
    assert len(parse_waivers((FILE + other).encode(), "")) == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no waivers"),
        ("- a", "holds no waivers"),
        ("waivers: []", "no schema"),
        ("schema: birthright.waivers/2\nwaivers: []", "line 1: written for a newer birthright"),
        ("schema: birthright.plan/1\nwaivers: []", "line 1: holds no waivers"),
        ("schema: [a]\nwaivers: []", "line 1: holds no waivers"),
        ("schema: birthright.waivers/1", "no list 'waivers'"),
        ("schema: birthright.waivers/1\nwaivers: x", "line 2: 'waivers' is not a list"),
        ("schema: birthright.waivers/1\nwaivers: {}", "line 2: 'waivers' is not a list"),
        ("schema: birthright.waivers/1\nwaivers:\n- x", "line 3: entry 1 (waivers[0]): "),
        ("schema: birthright.waivers/1\nwaivers: []\nwaivers: []", "line 3: 'waivers' is written twice"),
        ("schema: birthright.waivers/1\nwaiver: []", "line 2: there is no field 'waiver'"),
        ("schema: birthright.waivers/1\nwaivers: []\n---\na: b", "line 3: a second document"),
        ("schema: birthright.waivers/1\nwaivers: [", "line "),
        ("schema: birthright.waivers/1\nwaivers:\n\t- x", "line 3"),
        ("schema: birthright.waivers/1\nwaivers: \x1b", "w.yaml"),
        (FILE.encode("utf-16"), "not UTF-8 text"),
        (b"\xff", "not UTF-8 text (byte 0)"),
    ],
)
def test_a_file_that_is_none(text: str | bytes, said: str) -> None:
    """What is wrong with the file as a whole is one line, too."""
    assert said in refused(text)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "anchors"),
        ("schema: birthright.waivers/1\nwaivers: *x", "anchors"),
        ("schema: !!python/object/apply:os.system ['true']\nwaivers: []", "tags"),
        ("schema: birthright.waivers/1\nwaivers: [!!str x]", "tags"),
        ("[" * 900_000, "nested too deeply"),
        ("{a: " * 200_000, "nested too deeply"),
        ("- " * 400_000, "nested too deeply"),
    ],
    ids=["bomb", "alias", "python", "tag", "lists", "mappings", "hyphens"],
)
def test_hostile_files(text: str, said: str) -> None:
    """They are refused at once, before anything is built of them."""
    begun = time.perf_counter()
    assert said in refused(text)
    assert time.perf_counter() - begun < 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing one, a folder and a huge one are one line each."""
    huge = tmp_path / "huge"
    huge.write_bytes(b"#" * 1_000_001)
    for path, said in ((tmp_path / "none", "cannot read"), (tmp_path, "cannot read"), (huge, "too large")):
        with pytest.raises(UsageError, match=said):
            load_waivers(path)


def test_tomorrow_may_have_come_elsewhere() -> None:
    """East of Greenwich a day begins before it does in UTC."""
    day = TODAY + timedelta(days=1)
    assert not list(problems(msgspec.structs.replace(FIRST, created=day)))


printing = st.text(
    st.characters(categories=["L", "N", "P", "S"], include_characters=" "), min_size=1, max_size=60
)
words = printing.filter(lambda text: bool(text.strip()) and text.isprintable())


@st.composite
def entries(draw: st.DrawFn) -> WaiverEntry:
    """Make entries that are right."""
    created = TODAY - timedelta(days=draw(st.integers(0, 3000)))
    account = draw(st.from_regex(r"[0-9]{12}|[0-9]{1,5}[*?]{1,3}", fullmatch=True))
    return WaiverEntry(
        policy=draw(st.from_regex(r"[a-z0-9]{1,9}(-[a-z0-9]{1,9}){0,3}", fullmatch=True)),
        account=account.translate({ord(c): str(int(c)) for c in account if c.isdigit()}),
        user=draw(words),
        access_key_id=draw(st.none() | st.from_regex(r"[A-Z0-9]{16,24}", fullmatch=True)),
        reason=draw(words),
        owner=draw(words),
        ticket=draw(st.none() | words),
        created=created,
        expires=created + timedelta(days=draw(st.integers(1, 366))),
    )


@given(st.lists(entries(), max_size=4, unique_by=lambda one: one.subject))
@settings(max_examples=50)
def test_what_is_written_is_read_back(made: list[WaiverEntry]) -> None:
    """Whatever an entry says, its YAML says the same."""
    text = "schema: birthright.waivers/1\nwaivers:\n" + "".join(entry_text(one, 2) for one in made)
    assert parse_waivers(text.encode(), "w") == tuple(made)


_SHAPES = {
    "comments": FILE,
    "no list yet": "schema: birthright.waivers/1\nwaivers:\n",
    "no line end": FILE.removesuffix("# The end.\n").rstrip("\n"),
    "windows": FILE.replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + FILE,
    "indentless": FILE.replace("\n  ", "\n"),
    "flow entry": 'schema: birthright.waivers/1\nwaivers:\n- {policy: a, account: "111122223333", user: u, '
    "reason: r,\n   owner: o, created: 2026-11-01, expires: 2026-12-01}  # why\n# end\n",
    "folded": FILE.replace("    reason: \"a: 'quoted' # text\"\n", "")
    .replace("expires: 2026-11-23\n", "expires: 2026-11-23\n    reason: >-\n      a\n      b\n\n"),
    "schema last": FILE.replace("schema: birthright.waivers/1\n", "") + "schema: birthright.waivers/1\n",
    "far": FILE.replace("ann", "\U0001f600" * 20),
}  # fmt: skip


@pytest.mark.parametrize("shape", _SHAPES)
def test_adding_keeps_every_byte(tmp_path: Path, shape: str) -> None:
    """Every line that was there is still there, in order; the new entry stands after the last."""
    path = tmp_path / "w.yaml"
    old = _SHAPES[shape].encode()
    path.write_bytes(old)
    before = load_waivers(path)
    add_waiver(path, OTHER)
    assert load_waivers(path) == (*before, OTHER)
    new = path.read_bytes()
    grown = len(new) - len(old)
    # Something was put in at one place, and nothing else happened.
    assert any(new[:i] + new[i + grown :] == old for i in range(len(old) + 1))
    assert (b"\r\n" in old) is (b"\r\n" in new)
    assert new.count(b"\r\n") in {0, new.count(b"\n")}


@given(entries(), st.sampled_from(sorted(_SHAPES)))
@settings(max_examples=30)
def test_adding_anything_keeps_every_byte(
    tmp_path_factory: pytest.TempPathFactory, one: WaiverEntry, shape: str
) -> None:
    """Whatever is added to whatever file."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    old = _SHAPES[shape].encode()
    path.write_bytes(old)
    before = load_waivers(path)
    add_waiver(path, one)
    new = path.read_bytes()
    grown = len(new) - len(old)
    assert load_waivers(path) == (*before, one)
    assert any(new[:i] + new[i + grown :] == old for i in range(len(old) + 1))


@pytest.mark.parametrize(
    "text",
    [
        "schema: birthright.waivers/1\nwaivers: []\n",
        "{schema: birthright.waivers/1, waivers: []}",
        "schema: birthright.waivers/1\nwaivers:\n# later\n---\n".removesuffix("---\n") + "...\n",
    ],
    ids=["empty list", "flow", "ended"],
)
def test_where_nothing_can_be_added(tmp_path: Path, text: str) -> None:
    """The file stays as it was, and somebody has to put the entry in by hand."""
    path = tmp_path / "w.yaml"
    path.write_text(text)
    with pytest.raises(NoPlaceError, match="cannot be added"):
        add_waiver(path, OTHER)
    assert path.read_text() == text


def test_adding_to_no_file_makes_one(tmp_path: Path) -> None:
    """With its schema, for everyone to read."""
    path = tmp_path / "w.yaml"
    text = add_waiver(path, FIRST)
    assert path.read_text() == f"schema: birthright.waivers/1\nwaivers:\n{text}"
    assert load_waivers(path) == (FIRST,)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_mode_and_link_are_kept(tmp_path: Path) -> None:
    """A file keeps who may read it; a symbolic link stays one."""
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_text(FILE)
    real.chmod(0o640)
    link.symlink_to(real)
    add_waiver(link, OTHER)
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert load_waivers(real)[-1] == OTHER


def test_adding_what_is_there(tmp_path: Path) -> None:
    """An entry about the same is named, and nothing is written; so is a wrong entry, or a wrong file."""
    path = tmp_path / "w.yaml"
    path.write_text(FILE)
    with pytest.raises(UsageError, match="entry 1 is about the same, and ends on 2027-01-31"):
        add_waiver(path, msgspec.structs.replace(FIRST, reason="again"))
    with pytest.raises(UsageError, match="expires: "):
        add_waiver(path, msgspec.structs.replace(OTHER, expires=date(2030, 1, 1)))
    assert path.read_text() == FILE
    path.write_text(FILE.replace("user: ann", "usr: ann"))
    with pytest.raises(UsageError, match="line 17"):
        add_waiver(path, OTHER)
    with pytest.raises(UsageError, match="is not a file"):
        add_waiver(tmp_path, OTHER)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="is not a file"):
        add_waiver(pipe, OTHER)
