"""The demo's story: what a user would type in a month, run for real, its output shortened where it is long.

Only two things are not birthright's doing: the sandbox's clock is moved, and other people use keys.
"""

import io
import json
import shlex
import sys
import textwrap
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from birthright.cli.output import silence_stdout
from birthright.text import write_console

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from birthright.sandbox.sandbox import Sandbox

# Users of the sandbox: two whose keys nobody uses, one whose key is used after the report was made, and
# two at work.
_CAST = (
    "born-used-91d",
    "console-with-born-key-never-used",
    "used-minutes-ago",
    "ci-deploy-born-with-key",
    "terraform-3s",
)
_AGREED = ("--ticket", "CHG-1042", "--reason", "nobody asked for these keys", "--yes")
_INTERRUPTED = 130
_FOLD = 96  # columns of a command


class _Ran(NamedTuple):
    """A command's exit code and what it printed."""

    code: int
    out: str


class _Shown(NamedTuple):
    """How much of an output is shown: lines of its beginning and its end; `cut`: no line is folded."""

    first: int = 1000
    last: int = 0
    cut: bool = False


class _Stage(io.StringIO):
    """Keeps what a command prints, in the colours that the real output can show."""

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def isatty(self) -> bool:
        """Say what the real output would."""
        return self._coloured


class Story:
    """Runs the commands against one sandbox, whose address is in the environment, in an empty folder."""

    def __init__(self, box: "Sandbox") -> None:
        self._box = box
        self._acts = 0

    def tell(self) -> int:
        """Tell it all; return the exit code of the scan. Raises BirthrightError."""
        scan = self._act("Which keys were handed out with their user?", ["scan"], _Shown(29, 3))
        cast = [name for name in _CAST if name in self._box.account().users]
        users = [word for name in cast for word in ("--user", name)]
        self._act("Plan what to do with a few of them", ["plan", *users, "-o", "plan.json"])
        retired, rotated = _planned("retire"), _planned("rotate")
        if retired or rotated:
            self._month(retired, rotated)
        _say(
            "This account, its people and their month were made up; nothing real was touched.",
            "'birthright scan' reads yours and 'birthright plan' plans: neither changes anything.",
        )
        return scan.code

    def _month(self, retired: dict[str, str], rotated: dict[str, str]) -> None:
        """Apply the plan, let others do what they do, go on, give a key back, end; `rotated`: user to key."""
        applied = self._act("Apply the plan", ["apply", "plan.json", *_AGREED])
        if "not disabled: it was used" in applied.out:
            _say("One key was used after AWS made its report: read again right before, it is left alone.")
        self._wait(15 - self._use_new_keys(rotated))
        self._act("Every night: go on with what is due", ["apply", "--due"])
        if rotated:
            missed = next(reversed(rotated))
            _say(f"A forgotten job of {missed} still needs the old key.")
            self._act("Give it back", ["undo", rotated[missed]])
        if len(rotated) > 1:
            self._wait(15)
            self._act("The other rotation comes to its end", ["apply", "--due"])
        key = next(iter((rotated or retired).values()))
        self._act("The change record", ["journal", "export", "--key", key], _Shown(23, 6, cut=True))

    def _use_new_keys(self, rotated: dict[str, str]) -> int:
        """Be the programs that find their new secrets a day later; return how many days that took."""
        if not rotated:
            return 0
        self._box.clock.advance(timedelta(days=1))
        _say("A day later the programs find their new keys in Secrets Manager, and use them from now on:")
        for user in rotated:
            stored = self._box.account().secrets[f"birthright/{user}"].value()
            key = str(json.loads(stored or "")["access_key_id"])
            self._box.people.use_key(key)
            _print([f"  {user} uses {key}"])
        return 1

    def _wait(self, days: int) -> None:
        self._box.clock.advance(timedelta(days=days))
        _say(f"{days} days go by: the account's clock is moved.")

    def _act(self, heading: str, arguments: list[str], shown: _Shown = _Shown()) -> _Ran:  # noqa: B008 - frozen
        """Run a command under its heading and show what it prints. Raises BirthrightError."""
        self._acts += 1
        _head(f"{self._acts}. {heading}", arguments)
        stage = _Stage(coloured=sys.stdout.isatty())
        with redirect_stdout(stage):
            code = _run(arguments)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        _print(_shortened(stage.getvalue().splitlines(), shown))
        return _Ran(code, stage.getvalue())


def _run(arguments: list[str]) -> int:
    """Run a command as the command line would; return its exit code."""
    root = click.get_current_context().find_root()
    assert isinstance(root.command, click.Group)  # noqa: S101 - for the type checker
    name, *rest = arguments
    command = root.command.commands[name]
    with command.make_context(name, rest, parent=root) as context:
        return command.invoke(context) or 0


def _planned(action: str) -> dict[str, str]:
    """Return whose keys the plan retires or rotates: user to key id."""
    items = json.loads(Path("plan.json").read_bytes())["items"]
    return {item["user_name"]: item["access_key_id"] for item in items if item["action"] == action}


def _shortened(lines: list[str], shown: _Shown) -> list[str]:
    left_out = len(lines) - shown.first - shown.last
    if left_out > 0:
        lines = [*lines[: shown.first], f"... ({left_out} more lines)", *lines[-shown.last :]]
    if shown.cut:
        width = _width()
        lines = [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]
    return lines


def _width() -> int:
    """Return how many columns the output has."""
    widths: list[int] = []
    write_console(sys.stdout, lambda console: widths.append(console.width))
    return widths[0]


def _head(heading: str, arguments: list[str]) -> None:
    """Print an act's heading and the command that a user would type."""
    # An option stays with its value.
    typed = f"$ birthright {shlex.join(arguments)}".replace("--user ", "--user\0")
    folded = textwrap.wrap(typed, _FOLD, subsequent_indent="    ", break_on_hyphens=False)

    def draw(console: "Console") -> None:
        from rich.text import Text

        console.print(Text(f"\n{heading}", "bold blue"))
        console.print(Text(" \\\n".join(folded).replace("\0", " "), "bold"))

    _draw(draw)


def _say(*lines: str) -> None:
    """Print what is not a command's output."""

    def draw(console: "Console") -> None:
        from rich.text import Text

        console.print(Text("\n" + "\n".join(lines), "italic blue"))

    _draw(draw)


def _draw(draw: "Callable[[Console], None]") -> None:
    try:
        write_console(sys.stdout, draw)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()


def _print(lines: list[str]) -> None:
    """Print lines as they are; whoever stopped reading does not change the exit code."""
    from birthright.cli.output import tell

    tell("\n".join(lines))
