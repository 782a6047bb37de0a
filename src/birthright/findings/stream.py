"""Findings in their order, some at a time, so that ten million need no more memory than a batch."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from birthright.findings.finding import constants, json_lines, ordered
from birthright.findings.model import Finding
from birthright.policies.evaluator import Evaluator
from birthright.policies.rule import Rule
from birthright.policies.scope import AccountRange, Accounts

if TYPE_CHECKING:
    import pyarrow as pa

# Findings that are written by one question to the engine, and those that are text at a time.
_QUESTION, _BLOCK = 16_384, 1_024
# Up to so many are better all there.
_FEW = 2_048


class FindingOptions(msgspec.Struct, frozen=True):
    """How findings are made: what in use means, whether evidence is in.

    `passes`: the policies whose passes are in.
    """

    in_use: timedelta
    passes: frozenset[str]
    evidence: bool


class LazyFindings(Collection[Finding]):
    """Findings that come one after another each time they are gone through, and are never all there."""

    def __contains__(self, finding: object) -> bool:
        return any(finding == other for other in self)

    def lines(self) -> Iterator[bytes]:
        """Give them as JSON, a line each, some at a time."""
        encoder = msgspec.json.Encoder()
        rest = iter(self)
        while some := list(islice(rest, _BLOCK)):
            yield encoder.encode_lines(some)


class WithoutPasses(LazyFindings):
    """Findings but for those that pass; `count` is how many these are."""

    def __init__(self, findings: Collection[Finding], count: int) -> None:
        self._findings = findings
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Finding]:
        return (finding for finding in self._findings if finding.verdict != "pass")


class Findings(LazyFindings):
    """All findings of a scan, made anew by the engine each time they are gone through.

    Raises PageError, StoreError on the way: a rule may fail on rows that were not needed to count.
    """

    def __init__(self, evaluator: Evaluator, rules: Sequence[Rule], how: FindingOptions, count: int) -> None:
        self._evaluator = evaluator
        self._rules = sorted(rules, key=lambda rule: rule.page.id)
        self._how = how
        self._count = count
        self._batches = evaluator.batches()
        values = {**evaluator.instants, "in_use": how.in_use}
        self._values = {**values, **constants(self._rules)}

    @property
    def is_large(self) -> bool:
        """Whether they are better not all there at the same time."""
        return len(self._batches) > 1 or self._count > _FEW

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Finding]:
        return self._read(self.lines())

    def of(self, accounts: Iterable[str]) -> Iterator[Finding]:
        """Give those of some accounts."""
        return self._read(self._lines_of(Accounts(tuple(accounts))))

    def lines(self) -> Iterator[bytes]:
        """Give them as JSON, a line each, some at a time."""
        for batch in self._batches:
            yield from self._lines_of(batch)

    def _read(self, lines: Iterator[bytes]) -> Iterator[Finding]:
        decoder = msgspec.json.Decoder(Finding)
        for block in lines:
            yield from decoder.decode_lines(block)

    def _lines_of(self, within: AccountRange | Accounts) -> Iterator[bytes]:
        engine, found = self._evaluator.engine, self._ordered(within)
        for start in range(0, found.num_rows, _QUESTION):
            with engine.holding(found.slice(start, _QUESTION)) as name:
                lines = engine.table(json_lines(name, evidence=self._how.evidence), self._values)
            for block in lines["line"].chunks:
                for first in range(0, len(block), _BLOCK):
                    yield _canonical(_bytes_of(block.slice(first, _BLOCK)))

    def _ordered(self, within: AccountRange | Accounts) -> "pa.Table":
        """Judge some accounts, and put the findings in order; in the engine's form."""
        engine = self._evaluator.engine
        sql = ordered("{}", self._evaluator.instants, within.condition(), evidence=self._how.evidence)
        with engine.holding(self._judged(within)) as name:
            return engine.table(sql.format(name), {**self._values, **within.values()})

    def _judged(self, within: AccountRange | Accounts) -> "pa.Table":
        import pyarrow as pa

        passes = self._how.passes
        judged = [rule.verdicts(within, passes=rule.page.id in passes) for rule in self._rules]
        places = [pa.repeat(pa.scalar(place, pa.int8()), len(one)) for place, one in enumerate(judged, 1)]
        return pa.concat_tables(
            one.append_column("place", place) for one, place in zip(judged, places, strict=True)
        )


def _bytes_of(texts: "pa.StringArray") -> bytes:
    """Return the texts one after another, as they lie in memory."""
    _, offsets, data = texts.buffers()
    places = memoryview(offsets).cast("i")
    return bytes(data)[places[texts.offset] : places[texts.offset + len(texts)]]


def _canonical(lines: bytes) -> bytes:
    r"""Write lines as msgspec does: the engine escapes control characters as `\u001B`, not `\u001b`."""
    if rb"\u00" not in lines:
        return lines
    findings = msgspec.json.Decoder(Finding).decode_lines(lines)
    return msgspec.json.Encoder().encode_lines(findings)
