"""JSON with one long list, written as the list's items come."""

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

_AT_A_TIME = 256


def json_lines(items: Iterable[object]) -> Iterator[bytes]:
    """Give items as JSON, a line each, some at a time."""
    encoder = msgspec.json.Encoder()
    rest = iter(items)
    while some := list(islice(rest, _AT_A_TIME)):
        yield encoder.encode_lines(some)


def indented(document: msgspec.Struct, name: str, lines: Iterable[bytes]) -> Iterator[str]:
    """Write a document, indented by two, with a final newline; its field `name` is a list of these lines."""
    empty = msgspec.json.encode(msgspec.structs.replace(document, **{name: ()}))
    # No text within JSON holds a line end: the place is found once.
    before, none, after = _indented(empty).decode().partition(f'\n  "{name}": []')
    yield before
    yield none[:-1]
    end = ""
    for some in lines:
        # As the items stand in the document.
        items = _indented(b"[" + some[:-1].replace(b"\n", b",") + b"]")[1:-2].replace(b"\n", b"\n  ")
        yield f"{end}{items.decode()}"
        end = ","
    yield "\n  ]" if end else "]"
    yield f"{after}\n"


def _indented(text: bytes) -> bytes:
    return msgspec.json.format(text, indent=2)
