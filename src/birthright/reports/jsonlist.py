"""Lists in JSON that are written as they come, an item a line, so that they may be of any length."""

from collections.abc import Iterable
from typing import TextIO

from birthright.longjson import json_lines


def write_list(out: TextIO, items: Iterable[object]) -> None:
    """Write `[`, each item on a line of its own, and `]`; an empty list is `[]`."""
    start = "[\n"
    for lines in json_lines(items):
        out.write(start)
        # No text within JSON holds a line end.
        out.write(lines[:-1].replace(b"\n", b",\n").decode())
        start = ",\n"
    out.write("[]" if start == "[\n" else "\n]")
