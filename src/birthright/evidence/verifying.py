"""Checks a bundle: its form, its digests, its signature; then judges its facts again and compares.

A bundle comes from somebody else. Nothing is unpacked but the files of facts, under names of a known form,
into a private folder; the rules in it run in the same closed engine as any page's.
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO, Literal

import msgspec

from birthright.atomic import make_directories
from birthright.errors import BirthrightError, StoreError, UsageError
from birthright.evidence.archive import AlteredError, MemberPlace, Slice, Unpacking
from birthright.evidence.bundle import named_digests
from birthright.evidence.comparing import ComparingSink, compare_findings
from birthright.evidence.judging import judged
from birthright.evidence.manifest import (
    FINDINGS,
    JOURNAL,
    MANIFEST,
    POLICIES,
    PUBLIC_KEY,
    README,
    REPORTS,
    SCAN,
    SIGNATURE,
    SUMS,
    TABLES,
    WAIVERS,
    Manifest,
    ManifestEntry,
    decode,
    page_lines,
    sums,
)
from birthright.evidence.masking import check_masked
from birthright.evidence.readme import readme
from birthright.evidence.records import check_records
from birthright.evidence.signing import fingerprint, is_signed, parse_public_pem
from birthright.evidence.tables import check_facts, write_csv
from birthright.facts.schema import TABLES as SCAN_TABLES
from birthright.scans.record import INFO, ScanInfo, facts_files, read_info
from birthright.scans.store import FolderStore
from birthright.version import __version__

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from birthright.findings.model import Document
    from birthright.policies.page import Page

_LONGEST = 256 * 1024**2  # bytes of a file that is read as a whole
_MARK = b"PK\3\4"


class BundleVerification(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found.

    signature: `trusted` is by the key that was given, `unproven` by a key that nobody vouched for.
    problem: what is wrong, in words; None if all is well. findings: how many were judged again; waived:
    how many of them are accepted.
    """

    manifest: Manifest | None = None
    signature: Literal["none", "unproven", "trusted"] = "none"
    findings: int = 0
    waived: int = 0
    complete: bool = False
    problem: str | None = None


def verify_bundle(path: Path, trusted: "Ed25519PublicKey | None" = None) -> BundleVerification:
    """Check the bundle in a file; `trusted` is the key that must have signed it.

    Raises UsageError if the file is no bundle or a newer birthright's, StoreError if there is no room.
    """
    try:
        with path.open("rb") as file:
            with _needing_room(path.name):
                room = TemporaryDirectory(prefix="birthright-")
            with room as folder:
                return _Check(file, path, trusted, Path(folder) / "scan").run()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error


class _Check:
    """One bundle as it is checked; `folder` takes the facts."""

    def __init__(self, file: BinaryIO, path: Path, trusted: "Ed25519PublicKey | None", folder: Path) -> None:
        self._file = file
        self._path = path
        self._trusted = trusted
        self._folder = folder
        self._places: dict[str, MemberPlace] = {}
        self._manifest: Manifest | None = None
        self._signed = False

    def run(self) -> BundleVerification:
        if self._file.read(len(_MARK)) != _MARK:
            raise self._no_bundle()
        self._file.seek(0)
        try:
            manifest = self._manifest = self._unpack()
            document = self._judge(manifest)
        except AlteredError as altered:
            return BundleVerification(manifest=self._manifest, problem=str(altered))
        signature: Literal["trusted", "unproven"] = "trusted" if self._trusted else "unproven"
        return BundleVerification(
            manifest=manifest,
            signature=signature if self._signed else "none",
            findings=len(document.findings),
            waived=document.summary.waived,
            complete=document.complete,
        )

    def _no_bundle(self) -> UsageError:
        return UsageError(f"{self._path} is no bundle of birthright's", "'birthright evidence' makes them")

    def _unpack(self) -> Manifest:
        """Go through the whole archive; keep where everything is, and write the facts out."""
        unpacking = Unpacking(self._file)
        data = self._whole(unpacking)
        if MANIFEST not in self._places:
            raise self._no_bundle()
        self._manifest = manifest = decode(data, str(self._path))
        self._check_signature(manifest, data, unpacking)
        for entry in manifest.files:
            place = self._next(unpacking, entry)
            if (place.sha256, place.deflated) != (entry.sha256, entry.deflated):
                raise AlteredError(f"{entry.name} is not the file that the manifest names")
        unpacking.end()
        if self._read(SUMS) != sums(manifest.files):
            raise AlteredError(f"{SUMS} does not say what the manifest says")
        return manifest

    def _whole(self, unpacking: Unpacking, wanted: str | None = None) -> bytes:
        """Read the next file, which should be a small one."""
        data = bytearray()

        def sink(chunk: bytes) -> None:
            data.extend(chunk)
            if len(data) > _LONGEST:
                raise AlteredError(f"{wanted or MANIFEST} is too large")

        place = unpacking.next(sink, wanted)
        self._places[place.name] = place
        return bytes(data)

    def _next(self, unpacking: Unpacking, entry: ManifestEntry) -> MemberPlace:
        path = _unpacked(entry.name, self._folder)
        place = _written(unpacking, entry, path) if path else _passed(unpacking, entry, lambda _: None)
        self._places[entry.name] = place
        return place

    def _check_signature(self, manifest: Manifest, data: bytes, unpacking: Unpacking) -> None:
        if manifest.signed_by is None:
            if self._trusted:
                raise AlteredError("it is not signed")
            return
        signature = self._whole(unpacking, SIGNATURE)
        key = parse_public_pem(self._whole(unpacking, PUBLIC_KEY))
        if key is None or fingerprint(key) != manifest.signed_by:
            raise AlteredError(f"{PUBLIC_KEY} is not the key that the manifest names")
        if self._trusted and fingerprint(self._trusted) != manifest.signed_by:
            raise AlteredError(f"it is signed by another key, SHA256:{manifest.signed_by}")
        if not is_signed(key, signature, data):
            raise AlteredError(f"the signature does not fit: {MANIFEST} or {SIGNATURE} is altered")
        self._signed = True

    def _judge(self, manifest: Manifest) -> "Document":
        """Judge the facts again, and compare everything that was made of them."""
        with _as_altered():
            self._check_names(manifest)
            info = self._facts(manifest)
            self._check_tables()
            if manifest.masked:
                check_masked(self._folder)
            pages = [*self._pages(manifest)]
            waivers = self._read(WAIVERS) if WAIVERS in self._places else None
            document = judged(self._folder, info, pages, manifest.selection, waivers)
            if page_lines(document) != manifest.policies:
                raise AlteredError(f"{MANIFEST} names other parameters than the policies ran with")
            self._check_reports()
            compare_findings(
                document, lambda: Slice(self._file, self._place(FINDINGS)), manifest.tool_version
            )
        if manifest.journal:
            lines = Slice(self._file, self._place(JOURNAL)).lines()
            check_records(lines, manifest.journal, masked=manifest.masked)
        # Other versions may have other words for the same.
        if manifest.tool_version == __version__:
            text = readme(manifest, document, waivers=waivers is not None)
            if self._read(README) != text.encode():
                raise AlteredError(f"{README} does not say what the rest says")
        return document

    def _check_names(self, manifest: Manifest) -> None:
        """See that there is no file that nothing else here looks into."""
        known = {README, SUMS, FINDINGS, WAIVERS, *(f"{TABLES}{table}.csv" for table in SCAN_TABLES)}
        known |= {JOURNAL} if manifest.journal else set()
        for entry in manifest.files:
            if entry.name not in known and not entry.name.startswith((SCAN, POLICIES, REPORTS)):
                raise AlteredError(f"no such bundle holds a file {entry.name}")

    def _facts(self, manifest: Manifest) -> ScanInfo:
        """Read the scan; it is the one that the manifest names, and its files are those that are here."""
        info = read_info(FolderStore(self._folder))
        scan = manifest.scan
        said = (info.id, info.as_of, info.tool_version, info.depth, info.complete, info.finished)
        if said != (scan.id, scan.as_of, scan.tool_version, scan.depth, scan.complete, True):
            raise AlteredError(f"{SCAN}{INFO} is of another scan than the manifest")
        files = facts_files(self._folder)
        named = {f"{SCAN}{table}/{path.name}" for table, paths in files.items() for path in paths}
        there = {name for name in self._places if name.startswith(SCAN)} - {f"{SCAN}{INFO}"}
        if named != there:
            raise AlteredError(f"{SCAN}{INFO} does not name {min(named ^ there)}, or it is missing")
        for name, digest in named_digests(info).items():
            if self._place(name).sha256 != digest:
                raise AlteredError(f"{name} is not the file that {SCAN}{INFO} names")
        check_facts(files)
        return info

    def _check_tables(self) -> None:
        files = facts_files(self._folder)
        for name in self._places:
            if name.startswith(TABLES) and Path(name).stem not in files:
                raise AlteredError(f"the scan has no table of which {name} would be the rows")
        for table, paths in files.items():
            name = f"{TABLES}{table}.csv"
            sink = ComparingSink(Slice(self._file, self._place(name)))
            with io.TextIOWrapper(io.BufferedWriter(sink), encoding="utf-8", newline="\n") as out:
                write_csv(table, paths, out)
            if not sink.is_same():
                raise AlteredError(f"{name} does not say what the facts say")

    def _pages(self, manifest: Manifest) -> "Iterator[Page]":
        from birthright.policies.page import parse_page

        names = {name for name in self._places if name.startswith(POLICIES)}
        if names != {f"{POLICIES}{line.id}.md" for line in manifest.policies}:
            raise AlteredError("the manifest names other policies than there are pages")
        for line in manifest.policies:
            name = f"{POLICIES}{line.id}.md"
            try:
                page = parse_page(self._read(name).decode(), name)
            except UnicodeDecodeError:
                raise AlteredError(f"{name} is no text") from None
            if (page.id, page.sha256) != (line.id, line.sha256):
                raise AlteredError(f"{name} is not the page that the manifest names")
            yield page

    def _check_reports(self) -> None:
        """See that a raw report is the one whose digest the facts have."""
        names = [name for name in self._places if name.startswith(REPORTS)]
        if not names:
            return
        known = _report_digests(self._folder)
        for name in names:
            account = name.removeprefix(REPORTS).partition("-")[0]
            if (account, self._place(name).sha256) not in known:
                raise AlteredError(f"{name} is not the report whose digest the facts have")

    def _place(self, name: str) -> MemberPlace:
        if name not in self._places:
            raise AlteredError(f"{name} is missing")
        return self._places[name]

    def _read(self, name: str) -> bytes:
        place = self._place(name)
        if place.size > _LONGEST:
            raise AlteredError(f"{name} is too large")
        data = Slice(self._file, place).read(place.size)
        if hashlib.sha256(data).hexdigest() != place.sha256:
            raise AlteredError(f"{name} is being changed while it is read")
        return data


def _unpacked(name: str, folder: Path) -> Path | None:
    """Return where a file is written to: the scan's own files only, of the names that a scan has."""
    if not name.startswith(SCAN):
        return None
    inner = name.removeprefix(SCAN)
    if inner == INFO:
        return folder / INFO
    table, _, file = inner.partition("/")
    if table not in SCAN_TABLES or "/" in file or not file.endswith(".parquet"):
        raise AlteredError(f"no scan holds a file {name}")
    return folder / table / file


def _written(unpacking: Unpacking, entry: ManifestEntry, path: Path) -> MemberPlace:
    """Write one file out as it is gone through; the folder is private. Raises StoreError."""
    make_directories(path.parent)
    with _needing_room(entry.name), path.open("wb") as file:
        return _passed(unpacking, entry, file.write)


def _passed(unpacking: Unpacking, entry: ManifestEntry, sink: Callable[[bytes], object]) -> MemberPlace:
    """Go through the next file, which has the size that the manifest says."""
    return unpacking.next(sink, entry.name, deflated=entry.deflated is not None, size=entry.size)


@contextmanager
def _needing_room(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "the facts need room where temporary files go: TMPDIR names another place"
        raise StoreError(f"cannot unpack {what}: {error.strerror or error}", hint) from error


def _report_digests(folder: Path) -> set[tuple[str, str]]:
    """Return the digests of reports, by account, that coverage has."""
    from birthright.scans.record import load_tables

    coverage = load_tables(folder)["coverage"].select(["account_id", "source", "sha256"]).to_pylist()
    return {(row["account_id"], row["sha256"]) for row in coverage if row["source"] == "GetCredentialReport"}


@contextmanager
def _as_altered() -> Iterator[None]:
    """Whatever birthright refuses in a bundle is not what birthright put into it."""
    try:
        yield
    except BirthrightError as error:
        raise AlteredError(str(error)) from error
