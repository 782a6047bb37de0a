"""`birthright permissions`: the least IAM policy that lets birthright do its work."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from birthright.cli.options import CONFIG, grouped
from birthright.errors import UsageError

if TYPE_CHECKING:
    from birthright.operations.requests import PermissionsChoice

# The options that say something, by purpose.
_OPTIONS = {
    "read": ("depth",),
    "org": ("role", "tags"),
    "retire": ("handover", "rotate", "annotate"),
    "security-hub": (),
}


@click.command("permissions")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(list(_OPTIONS)),
    default="read",
    show_default=True,
    help="To scan an account, to scan an organization's accounts through a role, to retire keys, or to push"
    " findings to Security Hub.",
)
@grouped(
    "choice",
    "PermissionsChoice",
    click.option("--depth", type=click.Choice(["report", "keys"]), default="keys", show_default=True,
                 help="The depth that the scan shall have."),
    click.option("--role", default="birthright", show_default=True,
                 help="The role in the organization's accounts."),
    click.option("--tags", is_flag=True, help="The organization's accounts are chosen by tag."),
    click.option("--partition", default="aws", show_default=True, help="aws, aws-cn, aws-us-gov, ..."),
    click.option("--handover", multiple=True, metavar="SPEC",
                 help="Where new secrets go, KIND:REST (repeatable; default: birthright.toml's)."),
    click.option("--rotate/--no-rotate", default=True,
                 help="Whether keys in use are rotated, or never touched."),
    click.option("--annotate", is_flag=True, help="Keys that are disabled get a description."),
)  # fmt: skip
@CONFIG
@click.pass_context
def command(
    context: click.Context, /, *, purpose: str, choice: "PermissionsChoice", config: Path | None
) -> None:
    """Print the least IAM policy that a scan needs, or that retiring keys or a push of findings needs.

    A scan of an organization needs two: 'read' for the role in every account, and 'org' for whoever takes
    it on.
    """
    import json

    from birthright.operations.permissions import policy_for
    from birthright.settings import Settings, load_settings

    _refuse_others(context, purpose)
    # Only destinations are configured, and a broken file is no reason to print nothing of a scan.
    settings = load_settings(config) if purpose == "retire" and not choice.handover else Settings()
    click.echo(json.dumps(policy_for(purpose, choice, settings), indent=2))


def _refuse_others(context: click.Context, purpose: str) -> None:
    """Refuse options that say nothing about what was asked for. Raises UsageError."""
    for name in (name for names in _OPTIONS.values() for name in names if name not in _OPTIONS[purpose]):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"--for {purpose} has no --{'no-' if name == 'rotate' else ''}{name}")
