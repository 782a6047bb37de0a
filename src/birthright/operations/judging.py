"""Which policies judge a scan, with which parameters; and the one way in which a saved scan is judged."""

from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec

from birthright.errors import StoreError, UsageError
from birthright.findings.document import build_document, overrides_of
from birthright.findings.model import Document
from birthright.findings.read import load_document
from birthright.history.earlier import LAST, SavedScan, is_file
from birthright.operations.requests import AssessRequest, PolicyChoice
from birthright.operations.workspace import Workspace
from birthright.policies.evaluator import STREAM_ROWS, Evaluator
from birthright.policies.pack import choose, load_pack
from birthright.policies.page import Page
from birthright.scans.record import LATEST, ScanInfo, load_info, scan_dir
from birthright.scans.request import Judging
from birthright.settings import Settings
from birthright.times import now, parse_duration
from birthright.waivers.apply import misfits


def judging_of(choice: PolicyChoice, settings: Settings) -> Judging:
    """Put together which policies judge, and how; the choice wins over the settings. Raises UsageError."""
    from_file = [
        (i, name, _text(value)) for i, named in settings.set.items() for name, value in named.items()
    ]
    return Judging(
        policies=choice.policies or settings.scan.policy,
        folder=_resolved(choice.folder or settings.scan.policies),
        overrides=overrides_of([*from_file, *map(_parameter, choice.parameters)]),
        in_use=parse_duration(settings.retirement.in_use),
    )


def judging_for(workspace: Workspace, info: ScanInfo, choice: PolicyChoice) -> Judging:
    """Judge a saved scan as it was judged, but for the choice; by the settings if their file was named."""
    if workspace.config:
        return judging_of(choice, workspace.settings)
    saved = saved_judging(info)
    kept = [(i, name, value) for i, named in saved.overrides.items() for name, value in named.items()]
    return msgspec.structs.replace(
        saved,
        policies=choice.policies or saved.policies,
        folder=_resolved(choice.folder or saved.folder),
        overrides=overrides_of([*kept, *map(_parameter, choice.parameters)]),
    )


def saved_judging(info: ScanInfo) -> Judging:
    """Return how a saved scan was judged. Raises StoreError."""
    try:
        return msgspec.convert(info.extra.get("selection", {}), Judging)
    except msgspec.ValidationError as error:
        raise StoreError(f"scan {info.id} is damaged: {error}", "scan again") from error


def pages_of(judging: Judging) -> list[Page]:
    """Load the chosen pages; every parameter must be one of a page's. Raises UsageError, PageError."""
    named = {*judging.policies, *judging.overrides} if judging.policies else set()
    pages = load_pack(Path(judging.folder) if judging.folder else None, named)
    known = {page.id: page for page in pages}
    for policy, values in judging.overrides.items():
        choose(pages, [policy])
        known[policy].values(values)
    chosen = choose(pages, judging.policies)
    _check_own(page for page in chosen if not page.origin.startswith("pack/"))
    return chosen


def load_scan(
    workspace: Workspace,
    scan_id: str = LATEST,
    choice: PolicyChoice | None = None,
    assessing: AssessRequest | None = None,
) -> SavedScan:
    """Find a saved scan and the pages that judge it; without a choice, as it was judged.

    assessing: what is checked before it is judged. Raises UsageError, StoreError, PageError.
    """
    info = load_info(workspace.store, scan_id)
    judging = saved_judging(info) if choice is None else judging_for(workspace, info, choice)
    return SavedScan(workspace.store, info, checked_pages(workspace, judging, assessing), judging)


def checked_pages(
    workspace: Workspace, judging: Judging, assessing: AssessRequest | None = None
) -> list[Page]:
    """Load the pages; warn of waivers that can cover nothing, refuse an earlier scan that is not there.

    Raises UsageError, PageError, StoreError.
    """
    pages = pages_of(judging)
    if assessing is None:
        return pages
    for line in misfits(assessing.waivers or (), {page.id: page for page in pages}):
        workspace.warn(line)
    _check_since(workspace, assessing.since)
    return pages


def _check_since(workspace: Workspace, since: str | None) -> None:
    if since is None or since == LAST:
        return
    if is_file(since):
        load_document(Path(since).expanduser())
    else:
        load_info(workspace.store, since)


def judge(
    scan: SavedScan, *, passes: bool | Collection[str] = False, evidence: bool = True, once: bool = False
) -> Document:
    """Judge a saved scan; `passes` as `build_document` takes it. Raises PageError, StoreError.

    once: whether the findings are gone through only once; then many are not held.
    """
    info = scan.info
    batch = {"batch_rows": STREAM_ROWS} if once else {}
    folder = scan_dir(scan.store, info.id)
    evaluator = Evaluator(folder, info.as_of, as_of_earliest=info.as_of_earliest, **batch)
    return build_document(info, evaluator, scan.pages, scan.selection, passes=passes, evidence=evidence)


def _check_own(pages: Iterable[Page]) -> None:
    """Run the user's own rules over empty tables: what is wrong with them shows before AWS is read."""
    evaluator: Evaluator | None = None
    for page in pages:
        evaluator = evaluator or Evaluator({}, now())
        evaluator.judge(page)


def _resolved(folder: Path | str | None) -> str | None:
    return str(Path(folder).expanduser().resolve()) if folder else None


def _parameter(text: str) -> tuple[str, str, str]:
    name, equals, value = text.partition("=")
    policy, dot, parameter = name.strip().rpartition(".")
    if not (equals and dot and policy and parameter):
        raise UsageError(f"--set {text!r} is not POLICY.PARAMETER=VALUE")
    return policy, parameter, value.strip()


def _text(value: str | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
