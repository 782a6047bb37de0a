"""`birthright waive`: accept one failing finding until a day, in a file that is reviewed in git."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from birthright.cli.options import PATH, source_option, workspace_options
from birthright.errors import UsageError

if TYPE_CHECKING:
    from birthright.operations.workspace import Workspace

_GIT_SECONDS = 5


@click.command("waive")
@click.argument("fingerprint")
@click.option("--reason", required=True, metavar="TEXT", help="Why it is accepted; one line.")
@click.option(
    "--expires",
    required=True,
    metavar="DATE|DURATION",
    help="The last day it holds, UTC, like 2027-01-31 or 90d; at most 366 days from now.",
)
@click.option("--owner", metavar="WHO", help="Who answers for it (default: git's user.email).")
@click.option("--ticket", metavar="TEXT", help="Where it was decided.")
@click.option(
    "--waivers",
    type=PATH,
    metavar="FILE",
    help="The file to add it to (default: ./waivers.yaml; made if it is not there).",
)
@source_option
@click.option("--account", metavar="ID", help="Look in this account only.")
@workspace_options()
def command(  # noqa: PLR0913 - one for each option
    *,
    fingerprint: str,
    reason: str,
    expires: str,
    owner: str | None,
    ticket: str | None,
    waivers: Path | None,
    source: str,
    account: str | None,
    workspace: "Workspace",
) -> int:
    """Accept a failing finding until a day.

    Adds an entry to waivers.yaml and keeps everything else in it. It is bound to the key's id: a new key
    of the same user is not covered. The finding is still shown, counted as waived, and its key is not
    planned for retirement. To end it earlier, take the entry out of the file.

    \b
    birthright waive 3f2a91 --reason "vendor rotates it" --expires 2027-01-31
    """  # noqa: D301 - click wants the control character itself
    from birthright.cli.output import tell
    from birthright.operations.deliver import check_output
    from birthright.operations.requests import WaiveRequest
    from birthright.operations.waive import (
        NoPlaceError,
        add_waiver,
        entry_for,
        entry_text,
        expiry_of,
        place_of_waivers,
    )
    from birthright.times import now

    file = place_of_waivers(waivers, workspace)
    check_output(file, "--waivers")
    today = now().date()
    last = expiry_of(expires, today)
    owner = owner if owner is not None else _git_email()
    request = WaiveRequest(fingerprint, reason, owner, last, ticket, account, source)
    entry = entry_for(workspace, request, file, today)
    try:
        add_waiver(file, entry)
    except NoPlaceError:
        tell(entry_text(entry))
        raise
    tell(f"{entry_text(entry)}\nAdded to {file}. It holds through {last} UTC, {(last - today).days} d.")
    return 0


def _git_email() -> str:
    """Ask git who works here. Raises UsageError if it does not say."""
    import shutil
    import subprocess

    git = shutil.which("git")
    said = ""
    if git:
        try:
            said = subprocess.run(  # noqa: S603 - the user's own git
                [git, "config", "user.email"],
                capture_output=True,
                check=False,
                encoding="utf-8",
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=_GIT_SECONDS,
            ).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            said = ""
    if not said:
        raise UsageError("who answers for it is not known: git has no user.email", "say --owner")
    return said
