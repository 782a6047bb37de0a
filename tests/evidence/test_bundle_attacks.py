"""Bundles that somebody changed, clumsily or with all sums put right: each is told, and none does harm."""

import hashlib
import io
import json
import random
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from birthright.errors import UsageError
from birthright.evidence.archive import ArchiveMember, Deflated, Unpacking, member, pieces
from birthright.evidence.manifest import is_deflated
from birthright.evidence.signing import public_pem
from birthright.retirement.journal.opening import open_journal
from evidence_helpers import (
    BORN,
    OTHER,
    SIGNER,
    Files,
    account,
    bundle,
    check,
    contents,
    forged,
    kept,
    key,
    named,
    packed,
    problem,
    refit_scan,
)
from journal_helpers import filled

EVIL_RULES = (
    "copy (select 1) to '{out}'",
    "select *, true as compliant from read_csv('/etc/passwd')",
    "select *, (select content from read_text('/etc/passwd')) is null as compliant from access_keys",
    "attach '{out}' as evil",
    "select *, true as compliant from access_keys; copy access_keys to '{out}'",
    "select *, true as compliant from '{out}'",
    "install httpfs",
)


def found_in(whole: Path, data: bytes, trusted: Ed25519PrivateKey | None = SIGNER) -> str | None:
    """Return what is wrong with a bundle of these bytes; a file that is no bundle at all is wrong, too."""
    path = whole.with_name("changed.zip")
    path.write_bytes(data)
    try:
        return check(path, trusted).problem
    except UsageError as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_altered_byte_is_told(whole: Path, data: st.DataObject) -> None:
    """Wherever a byte is another one: in a name, a sum, a file, the lists of files."""
    before = whole.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    changed = bytearray(before)
    changed[place] ^= data.draw(st.integers(1, 255))
    assert found_in(whole, bytes(changed))


def test_bytes_beside_the_files_are_told(whole: Path) -> None:
    """Of what a ZIP puts around files, too, no byte is free; see the archive's tests for all of them."""
    before = whole.read_bytes()
    inside: set[int] = set()
    unpacking = Unpacking(io.BytesIO(before))
    for name in contents(whole):
        place = unpacking.next(lambda _: None, deflated=is_deflated(name))
        inside |= {*range(place.start, place.start + place.kept)}
    chance = random.Random(0)  # noqa: S311
    for place_of_byte in chance.sample(sorted({*range(len(before))} - inside), 80):
        changed = bytearray(before)
        changed[place_of_byte] ^= 1 << chance.randrange(8)
        assert found_in(whole, bytes(changed)), place_of_byte


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_cut_or_longer_bundle_is_told(whole: Path, data: st.DataObject) -> None:
    """Bytes that are missing at the end, or too many."""
    before = whole.read_bytes()
    assert found_in(whole, before[: data.draw(st.integers(0, len(before) - 1))])
    assert found_in(whole, before + data.draw(st.binary(min_size=1, max_size=30)))


def _swap(files: Files) -> None:
    one, other = f"policies/{BORN}.md", "policies/access-key-not-rotated.md"
    files[one], files[other] = files[other], files[one]


def _append(name: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        files[name] = files.get(name, b"") + b" "

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_swap, f"policies/{BORN}.md is not the file that the manifest names"),
        (_append("findings.json"), "findings.json is not the file"),
        (_append("README.md"), "README.md is not the file"),
        (_append("manifest.json"), "the signature does not fit"),
        (_append("manifest.json.sig"), "the signature does not fit"),
        (_append("public-key.pem"), "public-key.pem is not the key that the manifest names"),
        (_append("zzz"), "there are more files"),
        (lambda files: files.pop("findings.json"), "where findings.json should be there is policies/"),
        (lambda files: files.pop("scan/scan.json"), "a file is missing"),
        (lambda files: files.pop("manifest.json.sig"), "where manifest.json.sig should be"),
        (
            lambda files: files.update({"public-key.pem": public_pem(OTHER.public_key())}),
            "public-key.pem is not the key",
        ),
    ],
)
def test_files_that_were_changed_are_named(
    whole: Path, tmp_path: Path, change: Callable[[Files], object], said: str
) -> None:
    """Where the archive is whole but a file in it is not the manifest's."""
    files = contents(whole)
    change(files)
    assert said in problem(packed(tmp_path / "changed.zip", files))


def test_order_and_doubles(whole: Path, tmp_path: Path) -> None:
    """Files in another order, or one that comes twice."""
    files = contents(whole)
    first, *rest = files.items()
    backwards = dict([first, *reversed(rest)])
    assert "should be" in problem(packed(tmp_path / "changed.zip", backwards))
    data = b"".join(pieces(kept(name, one) for name, one in [*files.items(), ("README.md", b"me")]))
    assert found_in(whole, data)


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "a/../../evil", "a\\..\\evil", "C:evil", ".x", "a/./b"]
)
def test_names_that_leave_the_folder(whole: Path, tmp_path: Path, name: str) -> None:
    """A name that is no plain path is refused before anything is written, also within the scan."""
    for evil in (name, f"scan/{name}", f"scan/coverage/{name}.parquet"):
        path = forged(whole, lambda files, evil=evil: files.update({evil: b"evil"}))  # type: ignore[misc]
        assert "names a file that no bundle holds" in problem(path)
    assert not [*tmp_path.parent.rglob("evil")]


@pytest.mark.parametrize("name", ["scan/evil.parquet", "scan/coverage/evil.csv", "scan/other/x.parquet"])
def test_files_that_no_scan_has(whole: Path, name: str) -> None:
    """Only files of facts are unpacked."""
    assert (
        problem(forged(whole, lambda files: files.update({name: b"evil"}))) == f"no scan holds a file {name}"
    )


def test_sizes_that_are_lies(whole: Path, tmp_path: Path) -> None:
    """A manifest or an archive that speaks of exabytes costs nothing."""
    files = contents(whole)
    manifest = json.loads(files["manifest.json"])
    manifest["files"][0]["size"] = 1 << 62
    files["manifest.json"] = json.dumps(manifest).encode()
    assert problem(packed(tmp_path / "a.zip", files))
    data = bytearray(whole.read_bytes())
    data[18:26] = b"\xfe\xff\xff\xff" * 2
    assert found_in(whole, bytes(data)) == "it ends within manifest.json"


def test_another_packer(whole: Path, tmp_path: Path) -> None:
    """The same files, compressed or with a password's mark, are not in the one form that is read."""
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents(whole).items():
            archive.writestr(name, data)
    assert "manifest.json is altered, or was packed by something else" in problem(path)
    locked = bytearray(whole.read_bytes())
    locked[6] |= 1
    assert "packed by something else" in (found_in(whole, bytes(locked)) or "")


def _deflated_otherwise(one: ArchiveMember) -> ArchiveMember:
    """Return a member as another build of zlib would make it."""
    if one.deflated is None:
        return one
    assert isinstance(one.source, bytes)
    data, other = zlib.decompress(one.source, -15), zlib.compressobj(9, zlib.DEFLATED, -15)
    source = other.compress(data) + other.flush()
    deflated = Deflated(len(source), hashlib.sha256(source).hexdigest())
    return msgspec.structs.replace(one, source=source, deflated=deflated)


def test_deflated_by_another_zlib(whole: Path) -> None:
    """What another zlib deflated verifies, but only if the manifest has the digest of just these bytes."""
    files = contents(forged(whole, lambda _: None))
    manifest = json.loads(files.pop("manifest.json"))
    members = [_deflated_otherwise(kept(name, data)) for name, data in files.items()]

    def said() -> str | None:
        head = member("manifest.json", json.dumps(manifest).encode())
        return found_in(whole, b"".join(pieces([head, *members])), trusted=None)

    assert said() == "csv/access_keys.csv is not the file that the manifest names"
    for entry, one in zip(manifest["files"], members, strict=True):
        if one.deflated:
            entry["deflated"] = msgspec.to_builtins(one.deflated)
    assert said() is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b" " * (17 << 20), "findings.json has a line that is too long"),
        ((b" " * (15 << 20) + b"\n") * 18, "findings.json is too large"),
    ],
    ids=["one-line", "lines"],
)
def test_little_that_inflates_to_much(whole: Path, data: bytes, said: str) -> None:
    """Where all sums fit, what is inflated is still not held without bound."""
    path = forged(whole, lambda files: files.update({"findings.json": data}))
    assert path.stat().st_size < len(data) / 100
    assert problem(path) == said


def test_bundles_of_the_first_version(whole: Path) -> None:
    """They hold nothing deflated, and verify; each version is held to its own form."""
    files = contents(forged(whole, lambda _: None))
    newer = files.pop("manifest.json")
    manifest = json.loads(newer) | {"schema": "birthright.evidence/1"}
    mixed = json.dumps(manifest).encode()
    for entry in manifest["files"]:
        entry.pop("deflated", None)
    older = json.dumps(manifest).encode()
    manifest["schema"] = "birthright.evidence/2"
    stored = json.dumps(manifest).encode()

    def said(head: bytes, keep: Callable[[str, bytes], ArchiveMember]) -> str | None:
        members = [member("manifest.json", head), *(keep(name, data) for name, data in files.items())]
        return found_in(whole, b"".join(pieces(members)), trusted=None)

    assert said(older, member) is None
    assert said(newer, kept) is None
    assert said(newer, member) == "csv/access_keys.csv is altered, or was packed by something else"
    assert said(older, kept) == "csv/access_keys.csv is altered, or was packed by something else"
    for head in (mixed, stored):
        assert "is kept as no bundle keeps it" in (said(head, kept) or "")


def test_what_is_no_bundle(tmp_path: Path, whole: Path) -> None:
    """Wrong files are wrong usage; one of a newer birthright says so."""
    other = packed(tmp_path / "zip.zip", {"a": b"b"})
    (tmp_path / "text").write_text("text")
    (tmp_path / "empty").touch()
    for path in (other, tmp_path / "text", tmp_path / "empty"):
        with pytest.raises(UsageError, match=r"is no bundle of birthright's"):
            check(path)
    with pytest.raises(UsageError, match="cannot read"):
        check(tmp_path / "nowhere")
    files = contents(whole)
    for schema, said in (("birthright.evidence/3", "newer birthright"), ("birthright.plan/1", "no bundle")):
        manifest = json.loads(files["manifest.json"]) | {"schema": schema}
        newer = packed(tmp_path / "newer.zip", {**files, "manifest.json": json.dumps(manifest).encode()})
        with pytest.raises(UsageError, match=said):
            check(newer)


def test_a_bundle_signed_again(whole: Path) -> None:
    """With another key all fits, but it is not the key that somebody vouches for."""
    again = forged(whole, lambda _: None, signer=OTHER)
    assert check(again).signature == "unproven"
    assert "signed by another key" in problem(again, SIGNER)
    unsigned = forged(whole, lambda _: None)
    assert check(unsigned).signature == "none"
    assert problem(unsigned, SIGNER) == "it is not signed"


def test_findings_that_the_facts_do_not_give(whole: Path) -> None:
    """Verdicts that were changed, left out or made up are named by their fingerprints, all sums put right."""
    document = json.loads(contents(whole)["findings.json"])
    one = document["findings"][0]["fingerprint"]

    def said(change: Callable[[dict[str, Any]], object]) -> str:
        changed = json.loads(json.dumps(document))
        change(changed)
        data = (json.dumps(changed, indent=2) + "\n").encode()
        return problem(forged(whole, lambda files: files.update({"findings.json": data}), SIGNER), SIGNER)

    findings = "findings.json differs from what the facts give: "
    other = said(lambda d: d["findings"][0].update(verdict="pass"))
    assert other == f"{findings}{one} ({BORN}) is another one"
    assert said(lambda d: d["findings"].pop(0)) == f"{findings}{one} ({BORN}) is missing"
    assert "is not among them" in said(lambda d: d["findings"].append(d["findings"][0] | {"policy": "zzz"}))
    assert said(lambda d: d["summary"].update(fail=0)) == f"{findings}summary"
    assert said(lambda d: d["findings"].append(7)) == "findings.json cannot be read"


def test_the_same_findings_in_another_form(whole: Path) -> None:
    """Only another version may write fields that this one does not know; the findings are the same."""
    document = json.loads(contents(whole)["findings.json"])
    document["findings"][0]["of_tomorrow"] = 1
    data = (json.dumps(document, indent=2) + "\n").encode()
    twice = data.replace(b'"verdict": "fail"', b'"verdict": "pass",\n      "verdict": "fail"', 1)
    assert problem(forged(whole, lambda files: files.update({"findings.json": twice}))) == (
        "findings.json cannot be read"
    )
    more = forged(whole, lambda files: files.update({"findings.json": data}))
    assert problem(more) == "findings.json says more than the facts give"
    files = contents(more)
    manifest = json.loads(files["manifest.json"]) | {"tool_version": "99.0.0"}
    files["manifest.json"] = json.dumps(manifest).encode()
    assert check(packed(whole.with_name("tomorrow.zip"), files)).problem is None


def test_facts_that_were_changed(whole: Path, tmp_path: Path) -> None:
    """Other facts give other findings, and do not say what the CSV says."""
    other = contents(bundle(tmp_path, account([key(status="Inactive")]), name="other.zip"))

    def facts(files: Files) -> None:
        files[named(files, "scan/access_keys/")] = other[named(other, "scan/access_keys/")]

    def facts_and_tables(files: Files) -> None:
        facts(files)
        files["csv/access_keys.csv"] = other["csv/access_keys.csv"]

    assert problem(forged(whole, facts)) == "csv/access_keys.csv does not say what the facts say"
    assert "findings.json differs from what the facts give" in problem(forged(whole, facts_and_tables))


def test_facts_that_are_none(whole: Path) -> None:
    """Files of facts that are no Parquet, or of another table, are damage."""

    def other_table(files: Files) -> None:
        files[named(files, "scan/access_keys/")] = files[named(files, "scan/principals/")]

    def garbage(files: Files) -> None:
        files[named(files, "scan/access_keys/")] = b"PAR1" + bytes(99)

    assert "its columns are not the table's" in problem(forged(whole, other_table))
    assert "damaged" in problem(forged(whole, garbage))


def test_a_scan_that_is_another(whole: Path) -> None:
    """scan.json has to be of the scan that the manifest names, finished, and of the files that are there."""

    def change(**fields: object) -> Callable[[Files], None]:
        def changed(files: Files) -> None:
            info = json.loads(files["scan/scan.json"]) | fields
            files["scan/scan.json"] = json.dumps(info).encode()

        return changed

    for fields in ({"id": "20200101T000000Z-000000"}, {"finished": False}, {"as_of": "2020-01-01T00:00:00Z"}):
        assert "is of another scan" in problem(forged(whole, change(**fields)))
    assert "or it is missing" in problem(forged(whole, change(parts=[])))
    assert "newer birthright" in problem(forged(whole, change(schema="birthright.scan/9")))


def test_sums_that_are_others(whole: Path, tmp_path: Path) -> None:
    """SHA256SUMS is what people check by hand: it says what the manifest says."""
    files = contents(whole)
    manifest = json.loads(files["manifest.json"])
    for entry in manifest["files"]:
        if entry["name"] == "SHA256SUMS":
            files["SHA256SUMS"] = b"0" * entry["size"]
            entry["sha256"] = hashlib.sha256(files["SHA256SUMS"]).hexdigest()
    manifest["signed_by"] = None
    files["manifest.json"] = json.dumps(manifest).encode()
    del files["manifest.json.sig"], files["public-key.pem"]
    assert problem(packed(tmp_path / "a.zip", files)) == "SHA256SUMS does not say what the manifest says"


@pytest.mark.parametrize("rule", EVIL_RULES)
def test_rules_that_reach_out(whole: Path, tmp_path: Path, rule: str) -> None:
    """A page in a bundle reads and writes nothing beside the facts; it is refused, and the bundle with it."""
    out = tmp_path / "evil"
    name = f"policies/{BORN}.md"

    def change(files: Files) -> None:
        text = files[name].decode()
        before, _, rest = text.partition("```sql\n")
        files[name] = f"{before}```sql\n{rule.format(out=out)}\n```{rest.partition('```')[2]}".encode()

    assert name in problem(forged(whole, change))
    assert not out.exists()


def test_pages_that_are_others(whole: Path) -> None:
    """A page that passes everything gives other findings; one too many is told."""
    name = f"policies/{BORN}.md"

    def lenient(files: Files) -> None:
        head, _, rest = files[name].decode().partition("```sql\n")
        rule = (
            "select *, $window is not null and $console_users_only is not null as compliant from access_keys"
        )
        files[name] = f"{head}```sql\n{rule}\n```{rest.partition('```')[2]}".encode()

    assert f"({BORN}) is another one" in problem(forged(whole, lenient))
    assert "names other policies" in problem(
        forged(whole, lambda files: files.update({"policies/x.md": b""}))
    )


def test_parameters_that_are_others(whole: Path, tmp_path: Path) -> None:
    """A manifest that names other parameters than it was judged with is told."""
    files = contents(forged(whole, lambda _: None))
    manifest = json.loads(files["manifest.json"])
    manifest["policies"][0]["parameters"]["window"] = "1 s"
    files["manifest.json"] = json.dumps(manifest).encode()
    assert "names other parameters" in problem(packed(tmp_path / "a.zip", files))
    manifest["selection"]["overrides"] = {BORN: {"nonsense": "1"}}
    files["manifest.json"] = json.dumps(manifest).encode()
    assert "has no parameter 'nonsense'" in problem(packed(tmp_path / "a.zip", files))


def test_steps_that_were_changed(tmp_path: Path) -> None:
    """A step in the records is what its digest is of, and none is missing."""
    with open_journal(str(tmp_path / "journal.sqlite")) as journal:
        filled(journal)
        path = bundle(tmp_path, journal=journal)
    for old, new, said in (
        (b"note 2", b"note X", "step 3 is not the one that its digest is of"),
        (b'"seq"', b"seq", "journal.json cannot be read"),
        (b'"retirement-2"', b'"retirement-1"', "is not the one"),
    ):

        def change(files: Files, old: bytes = old, new: bytes = new) -> None:
            files["journal.json"] = files["journal.json"].replace(old, new)

        assert said in problem(forged(path, change))

    def cut(files: Files) -> None:
        lines = files["journal.json"].splitlines(keepends=True)
        files["journal.json"] = b"".join([*lines[:5], lines[5].replace(b",\n", b"\n"), lines[-1]])

    assert "holds 1 retirement instead of 2" in problem(forged(path, cut))


def test_the_hand_that_tampers_leaves_no_trace(whole: Path) -> None:
    """What `forged` does is right but for the change: otherwise these tests would prove nothing."""
    path = forged(whole, refit_scan, SIGNER)
    assert check(path, SIGNER).problem is None
    assert msgspec.json.decode(contents(path)["manifest.json"])["signed_by"]
