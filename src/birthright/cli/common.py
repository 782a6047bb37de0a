"""What several commands share: where scans are kept, which policies judge, how a scan is judged again."""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birthright.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from birthright.findings.model import Document, Scan
    from birthright.policies.page import Page
    from birthright.scans.record import ScanInfo
    from birthright.scans.request import Judging
    from birthright.scans.store import Store
    from birthright.settings import Settings

store_option = click.option(
    "--store",
    metavar="DIR|s3://BUCKET/PREFIX",
    help="Where scans are kept (default: the user's data folder).",
)
from_option = click.option(
    "--from",
    "saved",
    default="latest",
    show_default=True,
    metavar="SCAN_ID",
    help="Which saved scan to look at.",
)
source_option = click.option(
    "--from",
    "source",
    default="latest",
    show_default=True,
    metavar="SCAN_ID|FILE",
    help="A saved scan, or the file that 'scan --format json' wrote.",
)
config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="Settings to use instead of ./birthright.toml."
)


def policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose policies and their parameters."""
    for option in (
        click.option("--set", "settings", multiple=True, metavar="POLICY.PARAMETER=VALUE",
                     help="Change a policy's parameter, e.g. access-key-created-with-user.window=15s."),
        click.option("--policies", type=click.Path(path_type=Path), metavar="DIR",
                     help="Policy pages of your own, judged with the built-in ones."),
        click.option("--policy", multiple=True, metavar="ID", help="Judge by this policy only (repeatable)."),
    ):  # fmt: skip
        command = option(command)
    return command


def open_store(store: str | None, settings: "Settings", profile: str | None = None) -> "Store":
    """Open the place for scans: the option, the settings, BIRTHRIGHT_STORE, or the user's data folder.

    `profile` is whose credentials open a bucket. Raises UsageError, StoreError, CredentialsError.
    """
    from birthright.scans.opening import open_store as opened

    return opened(_store_name(store, settings), profile or settings.scan.profile)


def store_folder(store: str | None, settings: "Settings") -> Path:
    """Choose the folder for what stays on this machine: the store, if it is one, or the data folder."""
    named = _store_name(store, settings)
    return Path(_data_folder() if "://" in named else named).expanduser()


def _store_name(store: str | None, settings: "Settings") -> str:
    return store or settings.scan.store or os.environ.get("BIRTHRIGHT_STORE") or _data_folder()


def _data_folder() -> str:
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return f"{data}/birthright"


def select(
    policy: tuple[str, ...], policies: Path | None, texts: tuple[str, ...], settings: "Settings"
) -> "Judging":
    """Put together which policies judge, and how; the command line wins over the settings."""
    from birthright.findings.document import overrides_of
    from birthright.scans.request import Judging
    from birthright.times import parse_duration

    from_file = [
        (i, name, _text(value)) for i, named in settings.set.items() for name, value in named.items()
    ]
    folder = policies or settings.scan.policies
    return Judging(
        policies=policy or settings.scan.policy,
        folder=str(Path(folder).expanduser().resolve()) if folder else None,
        overrides=overrides_of([*from_file, *map(_setting, texts)]),
        in_use=parse_duration(settings.retirement.in_use),
    )


def pages_of(selection: "Judging") -> "list[Page]":
    """Load the chosen pages; every parameter must be one of a page's. Raises UsageError, PageError."""
    from birthright.policies.pack import choose, load_pack

    named = {*selection.policies, *selection.overrides} if selection.policies else set()
    pages = load_pack(Path(selection.folder) if selection.folder else None, named)
    known = {page.id: page for page in pages}
    for policy, values in selection.overrides.items():
        choose(pages, [policy])
        known[policy].values(values)
    chosen = choose(pages, selection.policies)
    _check_own(page for page in chosen if not page.origin.startswith("pack/"))
    return chosen


def _check_own(pages: "Iterable[Page]") -> None:
    """Run the user's own rules over empty tables: what is wrong with them is told before AWS is asked."""
    from birthright.policies.evaluator import Evaluator
    from birthright.times import now

    evaluator: Evaluator | None = None
    for page in pages:
        evaluator = evaluator or Evaluator({}, now())
        evaluator.judge(page)


def judge(
    folder: Path,
    info: "ScanInfo",
    pages: "Sequence[Page]",
    selection: "Judging",
    *,
    passes: "bool | Collection[str]" = False,
    evidence: bool = True,
) -> "Document":
    """Judge a saved scan; `passes` as `build_document` takes it."""
    from birthright.findings.document import build_document
    from birthright.policies.evaluator import Evaluator

    evaluator = Evaluator(folder, info.as_of, as_of_earliest=info.as_of_earliest)
    return build_document(info, evaluator, pages, selection, passes=passes, evidence=evidence)


def warn_incomplete(scan: "Scan | ScanInfo", *, complete: bool) -> None:
    """Say on stderr, in one line, that a scan lacks something; nothing of one that does not."""
    if scan.finished and complete:
        return
    why = "not everything could be read"
    if not scan.finished:
        why = f"it did not finish; 'birthright scan --resume {scan.id}' goes on"
    click.echo(f"birthright: scan {scan.id} is not complete: {why}", err=True)


def adjusted(saved: "Judging", options: dict[str, Any]) -> "Judging":
    """Return how a saved scan was judged, with what the command line says put in its place."""
    import msgspec

    from birthright.findings.document import overrides_of

    settings = [(i, name, value) for i, named in saved.overrides.items() for name, value in named.items()]
    folder = options["policies"]
    return msgspec.structs.replace(
        saved,
        policies=options["policy"] or saved.policies,
        folder=str(folder.expanduser().resolve()) if folder else saved.folder,
        overrides=overrides_of([*settings, *map(_setting, options["settings"])]),
    )


def new_info(selection: "Judging", depth: str, as_of: "datetime", **extra: object) -> "ScanInfo":
    """Return what a scan that begins now says of itself; whether it is complete shows at its end."""
    import msgspec

    from birthright import __version__
    from birthright.scans.record import ScanInfo, new_scan_id
    from birthright.times import now

    return ScanInfo(
        id=new_scan_id(now()),
        as_of=as_of,
        tool_version=__version__,
        depth=depth,
        complete=False,
        extra={"selection": msgspec.to_builtins(selection), **extra},
    )


def saved_selection(info: "ScanInfo") -> "Judging":
    """Return how a saved scan was judged. Raises StoreError."""
    import msgspec

    from birthright.errors import StoreError
    from birthright.scans.request import Judging

    try:
        return msgspec.convert(info.extra.get("selection", {}), Judging)
    except msgspec.ValidationError as error:
        raise StoreError(f"scan {info.id} is damaged: {error}", "scan again") from error


def _setting(text: str) -> tuple[str, str, str]:
    name, equals, value = text.partition("=")
    policy, dot, parameter = name.strip().rpartition(".")
    if not (equals and dot and policy and parameter):
        raise UsageError(f"--set {text!r} is not POLICY.PARAMETER=VALUE")
    return policy, parameter, value.strip()


def _text(value: str | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
