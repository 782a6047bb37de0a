"""How several threads write to one journal: whoever waits shares the transaction of the next one.

A step is on the disk when its write returns, and bringing it there takes longer than anything else. While
one transaction is on its way, what else is to be written gathers, and goes in one transaction after it.
"""

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine

from birthright.retirement.journal.trouble import translated

T = TypeVar("T")


class _Write(Generic[T]):
    """Something that writes, and what came of it; `answer` holds one thing once it is on the disk."""

    def __init__(self, act: Callable[[Connection], T]) -> None:
        self.act = act
        self.answer: list[T] = []
        self.error: Exception | None = None

    @property
    def over(self) -> bool:
        return bool(self.answer) or self.error is not None

    def result(self) -> T:
        """Return the answer, or raise what went wrong."""
        if self.error is not None:
            raise self.error
        return self.answer[0]


class Writer:
    """All writes of one process. `place` is the journal's name in messages, its password hidden."""

    def __init__(self, engine: Engine, place: str) -> None:
        self._engine = engine.execution_options(begin_with="BEGIN IMMEDIATE")
        self._place = place
        self._turn = threading.Lock()
        self._guard = threading.Lock()
        self._queue: list[_Write[Any]] = []

    def write(self, act: Callable[[Connection], T]) -> T:
        """Do what writes, in a transaction with whatever else came while another was on its way to the disk.

        It may be done twice, if the first transaction was rolled back; it is all or nothing by itself.
        """
        write = _Write(act)
        with self._guard:
            self._queue.append(write)
        with self._turn:
            if not write.over:
                self._write_all()
        return write.result()

    def _write_all(self) -> None:
        with self._guard:
            batch, self._queue = self._queue, []
        try:
            self._commit(batch)
        finally:
            # Also when this is interrupted: whoever was not served serves itself.
            with self._guard:
                self._queue = [write for write in batch if not write.over] + self._queue

    def _commit(self, batch: list[_Write[Any]]) -> None:
        """Do all in one transaction; what one of them cannot do is done without it, each alone."""
        answers: list[Any] = []
        acting = False
        try:
            with translated(self._place), self._engine.begin() as connection:
                for write in batch:
                    acting = True
                    answers.append(write.act(connection))
                    acting = False
        except Exception as error:  # noqa: BLE001 - it is raised where the write came from
            if len(batch) == 1 or not acting:
                # Its own trouble; or that of beginning or committing, which is everybody's, and would only
                # be waited for again by each.
                for write in batch:
                    write.error = error
                return
            for write in batch:
                self._commit([write])
        else:
            for write, answer in zip(batch, answers, strict=True):
                write.answer = [answer]
