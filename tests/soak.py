"""`make soak`: the simulation of retirement, for as many sequences as one likes, on all cores.

`python tests/soak.py --sequences 100000` runs so many; `--seed 1234` tells the story of one.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "helpers"))

from retirement_invariants import live
from retirement_world import HELD_UP, World, folder

_CHUNK = 100


def main() -> int:
    """Run what was asked for; 1 if a promise was broken."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sequences", type=int, default=100_000)
    options.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    options.add_argument("--seed", type=int, help="run this one, and tell its story")
    options.add_argument("--never-held-up", action="store_true", help="with --seed: as soaks were before")
    chosen = options.parse_args()
    if chosen.seed is not None:
        return _tell(chosen.seed, 0 if chosen.never_held_up else HELD_UP)
    return _soak(chosen.first, chosen.sequences)


def _soak(first: int, count: int) -> int:
    began, done, broken, states = time.monotonic(), 0, 0, Counter[str]()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for failures, ended in pool.map(_run_chunk, range(first, first + count, _CHUNK)):
            done, broken = done + _CHUNK, broken + len(failures)
            states.update(ended)
            for failure in failures:
                print(failure, flush=True)
            if done % 2000 == 0:
                rate = done / (time.monotonic() - began)
                print(f"{done} sequences, {broken} broken, {rate:.0f} a second", flush=True)
    print(f"{done} sequences, {broken} broken; retirements ended as {dict(states)}")
    return 1 if broken else 0


def _run_chunk(first: int) -> tuple[list[str], Counter[str]]:
    failures, states = [], Counter[str]()
    for seed in range(first, first + _CHUNK):
        _, failure, ended = _run(seed, HELD_UP)
        states.update(ended)
        if failure:
            failures.append(f"seed {seed}: {failure}")
    return failures, states


def _run(seed: int, held_up: float) -> tuple[World, str, list[str]]:
    """Run one sequence; return its world, what it broke, and the states its retirements are in."""
    with tempfile.TemporaryDirectory() as base, folder(Path(base)) as place:
        world, failure = live(seed, place, held_up)
        states: list[str] = [r.state for r in world.journal.find()]
        world.close()
        return world, failure, states


def _tell(seed: int, held_up: float) -> int:
    world, failure, _ = _run(seed, held_up)
    print("\n".join(world.story))
    print(failure or "every promise held")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
