"""`birthright permissions`: the least IAM policy that lets birthright do its work."""

import re

import click

from birthright.errors import UsageError


@click.command("permissions")
@click.option(
    "--depth",
    type=click.Choice(["report", "keys"]),
    default="keys",
    show_default=True,
    help="The depth that the scan shall have.",
)
@click.option("--partition", default="aws", show_default=True, help="aws, aws-cn, aws-us-gov, ...")
def command(depth: str, partition: str) -> None:
    """Print the least IAM policy that a scan needs; it only reads."""
    import json

    from birthright.sources.aws.permissions import read_policy

    if not re.fullmatch(r"aws(-[a-z]+)*", partition):
        raise UsageError(f"{partition!r} is not a partition", "it is aws, aws-cn, aws-us-gov, ...")

    click.echo(json.dumps(read_policy(depth, partition), indent=2))
