"""A process that appends to a journal: `journal_writer.py PLACE NUMBER STEPS [FILE_SIZE]`.

It says `ready`, waits for a line, and prints each step's number once the step is said to be written.
"""

import resource
import sys

from birthright.errors import JournalError
from birthright.retirement.journal.opening import open_journal
from journal_helpers import ACTOR, LEASE, NOW, order, record


def main(place: str, number: str, steps: str, file_size: str = "") -> None:
    """Append so many steps to a retirement of its own."""
    with open_journal(place) as journal:
        print("ready", flush=True)  # noqa: T201 - the test reads it
        input()
        if file_size:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_size), int(file_size)))
        ((retirement,), _) = journal.begin([order(int(number))], ACTOR)
        lock = journal.lock(retirement.subject, f"writer {number}", NOW, LEASE)
        for step in range(int(steps)):
            try:
                changes = {"note": f"{step} {'x' * 500}"}
                retirement = journal.append(lock, retirement, record(step, changes=changes))
            except JournalError as error:
                print(error, flush=True)  # noqa: T201 - the test reads it
                return
            print(step, flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main(*sys.argv[1:])
