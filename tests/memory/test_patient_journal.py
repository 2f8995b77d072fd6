"""Lines of devices that get no answers, while the disk refuses them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.lines.patience import AGAIN, PatientJournal
from lineside.model.batch import Batch, Receipts
from lineside.model.event import Event, Receipt, Seq
from lineside.testing.journals import JournalOnFile


class PatienceCase(SynchronousTestCase):
    """A journal on a file whose disk is full when the test says so."""

    def setUp(self) -> None:
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.clock = Clock()
        self.logged = self.enterContext(capturedLogs())
        self.patient = PatientJournal("scale", self.file.journal, self.clock)
        self.successResultOf(Deferred.fromCoroutine(self.patient.start()))

    def fill_disk(self) -> None:
        """Let every commit fail from now on."""
        self.sql(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON segment BEGIN "
            "SELECT RAISE(ROLLBACK, 'database or disk is full'); END"
        )

    def free_disk(self) -> None:
        """Let commits work again."""
        self.sql("DROP TRIGGER full")

    def sql(self, statement: str) -> None:
        self.successResultOf(self.file.database.write(lambda connection: connection.execute(statement)))

    def append(self, *bodies: bytes) -> Deferred[list[Receipts]]:
        batch = Batch(list(bodies))
        return Deferred.fromCoroutine(self.patient.append_batches("scale", [batch]))

    def bodies(self) -> list[bytes]:
        page = self.successResultOf(
            Deferred.fromCoroutine(self.patient.read(Seq(0), sources=frozenset({"scale"}), limit=100))
        )
        return [record.event.body for record in page.records]

    def events(self) -> list[object]:
        return [event.get("log_format") for event in self.logged]

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.patient.stop())


class Waiting(PatienceCase):
    """What is refused is not lost."""

    def test_a_disk_that_works_makes_no_difference(self) -> None:
        """Receipts come at once, for batches and for single events."""
        [receipts] = self.successResultOf(self.append(b"1", b"2"))
        self.assertEqual((1, 2), (receipts.first, receipts.count))
        one = Deferred.fromCoroutine(self.patient.append("scale", [Event(b"3")]))
        self.assertEqual([Receipt(Seq(3), repeated=False)], self.successResultOf(one))
        self.assertEqual([b"1", b"2", b"3"], self.bodies())

    def test_what_a_full_disk_refuses_is_stored_when_there_is_room(self) -> None:
        """In the order in which it came, each with its own receipts; the alarm is raised once, and its end told."""
        self.fill_disk()
        first, second = self.append(b"1", b"2"), self.append(b"3")
        for _ in range(5):
            self.clock.advance(AGAIN)
        self.assertNoResult(first)
        third = self.append(b"4")
        self.assertEqual("cannot store: database or disk is full", self.patient.problem)
        self.free_disk()
        self.clock.advance(AGAIN)
        firsts = [self.successResultOf(each)[0].first for each in (first, second, third)]
        self.assertEqual([1, 3, 4], firsts)
        self.assertEqual([b"1", b"2", b"3", b"4"], self.bodies())
        self.assertEqual(["journal.cannot_write", "journal.writes_again"], self.events())
        self.assertIsNone(self.patient.problem)

    def test_what_comes_while_the_disk_works_is_stored_together(self) -> None:
        """A slow disk is asked once for all that waits, not once for each turn."""
        self.file.writer.held = True
        appended = [self.append(b"%d" % number) for number in range(10)]
        self.file.writer.release()
        self.assertEqual(list(range(1, 11)), [self.successResultOf(each)[0].first for each in appended])

    def test_another_error_is_told_to_those_it_concerns(self) -> None:
        """An error of Lineside's own is not waited out, and those who come later are not held up by it."""
        works = self.file.journal.append_batches

        async def stumble_once(source: str, batches: list[Batch]) -> list[Receipts]:
            self.file.journal.append_batches = works  # type: ignore[method-assign]
            raise ValueError("not of the disk")

        self.file.journal.append_batches = stumble_once  # type: ignore[method-assign,assignment]
        self.failureResultOf(self.append(b"1"), ValueError)
        self.successResultOf(self.append(b"2"))


class Stopping(PatienceCase):
    """The gateway stops while lines wait."""

    def test_what_can_be_stored_is_stored(self) -> None:
        """Stopping does not wait for the next attempt: it makes it."""
        self.fill_disk()
        appended = self.append(b"1")
        self.free_disk()
        self.successResultOf(self.stop())
        self.successResultOf(appended)
        self.assertEqual([b"1"], self.bodies())

    def test_what_is_lost_is_said(self) -> None:
        """With a disk that still refuses, the log has how many lines are gone; nobody hears "stored"."""
        self.fill_disk()
        appended = self.append(b"1", b"2")
        self.successResultOf(self.stop())
        self.failureResultOf(appended, sqlite3.Error)
        [lost] = [event for event in self.logged if event.get("log_format") == "lines.lost"]
        self.assertEqual((2, "scale"), (lost["lines"], lost["source"]))
        self.free_disk()
        self.assertEqual([], self.bodies())

    def test_nothing_is_waited_for_where_nothing_waits(self) -> None:
        """The usual end."""
        self.successResultOf(self.append(b"1"))
        self.successResultOf(self.stop())
        self.assertEqual([], self.clock.getDelayedCalls())
