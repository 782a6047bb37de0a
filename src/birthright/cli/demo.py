"""`birthright demo`: the main job on the embedded sandbox, with nothing to set up."""

import click


@click.command("demo")
@click.option("--users", type=click.IntRange(1, 100_000), default=60, show_default=True)
def command(users: int) -> int:
    """Scan a small made-up AWS account on this machine and show the findings.

    It needs no credentials and no network; the scan is kept in a temporary folder and removed.
    """
    import os
    import tempfile

    from birthright.cli.scan import command as scan
    from birthright.sandbox.sandbox import Sandbox

    with Sandbox(users=users).running() as box, tempfile.TemporaryDirectory() as store:
        os.environ.update(box.environment())
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL_STS"):
            os.environ.pop(name, None)
        result = scan.main(["--store", store], "birthright scan", standalone_mode=False)
    return int(result)
