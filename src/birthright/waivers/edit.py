"""Adds an entry to `waivers.yaml`. Every byte that was there stays: people keep comments in it."""

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from birthright.atomic import write_atomically
from birthright.errors import UsageError
from birthright.waivers.file import (
    SCHEMA,
    WaiverEntry,
    fields_of,
    parse_waivers,
    problems,
    read_waivers,
    root_of,
    text_of,
)

if TYPE_CHECKING:
    import yaml

_NEW_MODE = 0o644  # the file is for git, and holds no secret
_INDENT = 2
_ENDLESS = 1_000_000  # columns: YAML would break long lines


class NoPlaceError(UsageError):
    """The file has a form in which only a person can add an entry."""


def add_waiver(path: Path, one: WaiverEntry) -> str:
    """Add an entry after the last one, or make the file; return the entry as it was written.

    Raises UsageError, and changes nothing, if the entry or the file is wrong, the file has an entry about
    the same, or (NoPlaceError) an entry cannot be added at its end; StoreError if the file cannot be written.
    """
    for name, wrong in problems(one):
        raise UsageError(f"{name}: {wrong}")
    if not path.exists():
        text = entry_text(one, _INDENT)
        new = f"schema: {SCHEMA}\nwaivers:\n{text}"
        _check(new, (one,), path)
        write_atomically(path, new.encode(), _NEW_MODE)
        return text
    if not path.is_file():
        raise UsageError(f"{path} is not a file", "--waivers names one")
    old = read_waivers(path)
    new, text = _with(old, one, path)
    write_atomically(path, new.encode(), stat.S_IMODE(path.stat().st_mode))
    return text


def entry_text(one: WaiverEntry, indent: int = 0) -> str:
    """Write an entry as lines of YAML, `indent` spaces before its hyphen."""
    values = [
        ("policy", _yaml(one.policy)),
        # Other readers of YAML may take plain digits for a number.
        ("account", f'"{one.account}"'),
        ("user", _yaml(one.user)),
        ("access_key_id", _yaml(one.access_key_id)),
        ("reason", _yaml(one.reason)),
        ("owner", _yaml(one.owner)),
        ("ticket", _yaml(one.ticket)),
        ("created", one.created.isoformat()),
        ("expires", one.expires.isoformat()),
    ]
    lines = [f"{name}: {value}" for name, value in values if value]
    space = " " * indent
    return f"{space}- " + f"\n{space}  ".join(lines) + "\n"


def _yaml(text: str | None) -> str:
    """Write one value on one line, quoted where YAML would take it for something else."""
    import yaml

    if text is None:
        return ""
    return yaml.safe_dump(text, width=_ENDLESS, allow_unicode=True).removesuffix("\n").removesuffix("\n...")


def _with(old: bytes, one: WaiverEntry, path: Path) -> tuple[str, str]:
    """Return the whole new text, and the entry in it. Raises UsageError."""
    before = parse_waivers(old, str(path))
    for number, other in enumerate(before, 1):
        if other.subject == one.subject:
            raise UsageError(
                f"{path}: entry {number} is about the same, and ends on {other.expires}", "change that entry"
            )
    text = text_of(old, str(path))
    place, indent = _end(text, path)
    newline = "\r\n" if "\r\n" in text else "\n"
    entry = entry_text(one, indent)
    head, tail = text[:place], text[place:]
    glue = "" if not head or head.endswith("\n") else newline
    new = head + glue + entry.replace("\n", newline) + tail
    _check(new, (*before, one), path)
    return new, entry


def _end(text: str, path: Path) -> tuple[int, int]:
    """Return where the list ends, as an index into the text, and how far its hyphens are indented."""
    import yaml

    root = root_of(text, str(path))
    node = fields_of(root, str(path))["waivers"] if isinstance(root, yaml.MappingNode) else None
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        return len(text), _INDENT
    last = _last(node)
    index: int = last.end_mark.index
    if isinstance(last, yaml.ScalarNode) and last.style in {"|", ">"}:
        # Such a value ends where the next line begins.
        return index, node.start_mark.column
    end = text.find("\n", index)
    return (len(text) if end < 0 else end + 1), node.start_mark.column


def _last(node: "yaml.Node") -> "yaml.Node":
    """Return the last thing that is written in a node."""
    import yaml

    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(node, yaml.MappingNode) else last
    return node


def _check(new: str, wanted: tuple[WaiverEntry, ...], path: Path) -> None:
    """Refuse a text that does not read back as it should; a person can add the entry by hand."""
    try:
        found: tuple[WaiverEntry, ...] = parse_waivers(new.encode(), str(path))
    except UsageError:
        found = ()
    if found != wanted:
        raise NoPlaceError(f"{path}: an entry cannot be added at its end", "add it by hand")
