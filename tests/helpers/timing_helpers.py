"""Where a test run's time goes: the slowest tests and the sum of each folder, at the end of the run."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath

import pytest

_SHOWN = 15
_WORTH_TELLING = 20.0  # seconds of all tests together; a few tests need no table


def tell_where_time_goes(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the sums of a long run; set-up and clean-up count with their test. Seconds of one process."""
    seconds = _seconds(terminalreporter)
    if sum(seconds.values()) < _WORTH_TELLING:
        return
    terminalreporter.section("where the time goes")
    for line in chain(_folders(seconds), [""], _slowest(seconds)):
        terminalreporter.write_line(line)


def _seconds(terminalreporter: pytest.TerminalReporter) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    for report in chain.from_iterable(terminalreporter.stats.values()):
        if hasattr(report, "duration"):
            seconds[report.nodeid] += report.duration
    return seconds


def _folders(seconds: dict[str, float]) -> Iterator[str]:
    sums: dict[str, list[float]] = defaultdict(list)
    for test, spent in seconds.items():
        sums[str(PurePosixPath(test.partition("::")[0]).parent)].append(spent)
    for folder, spents in sorted(sums.items(), key=lambda item: -sum(item[1])):
        yield f"{sum(spents):7.1f} s  {folder} ({len(spents)} tests)"


def _slowest(seconds: dict[str, float]) -> Iterator[str]:
    for test, spent in sorted(seconds.items(), key=lambda item: -item[1])[:_SHOWN]:
        yield f"{spent:7.1f} s  {test}"
