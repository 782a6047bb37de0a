"""What `manifest.json` says: what the bundle is of, how it was judged, and every file with its digest."""

import re
from datetime import datetime

import msgspec

from birthright.errors import UsageError
from birthright.evidence.archive import AlteredError, Deflated
from birthright.findings.model import Document
from birthright.scans.request import Judging
from birthright.versioned import NOT_JSON, check_version, schema_in

SCHEMA = "birthright.evidence/2"
_FIRST = "birthright.evidence/1"  # in which nothing is deflated
MANIFEST, SIGNATURE, PUBLIC_KEY = "manifest.json", "manifest.json.sig", "public-key.pem"
README, SUMS, FINDINGS, WAIVERS, JOURNAL = (
    "README.md", "SHA256SUMS", "findings.json", "waivers.yaml", "journal.json",
)  # fmt: skip
SCAN, POLICIES, TABLES, REPORTS = "scan/", "policies/", "csv/", "reports/"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=,@-]{0,199}(/[A-Za-z0-9_][A-Za-z0-9_.+=,@-]{0,199}){0,3}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ManifestEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file, its size in bytes and its digest; `deflated` is how it is kept, if not as it is."""

    name: str
    size: int
    sha256: str
    deflated: Deflated | None = None


class ScanSummary(msgspec.Struct, frozen=True):
    """The scan, as it says of itself; `tool_version` is of the birthright that read AWS."""

    id: str
    as_of: datetime
    tool_version: str
    depth: str
    complete: bool


class PageSummary(msgspec.Struct, frozen=True):
    """A policy as it was run; `sha256` is its page's digest."""

    id: str
    sha256: str
    parameters: dict[str, str]


class JournalSummary(msgspec.Struct, frozen=True):
    """The journal that records were taken from.

    steps, head: how many steps of the whole journal are whole, and the digest of the last; `birthright
    journal verify` says the same of the same journal. problem: what is broken in it. retirements: how many
    are in the bundle.
    """

    steps: int
    head: str
    problem: str | None
    retirements: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `tool_version` judged and packed; `signed_by` is the fingerprint of the key, if any."""

    schema: str = SCHEMA
    scan: ScanSummary
    tool_version: str
    selection: Judging
    policies: tuple[PageSummary, ...]
    masked: bool
    journal: JournalSummary | None
    signed_by: str | None
    files: tuple[ManifestEntry, ...]


def is_deflated(name: str) -> bool:
    """Whether a file is deflated: those that grow with the scan; Parquet is compact already."""
    return name in {FINDINGS, JOURNAL} or name.startswith((TABLES, REPORTS))


def page_lines(document: Document) -> tuple[PageSummary, ...]:
    """Say how the policies of a document were run."""
    return tuple(PageSummary(line.id, line.sha256 or "", line.parameters) for line in document.policies)


def encode(manifest: Manifest) -> bytes:
    """Write it; the same manifest gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def sums(files: tuple[ManifestEntry, ...]) -> bytes:
    """Write the digests as `sha256sum -c` reads them."""
    return "".join(f"{file.sha256}  {file.name}\n" for file in files if file.name != SUMS).encode()


def decode(data: bytes, path: str) -> Manifest:
    """Read it. Raises UsageError if it is none or of a newer birthright, AlteredError if it is damaged."""
    try:
        schema = schema_in(data)
    except NOT_JSON:
        raise AlteredError(f"{MANIFEST} cannot be read") from None
    other = UsageError(f"{path} is no bundle of birthright's", "'birthright evidence' makes them")
    newer = UsageError(f"{path} was made by a newer birthright", "upgrade birthright")
    check_version(schema, SCHEMA, other, newer)
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except NOT_JSON as error:
        raise AlteredError(f"{MANIFEST} cannot be read: {error}") from None
    _check_files(manifest.files, deflates=schema != _FIRST)
    return manifest


def _check_files(files: tuple[ManifestEntry, ...], *, deflates: bool) -> None:
    """Refuse names that would not stay in a folder, that come twice, or are out of order, and other forms."""
    names = [file.name for file in files]
    for file in files:
        if (file.deflated is not None) != (deflates and is_deflated(file.name)):
            raise AlteredError(f"{MANIFEST} says that {file.name[:80]!a} is kept as no bundle keeps it")
        if not _NAME.fullmatch(file.name) or file.size < 0 or not _DIGEST.fullmatch(file.sha256):
            raise AlteredError(f"{MANIFEST} names a file that no bundle holds: {file.name[:80]!a}")
    if names != sorted(set(names)) or {MANIFEST, SIGNATURE, PUBLIC_KEY} & set(names):
        raise AlteredError(f"{MANIFEST} names files twice or out of order")
