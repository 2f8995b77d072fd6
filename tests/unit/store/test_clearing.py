"""The log of a database stays short, and nobody has to see to it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.store.clearing import AT_MOST, FIRST, LEAST, PAGES
from lineside.store.database import Database
from lineside.store.migrations import Component
from lineside.testing.workers import HeldWorker, call_at_once

NOTES = Component("notes", (("CREATE TABLE note (text TEXT NOT NULL)",),))
PAGE = 4096


class Clearing(SynchronousTestCase):
    """A database whose threads go one step at a time."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.workers: list[HeldWorker] = []

        def worker(name: str) -> HeldWorker:
            self.workers.append(HeldWorker(name))
            return self.workers[-1]

        self.database = Database(self.path, (NOTES,), call_at_once, worker=worker)
        self.successResultOf(Deferred.fromCoroutine(self.database.open()))
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(self.database.close())))

    def write(self, number: int, pages: int = 1) -> None:
        """Commit so often, so many pages each time."""
        text = "x" * PAGE * (pages - 1)

        def note(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO note VALUES (?)", (text,))

        for _ in range(number):
            self.successResultOf(self.database.write(note))

    @property
    def log(self) -> int:
        return self.path.with_name(f"{self.path.name}-wal").stat().st_size

    def test_it_begins_anew_again_and_again(self) -> None:
        """However much is written, in small commits or large ones, the log has about as many pages as it may."""
        for pages in (1, 40, 3):
            self.write(PAGES // 5, pages)
        self.assertLess(self.log, (AT_MOST + 100) * PAGE)
        self.assertGreater(self.path.stat().st_size, AT_MOST * PAGE)

    def test_writes_go_on_meanwhile(self) -> None:
        """While the reader's thread copies, commits are not held up; what they add is copied by the writer's."""
        reader = self.workers[1]
        reader.held = True
        self.write(FIRST)
        self.assertLess(self.path.stat().st_size, 20 * PAGE)
        self.write(LEAST)
        reader.release()
        before = self.log
        self.write(LEAST)
        self.assertEqual(before, self.log)

    def test_who_reads_an_old_state_hinders_nobody(self) -> None:
        """The log grows until that is over, and then is short again."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(connection.close)
        connection.execute("BEGIN")
        connection.execute("SELECT COUNT(*) FROM note").fetchone()
        self.write(PAGES, 4)
        grown = self.log
        self.assertGreater(grown, 2 * PAGES * PAGE)
        connection.execute("COMMIT")
        self.write(PAGES, 4)
        self.assertLess(self.log, grown + 10 * LEAST * PAGE)
