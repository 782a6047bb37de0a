"""What a command prints: a report, a line; and what happens where nobody reads it."""

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from birthright.reports.interface import Report


def print_report(report: "Report", form: str) -> None:
    """Print; whoever stops reading has seen enough, and the verdict is still the exit code."""
    from birthright.operations.deliver import render

    try:
        render(report, form, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()


def tell(text: str) -> None:
    """Print one more line; whoever stopped reading does not change the exit code."""
    try:
        click.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()


def silence_stdout() -> None:
    """Point stdout to nowhere: what is left in its buffer must not fail again as Python ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
