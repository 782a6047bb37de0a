"""The bundle for an auditor: made of a saved scan, and checked anywhere."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from birthright.evidence.bundle import BundleRequest, BundleResult, make_bundle
from birthright.evidence.manifest import Manifest
from birthright.evidence.signing import load_private_key, load_public_key
from birthright.evidence.verifying import BundleVerification, verify_bundle
from birthright.operations.assess import waivers_file
from birthright.operations.requests import BundleChoice, WaiverChoice
from birthright.operations.workspace import Workspace
from birthright.policies.pack import load_pack
from birthright.scans.record import scan_dir
from birthright.waivers.file import load_waivers, read_waivers

__all__ = ["bundle", "foreign_policies", "load_private_key", "verify", "waivers_bytes"]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from birthright.history.earlier import SavedScan
    from birthright.retirement.journal.journal import Journal


def bundle(
    workspace: Workspace,
    scan: "SavedScan",
    file: Path,
    choice: BundleChoice,
    *,
    waivers: bytes | None = None,
    sign_key: "Ed25519PrivateKey | None" = None,
) -> BundleResult:
    """Put a scan, its verdicts and what they rest on into one file, whole or not at all.

    `waivers` is their file as it is. Raises UsageError, StoreError, JournalError.
    """
    with _journal(workspace) as journal:
        request = BundleRequest(
            pages=scan.pages,
            selection=scan.selection,
            waivers=waivers,
            journal=journal,
            raw=choice.raw,
            mask=choice.mask,
            sign_key=sign_key,
        )
        made = make_bundle(scan_dir(scan.store, scan.info.id), scan.info, request, file)
    workspace.warn_incomplete(made.document.scan, complete=made.document.complete)
    return made


def waivers_bytes(choice: WaiverChoice, workspace: Workspace) -> bytes | None:
    """Return the waivers' file that a report would apply, checked; None if there is none."""
    file = waivers_file(choice, workspace.settings.scan)
    if file is None:
        return None
    load_waivers(file)
    return read_waivers(file)


def verify(file: Path, public_key: Path | None = None) -> BundleVerification:
    """Check a bundle: digests, signature, and whether its facts give its findings. Raises UsageError."""
    return verify_bundle(file, load_public_key(public_key) if public_key else None)


def foreign_policies(manifest: Manifest) -> list[str]:
    """Name the policies that judged and are not this birthright's own."""
    ours = {(page.id, page.sha256) for page in load_pack()}
    return [line.id for line in manifest.policies if (line.id, line.sha256) not in ours]


@contextmanager
def _journal(workspace: Workspace) -> "Iterator[Journal | None]":
    """Open the journal; where none was named there need not be one."""
    place = workspace.journal_place
    if not workspace.names_journal and "://" not in place and not Path(place).expanduser().exists():
        yield None
        return
    with workspace.open_journal() as journal:
        yield journal
