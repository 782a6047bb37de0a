"""`birthright undo`: give a disabled key back."""

import sys
from typing import TYPE_CHECKING

import click

from birthright.cli.options import aws_options, workspace_options
from birthright.errors import UsageError

if TYPE_CHECKING:
    from birthright.operations.requests import CallerChoice
    from birthright.operations.workspace import Workspace


@click.command("undo")
@click.argument("key", metavar="KEY")
@aws_options
@workspace_options(journal=True)
def command(*, key: str, caller: "CallerChoice", workspace: "Workspace") -> int:
    """Enable a key again that birthright disabled, and close its retirement.

    That works at any time before the key is deleted. A key that was disabled before stays disabled.
    """
    from birthright.operations.retire import open_retiring
    from birthright.retirement.show.status_terminal import render

    with open_retiring(workspace, caller) as retiring:
        results = retiring.undo(key)
        render([result.retirement for result in results], retiring.tools.now(), sys.stdout)
    for result in results:
        if result.trouble:
            raise result.trouble
        if result.retirement.state != "undone":
            raise UsageError(f"not undone: {result.waits or result.retirement.note}")
    return 0
