"""Appends that are one statement, and those that are a transaction, are the same to everybody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.batch import Batch, Receipts
from lineside.model.event import Event, Receipt, Seq
from lineside.testing.journals import JournalOnFile

EVENTS = st.builds(
    Event,
    st.binary(min_size=1, max_size=3),
    key=st.none() | st.sampled_from("abc"),
    device=st.sampled_from(["d1", "d2"]),
    error=st.none() | st.just("json: no object"),
)
APPENDS = st.tuples(st.sampled_from(["gate", "dock"]), st.lists(EVENTS, min_size=1, max_size=3), st.booleans())
"""From which source, what, and whether the disk is slow meanwhile."""


class LoneAppends(SynchronousTestCase):
    """A journal on a file of its own."""

    def setUp(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)

    def append(self, source: str, *events: Event) -> Deferred[list[Receipt]]:
        return Deferred.fromCoroutine(self.file.journal.append(source, list(events)))

    def statements(self) -> list[str]:
        told: list[str] = []
        self.successResultOf(self.file.database.write(lambda c: c.set_trace_callback(told.append)))
        return told

    @settings(deadline=None, max_examples=40)
    @given(st.lists(APPENDS, max_size=9))
    def test_whatever_comes_together_or_alone_is_told_where_it_is(
        self, appends: list[tuple[str, list[Event], bool]]
    ) -> None:
        """What is new is read back under the sequence its sender was told, in order and without a gap."""
        self.begin()
        waiting: list[tuple[str, list[Event], Deferred[list[Receipt]]]] = []
        for source, events, slow in appends:
            self.file.writer.held = slow
            waiting.append((source, events, self.append(source, *events)))
            if not slow:
                self.file.writer.release()
        self.file.writer.release()
        told: dict[Seq, tuple[str, Event]] = {}
        for source, events, appended in waiting:
            receipts: list[Receipt] = self.successResultOf(appended)
            pairs = zip(receipts, events, strict=True)
            told.update((receipt.seq, (source, event)) for receipt, event in pairs if not receipt.repeated)
        self.assertEqual(list(range(1, len(told) + 1)), sorted(told))
        page = self.successResultOf(Deferred.fromCoroutine(self.file.journal.read(Seq(0), limit=99)))
        self.assertEqual(told, {record.seq: (record.source, record.event) for record in page.records})
        self.assertEqual(len(told), self.file.journal.head)

    def test_a_lone_append_is_one_statement(self) -> None:
        """Where nothing but events of a known source is to be stored; what has a key takes a transaction."""
        self.append("gate", Event(b"first"))
        self.append("gate", Event(b"second"))
        told = self.statements()
        self.append("gate", Event(b"third"), Event(b"fourth"))
        self.assertEqual(1, sum(not statement.startswith("COMMIT") for statement in told))
        self.assertNotIn("BEGIN IMMEDIATE", told)
        self.append("gate", Event(b"fifth", key="k"))
        self.assertIn("BEGIN IMMEDIATE", told)

    def test_a_lone_append_that_fails_is_told_so_and_leaves_nothing(self) -> None:
        """The next one takes its place in the sequence."""
        for _ in range(2):
            self.append("gate", Event(b"{}"))
        refuse = "CREATE TEMP TRIGGER refuse BEFORE INSERT ON segment BEGIN SELECT RAISE(ABORT, 'no room'); END"
        self.successResultOf(self.file.database.write(lambda c: c.execute(refuse).rowcount))
        failure = self.failureResultOf(self.append("gate", Event(b"lost")))
        self.assertEqual("no room", failure.getErrorMessage())
        self.successResultOf(self.file.database.write(lambda c: c.execute("DROP TRIGGER refuse").rowcount))
        [receipt] = self.successResultOf(self.append("gate", Event(b"stored")))
        self.assertEqual(3, receipt.seq)

    def test_who_appends_may_keep_the_receipts_in_the_same_transaction(self) -> None:
        """What is noted of them is stored with the events, or neither is."""
        self.successResultOf(self.file.database.write(lambda c: c.execute("CREATE TABLE noted (first, count)")))

        def note(connection: Connection, receipts: list[Receipts]) -> None:
            connection.executemany(
                "INSERT INTO noted VALUES (?, ?)", [(each.first, each.count) for each in receipts]
            )

        def fail(connection: Connection, receipts: list[Receipts]) -> None:
            note(connection, receipts)
            raise OSError("no room")

        def append(noted: Callable[[Connection, list[Receipts]], None]) -> Deferred[list[Receipts]]:
            batch = Batch([b"one", b"two"])
            return Deferred.fromCoroutine(self.file.journal.append_batches("gate", [batch], note=noted))

        self.append("gate", Event(b"first"))
        told = self.successResultOf(append(note))
        self.failureResultOf(append(fail), OSError)
        rows = self.successResultOf(self.file.database.read(lambda c: c.execute("SELECT * FROM noted").fetchall()))
        self.assertEqual([(told[0].first, 2)], rows)
        self.assertEqual((2, 3), (told[0].first, self.file.journal.head))
