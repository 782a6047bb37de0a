"""`birthright permissions`: the least IAM policy that lets birthright do its work."""

import re
from pathlib import Path
from typing import Any

import click

from birthright.cli.common import config_option
from birthright.errors import UsageError

_OF_READING = ("depth",)
_OF_RETIRING = ("handover", "rotate", "annotate")


@click.command("permissions")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["read", "retire"]),
    default="read",
    show_default=True,
    help="Whether to scan, or to retire keys.",
)
@click.option(
    "--depth",
    type=click.Choice(["report", "keys"]),
    default="keys",
    show_default=True,
    help="The depth that the scan shall have.",
)
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
    """Print the least IAM policy that a scan needs, or that retiring keys needs."""
    import json

    if not re.fullmatch(r"aws(-[a-z]+)*", options["partition"]):
        raise UsageError(f"{options['partition']!r} is not a partition", "it is aws, aws-cn, aws-us-gov, ...")
    reads = options["purpose"] == "read"
    _refuse_others(context, _OF_RETIRING if reads else _OF_READING, options["purpose"])
    click.echo(json.dumps(_reading(options) if reads else _retiring(options), indent=2))


def _reading(options: dict[str, Any]) -> dict[str, object]:
    from birthright.sources.aws.permissions import read_policy

    return read_policy(options["depth"], options["partition"])


def _retiring(options: dict[str, Any]) -> dict[str, object]:
    from birthright.retirement.permissions import retire_policy

    return retire_policy(
        options["partition"],
        options["handover"] or _configured(options["config"]),
        rotate=options["rotate"],
        annotate=options["annotate"],
    )


def _configured(config: Path | None) -> tuple[str, ...]:
    """Return every destination that the settings may choose."""
    from birthright.settings import load_settings

    handover = load_settings(config).retirement.handover
    return (handover,) if isinstance(handover, str) else tuple(handover.values())


def _refuse_others(context: click.Context, names: tuple[str, ...], purpose: str) -> None:
    """Refuse options that say nothing about what was asked for. Raises UsageError."""
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"--for {purpose} has no --{'no-' if name == 'rotate' else ''}{name}")
