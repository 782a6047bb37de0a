"""The journal's records of a scan's accounts, as they go into a bundle and are checked there."""

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from birthright.evidence.archive import AlteredError
from birthright.evidence.manifest import JOURNAL, JournalSummary
from birthright.text import counted
from birthright.versioned import NOT_JSON

if TYPE_CHECKING:
    from birthright.evidence.masking import Mask
    from birthright.retirement.journal.journal import Journal
    from birthright.retirement.model import Step

SCHEMA = "birthright.journal/1"
_FIRST, _LAST = f'{{"schema": "{SCHEMA}", "steps": [', "]}"


def write_records(
    journal: "Journal", accounts: Collection[str], mask: "Mask | None", out: TextIO
) -> JournalSummary:
    """Write the steps of all retirements in these accounts, a line each. Raises JournalError."""
    whole = journal.verify()
    found = [one for account in sorted(accounts) for one in journal.find(account=account)]
    out.write(_FIRST)
    end = "\n"
    for step in _steps(journal, [one.id for one in found]):
        text = msgspec.json.encode(step).decode()
        out.write(f"{end}{mask.text(text) if mask else text}")
        end = ",\n"
    out.write(f"\n{_LAST}\n")
    return JournalSummary(whole.steps, whole.head, whole.problem, len(found))


def _steps(journal: "Journal", retirements: Iterable[str]) -> "Iterator[Step]":
    for retirement in retirements:
        yield from journal.steps(retirement)


def check_records(lines: Iterable[bytes], line: JournalSummary, *, masked: bool) -> None:
    """See that each step has the digest it says, unless ids in it are masked. Raises AlteredError."""
    from birthright.retirement.journal.encoding import digest_of, instant_text, json_text
    from birthright.retirement.model import Step

    seen: set[str] = set()
    for text in _texts(lines):
        step: Step = _decoded(text, Step)
        row = {
            **msgspec.structs.asdict(step),
            "at": instant_text(step.at),
            "detail": json_text(step.detail),
            "changes": json_text(step.changes),
        }
        if not masked and digest_of(row) != step.digest:
            raise AlteredError(f"{JOURNAL}: step {step.seq} is not the one that its digest is of")
        seen.add(step.retirement_id)
    if len(seen) != line.retirements:
        raise AlteredError(
            f"{JOURNAL} holds {counted(len(seen), 'retirement')} instead of {line.retirements}"
        )


def _texts(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Give the steps' lines; there is nothing beside them. Raises AlteredError."""
    rest = iter(lines)
    is_whole = next(rest, None) == _FIRST.encode()
    line = next(rest, None)
    while is_whole and line is not None and line != _LAST.encode():
        following = next(rest, None)
        # A comma stands between two steps.
        is_whole = line.endswith(b",") == (following != _LAST.encode())
        yield line.removesuffix(b",")
        line = following
    if not is_whole or line is None or next(rest, None) is not None:
        raise AlteredError(f"{JOURNAL} cannot be read")


def _decoded(text: bytes, kind: type[Any]) -> Any:  # noqa: ANN401 - an instance of `kind`
    """Read a step; what other readers may read otherwise (a name that comes twice) is refused."""
    try:
        if msgspec.json.encode(msgspec.json.decode(text)) == text:
            return msgspec.json.decode(text, type=kind)
    except NOT_JSON:
        pass
    raise AlteredError(f"{JOURNAL} cannot be read")
