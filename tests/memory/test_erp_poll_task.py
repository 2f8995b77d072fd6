"""The built-in task erp-poll against the stand-in: each change becomes one event, whatever becomes of a run."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec
from tests.rig.task_context import Kept, context_of
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.gate import Gate
from lineside.edges.frappe.client import FrappeClient
from lineside.edges.frappe.polltask import ErpPoll, ErpPollParams, Found
from lineside.edges.frappe.target import FrappeTarget
from lineside.journal.watched import WatchedJournal
from lineside.model.errors import SourcePaused
from lineside.model.event import NO_SEQ, Record
from lineside.model.traffic import Traffic
from lineside.standin.authentication import Credentials
from lineside.standin.documents import memory_documents
from lineside.standin.faults import FaultKnobs
from lineside.standin.settings import SiteSettings
from lineside.standin.site import make_site
from lineside.tasks.erp import ErpRefused
from lineside.tasks.sources import NoSource, TaskSource, TaskSources
from lineside.testing.journals import JournalOnFile
from lineside.wire.jsonl import JsonLines

T = TypeVar("T")
BEGUN = datetime(2026, 3, 9, 8, 0, tzinfo=UTC)


class Polling(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.ahead = timedelta()
        self.documents = memory_documents(now=self.site_time, time_zone="UTC", random=Random(1))
        self.faults = FaultKnobs(Random(1))
        self.settings = SiteSettings()
        site = make_site(
            self.clock, self.documents, self.faults, Credentials("key", "secret"), settings=self.settings
        )
        self.agent = RequestTraversalAgent(site.resource)
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.start()
        self.kept = Kept()

    def site_time(self) -> datetime:
        """The site's clock, naive; it takes a microsecond to look at it."""
        self.ahead += timedelta(microseconds=1)
        return (BEGUN + timedelta(seconds=self.clock.seconds()) + self.ahead).replace(tzinfo=None)

    def start(self) -> None:
        """Start the gateway."""
        client = FrappeClient(self.clock, "http://erp.example", "key", "secret", agent=self.agent)
        self.gate = Gate("erp", FrappeTarget(client), self.clock, Random(1), concurrency=4)
        self.journal = WatchedJournal(self.file.journal, Traffic(0.0), self.clock, lambda: 0)
        self.sources = TaskSources({"todos": TaskSource(self.journal, JsonLines(None, "status"))}, {"gate"})
        self.poll = ErpPoll(
            client,
            self.gate,
            self.sources,
            self.file.database,
            Random(1),
            lambda: BEGUN.timestamp() + self.clock.seconds(),
        )

    def restart(self) -> None:
        """Begin as a new process does: only what was committed is left."""
        self.file.restart()
        self.start()

    def now(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def begin(self, **params: Any) -> Deferred[Found]:
        given = {"doctype": "ToDo", "into": "todos", "begin": "all", "fields": ["description", "status"], **params}
        asked = msgspec.convert(given, ErpPollParams)
        return Deferred.fromCoroutine(self.poll.run(context_of(asked, self.clock, self.kept)))

    def look(self, **params: Any) -> int:
        """Return how many events a run finds."""
        return self.successResultOf(self.begin(**params)).events

    def change_site(self, work: Any) -> Any:
        return self.successResultOf(self.documents.write(work))

    def make(self, description: str) -> str:
        given = {"description": description}
        return str(self.change_site(lambda records: records.insert("ToDo", given, "Administrator"))["name"])

    def close(self, name: str) -> None:
        self.change_site(lambda records: records.update("ToDo", name, {"status": "Closed"}, "Administrator"))

    def records(self) -> list[Record]:
        return self.now(self.file.journal.read(NO_SEQ, limit=1000)).records

    def descriptions(self) -> list[str]:
        return [json.loads(record.event.body)["description"] for record in self.records()]


class Finding(Polling):
    """What a run takes."""

    def test_each_change_is_one_event(self) -> None:
        """A run takes what is new, the next one what is new since, and one that finds nothing takes nothing."""
        first = self.make("a")
        self.make("b")
        self.assertEqual((2, 0), (self.look(), self.look()))
        self.close(first)
        self.make("c")
        self.assertEqual((2, 0), (self.look(), self.look()))
        self.assertEqual(["a", "b", "a", "c"], self.descriptions())
        self.assertEqual(["Open", "Open", "Closed", "Open"], [record.event.device for record in self.records()])
        self.assertEqual(4, self.sources.received["todos"])

    def test_begins_with_what_is_to_come_where_that_is_wanted(self) -> None:
        """What was there before is known, and not taken."""
        self.make("old")
        self.assertEqual(0, self.look(begin="new"))
        self.make("new")
        self.assertEqual((1, ["new"]), (self.look(begin="new"), self.descriptions()))

    def test_asks_for_those_that_the_filters_say(self) -> None:
        """Other documents are none of its business."""
        self.close(self.make("done"))
        self.make("open")
        self.assertEqual(1, self.look(filters=[["status", "=", "Open"]]))
        self.assertEqual(["open"], self.descriptions())

    def test_tells_how_many_it_has(self) -> None:
        """After each batch a person sees how far it is."""
        for number in range(5):
            self.make(str(number))
        self.look(batch=2)
        self.assertEqual([2, 4, 5], [done for done, _, _ in self.kept.progress])

    def test_each_doctype_and_source_has_a_place_of_its_own(self) -> None:
        """A run with other parameters does not take the progress of another for its own."""
        self.make("a")
        self.look()
        self.change_site(lambda records: records.insert("Item Group", {"item_group_name": "g"}, "Administrator"))
        self.assertGreaterEqual(self.look(doctype="Item Group", fields=[]), 1)
        self.assertEqual(0, self.look())


class Dying(Polling):
    """A run that does not come to its end."""

    def test_killed_before_the_commit_it_takes_all_again(self) -> None:
        """The place is never ahead of the events: what was not stored is found by the next process."""
        for number in range(4):
            self.make(str(number))
        self.file.writer.held = True
        killed = self.begin(batch=2)
        self.assertNoResult(killed)
        self.file.writer._queue.clear()
        self.file.writer.held = False
        self.restart()
        self.assertEqual(4, self.look(batch=2))
        self.assertEqual(["0", "1", "2", "3"], self.descriptions())

    def test_killed_after_a_commit_it_makes_no_second_event(self) -> None:
        """What was stored without the run's knowing is known to the next one."""
        for number in range(4):
            self.make(str(number))
        self.look(batch=2)
        self.make("late")
        self.file.writer.held = True
        killed = self.begin(batch=2)
        self.assertNoResult(killed)
        # The transaction was on its way: it is committed after all.
        self.file.writer.release()
        self.restart()
        self.assertEqual(0, self.look(batch=2))
        self.assertEqual(["0", "1", "2", "3", "late"], self.descriptions())

    def test_cancelled_it_ends_when_its_commit_has(self) -> None:
        """A run that begins at once must not look before that, or it would bring the same again."""
        self.look()
        self.make("a")
        self.file.writer.held = True
        cancelled, next_one = self.begin(), self.begin()
        cancelled.cancel()
        self.assertNoResult(cancelled)
        self.file.writer.release()
        self.failureResultOf(cancelled, CancelledError)
        self.assertEqual(0, self.successResultOf(next_one).events)
        self.assertEqual(["a"], self.descriptions())

    def test_two_at_a_time_find_nothing_twice(self) -> None:
        """A second run of the same task waits for the first, and finds what is new since."""
        self.make("a")
        self.file.writer.held = True
        first, second = self.begin(), self.begin()
        self.file.writer.release()
        self.assertEqual((1, 0), (self.successResultOf(first).events, self.successResultOf(second).events))

    def test_a_source_that_is_paused_loses_nothing(self) -> None:
        """The run fails with the reason, and a later one takes what it left."""
        self.make("a")
        self.journal.pause(True)
        self.failureResultOf(self.begin(), SourcePaused)
        self.journal.pause(False)
        self.assertEqual(1, self.look())


class Away(Polling):
    """The site does not answer, or not so."""

    def test_waits_for_a_site_that_is_away(self) -> None:
        """It says what it waits for, and goes on where it was."""
        self.make("a")
        self.look()
        self.make("b")
        self.settings.turn({"maintenance_mode": True})
        run = self.begin()
        self.clock.pump([1.0] * 5)
        self.assertNoResult(run)
        self.assertIn("waits for the site", str(self.kept.progress[-1][2]))
        self.settings.turn({"maintenance_mode": False})
        self.clock.pump([1.0] * 60)
        self.assertEqual(1, self.successResultOf(run).events)

    def test_fails_where_asking_again_is_of_no_use(self) -> None:
        """A DocType that is none is told with what to do."""
        told = self.failureResultOf(self.begin(doctype="ToDoo"), ErpRefused).getErrorMessage()
        self.assertIn("check the poll's fields and filters", told)

    def test_fails_at_once_where_nothing_takes_the_events(self) -> None:
        """The site is not asked for what would be lost."""
        self.failureResultOf(self.begin(into="gate"), NoSource)
        self.failureResultOf(self.begin(into="nowhere"), NoSource)
