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
    from birthright.retirement.engine.run import run_one
    from birthright.retirement.engine.undo import undo
    from birthright.retirement.show.status_terminal import render

    with open_retiring(options) as retiring:
        results = [
            run_one(retirement, undo, retiring.tools, retiring.accounts)
            for retirement in _to_undo(retiring, options["key"])
        ]
        render([result.retirement for result in results], retiring.tools.now(), sys.stdout)
    for result in results:
        if result.trouble:
            raise result.trouble
        if result.retirement.state != "undone":
            raise UsageError(f"not undone: {result.waits or result.retirement.note}")
    return 0


def _to_undo(retiring: "Retiring", key: str) -> "list[Retirement]":
    """Find the key's last retirement and, if that found it disabled, the one that left it so.

    Raises UsageError if there is none.
    """
    found = [r for r in retiring.tools.journal.find(key=key) if r.access_key_id == key]
    if not found:
        raise UsageError(f"the journal knows no retirement of {key}", "'birthright status' lists all")
    *earlier, last = found
    left_off = [r for r in earlier if r.disabled_at and r.is_left_off]
    look_back = last.planned.status == "Inactive" and last.state != "deleted"
    return [last, *left_off[-1:]] if look_back else [last]
