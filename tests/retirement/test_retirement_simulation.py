"""Retirement amid people, troubles and crashes: thousands of made-up accounts, judged by AWS's own log."""

import random
from pathlib import Path

import pytest

from retirement_invariants import Judge
from retirement_world import World, folder

SEQUENCES = 2_000
_CHUNK = 50
_ROUNDS = 20


@pytest.mark.parametrize("first", range(0, SEQUENCES, _CHUNK))
def test_no_sequence_breaks_a_promise(first: int, tmp_path: Path) -> None:
    """Whatever happens between any two steps, every invariant of `retirement_invariants` holds.

    A failure names its seed: `python tests/soak.py --seed N` tells the whole story.
    """
    for seed in range(first, first + _CHUNK):
        with folder(tmp_path) as place:
            world = World(random.Random(seed), place)  # noqa: S311 - not for cryptography
            try:
                world.live(_ROUNDS)
                world.settle()
                Judge(world).all()
            except AssertionError as error:
                pytest.fail(f"seed {seed}: {error}")
            finally:
                world.close()
