"""Findings in their order, some at a time, so that ten million need no more memory than a batch."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from birthright.findings.finding import constants, finding_lines, ordered
from birthright.findings.model import Finding
from birthright.findings.overview import Counted, Overview, count, overview_of, ranks
from birthright.longjson import json_lines
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

    def without_passes(self, count: int) -> "LazyFindings":
        """Return the findings but for those that pass; `count` is how many these are."""
        return WithoutPasses(self, count)


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
        self._values: dict[str, Any] = {**values, **constants(self._rules)}

    @property
    def is_large(self) -> bool:
        """Whether they are better not all there at the same time."""
        return len(self._batches) > 1 or self._count > _FEW

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Finding]:
        return self._read(self.lines())

    def without_passes(self, count: int) -> LazyFindings:
        """Return the findings but for those that pass; `count` is how many these are."""
        how = msgspec.structs.replace(self._how, passes=frozenset())
        return Findings(self._evaluator, self._rules, how, count) if self._how.passes else self

    def of(self, accounts: Iterable[str]) -> Iterator[Finding]:
        """Give those of some accounts."""
        return self._read(self._lines_of(Accounts(tuple(sorted(accounts)))))

    def overview(self, *, several: bool) -> Overview | None:
        """Count failures and unknowns; None if there are too many kinds of them. See `overview.py`."""
        return overview_of(self._counted(several=several))

    def lines(self) -> Iterator[bytes]:
        """Give them as JSON, a line each, some at a time."""
        for batch in self._batches:
            yield from self._lines_of(batch)

    def _counted(self, *, several: bool) -> Iterator[Counted]:
        values = {**self._values, **ranks(self._rules)}
        for batch in self._batches:
            with self._holding(batch, brief=True) as name:
                yield count(self._evaluator.engine, name, values, several=several)

    def _read(self, lines: Iterator[bytes]) -> Iterator[Finding]:
        decoder = msgspec.json.Decoder(Finding)
        for block in lines:
            yield from decoder.decode_lines(block)

    def _lines_of(self, within: AccountRange | Accounts) -> Iterator[bytes]:
        engine, found = self._evaluator.engine, self._ordered(within)
        for start in range(0, found.num_rows, _QUESTION):
            with engine.holding(found.slice(start, _QUESTION)) as name:
                lines = engine.table(finding_lines(name, evidence=self._how.evidence), self._values)
            for block in lines["line"].chunks:
                for first in range(0, len(block), _BLOCK):
                    yield _canonical(_bytes_of(block.slice(first, _BLOCK)))

    def _ordered(self, within: AccountRange | Accounts) -> "pa.Table":
        """Judge some accounts, and put the findings in order; in the engine's form."""
        with self._holding(within) as name:
            sql = ordered(name, self._evaluator.instants, within.condition(), evidence=self._how.evidence)
            return self._evaluator.engine.table(sql, {**self._values, **within.values()})

    @contextmanager
    def _holding(self, within: AccountRange | Accounts, *, brief: bool = False) -> Iterator[str]:
        """Let the engine read the verdicts on some accounts as a table for the length of a block."""
        import pyarrow as pa

        passes = frozenset() if brief else self._how.passes
        judged = pa.concat_tables(
            rule.verdicts(within, place, passes=rule.page.id in passes, brief=brief)
            for place, rule in enumerate(self._rules, 1)
        )
        with self._evaluator.engine.holding(judged) as name:
            yield name


def lines_of(findings: Collection[Finding]) -> Iterator[bytes]:
    """Give findings as JSON, a line each, some at a time."""
    return findings.lines() if isinstance(findings, Findings) else json_lines(findings)


def _bytes_of(texts: "pa.StringArray") -> bytes:
    """Return the texts one after another, as they lie in memory."""
    _, offsets, data = texts.buffers()
    places = memoryview(offsets).cast("i")
    return memoryview(data)[places[texts.offset] : places[texts.offset + len(texts)]].tobytes()


def _canonical(lines: bytes) -> bytes:
    r"""Write lines as msgspec does: the engine escapes control characters as `\u001B`, not `\u001b`."""
    if rb"\u00" not in lines:
        return lines
    findings = msgspec.json.Decoder(Finding).decode_lines(lines)
    return msgspec.json.Encoder().encode_lines(findings)
