"""`birthright permissions`: the least IAM policy that lets birthright do its work."""

import re
from pathlib import Path
from typing import Any

import click

from birthright.cli.common import config_option
from birthright.errors import UsageError

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
@click.option(
    "--depth",
    type=click.Choice(["report", "keys"]),
    default="keys",
    show_default=True,
    help="The depth that the scan shall have.",
)
@click.option(
    "--role", default="birthright", show_default=True, help="The role in the organization's accounts."
)
@click.option("--tags", is_flag=True, help="The organization's accounts are chosen by tag.")
@click.option("--partition", default="aws", show_default=True, help="aws, aws-cn, aws-us-gov, ...")
@click.option(
    "--handover",
    multiple=True,
    metavar="SPEC",
    help="Where new secrets go, KIND:REST (repeatable; default: birthright.toml's).",
)
@click.option("--rotate/--no-rotate", default=True, help="Whether keys in use are rotated, or never touched.")
@click.option("--annotate", is_flag=True, help="Keys that are disabled get a description.")
@config_option
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click's options
    """Print the least IAM policy that a scan needs, or that retiring keys or a push of findings needs.

    A scan of an organization needs two: 'read' for the role in every account, and 'org' for whoever takes
    it on.
    """
    import json

    if not re.fullmatch(r"aws(-[a-z]+)*", options["partition"]):
        raise UsageError(f"{options['partition']!r} is not a partition", "it is aws, aws-cn, aws-us-gov, ...")
    _refuse_others(context, options["purpose"])
    make = {"read": _reading, "org": _organization, "retire": _retiring, "security-hub": _pushing}
    click.echo(json.dumps(make[options["purpose"]](options), indent=2))


def _reading(options: dict[str, Any]) -> dict[str, object]:
    from birthright.sources.permissions import read_policy

    return read_policy(options["depth"], options["partition"])


def _organization(options: dict[str, Any]) -> dict[str, object]:
    from birthright.aws.identifiers import is_role_name
    from birthright.sources.permissions import organization_policy

    if not is_role_name(options["role"]):
        raise UsageError(f"--role {options['role']!r} is no role's name", "birthright, or audit/birthright")
    return organization_policy(options["partition"], options["role"], tags=options["tags"])


def _retiring(options: dict[str, Any]) -> dict[str, object]:
    from birthright.retirement.permissions import retire_policy

    return retire_policy(
        options["partition"],
        options["handover"] or _configured(options["config"]),
        rotate=options["rotate"],
        annotate=options["annotate"],
    )


def _pushing(options: dict[str, Any]) -> dict[str, object]:
    from birthright.delivery.permissions import push_policy

    return push_policy(options["partition"])


def _configured(config: Path | None) -> tuple[str, ...]:
    """Return every destination that the settings may choose."""
    from birthright.settings import load_settings

    handover = load_settings(config).retirement.handover
    return (handover,) if isinstance(handover, str) else tuple(handover.values())


def _refuse_others(context: click.Context, purpose: str) -> None:
    """Refuse options that say nothing about what was asked for. Raises UsageError."""
    for name in (name for names in _OPTIONS.values() for name in names if name not in _OPTIONS[purpose]):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"--for {purpose} has no --{'no-' if name == 'rotate' else ''}{name}")
