"""Lists of accounts in files: CSV and JSON say the same, and what is wrong is named by its row."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birthright.errors import UsageError
from birthright.facts.model import Account
from birthright.fleet import accounts_file
from birthright.fleet.accounts_file import load_accounts
from birthright.fleet.target import Target

ONE, TWO = "111122223333", "012345678901"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts"


def trouble(path: Path, content: str | bytes) -> str:
    """Write a file that is refused, and return the line that is said."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UsageError) as caught:
        load_accounts(path)
    line = str(caught.value)
    assert line.isprintable()
    return line.replace(str(path), "FILE")


def test_csv(path: Path) -> None:
    """Columns in any order, quoted cells, a byte order mark, blank rows and other columns are all right."""
    path.write_bytes(
        b"\xef\xbb\xbfRole,Email,name,ID\r\n"
        b'birthright,a@example.com,"Prod, main",111122223333\r\n'
        b"\r\n,,,\r\n"
        b',,"line\nbreak", 012345678901 \r\n'
    )
    assert load_accounts(path) == (
        Target(Account(ONE, "Prod, main", source="file"), "birthright"),
        Target(Account(TWO, "line\nbreak", source="file")),
    )


def test_what_the_aws_cli_prints(path: Path) -> None:
    """The state is kept, `State` before `Status`, so that closed accounts are skipped."""
    accounts = [
        {"Id": ONE, "Arn": "arn:...", "Name": "one", "Status": "SUSPENDED", "State": "CLOSED"},
        {"Id": TWO, "Email": "a@example.com", "Name": "two", "Status": "ACTIVE"},
    ]
    expected = (
        Target(Account(ONE, "one", "CLOSED", source="file")),
        Target(Account(TWO, "two", "ACTIVE", source="file")),
    )
    for document in ({"Accounts": accounts}, accounts, {"Accounts": accounts, "NextToken": None}):
        path.write_text(json.dumps(document, indent=4))
        assert load_accounts(path) == expected
    assert "cut: more accounts follow" in trouble(path, json.dumps({"Accounts": accounts, "NextToken": "x"}))


def test_a_column_of_somebodys_own_is_no_state(path: Path) -> None:
    """Only Organizations' words count: `status` may be anybody's column."""
    path.write_text(f"account_id,account_name,status\n{ONE},one,live\n{TWO},two,SUSPENDED\n")
    assert [asked.account.state for asked in load_accounts(path)] == [None, "SUSPENDED"]


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map(str.strip)
IDS = st.from_regex(r"[0-9]{12}", fullmatch=True)
ROLES = st.sampled_from(["", "birthright", "audit/deep/birthright", "/audit/b", "a+b=c,d.e@f-g_h", "ARN"])


@given(rows=st.lists(st.tuples(IDS, NAMES, ROLES), min_size=1, max_size=8, unique_by=lambda row: row[0]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_and_json_say_the_same(path: Path, rows: list[tuple[str, str, str]]) -> None:
    """The same accounts come out of all forms, in their order."""
    fields = [
        {"id": i, "name": name, "role": f"arn:aws-cn:iam::{i}:role/x/y" if role == "ARN" else role}
        for i, name, role in rows
    ]
    written = io.StringIO()
    table = csv.DictWriter(written, ["role", "id", "name"])
    table.writeheader()
    table.writerows(fields)
    path.write_bytes(written.getvalue().encode())
    found = load_accounts(path)
    assert found == tuple(
        Target(Account(row["id"], row["name"] or None, source="file"), row["role"] or None) for row in fields
    )
    for document in (
        fields,
        {"accounts": fields},
        {"Accounts": [{k.title(): v for k, v in f.items()} for f in fields]},
    ):
        path.write_text(json.dumps(document))
        assert load_accounts(path) == found


BAD_ID = "is not an account id: it has 12 digits (a spreadsheet may have dropped leading zeros)"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (f"id,name\n{ONE},a\n1112223333,b\n", f"FILE: row 3: '1112223333' {BAD_ID}"),
        (f"name,id\n\na,{ONE}\n\nb,{ONE}\n", f"FILE: row 5: {ONE} is in row 3 already"),
        ("id\n1.11222E+11\n", f"FILE: row 2: '1.11222E+11' {BAD_ID}"),
        ("id\n" + "\N{ARABIC-INDIC DIGIT ONE}" * 12 + "\n", "is not an account id"),
        ("id\n\x1b[31m\n", r"FILE: row 2: '\x1b[31m' is not"),
        ("id,name\n,a\n", "FILE: row 2: there is no account id"),
        (f"id,role\n{ONE},no role\n", "FILE: row 2: role 'no role' is no role's name or ARN"),
        (f"id,role\n{ONE},a//b\n", "row 2: role"),
        (f"id,role\n{ONE},arn:aws:iam::{TWO}:role/x\n", f"row 2: the role is of account {TWO}, not of {ONE}"),
        (f"id,role\n{ONE},arn:aws:iam::{ONE}:user/x\n", "row 2: role a text of 32 characters is no role's"),
        (f"id,name\n{ONE},a,b\n", "row 2 has more cells than the header"),
        ("id,ID\n", "the header has id twice"),
        ("id,account id\n", "the header has id twice"),
        (f"{ONE},name\n", "the first row is no header with a column id"),
        ("id;name\n", "the first row is no header"),
        ("id,name\n", "FILE names no account"),
        (f'id\n"{ONE}"x\n', "FILE is not CSV"),
        (f'id\n"{ONE}\n', "FILE is not CSV"),
        ("", "FILE is empty"),
        (" \n\n", "FILE is empty"),
        (b"\xff\xfei\0d\0", "FILE is not UTF-8 text"),
        ("[", "FILE is not JSON"),
        ("[" * 100_000, "FILE is not JSON"),
        ("[]", "FILE names no account"),
        ('{"accounts": {}}', "FILE is no list of accounts"),
        ('{"accounts": [], "Accounts": []}', "FILE is no list of accounts"),
        ('["111122223333"]', "FILE: entry 1 is no object"),
        ('[{"id": 111122223333}]', "FILE: entry 1: id is not a text"),
        (f'[{{"id": "{ONE}", "name": 5}}]', "FILE: entry 1: name is not a text"),
        (f'[{{"id": "{ONE}", "Id": "{ONE}"}}]', "FILE: entry 1 has id twice"),
        (f'[{{"id": "{ONE}"}}, {{"id": "{ONE}"}}]', f"FILE: entry 2: {ONE} is in entry 1 already"),
        (f'[{{"id": "{ONE}"}}, {{"name": "x"}}]', "FILE: entry 2: there is no account id"),
    ],
)
def test_what_is_refused(path: Path, content: str | bytes, why: str) -> None:
    """One line names the file, the row and the field."""
    assert why in trouble(path, content)


@pytest.mark.parametrize(
    "content",
    [
        f"User name,Access key ID,Secret access key\nx,AKIAIOSFODNN7EXAMPLE,{SECRET}\n",
        f"[default]\naws_secret_access_key = {SECRET}\n",
        f"id,role\n{SECRET},x\n",
        f"id,role\n{ONE},{SECRET} x\n",
        json.dumps({"AccessKey": {"SecretAccessKey": SECRET}}),
        json.dumps([{"id": SECRET}]),
        SECRET,
    ],
)
def test_a_secret_in_the_wrong_file_is_not_shown(path: Path, content: str) -> None:
    """Not even a part of it."""
    line = trouble(path, content)
    assert not any(SECRET[i : i + 8] in line for i in range(len(SECRET) - 8))


def test_a_file_that_is_not_there_or_too_large(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are one line; a large file is not read to its end."""
    with pytest.raises(UsageError, match=r"cannot read .*accounts: No such file"):
        load_accounts(path)
    monkeypatch.setattr(accounts_file, "_MOST_BYTES", 1 << 20)
    assert "FILE is larger than 1 MiB" in trouble(path, "id\n" + "\n" * (1 << 20))


def read_or_refused(path: Path, content: bytes) -> bool:
    """Whether a file is a list of accounts, or refused in one line that can be printed."""
    path.write_bytes(content)
    try:
        return bool(load_accounts(path))
    except UsageError as error:
        return str(error).isprintable()


@given(
    st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-8", "ignore")))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_read_or_refused(path: Path, content: bytes) -> None:
    """Whatever a file holds, there is no other error, and the line can be printed."""
    assert read_or_refused(path, content)


FIELDS = st.sampled_from(["id", "Id", "accounts", "Accounts", "name", "role", "state", "x"])
JSON = st.recursive(
    st.one_of(st.none(), st.integers(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(FIELDS, inner)),
)


@given(JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_read_or_refused(path: Path, document: Any) -> None:  # noqa: ANN401 - any JSON
    """JSON of any shape is told apart from a list of accounts."""
    assert read_or_refused(path, json.dumps(document).encode())
