"""Where a document goes: to the terminal, to files, or both."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from birthright.errors import StoreError, UsageError

if TYPE_CHECKING:
    from birthright.reports.interface import Report


def check_outputs(files: Sequence[Path], form: str | None) -> None:
    """Refuse, before anything is read, files that could not be written. Raises UsageError, StoreError."""
    from birthright.reports.formats import format_of

    if form and len(files) > 1:
        raise UsageError("--format goes with one -o", "the ending of each file says its format")
    for file in files:
        if not form and not file.is_dir():
            format_of(file)
        check_output(file)


def check_output(file: Path, option: str = "-o") -> None:
    """Refuse a file that could not be written. Raises UsageError, StoreError."""
    if file.is_dir():
        raise UsageError(f"{file} is a folder", f"{option} names a file")
    if not file.parent.is_dir():
        raise UsageError(f"{file.parent}: there is no such folder", "create it first")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise StoreError(f"cannot write {file}", "choose another place or change its permissions")


def shows_evidence(files: Sequence[Path], form: str | None) -> bool:
    """Whether any output will show what a verdict rests on."""
    from birthright.reports.formats import FORMATS, format_of

    forms = {form or format_of(file) for file in files} | {form or "terminal"}
    return any(FORMATS[name].evidence for name in forms)


def draws_keys(files: Sequence[Path], form: str | None) -> bool:
    """Whether any output draws every key."""
    from birthright.reports.formats import FORMATS, format_of

    return any(FORMATS[form or format_of(file)].draws for file in files) or form == "html"


def deliver(report: "Report", files: Sequence[Path], form: str | None) -> None:
    """Write the files, each whole or not at all; print unless --format sent the output into a file."""
    from birthright.atomic import open_atomically
    from birthright.reports.formats import format_of

    for file in files:
        with open_atomically(file) as out:
            _render(report, form or format_of(file), out)
    if not (files and form):
        _print(report, form or "terminal")


def _render(report: "Report", form: str, out: TextIO) -> None:
    """Write a form; findings that pass only for another form's pictures are left out."""
    from birthright.reports.formats import FORMATS, renderer

    lists = not (report.passes or FORMATS[form].draws)
    renderer(form)(report.without_passes() if lists else report, out)


def _print(report: "Report", form: str) -> None:
    """Print; whoever stops reading has seen enough, and the verdict is still the exit code."""
    try:
        _render(report, form, sys.stdout)
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
