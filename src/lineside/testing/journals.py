"""A journal on a real file, without threads: a disk as slow as a test wants, and processes that die."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lineside.journal.files import FILES
from lineside.journal.log import SqliteJournal
from lineside.journal.polls import POLLS
from lineside.journal.tables import JOURNAL
from lineside.operations.silence import DEVICES
from lineside.store.database import Database
from lineside.testing.workers import HeldWorker, call_at_once


class JournalOnFile:
    """Opens a journal at once; while ``writer.held`` is true nothing is committed."""

    def __init__(self, path: Path, now_ns: Callable[[], int]) -> None:
        self.path = path
        self._now_ns = now_ns
        self.open()

    def open(self) -> None:
        """Open it as a process does that starts."""
        workers: dict[str, HeldWorker] = {}

        def worker(name: str) -> HeldWorker:
            return workers.setdefault(name, HeldWorker(name))

        self.database = Database(self.path, (JOURNAL, DEVICES, POLLS, FILES), call_at_once, worker=worker)
        self.journal = SqliteJournal(self.database, now_ns=self._now_ns)
        _finish(Deferred.fromCoroutine(self.database.open()))
        _finish(Deferred.fromCoroutine(self.journal.open()))
        self.writer = workers["journal-writer"]

    def close(self) -> None:
        """Close it, after what is still held was committed."""
        self.writer.release()
        _finish(Deferred.fromCoroutine(self.database.close()))

    def restart(self) -> None:
        """Go on as a new process: only what was committed is left."""
        self.close()
        self.open()


def _finish(work: Deferred[None]) -> None:
    # Inline workers have finished it already; an error must not wait for the garbage collector.
    assert work.called
    if isinstance(work.result, Failure):
        failure = work.result
        work.addErrback(lambda _: None)
        failure.raiseException()
