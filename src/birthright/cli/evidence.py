"""`birthright evidence`: a bundle for an auditor, and its check on a machine that has only birthright."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from birthright.cli.common import config_option, policy_options, store_option
from birthright.cli.journal import journal_option, journal_place
from birthright.cli.outcome import waiver_options
from birthright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from birthright.evidence.bundle import BundleResult
    from birthright.evidence.manifest import Manifest
    from birthright.evidence.verifying import BundleVerification
    from birthright.retirement.journal.journal import Journal
    from birthright.settings import ScanSettings

_PATH = click.Path(path_type=Path)
_PASSPHRASE = "BIRTHRIGHT_SIGN_PASSPHRASE"  # noqa: S105 - the variable's name


class _Evidence(click.Group):
    """A group whose first word may also be a scan's id, or an option of `make`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `make` before what is no command."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["make", *args]
        return super().parse_args(ctx, args)


@click.group("evidence", cls=_Evidence)
def command() -> None:
    """Make a bundle for an auditor of a saved scan, or check one.

    \b
    birthright evidence SCAN_ID -o bundle.zip
    birthright evidence verify bundle.zip
    """  # noqa: D301 - click wants the control character itself


@command.command("make", short_help="Put a scan and its verdicts into one file.")
@click.argument("scan_id", metavar="SCAN_ID")
@click.option(
    "-o", "--output", type=_PATH, required=True, metavar="FILE", help="The bundle, whole or not at all."
)
@click.option(
    "--sign-key",
    type=_PATH,
    metavar="FILE",
    help=f"Sign with this Ed25519 private key (PEM or OpenSSH; {_PASSPHRASE} holds its passphrase, or you"
    " are asked).",
)
@click.option("--raw", is_flag=True, help="Put in the credential reports; the scan must have kept them.")
@click.option("--mask", is_flag=True, help="Hide access key ids: first and last four characters stay.")
@policy_options
@waiver_options
@journal_option
@store_option
@config_option
def make(scan_id: str, **options: Any) -> None:  # noqa: ANN401 - click hands over what it parsed
    """Put a scan ('latest' for the last one), its verdicts and what they rest on into one file."""
    from birthright.cli.common import adjusted, open_store, pages_of, saved_selection, warn_incomplete
    from birthright.cli.output import check_output
    from birthright.evidence.bundle import BundleRequest, make_bundle
    from birthright.scans.record import load_info, scan_dir
    from birthright.settings import load_settings

    check_output(options["output"])
    settings = load_settings(options["config"])
    store = open_store(options["store"], settings)
    info = load_info(store, scan_id)
    selection = adjusted(saved_selection(info), options)
    key = _sign_key(options["sign_key"])
    place = journal_place(options["journal"], options["store"], settings)
    with _journal(place, must_exist=bool(options["journal"])) as journal:
        order = BundleRequest(
            pages=pages_of(selection),
            selection=selection,
            waivers=_waivers(options, settings.scan),
            journal=journal,
            raw=options["raw"],
            mask=options["mask"],
            sign_key=key,
        )
        made = make_bundle(scan_dir(store, info.id), info, order, options["output"])
    warn_incomplete(made.document.scan, complete=made.document.complete)
    _tell_made(made, options["output"])


@command.command("verify", short_help="Check a bundle.")
@click.argument("bundle", type=_PATH, metavar="FILE")
@click.option(
    "--public-key", type=_PATH, metavar="FILE", help="The key that must have signed it (PEM or ssh-ed25519)."
)
def verify(bundle: Path, public_key: Path | None) -> int:
    """Check a bundle: digests, signature, and whether its facts give its findings.

    Exit code 1 says that it is altered, signed by another key, or that its facts give other findings.
    """
    from birthright.evidence.signing import load_public_key
    from birthright.evidence.verifying import verify_bundle
    from birthright.text import printable

    found = verify_bundle(bundle, load_public_key(public_key) if public_key else None)
    if found.problem:
        click.echo(f"birthright: {printable(f'{bundle} does not hold: {found.problem}')}", err=True)
        return 1
    _tell_checked(found, bundle)
    return 0


def _sign_key(path: Path | None) -> "Ed25519PrivateKey | None":
    from birthright.evidence.signing import load_private_key

    return load_private_key(path, _passphrase) if path else None


def _passphrase() -> bytes:
    """Take it from the environment, or ask the person at the terminal. Raises UsageError."""
    given = os.environ.get(_PASSPHRASE)
    if given is None and not os.isatty(0):
        raise UsageError("the key is encrypted", f"{_PASSPHRASE} holds its passphrase")
    if given is None:
        given = click.prompt("passphrase of the key", hide_input=True, err=True)
    return str(given).encode()


def _waivers(options: dict[str, Any], settings: "ScanSettings") -> bytes | None:
    """Return the file that a report would apply, checked; None if there is none. Raises UsageError."""
    from birthright.cli.outcome import waivers_of
    from birthright.waivers.file import DEFAULT, read_waivers

    if waivers_of(options, settings) is None or options["no_waivers"]:
        return None
    named = options["waivers"] or (Path(settings.waivers).expanduser() if settings.waivers else None)
    return read_waivers(named or DEFAULT)


@contextmanager
def _journal(place: str, *, must_exist: bool) -> "Iterator[Journal | None]":
    """Open the journal; where none was named there need not be one."""
    if not must_exist and "://" not in place and not Path(place).expanduser().exists():
        yield None
        return
    from birthright.retirement.journal.opening import open_journal

    with open_journal(place, must_exist=True) as journal:
        yield journal


def _tell_made(made: "BundleResult", path: Path) -> None:
    from birthright.text import printable

    manifest = made.manifest
    signed = f"by key SHA256:{manifest.signed_by}" if manifest.signed_by else "no; --sign-key signs it"
    lines = (
        f"{path}: scan {manifest.scan.id}, {len(made.document.findings)} verdicts",
        f"journal: {_said_of_journal(manifest)}",
        f"signed: {signed}",
    )
    for line in lines:
        # Into a pipe or /dev/stdout the bundle itself was written.
        click.echo(printable(line), err=not path.is_file())


def _tell_checked(found: "BundleVerification", path: Path) -> None:
    from birthright.text import printable
    from birthright.times import format_instant

    manifest = found.manifest
    if manifest is None:
        return
    scan = manifest.scan
    said = "" if found.complete else "; not everything could be read: see README.md in it"
    click.echo(printable(f"{path}: scan {scan.id} of {format_instant(scan.as_of)}{said}"))
    click.echo(f"files: {len(manifest.files)}, all as the manifest says")
    waived = f"; accepted by its waivers.yaml: {found.waived}" if found.waived else ""
    another = _by_another(manifest)
    click.echo(printable(f"findings: {found.findings} judged again, the same{another}{waived}"))
    click.echo(printable(f"policies: {_said_of_policies(manifest)}"))
    click.echo(printable(f"journal: {_said_of_journal(manifest)}"))
    key = f"SHA256:{manifest.signed_by}"
    words = {
        "none": "none: anybody could have made this bundle",
        "unproven": f"whole, by key {key}; compare that with what its owner says, or use --public-key",
        "trusted": f"whole, by the key that was given, {key}",
    }
    click.echo(f"signature: {words[found.signature]}")


def _by_another(manifest: "Manifest") -> str:
    """Say which birthright made a bundle, if it was another one than this."""
    from birthright import __version__

    made = manifest.tool_version
    return "" if made == __version__ else f" (birthright {made} made it, this is {__version__})"


def _said_of_policies(manifest: "Manifest") -> str:
    """Say which pages and parameters are not those that this birthright has: the verdicts rest on them."""
    from birthright.policies.pack import load_pack

    ours = {(page.id, page.sha256) for page in load_pack()}
    others = [line.id for line in manifest.policies if (line.id, line.sha256) not in ours]
    overrides = manifest.selection.overrides.items()
    changed = [f"{policy}.{name}={value}" for policy, said in overrides for name, value in said.items()]
    words = f"; not this birthright's own: {', '.join(others)}" if others else ", this birthright's own"
    words += f"; parameters that were changed: {', '.join(changed)}" if changed else ""
    return f"{len(manifest.policies)}{words}"


def _said_of_journal(manifest: "Manifest") -> str:
    from birthright.text import counted

    line = manifest.journal
    if line is None:
        return "there is none"
    unchecked = ", which cannot be checked because ids are masked" if manifest.masked else ""
    broken = "" if line.problem is None else f"; the journal is broken: {line.problem}"
    return f"{counted(line.retirements, 'retirement')}{unchecked}{broken}"
