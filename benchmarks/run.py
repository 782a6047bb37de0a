"""`make bench`: every promised number, each as a ratio measured in this run. Prints a Markdown table.

Ends with 1 if a ratio is over what was promised. `python benchmarks/run.py NAME...` runs some of them.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

import fleet
import formats
import history
import html_report
import judging
import one_account
import retiring
import startup
from measure import Row

_ONE = "--one"
BENCHMARKS: Mapping[str, Callable[[], Iterator[Row]]] = {
    "startup": startup.rows,
    "report": one_account.report_rows,
    "keys": one_account.keys_rows,
    "throttled": one_account.throttled_rows,
    "judging": judging.rows,
    "formats": formats.rows,
    "html": html_report.rows,
    "history": history.rows,
    "retiring": retiring.rows,
}
# Minutes long: `make bench-fleet`.
FLEET: Mapping[str, Callable[[], Iterator[Row]]] = {
    "fleet-big": fleet.big_rows,
    "fleet-baseline": fleet.baseline_rows,
    "fleet-line": fleet.line_rows,
    "fleet-trouble": fleet.trouble_rows,
    "fleet-denied": fleet.denied_rows,
    "fleet-dask": fleet.dask_rows,
    "fleet-killed": fleet.killed_rows,
}


def main(names: list[str]) -> int:
    """Run the benchmarks with these names, or all; each in a process of its own.

    A process that is started begins with its parent's peak memory: a benchmark that fills its own would be
    measured in all that come after it.
    """
    chosen = [one for name in names for one in (FLEET if name == "fleet" else [name])]
    print("| what | measured | against | ratio | at most | holds |")
    print("|---|---|---|---|---|---|", flush=True)
    codes = [
        subprocess.run([sys.executable, __file__, _ONE, name], check=False).returncode
        for name in chosen or BENCHMARKS
    ]
    return max(codes)


def run_one(name: str) -> int:
    """Run one benchmark and print its rows."""
    holds = True
    for row in {**BENCHMARKS, **FLEET}[name]():
        most = "" if row.most == float("inf") else f"{row.most:g}"
        word = "yes" if row.holds else "NO"
        print(
            f"| {row.what} | {row.measured} | {row.against} | {row.ratio:.2f} | {most} | {word} |", flush=True
        )
        holds = holds and row.holds
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(run_one(sys.argv[2]) if sys.argv[1:2] == [_ONE] else main(sys.argv[1:]))
