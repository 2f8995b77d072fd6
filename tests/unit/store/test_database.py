"""Writes in groups, each with its own fate."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.errors import JournalClosed, JournalUnusable
from lineside.store.commits import Commits, Write
from lineside.store.database import Database
from lineside.store.migrations import Component
from lineside.testing.workers import HeldWorker, call_at_once

NOTES = Component("notes", (("CREATE TABLE note (text TEXT UNIQUE)",),))


class BrokenDisk(sqlite3.Connection):
    """A connection that neither commits nor undoes while ``broken``."""

    broken = False

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if self.broken and sql in {"COMMIT", "ROLLBACK"}:
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *parameters)


class CommitTests(SynchronousTestCase):
    """One transaction for a group."""

    def test_a_disk_that_cannot_even_undo_stops_nothing_for_good(self) -> None:
        """What fails is told to the callers; once the disk works again writes do too, and nothing half is left."""
        disk = sqlite3.connect(":memory:", factory=BrokenDisk, isolation_level=None)
        self.addCleanup(disk.close)
        disk.execute("CREATE TABLE note (text TEXT)")
        commits = Commits(disk)

        def note(text: str) -> list[Any]:
            return commits.carry_out([Write(lambda c: c.execute("INSERT INTO note VALUES (?)", (text,)).rowcount)])

        disk.broken = True
        self.assertIsInstance(note("lost")[0], Failure)
        self.assertIsInstance(note("lost too")[0], Failure)
        disk.broken = False
        self.assertIsInstance(note("clears up")[0], Failure)
        self.assertEqual([1], note("kept"))
        self.assertEqual([("kept",)], disk.execute("SELECT text FROM note").fetchall())


class DatabaseTests(SynchronousTestCase):
    """Group commit."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.workers: list[HeldWorker] = []

        def worker(name: str) -> HeldWorker:
            self.workers.append(HeldWorker(name))
            return self.workers[-1]

        self.database = Database(self.path, (NOTES,), call_at_once, worker=worker)
        self.successResultOf(Deferred.fromCoroutine(self.database.open()))
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(self.database.close())))

    def note(self, text: str) -> Deferred[object]:
        return self.database.write(lambda c: c.execute("INSERT INTO note VALUES (?)", (text,)).rowcount)

    def notes(self) -> list[str]:
        rows = self.successResultOf(self.database.read(lambda c: c.execute("SELECT text FROM note").fetchall()))
        return [text for (text,) in rows]

    def test_a_write_that_fails_is_undone_alone(self) -> None:
        """Of a group, the one that breaks a rule fails; the others are stored."""
        self.workers[0].held = True
        first, second, third = self.note("a"), self.note("a"), self.note("b")
        self.workers[0].release()
        self.successResultOf(first)
        self.failureResultOf(second, sqlite3.IntegrityError)
        self.successResultOf(third)
        self.assertEqual(["a", "b"], self.notes())

    def test_commits_are_synced(self) -> None:
        """The file is in WAL mode and every commit is synced: what is acknowledged survives a power cut."""
        facts = self.successResultOf(
            self.database.write(
                lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
            )
        )
        self.assertEqual(["wal", 2], facts)

    def test_a_read_sees_no_half_of_a_group(self) -> None:
        """Readers have their own connection and see commits only."""
        self.workers[0].held = True
        self.note("a")
        self.assertEqual([], self.notes())
        self.workers[0].release()
        self.assertEqual(["a"], self.notes())

    def test_the_file_is_its_owner_s_alone(self) -> None:
        """Payloads are nobody else's business: the file and its log are made with mode 0600."""
        self.successResultOf(self.note("a"))
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            self.assertEqual(0o600, path.stat().st_mode & 0o777)

    def test_a_reader_cannot_write(self) -> None:
        """Work on the reader's connection that changes something is an error."""
        failing = self.database.read(lambda c: c.execute("INSERT INTO note VALUES ('x')"))
        self.failureResultOf(failing, sqlite3.OperationalError)

    def test_each_thread_answers_when_its_work_is_done(self) -> None:
        """An echo comes from behind what is queued; a thread that is stuck is told from one that is not."""
        self.workers[0].held = True
        queued = self.note("a")
        echo = self.database.echo()
        self.assertEqual(["journal-writer", "journal-reader"], [*echo])
        self.successResultOf(echo["journal-reader"])
        self.assertNoResult(echo["journal-writer"])
        self.workers[0].release()
        self.successResultOf(queued)
        self.successResultOf(echo["journal-writer"])

    def test_a_disk_that_refuses_is_no_thread_that_is_stuck(self) -> None:
        """A write that fails is an answer: the echo behind it comes."""
        self.note("a")
        failing = self.note("a")
        self.successResultOf(self.database.echo()["journal-writer"])
        self.failureResultOf(failing, sqlite3.IntegrityError)

    def test_a_closed_database_has_no_threads_to_ask(self) -> None:
        """Nobody waits for an answer that cannot come."""
        self.successResultOf(Deferred.fromCoroutine(self.database.close()))
        self.assertEqual({}, self.database.echo())

    def test_what_comes_after_the_end_fails_at_once(self) -> None:
        """Nobody waits for ever for a database that is closed; and closing it again does nothing."""
        self.successResultOf(self.note("kept"))
        self.successResultOf(Deferred.fromCoroutine(self.database.close()))
        for late in (self.note("late"), self.database.read(lambda c: None)):
            failure = self.failureResultOf(late, JournalClosed)
            self.assertEqual(f"the journal {self.path} is not open", str(failure.value))
        self.successResultOf(Deferred.fromCoroutine(self.database.close()))
        self.successResultOf(Deferred.fromCoroutine(self.database.open()))
        self.assertEqual(["kept"], self.notes())

    def test_what_is_queued_before_the_end_is_stored(self) -> None:
        """Closing waits for the writes that were asked for."""
        self.workers[0].held = True
        queued = self.note("queued")
        closing = Deferred.fromCoroutine(self.database.close())
        self.assertNoResult(closing)
        self.workers[0].release()
        self.successResultOf(queued)
        self.successResultOf(closing)

    def test_a_file_that_cannot_be_migrated_is_let_go(self) -> None:
        """Of a start that failed nothing is left: neither the lock nor an open file."""
        self.successResultOf(Deferred.fromCoroutine(self.database.close()))
        broken = Component("broken", (("CREATE TABLE broken (",),))
        other = Database(self.path, (NOTES, broken), call_at_once, worker=HeldWorker)
        for _ in range(2):
            failure = self.failureResultOf(Deferred.fromCoroutine(other.open()), JournalUnusable)
            self.assertEqual(f"cannot open {self.path}: incomplete input", str(failure.value))
        self.assertEqual([], files_open_at(self.path.absolute()))

    def test_damage_is_told_with_its_remedy(self) -> None:
        """Whoever meets the broken page, to read or to write, gets a line that says what to do."""
        for number in range(100):
            self.note(f"{number} {'x' * 1000}")
        (root,) = self.successResultOf(
            self.database.read(
                lambda c: c.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'note'").fetchone()
            )
        )
        self.successResultOf(Deferred.fromCoroutine(self.database.close()))
        with self.path.open("r+b") as file:
            file.seek((root - 1) * 4096)
            file.write(b"\xa5" * 4096)
        self.successResultOf(Deferred.fromCoroutine(self.database.open()))
        for work in (self.note("new"), self.database.read(lambda c: c.execute("SELECT * FROM note").fetchall())):
            failure = self.failureResultOf(work, JournalUnusable)
            self.assertEqual(
                f"{self.path} is damaged (database disk image is malformed): `lineside journal check` says where, "
                "`lineside journal restore` puts a backup back, as the guide Operations shows",
                str(failure.value),
            )


def files_open_at(path: Path) -> list[str]:
    """Return which files of this process begin with a path."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(descriptor.readlink()))
    return [link for link in links if link.startswith(str(path))]
