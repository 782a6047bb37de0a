"""Compares the findings in a bundle with those that its facts give again."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from birthright.evidence.archive import AlteredError, Slice
from birthright.evidence.manifest import FINDINGS
from birthright.findings.finding import order
from birthright.findings.model import Document, Finding
from birthright.version import __version__
from birthright.versioned import NOT_JSON

_SHOWN = 5
_LONGEST = 256 * 1024**2  # bytes of what is held: one finding, or all that is no finding
_OF_A_LINE = 64  # bytes that Python needs to hold one
_FIRST, _LAST = b'  "findings": [', b"  ]"


class ComparingSink(io.RawIOBase):
    """Takes bytes, and compares them with those that are expected."""

    def __init__(self, expected: Slice) -> None:
        self._expected = expected
        self._same = True

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - whatever io's buffer hands over
        """Compare the next bytes."""
        taken = bytes(data)
        self._same = self._same and self._expected.read(len(taken)) == taken
        return len(taken)

    def is_same(self) -> bool:
        """Whether all were the same, and there are no more."""
        return self._same and not self._expected.read(1)


def compare_findings(document: Document, open_file: Callable[[], Slice], version: str) -> None:
    """See that a file holds a document, written by that version of birthright. Raises AlteredError.

    The same bytes are the same findings. Otherwise a finding is compared with a finding, to name those that
    differ; only another version may write more of each than this one knows.
    """
    from birthright.reports.interface import Report
    from birthright.reports.json import render

    same = ComparingSink(open_file())
    with io.TextIOWrapper(io.BufferedWriter(same), encoding="utf-8", newline="\n") as out:
        render(Report(document), out)
    if same.is_same():
        return
    lines = _Lines(open_file().lines())
    differing = [*_differing(iter(document.findings), lines.findings())]
    if differing:
        shown = ", ".join(differing[:_SHOWN])
        more = " and others" if len(differing) > _SHOWN else ""
        raise AlteredError(f"{FINDINGS} differs from what the facts give{_by(version)}: {shown}{more}")
    rest: Document = lines.document()
    if rest != msgspec.structs.replace(document, findings=()):
        names = [name for name in rest.__struct_fields__ if name != "findings"]
        named = [name for name in names if getattr(rest, name) != getattr(document, name)]
        raise AlteredError(f"{FINDINGS} differs from what the facts give{_by(version)}: {', '.join(named)}")
    if version == __version__:
        raise AlteredError(f"{FINDINGS} says more than the facts give")


def _by(version: str) -> str:
    return "" if version == __version__ else f" (it is birthright {version}'s, this is {__version__})"


class _Lines:
    """A document as birthright writes it, gone through a line at a time."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._rest = _Held()

    def findings(self) -> Iterator[Finding]:
        """Give its findings. Raises AlteredError."""
        for line in self._lines:
            self._rest.add(line)
            if line == _FIRST:
                break
        item = _Held()
        for line in self._lines:
            if line.startswith(_LAST):
                self._rest.add(line)
                break
            item.add(line)
            if line.startswith(b"    }"):
                yield _decoded(b"\n".join(item.lines).removesuffix(b","), Finding)
                item = _Held()
        if item.lines:
            raise AlteredError(f"{FINDINGS} cannot be read")

    def document(self) -> Document:
        """Give the rest, once the findings were gone through. Raises AlteredError."""
        for line in self._lines:
            self._rest.add(line)
        rest: Document = _decoded(b"\n".join(self._rest.lines), Document)
        return rest


class _Held:
    """Lines that are held together; not more than any bundle of ours needs, as little can inflate to much."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._size = 0

    def add(self, line: bytes) -> None:
        """Take one more. Raises AlteredError."""
        self.lines.append(line)
        self._size += len(line) + _OF_A_LINE
        if self._size > _LONGEST:
            raise AlteredError(f"{FINDINGS} is too large")


def _decoded(data: bytes, kind: type[Any]) -> Any:  # noqa: ANN401 - an instance of `kind`
    """Read a part of it. What other readers may read otherwise (a name that comes twice) is refused."""
    try:
        plain = msgspec.json.encode(msgspec.json.decode(data))
        if plain == msgspec.json.format(data, indent=-1):
            return msgspec.json.decode(data, type=kind)
    except NOT_JSON:
        pass
    raise AlteredError(f"{FINDINGS} cannot be read")


def _differing(again: Iterator[Finding], kept: Iterator[Finding]) -> Iterator[str]:
    """Give the fingerprints of findings that are only in one of the two, or not the same; both in order.

    Ends after a few.
    """
    left, right = next(again, None), next(kept, None)
    told = 0
    while (left or right) and told <= _SHOWN:
        if left is not None and left == right:
            left, right = next(again, None), next(kept, None)
            continue
        told += 1
        if right is None or (left is not None and order(left) < order(right)):
            yield f"{_named(left)} is missing"
            left = next(again, None)
        elif left is None or order(right) < order(left):
            yield f"{_named(right)} is not among them"
            right = next(kept, None)
        else:
            yield f"{_named(left)} is another one"
            left, right = next(again, None), next(kept, None)


def _named(finding: Finding | None) -> str:
    return f"{finding.fingerprint[:32]} ({finding.policy[:80]})" if finding else ""
