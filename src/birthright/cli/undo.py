"""`birthright undo`: give a disabled key back."""

import sys
from typing import TYPE_CHECKING, Any

import click

from birthright.cli.common import config_option, store_option
from birthright.cli.journal import journal_option
from birthright.cli.retiring import aws_options
from birthright.errors import UsageError

if TYPE_CHECKING:
    from birthright.cli.retiring import Retiring
    from birthright.retirement.model import Retirement


@click.command("undo")
@click.argument("key", metavar="KEY")
@aws_options
@journal_option
@store_option
@config_option
def command(**options: Any) -> int:  # noqa: ANN401 - click hands over what it parsed
    """Enable a key again that birthright disabled, and close its retirement.

    That works at any time before the key is deleted. A key that was disabled before stays disabled.
    """
    from birthright.cli.retiring import open_retiring
    from birthright.retirement.run import run_one
    from birthright.retirement.show.status_terminal import render
    from birthright.retirement.undo import undo

    with open_retiring(options) as retiring:
        retirement = _latest(retiring, options["key"])
        result = run_one(retirement, undo, retiring.tools, retiring.accounts)
        render([result.retirement], retiring.tools.now(), sys.stdout)
    if result.trouble:
        raise result.trouble
    if result.retirement.state != "undone":
        raise UsageError(f"not undone: {result.waits or result.retirement.note}")
    return 0


def _latest(retiring: "Retiring", key: str) -> "Retirement":
    """Find the key's retirement, the last one if there were several. Raises UsageError."""
    found = [r for r in retiring.tools.journal.find(key=key) if r.access_key_id == key]
    if not found:
        raise UsageError(f"the journal knows no retirement of {key}", "'birthright status' lists all")
    return found[-1]
