"""JSON documents with one long list, indented, written as the list's items come."""

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

_AT_A_TIME = 256


def indented(document: msgspec.Struct, name: str, items: Iterable[object]) -> Iterator[str]:
    """Write a document, indented by two, with a final newline; its field `name`, a list, has these items."""
    # No text within JSON holds a line end: the place is found once.
    empty = _indented(msgspec.structs.replace(document, **{name: ()}))
    before, none, after = empty.partition(f'\n  "{name}": []')
    yield before
    yield none[:-1]
    end, rest = "", iter(items)
    while some := list(islice(rest, _AT_A_TIME)):
        # As the items stand in the document.
        text = _indented(some).removeprefix("[").removesuffix("\n]").replace("\n", "\n  ")
        yield f"{end}{text}"
        end = ","
    yield "\n  ]" if end else "]"
    yield f"{after}\n"


def _indented(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
