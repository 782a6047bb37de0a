"""`birthright`: the commands, and the one place where errors become a line and an exit code."""

import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from birthright.cli import (
    apply,
    demo,
    evidence,
    explain,
    history,
    journal,
    permissions,
    plan,
    policy,
    query,
    report,
    sandbox,
    scan,
    status,
    undo,
    waive,
)
from birthright.cli.output import silence_stdout
from birthright.errors import BirthrightError
from birthright.version import __version__

_INTERRUPTED = 130
_OUR_FAULT = 4


class _Commands(click.Group):
    """Turns what goes wrong in a command into an exit code before click makes of it what it likes.

    click would end a broken pipe with 1, which here means "something fails".
    """

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - whatever the command returns
        return guarded(lambda: super(_Commands, self).invoke(ctx))


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="birthright")
def commands() -> None:
    """Find the AWS IAM access keys that were handed out together with their user, and prove it.

    \b
    birthright demo            a made-up account, without credentials or network
    birthright scan            your AWS account; it only reads
    birthright explain USER    what was seen, the rule, and what to do
    birthright report          the same as HTML, SARIF and more; what is new
    birthright plan            what would be retired or rotated, and why not
    birthright apply PLAN      do it, step by step, in the journal

    \b
    Exit codes: 0 everything was read and nothing fails, 1 something fails,
    2 wrong usage, 3 nothing fails but something could not be read,
    4 birthright itself failed.
    """  # noqa: D301 - click wants the control character itself


_MODULES = (
    scan,
    demo,
    explain,
    report,
    history,
    waive,
    evidence,
    query,
    policy,
    plan,
    apply,
    status,
    undo,
    journal,
    permissions,
    sandbox,
)
for _module in _MODULES:
    commands.add_command(_module.command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code, at once."""
    try:
        code = run(arguments)
    except Exception:  # noqa: BLE001 - a fault of ours is told in full, and never looks like findings (1)
        import traceback

        traceback.print_exc()
        code = _OUR_FAULT
    sys.stderr.flush()
    # All is written and closed by now. Taking every value apart, one by one, would cost a fifth of a scan.
    os._exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code. Known failures are one line on stderr."""
    # A scan makes many small values that live to its end: looking for garbage among them is time lost.
    gc.set_threshold(1_000_000, 50, 50)
    try:
        result = commands.main(arguments, "birthright", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        return _say_misuse(error)
    except click.exceptions.Abort:
        return _say("interrupted", _INTERRUPTED)
    except OSError as error:
        return _output_failed(error)
    return result if isinstance(result, int) else 0


def guarded(command: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the command returns
    """Run a command; what is known to go wrong becomes a line on stderr and the exit code returned."""
    try:
        result = _without_groups(command)
        sys.stdout.flush()
    except BirthrightError as error:
        return _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _say("interrupted", _INTERRUPTED)
    except OSError as error:
        return _output_failed(error)
    return result


def _without_groups(command: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the command returns
    """Run it. Reads run side by side; of what went wrong together, raise the one that has to be told."""
    try:
        return command()
    except BaseExceptionGroup as group:
        raise min(_leaves(group), key=_urgency) from group


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner)


def _urgency(error: BaseException) -> int:
    """Put first what ends the program, then a fault of our own, which must not hide behind AWS's."""
    if not isinstance(error, Exception):
        return 0
    return 2 if isinstance(error, BirthrightError | OSError) else 1


def _output_failed(error: OSError) -> int:
    silence_stdout()
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has seen enough.
        return 0
    return _say(f"{error.strerror or error}: {error.filename or 'output'}", _OUR_FAULT)


def _say_misuse(error: click.ClickException) -> int:
    """Tell what click did not understand, in one line like every failure; bare commands show their help."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()
        return error.exit_code
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f" (see '{context.command_path} --help')" if context else ""
    return _say(f"{error.format_message().removesuffix('.')}{hint}", error.exit_code)


def _say(text: str, code: int) -> int:
    from birthright.text import printable

    # After the terminal's own ^C.
    start = "\n" if code == _INTERRUPTED and sys.stderr.isatty() else ""
    with suppress(OSError):
        click.echo(f"{start}birthright: {printable(' '.join(text.splitlines()))}", err=True)
    return code
