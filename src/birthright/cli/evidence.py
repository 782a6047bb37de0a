"""`birthright evidence`: a bundle for an auditor, and its check on a machine that has only birthright."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from birthright.cli.options import PATH, grouped, policy_options, waiver_options, workspace_options
from birthright.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from birthright.evidence.bundle import BundleResult
    from birthright.evidence.manifest import Manifest
    from birthright.evidence.verifying import BundleVerification
    from birthright.operations.requests import BundleChoice, PolicyChoice, WaiverChoice
    from birthright.operations.workspace import Workspace

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
    "-o", "--output", type=PATH, required=True, metavar="FILE", help="The bundle, whole or not at all."
)
@click.option(
    "--sign-key",
    type=PATH,
    metavar="FILE",
    help=f"Sign with this Ed25519 private key (PEM or OpenSSH; {_PASSPHRASE} holds its passphrase, or you"
    " are asked).",
)
@grouped(
    "choice",
    "BundleChoice",
    click.option("--raw", is_flag=True,
                 help="Put in the credential reports; the scan must have kept them."),
    click.option("--mask", is_flag=True,
                 help="Hide access key ids: first and last four characters stay."),
)  # fmt: skip
@policy_options
@waiver_options
@workspace_options(journal=True)
def make(  # noqa: PLR0913 - one for each group of options
    *,
    scan_id: str,
    output: Path,
    sign_key: Path | None,
    choice: "BundleChoice",
    policies: "PolicyChoice",
    waivers: "WaiverChoice",
    workspace: "Workspace",
) -> None:
    """Put a scan ('latest' for the last one), its verdicts and what they rest on into one file."""
    from birthright.operations.deliver import check_output
    from birthright.operations.evidence import bundle, waivers_bytes
    from birthright.operations.judging import load_scan

    check_output(output)
    scan = load_scan(workspace, scan_id, policies)
    key = _sign_key(sign_key)
    accepted = waivers_bytes(waivers, workspace)
    _tell_made(bundle(workspace, scan, output, choice, waivers=accepted, sign_key=key), output)


@command.command("verify", short_help="Check a bundle.")
@click.argument("bundle", type=PATH, metavar="FILE")
@click.option(
    "--public-key", type=PATH, metavar="FILE", help="The key that must have signed it (PEM or ssh-ed25519)."
)
def check(bundle: Path, public_key: Path | None) -> int:
    """Check a bundle: digests, signature, and whether its facts give its findings.

    Exit code 1 says that it is altered, signed by another key, or that its facts give other findings.
    """
    from birthright.operations.evidence import verify
    from birthright.text import printable

    found = verify(bundle, public_key)
    if found.problem:
        click.echo(f"birthright: {printable(f'{bundle} does not hold: {found.problem}')}", err=True)
        return 1
    _tell_checked(found, bundle)
    return 0


def _sign_key(path: Path | None) -> "Ed25519PrivateKey | None":
    from birthright.operations.evidence import load_private_key

    return load_private_key(path, _passphrase) if path else None


def _passphrase() -> bytes:
    """Take it from the environment, or ask the person at the terminal. Raises UsageError."""
    given = os.environ.get(_PASSPHRASE)
    if given is None and not os.isatty(0):
        raise UsageError("the key is encrypted", f"{_PASSPHRASE} holds its passphrase")
    if given is None:
        given = click.prompt("passphrase of the key", hide_input=True, err=True)
    return str(given).encode()


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
    from birthright.version import __version__

    made = manifest.tool_version
    return "" if made == __version__ else f" (birthright {made} made it, this is {__version__})"


def _said_of_policies(manifest: "Manifest") -> str:
    """Say which pages and parameters are not those that this birthright has: the verdicts rest on them."""
    from birthright.operations.evidence import foreign_policies

    others = foreign_policies(manifest)
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
