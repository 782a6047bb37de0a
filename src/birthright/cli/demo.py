"""`birthright demo`: the main job on the embedded sandbox, with nothing to set up."""

from typing import Any

import click

# Whatever the user's environment says of AWS and of proxies must not lead the demo anywhere else.
_SWITCHED_OFF = (
    "AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_SECURITY_TOKEN AWS_ENDPOINT_URL_IAM"
    " AWS_ENDPOINT_URL_STS AWS_IGNORE_CONFIGURED_ENDPOINT_URLS HTTP_PROXY http_proxy ALL_PROXY all_proxy"
).split()


@click.command("demo")
@click.option(
    "--users",
    type=click.IntRange(1, 100_000),
    default=60,
    show_default=True,
    help="How many users the account has.",
)
def command(users: int) -> int:
    """Scan a small made-up AWS account on this machine.

    It needs no credentials and no network; the scan is kept in a temporary folder and removed.
    """
    import os
    import tempfile
    from pathlib import Path

    from birthright.cli import scan
    from birthright.sandbox.sandbox import Sandbox

    before = dict(os.environ)
    with Sandbox(users=users).running() as box, tempfile.TemporaryDirectory() as store:
        nothing = Path(store, "nothing")
        nothing.touch()
        for name in _SWITCHED_OFF:
            os.environ.pop(name, None)
        files = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), str(nothing))
        os.environ.update(box.environment() | files)
        arguments = ["--store", store, "--config", str(nothing)]
        try:
            result = scan.run_scan(_parsed(arguments))
        finally:
            os.environ.clear()
            os.environ.update(before)
    click.echo("This account was made up. 'birthright scan' reads yours; it changes nothing.")
    return result


def _parsed(arguments: list[str]) -> dict[str, Any]:
    """Parse arguments of `birthright scan`, below our own context: click keeps the first one's settings."""
    from birthright.cli.scan import command as scan_command

    return scan_command.make_context("scan", arguments, parent=click.get_current_context()).params
