"""Text that people and spreadsheets can be shown: names and messages come from strangers."""

import io
import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from birthright.times import format_instant

if TYPE_CHECKING:
    from rich.console import Console

_PIPED_WIDTH = 120
# The wide forms are what East Asian spreadsheets read as the narrow ones.
_FORMULAS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# A spreadsheet may take these away before it looks.
_SKIPPED = " \t\r\n'\"\u00a0\u3000\ufeff"


def printable(text: str) -> str:
    r"""Show what cannot be seen as escapes (`\x1b`, `\u202e`): names and messages come from strangers.

    A terminal obeys control characters, and marks of direction make a text read as another one.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def counted(number: int, word: str) -> str:
    """Write `1 key`, `2 keys`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def write_console(out: TextIO, draw: Callable[["Console"], None], piped_width: int = _PIPED_WIDTH) -> None:
    """Let `draw` print to a console for `out`: as wide as the terminal, or plain text without colours."""
    from rich.console import Console

    if out.isatty():
        draw(Console(file=out, highlight=False))
        return
    text = io.StringIO()
    # Said aloud, or FORCE_COLOR would put colours into files.
    draw(Console(file=text, highlight=False, force_terminal=False, color_system=None, width=piped_width))
    out.write(re.sub(r" +$", "", text.getvalue(), flags=re.MULTILINE))


def cell(value: object) -> str | int | float:
    """Write one value; text that begins like a formula gets an apostrophe (OWASP, CSV injection).

    Numbers stay numbers, also negative ones. Control characters become escapes: within a cell they
    are of no use, and a lone CR would break the row.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    text = format_instant(value) if isinstance(value, datetime) else str(value)
    return printable(f"'{text}" if text.lstrip(_SKIPPED).startswith(_FORMULAS) else text)
