"""What the tests of evidence share: a small saved scan, bundles of it, and a hand that tampers."""

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from birthright.evidence.archive import ArchiveMember, Deflating, member, pieces
from birthright.evidence.bundle import BundleRequest, BundleResult, make_bundle
from birthright.evidence.manifest import ManifestEntry, is_deflated
from birthright.evidence.verifying import BundleVerification, verify_bundle
from birthright.facts.model import AccessKey, AccountFacts, Coverage, Principal
from birthright.policies.pack import load_pack
from birthright.policies.page import Page
from birthright.scans.record import ScanInfo
from birthright.scans.request import Judging
from birthright.scans.store import FolderStore
from birthright.scans.writer import save_scan

AS_OF = datetime(2026, 11, 22, 10, tzinfo=UTC)
ACCOUNT = "111122223333"
BORN = "access-key-created-with-user"
OLD = "access-key-not-rotated"
KEYS = ("AKIAQQQQQQQQQQQQ0001", "AKIAQQQQQQQQQQQQ0002", "AKIARRRRRRRRRRRR0003")
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
READS = ("GetCredentialReport", "ListUsers", "ListAccessKeys")
REPORT = b"user,arn\nann,arn:aws:iam::111122223333:user/ann\n"

Files = dict[str, bytes]


def key(number: int = 0, user: str = "ann", after: int | None = 1, **more: Any) -> AccessKey:  # noqa: ANN401
    """Return a key made so many seconds after its user."""
    made = AS_OF - timedelta(days=400)
    fields: dict[str, Any] = {
        "account_id": ACCOUNT,
        "user_arn": f"arn:aws:iam::{ACCOUNT}:user/{user}",
        "user_name": user,
        "user_created_at": made,
        "access_key_id": KEYS[number],
        "status": "Active",
        "created_at": None if after is None else made + timedelta(seconds=after),
        "created_source": "listing",
        "ever_used": False,
    }
    return AccessKey(**{**fields, **more})


def account(keys: Iterable[AccessKey] = (), **changes: Any) -> AccountFacts:  # noqa: ANN401
    """Return an account in which everything was answered, with the keys' users; `changes` of coverage."""
    keys = tuple(keys) or (key(), key(1, "bob", 100))
    users = {one.user_name: one for one in keys}
    principals = tuple(
        Principal(ACCOUNT, one.user_arn, name, created_at=one.user_created_at) for name, one in users.items()
    )
    line = msgspec.structs.replace(Coverage(ACCOUNT, "", "ok", as_of=AS_OF), **changes)
    digest = hashlib.sha256(REPORT).hexdigest()
    coverage = tuple(msgspec.structs.replace(line, source=source, sha256=digest) for source in READS)
    return AccountFacts(principals, keys, coverage)


def saved(folder: Path, *accounts: AccountFacts, **more: Any) -> tuple[Path, ScanInfo]:  # noqa: ANN401
    """Save a scan; return its own folder and what it says of itself."""
    fields: dict[str, Any] = {
        "id": "20261122T100000Z-abcdef",
        "as_of": AS_OF,
        "tool_version": "0.1.0",
        "depth": "keys",
        "complete": True,
    }
    info = save_scan(FolderStore(folder), ScanInfo(**{**fields, **more}), accounts or (account(),))
    return folder / "scans" / info.id, info


def waivers_of(key_id: str, user: str = "an*") -> bytes:
    """Return a file of one waiver, which says the id in its reason, too."""
    return f"""schema: birthright.waivers/1
waivers:
  - policy: {BORN}
    account: "{ACCOUNT}"
    user: {user}
    access_key_id: {key_id}
    reason: not {key_id}
    owner: ann
    created: 2026-11-20
    expires: 2027-01-31
""".encode()


def pages(*ids: str) -> list[Page]:
    return load_pack(ids=ids or (BORN, OLD))


def bundle(folder: Path, *accounts: AccountFacts, name: str = "bundle.zip", **order: Any) -> Path:  # noqa: ANN401
    """Make the bundle of a scan of these accounts."""
    out = folder / name
    made(folder, *accounts, out=out, **order)
    return out


def made(folder: Path, *accounts: AccountFacts, out: Path, **order: Any) -> BundleResult:  # noqa: ANN401
    """Make it, and return what was made."""
    store = folder / f"store-{out.name}"
    fields = {"pages": pages(), "selection": Judging()}
    return make_bundle(*saved(store, *accounts), BundleRequest(**{**fields, **order}), out)


def check(path: Path, trusted: Ed25519PrivateKey | None = None) -> BundleVerification:
    return verify_bundle(path, trusted.public_key() if trusted else None)


def problem(path: Path, trusted: Ed25519PrivateKey | None = None) -> str:
    """Return what is wrong with a bundle; something is."""
    found = check(path, trusted)
    assert found.problem
    return found.problem


def contents(path: Path) -> Files:
    """Read the files in a bundle, in order, with Python's own reader."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, files: Files) -> Path:
    """Write files as a bundle, in the form that birthright's have."""
    path.write_bytes(b"".join(pieces(kept(name, data) for name, data in files.items())))
    return path


def kept(name: str, data: bytes) -> ArchiveMember:
    """Make the member that a bundle keeps a file as."""
    return deflated(name, data) if is_deflated(name) else member(name, data)


def deflated(name: str, data: bytes) -> ArchiveMember:
    """Make a deflated member of a file."""
    out = io.BytesIO()
    deflating = Deflating(out)
    deflating.write(data)
    deflating.close()
    return deflating.member(name, out.getvalue())


def forged(path: Path, change: Callable[[Files], object], signer: Ed25519PrivateKey | None = None) -> Path:
    """Change what is in a bundle as somebody who knows how would: all digests fit again, signed or not."""
    from birthright.evidence.manifest import PUBLIC_KEY, SIGNATURE, SUMS, encode, sums
    from birthright.evidence.manifest import Manifest as Form
    from birthright.evidence.signing import fingerprint, public_pem

    files = contents(path)
    manifest = msgspec.json.decode(files.pop("manifest.json"), type=Form)
    for name in (SIGNATURE, PUBLIC_KEY, SUMS):
        files.pop(name, None)
    change(files)
    refit_scan(files)
    policies = tuple(
        msgspec.structs.replace(line, sha256=hashlib.sha256(files[f"policies/{line.id}.md"]).hexdigest())
        for line in manifest.policies
    )
    signed_by = fingerprint(signer.public_key()) if signer else None
    _refit_readme(files, signed_by)
    files[SUMS] = sums(_entries(files))
    files = dict(sorted(files.items()))
    manifest = msgspec.structs.replace(
        manifest, files=_entries(files), signed_by=signed_by, policies=policies
    )
    data = encode(manifest)
    head = {"manifest.json": data}
    if signer:
        head |= {SIGNATURE: signer.sign(data), PUBLIC_KEY: public_pem(signer.public_key())}
    return packed(path.with_name("forged.zip"), {**head, **files})


def refit_scan(files: Files) -> None:
    """Make scan.json name the digests and sizes that its files have."""
    info = msgspec.json.decode(files["scan/scan.json"])
    for part in info["parts"]:
        for table, file in part["files"].items():
            data = files.get(f"scan/{table}/{file['name']}", b"")
            file |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    files["scan/scan.json"] = msgspec.json.encode(info)


def _refit_readme(files: Files, signed_by: str | None) -> None:
    """Make the README name the key that signs."""
    now = "It is **not signed**: anybody could have made or changed it."
    if signed_by:
        now = f"It is signed. The key's fingerprint (SHA-256 of its DER form) is\n`{signed_by}`."
    before = rb"It is \*\*not signed.*|It is signed\..*\n`[0-9a-f]{64}`\."
    files["README.md"] = re.sub(before, now.encode(), files["README.md"])


def _entries(files: Files) -> tuple[ManifestEntry, ...]:
    members = [kept(name, data) for name, data in sorted(files.items())]
    return tuple(ManifestEntry(one.name, one.size, one.sha256, one.deflated) for one in members)


def named(files: Files, start: str) -> str:
    """Return the one file whose name begins so."""
    (found,) = (name for name in files if name.startswith(start))
    return found
