"""`birthright`: the commands, and the one place where errors become a line and an exit code."""

import gc
import os
import sys
from collections.abc import Sequence

import click

from birthright import __version__
from birthright.cli import demo, explain, permissions, policy, query, sandbox, scan
from birthright.errors import BirthrightError

_INTERRUPTED = 130
_OUR_FAULT = 4


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="birthright")
def commands() -> None:
    r"""Find the AWS IAM access keys that were handed out together with their user, and prove it.

    \b
    Exit codes: 0 everything was read and nothing fails, 1 something fails, 2 wrong usage,
    3 nothing fails but something could not be read, 4 birthright itself failed.
    """


for _module in (scan, demo, explain, query, policy, permissions, sandbox):
    commands.add_command(_module.command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code. Known failures are one line on stderr."""
    # A scan makes many small values that live to its end: looking for garbage among them is time lost.
    gc.set_threshold(100_000, 50, 50)
    try:
        return _invoke(arguments)
    except BirthrightError as error:
        return _say(str(error), error.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort):
        return _say("interrupted; nothing was written", _INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _say(f"{error.strerror or error}: {error.filename or 'output'}", _OUR_FAULT)


def _invoke(arguments: Sequence[str] | None) -> int:
    try:
        result = commands.main(arguments, "birthright", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BaseExceptionGroup as group:
        # Reads run side by side; the first thing that went wrong is the one to tell.
        raise _leaf(group) from group
    return result if isinstance(result, int) else 0


def _leaf(error: BaseException) -> BaseException:
    return _leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _say(text: str, code: int) -> int:
    click.echo(f"birthright: {text}", err=True)
    return code
