"""Lists in JSON that are written as they come, an item a line, so that they may be of any length."""

from collections.abc import Iterable
from itertools import islice
from typing import TextIO

import msgspec

_AT_A_TIME = 64


def write_list(out: TextIO, items: Iterable[object]) -> None:
    """Write `[`, each item on a line of its own, and `]`; an empty list is `[]`."""
    encoder = msgspec.json.Encoder()
    rest = iter(items)
    start = "[\n"
    while some := list(islice(rest, _AT_A_TIME)):
        # No text within JSON holds a line end.
        lines = encoder.encode_lines(some)[:-1].replace(b"\n", b",\n")
        out.write(start)
        out.write(lines.decode())
        start = ",\n"
    out.write("[]" if start == "[\n" else "\n]")
