"""What the reports for people share: order, safe text, and the console that shows it."""

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

# What people read first: the policy that birthright is about, then the others by risk.
FIRST = "access-key-created-with-user"
RISKS = {"critical": 0, "high": 1, "medium": 2, "low": 3}
_PIPED_WIDTH = 120


def printable(text: str) -> str:
    r"""Show what cannot be seen as escapes (`\x1b`, `\u202e`): names and messages come from strangers.

    A terminal obeys control characters, and marks of direction make a text read as another one.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


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
