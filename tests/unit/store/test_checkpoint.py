"""The log of a database, copied into its file while writes go on."""

from __future__ import annotations

from pathlib import Path
from sqlite3 import Connection

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.errors import JournalClosed
from lineside.store.database import Database
from lineside.store.migrations import Component
from lineside.testing.workers import InlineWorker, call_at_once

NOTES = Component("notes", (("CREATE TABLE note (text TEXT NOT NULL)",),))


class Checkpoints(SynchronousTestCase):
    """What `Database.checkpoint` does."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.database = Database(self.path, (NOTES,), call_at_once, worker=InlineWorker)
        self.successResultOf(Deferred.fromCoroutine(self.database.open()))
        self.addCleanup(lambda: Deferred.fromCoroutine(self.database.close()))

    def test_the_file_has_what_was_committed(self) -> None:
        """What was written is in the file itself then, and the next write begins the log anew."""

        def write(connection: Connection) -> None:
            connection.execute("INSERT INTO note VALUES (?)", ("x" * 1_000_000,))

        self.successResultOf(self.database.write(write))
        self.assertLess(self.path.stat().st_size, 1_000_000)
        self.successResultOf(self.database.checkpoint())
        self.assertGreater(self.path.stat().st_size, 1_000_000)
        log = self.path.with_name(f"{self.path.name}-wal")
        before = log.stat().st_size
        self.successResultOf(self.database.write(lambda c: c.execute("INSERT INTO note VALUES ('y')").rowcount))
        self.assertEqual(before, log.stat().st_size)

    def test_a_database_that_is_closed_says_so(self) -> None:
        """As every call does."""
        self.successResultOf(Deferred.fromCoroutine(self.database.close()))
        self.failureResultOf(self.database.checkpoint(), JournalClosed)
