"""Makes a bundle: facts, verdicts, pages, waivers, records, and a manifest of them all, signed or not.

The same scan, pages, waivers and journal give the same bytes: nothing in a bundle tells when or where it was
made. What is generated is written to a hidden folder beside the bundle first, and
nothing large is held in memory.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TextIO

import msgspec

from birthright.atomic import make_directories, open_in_place, write_atomically
from birthright.errors import StoreError, UsageError
from birthright.evidence.archive import CHUNK, ArchiveMember, Deflating, chunks, member, pieces
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
    JournalSummary,
    Manifest,
    ManifestEntry,
    ScanSummary,
    encode,
    page_lines,
    sums,
)
from birthright.evidence.readme import readme
from birthright.evidence.records import write_records
from birthright.evidence.signing import fingerprint, public_pem
from birthright.evidence.tables import write_csv
from birthright.findings.model import Document
from birthright.policies.page import Page
from birthright.scans.record import ACCOUNTS, INFO, ScanInfo, facts_files, report_files
from birthright.scans.request import Judging
from birthright.version import __version__

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from birthright.evidence.masking import Mask
    from birthright.retirement.journal.journal import Journal


class BundleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into a bundle.

    `waivers` is the waivers' file as it is; `raw` adds the credential reports, `mask` hides access key ids.
    """

    pages: Sequence[Page]
    selection: Judging
    waivers: bytes | None = None
    journal: "Journal | None" = None
    raw: bool = False
    mask: bool = False
    sign_key: "Ed25519PrivateKey | None" = None


class BundleResult(msgspec.Struct, frozen=True):
    """What was made."""

    manifest: Manifest
    document: Document


def make_bundle(folder: Path, info: ScanInfo, order: BundleRequest, out: Path) -> BundleResult:
    """Write the bundle of the scan in a folder, whole or not at all.

    Raises UsageError if the scan is not finished or lacks what was ordered, StoreError, PageError.
    """
    if not info.finished:
        raise UsageError(
            f"scan {info.id} is not finished", f"'birthright scan --resume {info.id}' goes on with it"
        )
    if order.raw and not report_files(folder):
        raise UsageError(
            f"scan {info.id} did not keep its credential reports", "scan with --raw, then they are kept"
        )
    with _workshop(out) as stage, _reading(folder):
        packing = _Packing(folder, info, order, stage)
        made = packing.made()
        write_atomically(out, pieces(packing.members))
    return made


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """Give a private folder on the disk that the bundle goes to; a pipe's or device's has no room."""
    try:
        if out.is_dir():
            raise UsageError(f"{out} is a folder", "-o names a file")
        is_plain = out.is_file() or not out.exists()
        made = TemporaryDirectory(prefix=".birthright-", dir=out.parent if is_plain else None)
    except OSError as error:
        reason = error.strerror or str(error)
        is_missing = isinstance(error, FileNotFoundError)
        hint = "the directory does not exist: create it first" if is_missing else "choose another place"
        raise StoreError(f"cannot write {out}: {reason}", hint) from error
    with made as stage:
        yield Path(stage)


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot read {error.filename or folder}: {error.strerror}") from error


class _Packing:
    """One bundle as it is put together; `members` are its files, in order, once it is made."""

    def __init__(self, folder: Path, info: ScanInfo, order: BundleRequest, stage: Path) -> None:
        self.members: list[ArchiveMember] = []
        self._order = order
        self._stage = stage
        self._mask: Mask | None = None
        self._reports = report_files(folder) if order.raw else {}
        self._folder = folder
        self._info = info
        if order.mask:
            self._hide_keys()

    def made(self) -> BundleResult:
        """Put everything together."""
        # Before anything is judged: looking at the files finds those that are damaged.
        files = [*self._of_scan()]
        document = self._judged()
        files += self._said()
        self._write_tables(files)
        self._write_findings(document, files)
        self._write_reports(files)
        journal = self._write_records(document, files)
        manifest = self._manifest(document, journal)
        text = readme(manifest, document, waivers=self._order.waivers is not None)
        files.append(member(README, text.encode()))
        files.append(member(SUMS, sums(_entries(files))))
        manifest = msgspec.structs.replace(manifest, files=_entries(files))
        signed = self._signed(encode(manifest))
        self.members = [*signed, *sorted(files, key=lambda one: one.name)]
        return BundleResult(manifest, document)

    def _hide_keys(self) -> None:
        """Go on with masked copies of the facts."""
        from birthright.evidence.masking import Mask, ids_in, mask_facts
        from birthright.policies.engine import Engine

        for _ in self._of_scan():
            # What is masked has another digest: this is the last look at the one that scan.json names.
            pass
        engine = Engine(self._folder)
        mask = Mask.of(engine)
        for page in self._order.pages:
            if named := ids_in(engine, page.text):
                raise UsageError(
                    f"policy {page.id} names the access key {mask.key(named)}", "leave --mask out"
                )
        masked = self._stage / "masked"
        make_directories(masked)
        self._info = mask_facts(facts_files(self._folder), self._info, mask, masked)
        write_atomically(masked / INFO, encode_info(self._info))
        self._folder, self._mask = masked, mask

    def _judged(self) -> Document:
        from birthright.evidence.judging import judged

        return judged(self._folder, self._info, self._order.pages, self._order.selection, self._waivers())

    def _waivers(self) -> bytes | None:
        given = self._order.waivers
        return self._mask.text(given.decode()).encode() if given and self._mask else given

    def _of_scan(self) -> Iterator[ArchiveMember]:
        """Give the scan's own files, each of them what scan.json says."""
        yield member(f"{SCAN}{INFO}", self._folder / INFO)
        digests = named_digests(self._info)
        for table, paths in facts_files(self._folder).items():
            for path in paths:
                one = member(f"{SCAN}{table}/{path.name}", path)
                if digests.get(one.name, one.sha256) != one.sha256:
                    raise _damaged(path)
                yield one

    def _write_tables(self, files: list[ArchiveMember]) -> None:
        for table, paths in facts_files(self._folder).items():
            with self._deflating(f"{TABLES}{table}.csv", files) as out:
                write_csv(table, paths, out)

    def _write_findings(self, document: Document, files: list[ArchiveMember]) -> None:
        from birthright.reports.interface import Report
        from birthright.reports.json import render

        with self._deflating(FINDINGS, files) as out:
            render(Report(document), out)

    @contextmanager
    def _deflating(self, name: str, files: list[ArchiveMember]) -> Iterator[TextIO]:
        """Give a file to write to; it is kept deflated, and is then one of `files`."""
        path = self._stage / name.replace("/", "-")
        with open_in_place(path) as file:
            deflating = Deflating(file)
            buffer = io.BufferedWriter(deflating, CHUNK)
            with io.TextIOWrapper(buffer, encoding="utf-8", newline="\n") as out:
                yield out
        files.append(deflating.member(name, path))

    def _said(self) -> Iterator[ArchiveMember]:
        """Give what people wrote: the pages and the waivers."""
        for page in self._order.pages:
            yield member(f"{POLICIES}{page.id}.md", page.text.encode())
        waivers = self._waivers()
        if waivers is not None:
            yield member(WAIVERS, waivers)

    def _write_reports(self, files: list[ArchiveMember]) -> None:
        digests = {file.sha256 for part in self._info.parts for file in part.reports.values()}
        for path in self._reports.values():
            with self._deflating(f"{REPORTS}{path.name}", files) as out:
                out.buffer.writelines(chunks(path))
            if files[-1].sha256 not in digests:
                raise _damaged(path)

    def _write_records(self, document: Document, files: list[ArchiveMember]) -> JournalSummary | None:
        if self._order.journal is None:
            return None
        accounts = {line.account_id for line in document.coverage}
        with self._deflating(JOURNAL, files) as out:
            return write_records(self._order.journal, accounts, self._mask, out)

    def _manifest(self, document: Document, journal: JournalSummary | None) -> Manifest:
        info, order = self._info, self._order
        key = order.sign_key
        return Manifest(
            scan=ScanSummary(info.id, info.as_of, info.tool_version, info.depth, info.complete),
            tool_version=__version__,
            # A folder on somebody's machine is nothing for others: the pages are in the bundle.
            selection=msgspec.structs.replace(order.selection, folder=None),
            policies=page_lines(document),
            masked=order.mask,
            journal=journal,
            signed_by=fingerprint(key.public_key()) if key else None,
            files=(),
        )

    def _signed(self, manifest: bytes) -> Iterator[ArchiveMember]:
        yield member(MANIFEST, manifest)
        key = self._order.sign_key
        if key:
            yield member(SIGNATURE, key.sign(manifest))
            yield member(PUBLIC_KEY, public_pem(key.public_key()))


def _entries(files: Sequence[ArchiveMember]) -> tuple[ManifestEntry, ...]:
    ordered = sorted(files, key=lambda one: one.name)
    return tuple(ManifestEntry(one.name, one.size, one.sha256, one.deflated) for one in ordered)


def _damaged(path: Path) -> StoreError:
    return StoreError(f"the scan is damaged: {path} is not what was written", "scan again")


def encode_info(info: ScanInfo) -> bytes:
    """Write a scan.json."""
    return msgspec.json.format(msgspec.json.encode(info), indent=2) + b"\n"


def named_digests(info: ScanInfo) -> Mapping[str, str]:
    """Return the digests that a scan.json gives, by the names that its files have in a bundle."""
    files = [(table, file) for part in info.parts for table, file in part.files.items()]
    files += [(ACCOUNTS, info.accounts)] if info.accounts else []
    return {f"{SCAN}{table}/{file.name}": file.sha256 for table, file in files}
