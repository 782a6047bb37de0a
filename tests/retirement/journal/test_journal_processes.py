"""Several processes on one journal, processes that are killed, disks that are full."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from sqlalchemy import event

from birthright.errors import JournalError, LockedError
from birthright.retirement.journal.journal import Journal
from birthright.retirement.journal.opening import open_journal
from birthright.retirement.journal.writing import _Write
from journal_helpers import ACTOR, LEASE, NOW, order, record
from postgresql_helpers import SLOW_WITH_POSTGRESQL

WRITER = Path(__file__).parents[2] / "helpers" / "journal_writer.py"


def writer(place: str, number: int, steps: int, *more: object) -> "subprocess.Popen[str]":
    """Start a process that will append to its own retirement, and wait until it has opened the journal."""
    child = subprocess.Popen(
        [sys.executable, str(WRITER), place, str(number), str(steps), *map(str, more)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(WRITER.parent)},
    )
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    return child


def begin(child: "subprocess.Popen[str]") -> None:
    """Let it append."""
    assert child.stdin
    child.stdin.write("\n")
    child.stdin.flush()


@SLOW_WITH_POSTGRESQL
def test_two_processes_append_at_once(place: str) -> None:
    """Both write all their steps into one whole chain, and none waits for the other to end."""
    children = [writer(place, number, 100) for number in (1, 2)]
    for child in children:
        begin(child)
    said = [child.communicate(timeout=60)[0].split() for child in children]
    assert said == [[str(step) for step in range(100)]] * 2
    with open_journal(place) as journal:
        checked = journal.verify()
        assert (checked.steps, checked.problem) == (202, None)
        assert len({step.retirement_id for step in list(journal.steps())[20:182]}) == 2


@SLOW_WITH_POSTGRESQL
def test_a_killed_process_leaves_a_whole_journal(place: str) -> None:
    """After kill -9 the chain is whole and has every step said to be written, and one more at most."""
    total = 0
    for number in range(1, 4):
        child = writer(place, number, 100_000)
        begin(child)
        assert child.stdout
        for _ in range(7 * number):
            child.stdout.readline()
        child.kill()
        written = 7 * number + len(child.stdout.read().split("\n")) - 1
        child.communicate()
        with open_journal(place) as journal:
            checked = journal.verify()
            assert checked.problem is None
            # `opened`, what it said, and what it had no time to say.
            assert checked.steps - total - 1 - written in {0, 1}
            total = checked.steps


def test_a_full_disk(tmp_path: Path) -> None:
    """Where the file may not grow the step is refused in one line, and what was written before is whole."""
    place = str(tmp_path / "j.sqlite")
    child = writer(place, 1, 100_000, 400_000)
    begin(child)
    *steps, said = child.communicate(timeout=60)[0].splitlines()
    assert "ulimit" in said or "free some space" in said
    with open_journal(place) as journal:
        checked = journal.verify()
        assert (checked.steps, checked.problem) == (len(steps) + 1, None)
        assert journal.get("retirement-1").note.split()[0] == steps[-1]


def test_threads_that_write_together_spoil_nothing_for_each_other(journal: Journal) -> None:
    """Writes that share a transaction are all there; one that is refused is refused alone."""
    held = [journal.lock(f"account/user-{n}", "me", NOW, LEASE) for n in range(8)]
    begun, _ = journal.begin([order(n) for n in range(8)], ACTOR)
    journal.release(held[3])
    outcomes: list[str] = []

    def write(number: int) -> None:
        current = begun[number]
        try:
            for step in range(20):
                current = journal.append(held[number], current, record(step, changes={"note": f"{step}"}))
            outcomes.append("written")
        except LockedError:
            outcomes.append("refused")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", *["written"] * 7]
    assert journal.verify().problem is None
    assert journal.verify().steps == 8 + 7 * 20


def test_a_journal_that_takes_nothing_is_waited_for_once(tmp_path: Path) -> None:
    """What cannot begin is everybody's trouble: it is told to each writer, and not tried again for each."""
    with open_journal(str(tmp_path / "journal.sqlite")) as journal:
        writer_of = journal._writer
        begun: list[int] = []

        def refuse(_: object) -> None:
            begun.append(1)
            raise JournalError("no room")

        event.listen(writer_of._engine, "begin", refuse)
        batch = [_Write(lambda _: None) for _ in range(3)]
        writer_of._commit(batch)
        assert [str(write.error) for write in batch] == ["no room"] * 3
        assert len(begun) == 1
