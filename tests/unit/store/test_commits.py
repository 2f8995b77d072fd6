"""What becomes of a group whose commit fails, and of those after it."""

from __future__ import annotations

import sqlite3
from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.errors import CommitInDoubt
from lineside.store.commits import Commits, Write


class FailingDisk(sqlite3.Connection):
    """A connection whose next commits fail; it remembers what it was told."""

    failures = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.told: list[str] = []

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self.told.append(sql)
        if sql == "COMMIT" and self.failures:
            self.failures -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *parameters)


class CommitsTests(SynchronousTestCase):
    """One connection, on a disk that fails now and then."""

    def setUp(self) -> None:
        self.disk = sqlite3.connect(":memory:", factory=FailingDisk, isolation_level=None)
        self.addCleanup(self.disk.close)
        self.disk.execute("CREATE TABLE note (text TEXT)")
        self.commits = Commits(self.disk)
        self.worked: list[str] = []

    def note(self, text: str) -> Any:
        def work(connection: sqlite3.Connection) -> int:
            self.worked.append(text)
            return connection.execute("INSERT INTO note VALUES (?)", (text,)).rowcount

        [outcome] = self.commits.carry_out([Write(work)])
        return outcome.value if isinstance(outcome, Failure) else outcome

    def test_one_that_failed_is_written_over_at_once(self) -> None:
        """The next transaction in the log is there before anybody is told that nothing was stored."""
        self.disk.failures = 1
        failed = self.note("refused")
        self.assertEqual("disk I/O error", str(failed))
        self.assertNotIsInstance(failed, CommitInDoubt)
        self.assertEqual(["BEGIN IMMEDIATE", "PRAGMA user_version = 0", "COMMIT"], self.disk.told[-3:])
        self.assertEqual(1, self.note("stored"))

    def test_one_that_cannot_be_written_over_is_in_doubt(self) -> None:
        """Whoever waits is told that nobody knows, with the disk's own words."""
        self.disk.failures = 2
        failed = self.note("in doubt")
        self.assertIsInstance(failed, CommitInDoubt)
        self.assertEqual(
            "disk I/O error, in the middle of a commit: what it held may be stored or not", str(failed)
        )

    def test_nothing_is_written_behind_what_is_in_doubt(self) -> None:
        """Until it is written over, others fail before their work is begun, and so are surely not stored."""
        self.disk.failures = 3
        self.note("in doubt")
        failed = self.note("refused")
        self.assertNotIsInstance(failed, CommitInDoubt)
        self.assertEqual(["in doubt"], self.worked)
        self.assertEqual(1, self.note("stored"))
        self.assertEqual([("stored",)], self.disk.execute("SELECT text FROM note").fetchall())

    def test_a_disk_that_works_writes_nothing_more(self) -> None:
        """One transaction for each group."""
        self.note("stored")
        self.note("stored too")
        self.assertEqual(2, self.disk.told.count("COMMIT"))


class AloneTests(CommitsTests):
    """A write that can be done in a single statement."""

    def note(self, text: str) -> Any:
        def alone(connection: sqlite3.Connection) -> bool:
            self.assertFalse(connection.in_transaction)
            self.worked.append(text)
            # What fails in a commit fails within the statement here.
            if self.disk.failures:
                self.disk.failures -= 1
                raise sqlite3.OperationalError("disk I/O error")
            connection.execute("INSERT INTO note VALUES (?)", (text,))
            return True

        [outcome] = self.commits.carry_out([Write(lambda _: self.fail("it was done"), alone)])
        return outcome.value if isinstance(outcome, Failure) else 1

    def test_a_disk_that_works_writes_nothing_more(self) -> None:
        """One statement, which is a transaction by itself."""
        self.disk.told.clear()
        self.note("stored")
        self.assertEqual(["INSERT INTO note VALUES (?)"], self.disk.told)

    def test_what_takes_more_is_done_in_a_transaction(self) -> None:
        """One that says that a statement is not enough is carried out as any other, with its own result."""
        work = Write(lambda connection: connection.in_transaction, lambda _: False)
        self.assertEqual([True], self.commits.carry_out([work]))

    def test_several_share_a_transaction(self) -> None:
        """Then none of them is alone."""

        def never(connection: sqlite3.Connection) -> bool:
            raise AssertionError

        works = [Write(lambda connection: connection.in_transaction, never) for _ in range(2)]
        self.assertEqual([True, True], self.commits.carry_out(works))
