"""Bundles whose sums all fit, made by somebody who lies: what is in one but not looked at, or no scan's."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from birthright.evidence.archive import Unpacking
from birthright.retirement.journal.opening import open_journal
from evidence_helpers import ACCOUNT, READS, SIGNER, Files, bundle, contents, forged, named, packed, problem
from journal_helpers import filled


def _column(name: str, values: "pa.Array") -> Callable[["pa.Table"], "pa.Table"]:
    def change(rows: "pa.Table") -> "pa.Table":
        return rows.set_column(rows.schema.get_field_index(name), name, values)

    return change


def _text(data: bytes) -> "pa.Array":
    """Return a text that may be none."""
    return pa.Array.from_buffers(pa.string(), 1, pa.array([data], pa.binary()).buffers())


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("access_keys", _column("user_name", _text(b"\xff")), "codec can't decode"),
        ("access_keys", _column("created_at", pa.array([2**62], pa.timestamp("us"))), "out of range"),
        ("access_keys", _column("account_id", pa.nulls(1, pa.string())), "Expected `str`, got `null`"),
        ("coverage", _column("status", pa.array(["fine"] * len(READS))), "Invalid enum value"),
        (
            "access_keys",
            lambda rows: rows.append_column("user_name", pa.array(["eve"])),
            "its columns are not the table's",
        ),
    ],
    ids=["no-text", "no-instant", "null", "no-status", "a-column-twice"],
)
def test_rows_that_no_scan_has(
    whole: Path, table: str, change: Callable[["pa.Table"], "pa.Table"], said: str
) -> None:
    """Parquet of the right columns, with what birthright never writes into them, is damage and no crash."""

    def changed(files: Files) -> None:
        name, out = named(files, f"scan/{table}/"), io.BytesIO()
        pq.write_table(change(pq.read_table(io.BytesIO(files[name]))), out)
        files[name] = out.getvalue()

    found = problem(forged(whole, changed))
    assert found.startswith(f"{table}/{ACCOUNT}-")
    assert said in found


def test_words_beside_the_steps(tmp_path: Path) -> None:
    """Nothing stands in the records that is not looked at: no word around the steps, none said twice."""
    with open_journal(str(tmp_path / "journal.sqlite")) as journal:
        filled(journal)
        path = bundle(tmp_path, journal=journal)
    for old, new in (
        (b'"steps": [', b'"steps": [{"by": "eve"},'),
        (b"\n]}", b'\n], "by": "eve"}'),
        (b'"seq":1,', b'"seq":7,"seq":1,'),
        (b"\n]}\n", b"\n]}\n{}\n"),
    ):

        def change(files: Files, old: bytes = old, new: bytes = new) -> None:
            files["journal.json"] = files["journal.json"].replace(old, new, 1)

        assert problem(forged(path, change)) == "journal.json cannot be read", new


@pytest.mark.parametrize("name", ["journal.json", "csv/more.csv", "approved.txt"])
def test_files_that_nothing_is_held_against(whole: Path, name: str) -> None:
    """A file that says what nobody checks, such as records where the manifest knows no journal."""
    assert problem(forged(whole, lambda files: files.update({name: b"all is well"}))) == (
        f"no such bundle holds a file {name}"
    )


def test_a_readme_that_tells_other_things(whole: Path) -> None:
    """The README is what people read: it says what the rest says, by whoever it is signed."""

    def change(files: Files) -> None:
        files["README.md"] = files["README.md"].replace(b"2 failures", b"0 failures", 1)

    assert b" 2 failures" in contents(whole)["README.md"]
    assert problem(forged(whole, change, SIGNER), SIGNER) == "README.md does not say what the rest says"


def test_ids_that_are_not_masked(whole: Path, tmp_path: Path) -> None:
    """Steps of masked ids cannot be checked; so nobody may say of plain ids that they are masked."""
    files = contents(forged(whole, lambda _: None))
    manifest = json.loads(files["manifest.json"]) | {"masked": True}
    files["manifest.json"] = json.dumps(manifest).encode()
    assert (
        problem(packed(tmp_path / "a.zip", files)) == "manifest.json says that ids are masked, but 1 are not"
    )


def test_a_bundle_that_changes_under_our_eyes(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read a second time is what the digest was of: somebody may write to the file meanwhile."""
    path = tmp_path / "moving.zip"
    path.write_bytes(whole.read_bytes())
    checked = Unpacking.end

    def changed(unpacking: Unpacking) -> None:
        checked(unpacking)
        data = path.read_bytes()
        with path.open("r+b") as file:
            file.seek(data.index(b"```sql"))
            file.write(b"######")

    monkeypatch.setattr(Unpacking, "end", changed)
    assert "is being changed while it is read" in problem(path)
