"""The offline source: an account from saved files, and files that are refused."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from birthright.errors import UsageError
from birthright.facts.model import AccountFacts, Coverage
from birthright.scans.request import ReportFiles
from birthright.sources.files import collect_files
from birthright.sources.listings import read_access_keys, read_users

BORN = datetime(2026, 1, 1, 10, tzinfo=UTC)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
CSV = """\
user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,mfa_active,\
access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,\
access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,\
access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,\
access_key_2_last_used_service,cert_1_active,cert_2_active
<root_account>,arn:aws:iam::111122223333:root,2014-03-01T10:00:00Z,not_supported,N/A,N/A,true,\
false,N/A,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,false
ann,arn:aws:iam::111122223333:user/ann,2026-01-01T10:00:00Z,true,no_information,N/A,true,\
true,2026-01-01T10:00:01Z,2026-05-01T10:00:00Z,us-east-1,s3,false,N/A,N/A,N/A,N/A,false,false
bob,arn:aws:iam::111122223333:user/bob,2026-01-02T10:00:00Z,false,N/A,N/A,false,\
true,2026-01-02T10:00:01Z,N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,false
"""


UNKNOWN_TIME = "made between 2026-05-01T10:00:00Z and this scan: when is not known, --report-time says it"


def key(name: str = "ann", key_id: str = "AKIAANN1", made: str = "2026-01-01T10:00:01Z") -> object:
    return {"UserName": name, "AccessKeyId": key_id, "Status": "Active", "CreateDate": made}


BOB = key("bob", "AKIABOB1", "2026-01-02T10:00:01+00:00")


def page(*keys: object, **more: object) -> dict[str, object]:
    return {"AccessKeyMetadata": list(keys), **more}


def user(name: str, made: str, account: str = "111122223333") -> dict[str, str]:
    arn = f"arn:aws:iam::{account}:user/{name}"
    return {"Path": "/", "UserName": name, "UserId": "AIDA1", "Arn": arn, "CreateDate": made}


USERS = [user("ann", "2026-01-01T10:00:00Z"), user("bob", "2026-01-02T10:00:00+00:00")]


def write(directory: Path, name: str, content: object) -> Path:
    path = directory / name
    text = content if isinstance(content, str) else json.dumps(content, indent=4)
    path.write_text(text, "utf-8")
    return path


def collect(
    tmp_path: Path,
    keys: Sequence[object] = (),
    users: object = None,
    report: str | None = CSV,
    account_id: str | None = None,
) -> AccountFacts:
    files = ReportFiles(
        None if report is None else write(tmp_path, "report.csv", report),
        tuple(write(tmp_path, f"keys{n}.json", content) for n, content in enumerate(keys)),
        None if users is None else write(tmp_path, "users.json", users),
        account_id=account_id,
    )
    return collect_files(files, NOW).facts


def said(facts: AccountFacts) -> dict[str, tuple[str, str]]:
    return {c.source: (c.status, c.detail) for c in facts.coverage}


def test_a_report_alone_is_an_account(tmp_path: Path) -> None:
    """From the report come the account, its users and their keys without ids; the rest is skipped."""
    facts = collect(tmp_path)
    assert [p.user_name for p in facts.principals] == ["<root_account>", "ann", "bob"]
    assert {p.account_id for p in facts.principals} == {"111122223333"}
    assert [(k.user_name, k.slot, k.created_source) for k in facts.access_keys] == [
        ("ann", 1, "report"),
        ("bob", 1, "report"),
    ]
    assert said(facts) == {
        "GetCredentialReport": ("ok", f"from file report.csv; {UNKNOWN_TIME}"),
        "ListUsers": ("skipped", "no file of users was given"),
        "ListAccessKeys": ("skipped", "no file of access keys was given"),
        "GetAccessKeyLastUsed": ("ok", "not needed"),
    }


def test_all_files_give_exact_keys(tmp_path: Path) -> None:
    """With listings the keys have ids, and everything asked is answered."""
    report = json.dumps(
        {
            "Content": base64.b64encode(CSV.encode()).decode(),
            "GeneratedTime": "2026-11-21T00:00:00Z",
        }
    )
    facts = collect(tmp_path, [page(key()), page(BOB)], {"Users": USERS}, report)
    assert [(k.access_key_id, k.slot, k.ever_used) for k in facts.access_keys] == [
        ("AKIAANN1", 1, True),
        ("AKIABOB1", 1, False),
    ]
    made = datetime(2026, 11, 21, tzinfo=UTC)
    # Only the report's envelope has a time; the facts of other files are of no known instant.
    assert [c.report_generated_at for c in facts.coverage[:2]] == [made, None]
    assert facts.coverage[1] == Coverage(
        "111122223333",
        "ListUsers",
        "ok",
        "from file users.json",
        rows=2,
        as_of=None,
        report_generated_at=None,
    )
    assert said(facts)["ListAccessKeys"] == ("ok", "from file keys0.json, keys1.json")


def test_a_user_the_files_do_not_name_has_the_reports_keys(tmp_path: Path) -> None:
    """An empty listing does not say whose it is, so only named users count as listed."""
    facts = collect(tmp_path, [page(key()), page()])
    assert [(k.access_key_id, k.slot) for k in facts.access_keys] == [("AKIAANN1", 1), (None, 1)]
    status, detail = said(facts)["ListAccessKeys"]
    assert (status, "1 user with keys in the report not in it" in detail) == ("partial", True)


def test_a_key_of_unknown_use_is_told(tmp_path: Path) -> None:
    """Files cannot be asked when a key was last used."""
    facts = collect(tmp_path, [page(key(), key(key_id="AKIAANN2", made="2026-07-01T10:00:01Z"))])
    assert said(facts)["GetAccessKeyLastUsed"] == (
        "skipped",
        "1 keys whose last use the report does not tell",
    )


def test_a_deleted_user_is_gone(tmp_path: Path) -> None:
    """A listing made after the user was created, and without it, proves that it was deleted."""
    later = user("cy", "2026-09-01T10:00:00Z")
    facts = collect(tmp_path, [page(key())], {"Users": [USERS[0], later]})
    bob = next(p for p in facts.principals if p.user_name == "bob")
    assert bob.in_listing is False
    assert {k.user_name for k in facts.access_keys} == {"ann", "cy"}


def test_an_old_users_file_proves_nothing(tmp_path: Path) -> None:
    """A user newer than all in the file may have been made after it: it is not taken for deleted."""
    facts = collect(tmp_path, [], {"Users": USERS[:1]})
    bob = next(p for p in facts.principals if p.user_name == "bob")
    assert bob.in_listing is None
    assert "bob" in {k.user_name for k in facts.access_keys}
    assert said(facts)["ListUsers"][0] == "partial"


def test_an_old_keys_file_proves_nothing(tmp_path: Path) -> None:
    """A key in the report newer than all in the files may still be there: the user is unknown."""
    old = key(key_id="AKIAANN0", made="2025-12-31T10:00:00Z")
    facts = collect(tmp_path, [page(old)])
    ann = [k for k in facts.access_keys if k.user_name == "ann"]
    assert [k.access_key_id for k in ann] == ["AKIAANN0", None]
    assert ann[1].status is ann[1].slot is None  # type: ignore[comparison-overlap]


def test_a_cut_users_file_is_partial(tmp_path: Path) -> None:
    """Without its last page a list of users proves no absence."""
    for mark in ({"IsTruncated": True}, {"NextToken": "abc"}):
        facts = collect(tmp_path, [], {"Users": USERS, **mark})
        assert said(facts)["ListUsers"] == (
            "partial",
            "from file users.json; not a whole listing: pages are missing, or users were picked out of it",
        )


ALL = [page(key()), page(BOB)]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(page(key(), BOB)),
        json.dumps(ALL),
        json.dumps([key(), BOB]),
        "\n".join(map(json.dumps, ALL)),
        "\n".join(map(json.dumps, [key(), BOB])) + "\n",
        "\n".join(json.dumps(p, indent=4) for p in ALL),
        "".join(map(json.dumps, ALL)),
        "\ufeff" + json.dumps(page(key(), BOB, IsTruncated=False, New={"x": 1})),
        json.dumps(page(key(), IsTruncated=True, Marker="x")) + json.dumps(page(key(), BOB)),
    ],
)
def test_every_way_to_save_keys_is_read(tmp_path: Path, text: str) -> None:
    """One object, arrays, lines or outputs one after the other: the keys are the same."""
    found = read_access_keys([write(tmp_path, "keys.json", text)])
    assert {k.access_key_id: k.created_at for ks in found.keys.values() for k in ks} == {
        "AKIAANN1": BORN.replace(second=1),
        "AKIABOB1": datetime(2026, 1, 2, 10, 0, 1, tzinfo=UTC),
    }
    assert found.cut == frozenset()


def test_a_cut_list_of_keys_is_told(tmp_path: Path) -> None:
    """The user at the end of a cut page may have more keys."""
    text = json.dumps(page(key(), IsTruncated=True)) + json.dumps(page(BOB))
    found = read_access_keys([write(tmp_path, "keys.json", text)])
    assert found.cut == frozenset({"ann"})
    lost = read_access_keys([write(tmp_path, "keys.json", page(IsTruncated=True))])
    assert lost.has_lost_pages


def test_users_are_read_from_pages(tmp_path: Path) -> None:
    """Two pages appended are one complete list; times may be numbers, as old CLI settings print."""
    second = {**USERS[1], "CreateDate": BORN.timestamp(), "PasswordLastUsed": "2026-03-01T00:00:00"}
    text = json.dumps({"Users": USERS[:1], "IsTruncated": True}) + json.dumps({"Users": [second]})
    found = read_users(write(tmp_path, "users.json", text))
    assert found.complete
    assert [u.created_at for u in found.users] == [BORN, BORN]
    assert found.newest == datetime(2026, 3, 1, tzinfo=UTC)


SECRET = "wJalrXUtnFEMI"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("[]", "holds no listing"),
        (f'{{"AccessKey": {{"SecretAccessKey": "{SECRET}"}}}}', "holds a secret access key"),
        (f'{{"Credentials": "{SECRET}"}}', "document 1 is no such listing"),
        (SECRET, "is not JSON: Expecting value at line 1, column 1"),
        (json.dumps(page(key())) + SECRET, "is not JSON"),
        (json.dumps([page(key()), SECRET]), "document 2 is no such listing"),
        (json.dumps(page({"UserName": SECRET})), "missing required field `AccessKeyId`"),
        (json.dumps(page(key(made=SECRET))), r"CreateDate"),
        (json.dumps(page(key(made="0001-01-01T00:00:00+05:00"))), "before year 1"),
        (json.dumps(page(key(key_id="\x1b[2J"))), "AccessKeyId"),
        (json.dumps(page(key("\ud800"))), "UserName"),
        (json.dumps(page(key(), key("bob"))), "listed for two users"),
        ('{"AccessKeyMetadata": 5}', "AccessKeyMetadata"),
        ("[" * 100_000, "absurd depth"),
        ("9" * 5000, "absurd"),
    ],
)
def test_a_bad_keys_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """A wrong file is one clear line with its name and the place, and nothing of what it holds."""
    with pytest.raises(UsageError, match=message) as caught:
        read_access_keys([write(tmp_path, "keys.json", text)])
    assert "keys.json" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert str(caught.value).isprintable()


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """A missing file, a directory, bytes that are no text: each is one clear line."""
    binary = tmp_path / "binary"
    binary.write_bytes(b"\x80\x81")
    for path, message in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "Is a directory"),
        (binary, "is not UTF-8"),
    ):
        for read in (read_users, lambda p: read_access_keys([p])):
            with pytest.raises(UsageError, match=message):
                read(path)
        with pytest.raises(UsageError, match=message):
            collect_files(ReportFiles(path), NOW)


def test_files_of_other_accounts_are_refused(tmp_path: Path) -> None:
    """Files of two accounts are never joined, whichever two disagree."""
    other = user("ann", "2026-01-01T10:00:00Z", "444455556666")
    with pytest.raises(UsageError, match=r"of account 111122223333, .* of 444455556666"):
        collect(tmp_path, [], {"Users": [other]})
    with pytest.raises(UsageError, match="mixes several accounts"):
        collect(tmp_path, [], {"Users": [*USERS, other]})
    with pytest.raises(UsageError, match="mixes several accounts"):
        collect(tmp_path, report=CSV.replace("111122223333:user/bob", "444455556666:user/bob"))
    with pytest.raises(UsageError, match="no ARN"):
        collect(tmp_path, report=CSV.replace("arn:aws:iam::111122223333", "x"))


def test_a_bad_report_file_is_refused(tmp_path: Path) -> None:
    """A report that is none is a wrong file, with its name."""
    with pytest.raises(UsageError, match=r"report\.csv: this is JSON"):
        collect(tmp_path, report="[]")


@pytest.mark.parametrize("number", ["", "REDACTED", "************", "1234"])
def test_a_number_that_was_removed_is_stated(number: str, tmp_path: Path) -> None:
    """Who sends a report may take the account out of it; the ARNs get it back, and keep their partition."""
    report = CSV.replace("arn:aws:iam::111122223333:", f"arn:aws-us-gov:iam::{number}:")
    users = [{**one, "Arn": f"arn:aws-us-gov:iam::{number}:user/x/{one['UserName']}"} for one in USERS[:1]]
    with pytest.raises(UsageError, match="no ARN") as caught:
        collect(tmp_path, report=report)
    assert caught.value.hint == "say it with --account-id"
    facts = collect(tmp_path, (), {"Users": users}, report, "444455556666")
    assert {(p.user_name, p.user_arn) for p in facts.principals if not p.is_root} == {
        ("ann", "arn:aws-us-gov:iam::444455556666:user/x/ann"),
        ("bob", "arn:aws-us-gov:iam::444455556666:user/bob"),
    }
    assert {row.partition for row in facts.coverage} == {"aws-us-gov"}


def test_a_report_without_arns(tmp_path: Path) -> None:
    """The column may be missing, too: then the ARNs stay unknown, and coverage says so."""
    rows = [line.split(",") for line in CSV.splitlines()]
    report = "\n".join(",".join((row[0], *row[2:])) for row in rows)
    facts = collect(tmp_path, report=report, account_id="444455556666")
    assert {p.user_arn for p in facts.principals} == {"arn:aws:iam::444455556666:root", None}
    assert said(facts)["GetCredentialReport"][0] == "partial"
    assert "the column arn is missing" in said(facts)["GetCredentialReport"][1]


@pytest.mark.parametrize("stated", ["444455556666", "1111", "11112222333\u0663", "111122223333 "])
def test_a_stated_account_that_cannot_be_is_refused(stated: str, tmp_path: Path) -> None:
    """ARNs that name another account win, and an account's id has twelve digits."""
    with pytest.raises(UsageError, match=r"is of account \d+, not 444455556666|is not the id"):
        collect(tmp_path, account_id=stated)
    assert collect(tmp_path, account_id="111122223333") == collect(tmp_path)


def test_listings_without_a_report(tmp_path: Path) -> None:
    """As in a live scan whose report was refused, keys are exact, but for their use."""
    facts = collect(tmp_path, [page(key()), page(UserName="bob")], {"Users": USERS}, None)
    assert [(k.user_name, k.access_key_id, k.ever_used) for k in facts.access_keys if not k.is_root] == [
        ("ann", "AKIAANN1", None)
    ]
    assert {(p.user_name, p.in_report, p.in_listing, p.console_password) for p in facts.principals} == {
        ("<root_account>", None, None, None),
        ("ann", None, True, None),
        ("bob", None, True, None),
    }
    assert said(facts) == {
        "GetCredentialReport": ("skipped", "no credential report was given"),
        "ListUsers": ("ok", "from file users.json"),
        "ListAccessKeys": ("ok", "from file keys0.json, keys1.json"),
        "GetAccessKeyLastUsed": ("skipped", "1 keys whose last use the report does not tell"),
    }
    assert {row.sha256 for row in facts.coverage} == {None}


def test_keys_alone_need_the_account(tmp_path: Path) -> None:
    """No ARN is in a listing of keys; their users are known by name only."""
    with pytest.raises(UsageError, match=r"keys0\.json: no ARN"):
        collect(tmp_path, [page(key())], report=None)
    facts = collect(tmp_path, [page(key())], None, None, "111122223333")
    assert [(k.user_name, k.user_created_at) for k in facts.access_keys if not k.is_root] == [("ann", None)]


def test_users_whose_keys_were_not_listed_are_unread(tmp_path: Path) -> None:
    """Without a report nothing else tells of their keys: a row that is unknown, and partial coverage."""
    facts = collect(tmp_path, [page(key())], {"Users": USERS}, None)
    assert [(k.access_key_id, k.created_source) for k in facts.access_keys if k.user_name == "bob"] == [
        (None, None)
    ]
    assert said(facts)["ListAccessKeys"] == ("partial", "from file keys0.json; 1 user not in it")


def test_a_page_can_name_its_user(tmp_path: Path) -> None:
    """That is how a user without keys is listed; a name that is not that of the keys is refused."""
    listing = read_access_keys(
        [write(tmp_path, "named.json", [page(UserName="bob"), page(key(), UserName="ann")])]
    )
    assert listing.keys.keys() == {"ann", "bob"}
    assert listing.keys["bob"] == ()
    cut = read_access_keys([write(tmp_path, "cut.json", page(UserName="bob", IsTruncated=True))])
    assert (cut.cut, cut.has_lost_pages) == (frozenset({"bob"}), False)
    with pytest.raises(UsageError, match=r"wrong\.json: a listing of bob holds keys of ann"):
        read_access_keys([write(tmp_path, "wrong.json", page(key(), UserName="bob"))])


def test_times_that_cannot_be_make_the_report_partial(tmp_path: Path) -> None:
    """A report from the future, or with a time from the future in it, is not in order."""
    future = json.dumps({"Content": CSV, "GeneratedTime": "2026-11-23T00:00:00Z"})
    assert said(collect(tmp_path, report=future))["GetCredentialReport"][0] == "partial"
    cell = CSV.replace("2026-05-01T10:00:00Z", "2031-05-01T10:00:00Z")
    assert said(collect(tmp_path, report=cell))["GetCredentialReport"][0] == "partial"
