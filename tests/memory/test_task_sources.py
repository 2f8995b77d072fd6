"""What tasks bring in: documents become events of a source, with its key, its device and its traffic."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal.log import SqliteJournal
from lineside.journal.tables import JOURNAL
from lineside.journal.watched import WatchedJournal
from lineside.model.errors import SourcePaused
from lineside.model.event import Event, Seq
from lineside.model.traffic import Traffic
from lineside.store.database import Database
from lineside.tasks.sources import LARGEST, TOGETHER, NoSource, TaskSource, TaskSources
from lineside.testing.workers import HeldWorker, call_at_once
from lineside.wire.jsonl import JsonLines

T = TypeVar("T")


class Appending(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.database = Database(Path(self.mktemp()) / "journal.db", (JOURNAL,), call_at_once, worker=HeldWorker)
        self.now(self.database.open())
        self.addCleanup(lambda: self.now(self.database.close()))
        self.journal = SqliteJournal(self.database)
        self.now(self.journal.open())
        self.traffic = Traffic(0.0)
        self.watched = WatchedJournal(self.journal, self.traffic, self.clock, lambda: 0)
        way = TaskSource(self.watched, JsonLines("order", "dock"))
        self.sources = TaskSources({"found": way}, {"gate"})

    def now(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def fails(self, kind: type[Exception], *args: Any, **more: Any) -> str:
        return str(self.failureResultOf(Deferred.fromCoroutine(self.sources.append(*args, **more)), kind).value)

    def events(self) -> list[Event]:
        return [record.event for record in self.now(self.journal.read(Seq(0), limit=10_000)).records]

    def test_a_document_becomes_an_event(self) -> None:
        """It is stored when the call returns, under the key and of the device that the source's fields say."""
        [receipt] = self.now(self.sources.append("found", [{"order": "SO-1", "dock": "north", "Größe": 2}]))
        [event] = self.events()
        self.assertEqual({"order": "SO-1", "dock": "north", "Größe": 2}, json.loads(event.body))
        self.assertEqual(("SO-1", "north"), (event.key, event.device))
        self.assertFalse(receipt.repeated)

    def test_a_run_that_begins_anew_makes_no_second_event(self) -> None:
        """What has a known key gets its first sequence again; only what is new is counted."""
        first = self.now(self.sources.append("found", [{"order": "SO-1"}, {"order": "SO-2"}]))
        again = self.now(self.sources.append("found", [{"order": "SO-1"}, {"order": "SO-2"}, {"order": "SO-3"}]))
        self.assertEqual([receipt.seq for receipt in first], [receipt.seq for receipt in again[:2]])
        self.assertEqual([True, True, False], [receipt.repeated for receipt in again])
        self.assertEqual((3, 3), (len(self.events()), self.sources.received["found"]))

    def test_a_task_may_give_the_keys(self) -> None:
        """They take the place of the source's field; None leaves it to that."""
        self.now(self.sources.append("found", [{"order": "a"}, {"order": "b"}], keys=["k", None]))
        self.assertEqual(["k", "b"], [event.key for event in self.events()])
        self.assertIn("2 documents and 1 keys", self.fails(ValueError, "found", [{}, {}], keys=["k"]))

    def test_is_seen_like_every_other_source(self) -> None:
        """Its events count in the source's traffic, its device is known, and a pause holds it."""
        self.clock.advance(10)
        self.now(self.sources.append("found", [{"order": "SO-1", "dock": "north"}]))
        self.assertEqual(10.0, self.traffic.heard)
        self.assertEqual(["north"], [device.name for device in self.traffic.newest()])
        self.watched.pause(True)
        self.assertIn("lineside resume source found", self.fails(SourcePaused, "found", [{"order": "SO-2"}]))
        self.assertEqual(1, len(self.events()))

    def test_says_which_sources_there_are(self) -> None:
        """A name that is none, and a source of devices, are errors that say what to do."""
        self.assertEqual('there is no source "fuond"; did you mean "found"?', self.fails(NoSource, "fuond", []))
        self.assertIn("is of another type", self.fails(NoSource, "gate", [{"order": "SO-1"}]))
        self.sources = TaskSources({})
        self.assertIn('add one with type = "tasks"', self.fails(NoSource, "found", []))

    def test_a_bad_document_leaves_nothing_half_done(self) -> None:
        """What JSON cannot hold, or no event may be, is told by its place, and none is stored."""
        deep: Any = {}
        for _ in range(2_000):
            deep = {"deep": deep}
        for bad in ({"qty": float("nan")}, {"what": object()}, deep, {"text": "x" * LARGEST}):
            documents = [{"order": f"SO-{place}"} for place in range(TOGETHER)] + [bad]
            self.assertIn(f"document {TOGETHER + 1} ", self.fails(ValueError, "found", documents))
        self.assertEqual([], self.events())

    def test_takes_what_programs_have(self) -> None:
        """A moment is stored as its text, and nothing to append is no error."""
        self.now(self.sources.append("found", [{"at": datetime(2026, 3, 4, 9, tzinfo=UTC)}]))
        self.assertEqual([], self.now(self.sources.append("found", [])))
        self.assertEqual([{"at": "2026-03-04T09:00:00Z"}], [json.loads(event.body) for event in self.events()])

    def test_many_are_stored_in_order(self) -> None:
        """More than one transaction's worth keeps its order."""
        count = 2 * TOGETHER + 1
        receipts = self.now(self.sources.append("found", [{"order": number} for number in range(count)]))
        self.assertEqual(sorted(receipt.seq for receipt in receipts), [receipt.seq for receipt in receipts])
        self.assertEqual([str(number) for number in range(count)], [event.key for event in self.events()])
