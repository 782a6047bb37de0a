"""`birthright demo`: the whole story on the embedded sandbox, with nothing to set up."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from birthright.sandbox.sandbox import Sandbox

# Whatever the user's environment says of AWS, proxies and birthright must not lead the demo anywhere else.
_SWITCHED_OFF = ("AWS_", "BIRTHRIGHT_")
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})


@click.command("demo")
@click.option(
    "--users",
    type=click.IntRange(1, 100_000),
    default=60,
    show_default=True,
    help="How many users the account has.",
)
def command(users: int) -> int:
    """Scan a small made-up AWS account on this machine, retire some of its keys, and let a month pass.

    It needs no credentials and no network; everything is kept in a temporary folder and removed.
    Exit code 1 says, as that of 'birthright scan', that something fails.
    """
    import contextlib
    import tempfile
    from pathlib import Path

    from birthright.cli.demo_story import Story
    from birthright.sandbox.sandbox import Sandbox

    with Sandbox.create(users=users).running() as box, tempfile.TemporaryDirectory() as folder:
        work = Path(folder, "work")
        work.mkdir()
        with _environment(box, Path(folder)), contextlib.chdir(work):
            return Story(box).tell()


@contextmanager
def _environment(box: "Sandbox", folder: "Path") -> Iterator[None]:
    """Point this process at the sandbox and at an empty store, and back."""
    import os

    before = dict(os.environ)
    nothing = folder / "nothing"
    nothing.touch()
    for name in before:
        if name.startswith(_SWITCHED_OFF) or name.lower() in _PROXIES:
            del os.environ[name]
    files = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), str(nothing))
    os.environ.update(box.environment() | files | {"BIRTHRIGHT_STORE": str(folder / "store")})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
