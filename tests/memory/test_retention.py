"""What leaves the journal, what stays, and when it takes no more: on a real file, without threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from sqlite3 import Connection
from typing import Any, cast
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal import capacity, consumers, deadletters
from lineside.journal.capacity import HighWater, Keeping, Usage
from lineside.journal.consumer import DurableConsumer
from lineside.journal.deadletters import DeadLetter
from lineside.journal.removal import survey
from lineside.journal.retention import DOUBT, LOOK_EVERY, REST, SWEEP_EVERY, Retention
from lineside.model.errors import JournalFull, NotFound
from lineside.model.event import Event, Receipt, Seq
from lineside.model.outcome import Delivered, Outcome, Refused, Retry
from lineside.model.ports import ConsumerSpec
from lineside.operations.events import EventOperations
from lineside.operations.requests import ShowEvent
from lineside.testing.journals import JournalOnFile

DAY = 86_400
MB = 1_000_000


class RetentionCase(SynchronousTestCase):
    """A journal, a wall clock and a monotonic one, and a disk with as much room as the test says."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wall = 1_000.0 * DAY
        self.disk_free: int | None = None
        self.file = JournalOnFile(Path(self.mktemp()), self.now_ns)
        self.addCleanup(self.file.close)
        self.events: list[dict[str, Any]] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        measure = capacity.measure
        self.patch(capacity, "measure", lambda connection: self.measured(measure(connection)))

    def measured(self, usage: Usage) -> Usage:
        free = usage.disk_free if self.disk_free is None else self.disk_free
        return Usage(usage.size, usage.used, free, usage.disk_size)

    def now_ns(self) -> int:
        return int(self.wall * 1e9)

    def done(self, work: Any) -> Any:
        return self.successResultOf(work if isinstance(work, Deferred) else Deferred.fromCoroutine(work))

    def told(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("log_format") == name]

    def pass_time(self, seconds: float) -> None:
        """Let both clocks go on, and the retention with them."""
        self.wall += seconds
        self.clock.advance(seconds)
        # Its steps rest in between; with a stopwatch that stands still it needs few.
        for _ in range(5):
            self.wall += REST
            self.clock.advance(REST)

    def append(self, number: int = 1, source: str = "gate", size: int = 2, key: str | None = None) -> list[Receipt]:
        body = b'"' + b"x" * (size - 2) + b'"'
        return self.done(self.file.journal.append(source, [Event(body, key=key)] * number))  # type: ignore[no-any-return]

    def consumer(self, name: str = "route", sources: frozenset[str] = frozenset({"gate"})) -> DurableConsumer:
        spec = ConsumerSpec(id=name, sources=sources, accepts=lambda record: True, order_key=lambda record: None)
        consumer = DurableConsumer(spec, self.file.journal, self.file.database, self.clock, now_ns=self.now_ns)
        self.done(consumer.open())
        return consumer

    def settle(self, consumer: DurableConsumer, number: int, outcome: Outcome | None = None) -> None:
        while number > 0:
            pulled = self.done(consumer.pull(number))
            done = [(pending, outcome or Delivered(f"D{pending.record.seq}")) for pending in pulled]
            self.done(consumer.settle(done))
            number -= len(pulled)
            self.assertTrue(pulled)

    def retention(
        self,
        keeping: Keeping,
        consumers: Mapping[str, DurableConsumer] | None = None,
        *,
        stopwatch: Callable[[], float] = lambda: 0.0,
    ) -> Retention:
        """Start a retention for the routes that are configured."""
        routes = consumers or {}
        retention = Retention(
            self.file.journal,
            self.file.database,
            self.clock,
            keeping,
            sources={name: consumer.spec.sources for name, consumer in routes.items()},
            floors=lambda: {name: consumer.floor for name, consumer in routes.items()},
            now_ns=self.now_ns,
            stopwatch=stopwatch,
        )
        self.done(retention.start())
        self.addCleanup(lambda: self.done(retention.stop()))
        return retention

    def kept(self) -> list[int]:
        """Return the sequences of what is still there."""
        read = self.file.database.read(
            lambda c: c.execute("SELECT first, last FROM segment ORDER BY first").fetchall()
        )
        return [seq for first, last in self.successResultOf(read) for seq in range(first, last + 1)]

    def rows(self, table: str) -> int:
        def count(connection: Connection) -> int:
            return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])

        return self.successResultOf(self.file.database.read(count))


class Age(RetentionCase):
    """Events that every route has delivered are kept for so long, and no longer."""

    def test_what_is_old_and_settled_goes(self) -> None:
        """Its outcomes go with it, readers are told the new floor, and what is young stays."""
        consumer = self.consumer()
        for _ in range(3):
            self.append()
            self.settle(consumer, 1)
            self.wall += 10 * DAY
        self.append()
        retention = self.retention(Keeping(retain=15 * DAY), {"route": consumer})
        self.pass_time(LOOK_EVERY)
        self.assertEqual([3, 4], self.kept())
        self.assertEqual(1, self.rows("delivered"))
        self.assertEqual(2, retention.removed)
        self.assertEqual(2, self.done(self.file.journal.read(Seq(0), limit=1)).floor)

    def test_what_has_gone_is_said_to_have_gone(self) -> None:
        """Who asks for an event that was removed is told so, and not that there never was one."""
        consumer = self.consumer()
        self.append()
        self.settle(consumer, 1)
        self.wall += 10 * DAY
        self.append()
        self.retention(Keeping(retain=DAY), {"route": consumer})
        self.pass_time(LOOK_EVERY)
        operations = EventOperations(self.file.journal, self.file.database, {}, self.clock)
        shown = Deferred.fromCoroutine(operations.show(ShowEvent(seq=1)))
        self.assertIn("was removed", str(self.failureResultOf(shown, NotFound).value))
        shown = Deferred.fromCoroutine(operations.show(ShowEvent(seq=3)))
        self.assertIn("there is no event 3", str(self.failureResultOf(shown, NotFound).value))

    def test_what_is_owed_stays_however_old(self) -> None:
        """A record that no route has decided on, or that waits for its next attempt, is never removed."""
        consumer = self.consumer()
        for _ in range(4):
            self.append()
        self.settle(consumer, 1)
        self.settle(consumer, 1, Retry("busy", after=1e9))
        self.settle(consumer, 1)
        self.wall += 100 * DAY
        self.append()
        self.retention(Keeping(retain=DAY), {"route": consumer})
        self.pass_time(LOOK_EVERY)
        self.assertEqual([2, 3, 4, 5], self.kept())
        self.file.restart()
        self.assertEqual([2, 4, 5], [pending.record.seq for pending in self.done(self.consumer().pull(10))])

    def test_the_sequence_goes_on_where_everything_was_settled(self) -> None:
        """The last segment stays, so that a sequence is never given twice, across a restart too."""
        consumer = self.consumer()
        self.append(5)
        self.settle(consumer, 5)
        self.retention(Keeping(retain=DAY), {"route": consumer})
        self.pass_time(3 * DAY)
        self.file.restart()
        self.assertEqual([6], [receipt.seq for receipt in self.append()])

    def test_a_dead_letter_outlives_its_segment(self) -> None:
        """What waits for a person is a copy: it is shown and delivered again after the event itself has gone."""
        consumer = self.consumer()
        self.append(1)
        self.settle(consumer, 1, Refused("no", "no"))
        self.wall += 10 * DAY
        self.append(1)
        self.settle(consumer, 1)
        self.retention(Keeping(retain=DAY), {"route": consumer})
        self.pass_time(LOOK_EVERY)
        self.assertEqual([2], self.kept())
        [letter] = self.done(
            self.file.database.read(lambda c: deadletters.page(c, after=0, consumer=None, limit=9))
        )
        self.assertTrue(self.done(consumer.readmit(letter)))
        self.assertEqual([1], [pending.record.seq for pending in self.done(consumer.pull(5))])
        self.done(consumer.close())
        self.file.restart()
        self.assertEqual([1], [pending.record.seq for pending in self.done(self.consumer().pull(5))])

    def test_a_rewind_keeps_dead_letters_whose_events_have_gone(self) -> None:
        """They are the only copies: they wait for a person, who may have them delivered, as before."""
        consumer = self.consumer()
        self.append()
        self.settle(consumer, 1, Refused("no", "no"))
        self.wall += 10 * DAY
        self.append()
        self.settle(consumer, 1, Refused("no", "no"))
        retention = self.retention(Keeping(retain=DAY), {"route": consumer})
        self.pass_time(LOOK_EVERY)
        self.done(retention.stop())
        self.assertEqual([2], self.kept())
        [gone, _] = self.letters()
        self.assertTrue(self.done(consumer.readmit(gone)))
        self.done(consumer.close())
        self.done(self.file.database.write(lambda c: consumers.rewind(c, "route", Seq(0))))
        self.file.restart()
        consumer = self.consumer()
        self.assertEqual([(1, False)], [(letter.record.seq, letter.retrying) for letter in self.letters()])
        self.assertEqual([2], [pending.record.seq for pending in self.done(consumer.pull(5))])
        self.assertTrue(self.done(consumer.readmit(gone)))
        self.assertEqual([1], [pending.record.seq for pending in self.done(consumer.pull(5))])

    def letters(self) -> list[DeadLetter]:
        """Return what waits for a person."""
        read = self.file.database.read(lambda c: deadletters.page(c, after=0, consumer=None, limit=9))
        return self.successResultOf(read)

    def test_a_key_is_known_after_its_event_has_gone(self) -> None:
        """Within the dedupe window a repeat is told its first sequence, and no second event is stored."""
        consumer = self.consumer()
        self.append(key="K")
        self.settle(consumer, 1)
        self.wall += 2 * DAY
        self.append()
        self.settle(consumer, 1)
        self.retention(Keeping(retain=DAY), {"route": consumer})
        self.pass_time(LOOK_EVERY)
        self.assertEqual([2], self.kept())
        self.assertEqual([Receipt(Seq(1), repeated=True)], self.append(key="K"))
        self.assertEqual([2], self.kept())

    def test_a_route_keeps_only_what_its_sources_sent(self) -> None:
        """A route of a quiet source does not keep the busy one's events, though its place lags behind them."""
        busy, quiet = self.consumer("busy"), self.consumer("quiet", frozenset({"shelf"}))
        self.append(1, source="shelf")
        self.settle(quiet, 1)
        for _ in range(3):
            self.append()
            self.settle(busy, 1)
        self.wall += 10 * DAY
        self.append()
        self.retention(Keeping(retain=DAY), {"busy": busy, "quiet": quiet})
        self.pass_time(LOOK_EVERY)
        self.assertEqual([5], self.kept())

    def test_what_a_route_owes_of_a_source_it_no_longer_takes_stays(self) -> None:
        """A record that rests when its source is taken from the route is kept, so that the gateway starts again."""
        before = self.consumer(sources=frozenset({"gate", "shelf"}))
        self.append()
        self.settle(before, 1, Retry("down", after=DAY, counts=False))
        self.append(source="shelf")
        self.settle(before, 1)
        self.done(before.close())
        consumer = self.consumer(sources=frozenset({"shelf"}))
        self.wall += 10 * DAY
        self.append(source="shelf")
        self.retention(Keeping(retain=DAY), {"route": consumer})
        self.pass_time(LOOK_EVERY)
        self.assertEqual([1, 2, 3], self.kept())
        self.done(consumer.close())
        again = self.consumer(sources=frozenset({"shelf"}))
        self.assertEqual([1, 3], [pending.record.seq for pending in self.done(again.pull(10))])
        self.done(again.close())

    def test_a_removed_route_is_named_until_it_is_forgotten(self) -> None:
        """It keeps what it may still owe, and says so once a day with the remedy; forgotten, it keeps nothing."""
        consumer = self.consumer()
        self.done(self.consumer("old").close())
        self.append()
        self.settle(consumer, 1)
        self.wall += 10 * DAY
        self.append()
        self.settle(consumer, 1)
        self.retention(Keeping(retain=DAY), {"route": consumer})
        self.pass_time(LOOK_EVERY)
        self.pass_time(SWEEP_EVERY)
        self.assertEqual([1, 2], self.kept())
        [said] = self.told("retention.pinned")
        self.assertEqual(("old", 0), (said["route"], said["floor"]))
        self.assertIn("lineside consumers forget old", said["remedy"])
        self.pass_time(DAY)
        self.assertEqual(2, len(self.told("retention.pinned")))
        self.done(self.file.database.write(lambda connection: consumers.forget(connection, "old")))
        self.pass_time(SWEEP_EVERY)
        self.assertEqual([2], self.kept())

    def test_for_ever_is_for_ever(self) -> None:
        """Without an age and a size nothing is removed."""
        consumer = self.consumer()
        for _ in range(3):
            self.append()
        self.settle(consumer, 3)
        self.retention(Keeping(retain=math.inf), {"route": consumer})
        self.pass_time(20_000 * DAY)
        self.assertEqual([1, 2, 3], self.kept())


class Clocks(RetentionCase):
    """A wall clock that is wrong makes nobody lose what an operator may still want to see."""

    def setUp(self) -> None:
        super().setUp()
        self.route = self.consumer()

    def deliver(self, number: int = 1) -> None:
        for _ in range(number):
            self.append()
            self.settle(self.route, 1)

    def test_a_clock_set_far_ahead_is_doubted_for_a_day(self) -> None:
        """Nothing is removed for its age at once, and an alarm says so; set right again, all is still there."""
        self.deliver(3)
        self.retention(Keeping(retain=30 * DAY), {"route": self.route})
        self.pass_time(LOOK_EVERY)
        self.wall += 365 * DAY
        self.pass_time(SWEEP_EVERY)
        self.deliver()
        self.pass_time(SWEEP_EVERY)
        self.assertEqual([365 * DAY], [said["seconds"] for said in self.told("clock.jumped")])
        self.assertEqual([1, 2, 3, 4], self.kept())
        self.wall -= 365 * DAY
        self.pass_time(2 * DAY)
        self.assertEqual([1, 2, 3, 4], self.kept())
        self.assertEqual(-365 * DAY, self.told("clock.jumped")[-1]["seconds"])

    def test_a_clock_that_stays_ahead_is_believed(self) -> None:
        """After a day it is taken for right."""
        self.deliver(3)
        self.retention(Keeping(retain=30 * DAY), {"route": self.route})
        self.pass_time(LOOK_EVERY)
        self.wall += 365 * DAY
        self.deliver()
        self.pass_time(LOOK_EVERY)
        self.pass_time(DOUBT)
        self.pass_time(SWEEP_EVERY)
        self.assertEqual([4], self.kept())

    def test_a_gateway_that_finds_everything_too_old_waits(self) -> None:
        """It stood still for months, or its clock is wrong: it looks again a day later."""
        self.deliver(3)
        self.wall += 365 * DAY
        self.retention(Keeping(retain=30 * DAY), {"route": self.route})
        self.pass_time(LOOK_EVERY)
        self.assertEqual([1, 2, 3], self.kept())
        self.pass_time(DOUBT)
        self.pass_time(SWEEP_EVERY)
        self.assertEqual([3], self.kept())

    def test_a_stamp_from_the_future_holds_up_nothing(self) -> None:
        """What a clock that was ahead has stamped goes with what came after it."""
        self.wall += 10_000 * DAY
        self.deliver()
        self.wall -= 10_000 * DAY
        self.deliver()
        self.wall += 40 * DAY
        self.deliver()
        self.retention(Keeping(retain=30 * DAY), {"route": self.route})
        self.pass_time(LOOK_EVERY)
        self.assertEqual([3], self.kept())


class Size(RetentionCase):
    """A journal that may become so large."""

    keeping = Keeping(max_size=16 * MB)

    def fill(self, megabytes: int) -> None:
        for _ in range(4 * megabytes):
            self.append(size=250_000)

    def used(self) -> int:
        return self.done(self.file.database.read(capacity.measure)).used  # type: ignore[no-any-return]

    def test_settled_events_make_room(self) -> None:
        """The oldest go before the journal is full, and no line is ever refused."""
        consumer = self.consumer()
        self.retention(self.keeping, {"route": consumer})
        for _ in range(8):
            self.fill(4)
            self.settle(consumer, 16)
            self.pass_time(LOOK_EVERY)
        self.assertLess(self.used(), 0.86 * 16 * MB)
        self.assertGreater(self.used(), 0.75 * 16 * MB)
        self.assertEqual([], self.told("journal.full"))

    def test_what_is_owed_is_kept_and_more_is_refused(self) -> None:
        """Full of undelivered events it refuses, with an alarm; the more is delivered, the more it takes again."""
        consumer = self.consumer()
        self.retention(self.keeping, {"route": consumer})
        self.fill(17)
        self.pass_time(LOOK_EVERY)
        refused = Deferred.fromCoroutine(self.file.journal.append("gate", [Event(b"{}")]))
        self.assertIn("its max_size is 16 MB", str(self.failureResultOf(refused, JournalFull).value))
        [said] = self.told("journal.full")
        self.assertIn("route route has not delivered its events", said["remedy"])
        self.assertEqual(68, len(self.kept()))

        # A little less than full is not enough: it would refuse again at once.
        self.settle(consumer, 5)
        self.pass_time(LOOK_EVERY)
        self.assertIsNotNone(self.file.journal.refusal)
        self.settle(consumer, 20)
        self.pass_time(LOOK_EVERY)
        self.pass_time(LOOK_EVERY)
        self.assertIsNone(self.file.journal.refusal)
        self.append()
        self.assertEqual(1, len(self.told("journal.has_room")))

    def test_a_removed_route_is_the_remedy(self) -> None:
        """Where a route that is gone keeps the room, the alarm says to forget it."""
        self.done(self.consumer("old").close())
        consumer = self.consumer()
        self.retention(self.keeping, {"route": consumer})
        self.fill(17)
        self.settle(consumer, 68)
        self.pass_time(LOOK_EVERY)
        [said] = self.told("journal.full")
        self.assertIn("lineside consumers forget old", said["remedy"])

    def test_space_is_given_back(self) -> None:
        """Once most of the journal is removed the file is cut, down to what the next events will take."""
        consumer = self.consumer()
        self.fill(50)
        self.settle(consumer, 200)
        self.assertGreater(self.done(self.file.database.read(capacity.measure)).size, 50 * MB)
        self.retention(self.keeping, {"route": consumer})
        self.pass_time(LOOK_EVERY)
        self.file.restart()
        self.assertLess(self.file.path.stat().st_size, 14 * MB + capacity.LEAST_SLACK)

    def test_steps_are_short(self) -> None:
        """Whoever appends waits for one step at most: a sweep lets the writer go in between."""
        consumer = self.consumer()
        self.fill(20)
        self.settle(consumer, 80)
        ticks = iter(range(10_000))
        retention = self.retention(self.keeping, {"route": consumer}, stopwatch=lambda: float(next(ticks)))
        # Each look at this stopwatch finds the step's time over.
        first = retention.removed
        self.successResultOf(self.file.database.write(lambda connection: None))
        self.clock.advance(REST)
        self.assertEqual((1, 2), (first, retention.removed))


class Disk(RetentionCase):
    """A disk that somebody else fills."""

    def test_lines_are_refused_before_the_disk_is_full(self) -> None:
        """The reserve is left for outcomes; when there is clearly room again lines are taken, by themselves."""
        consumer = self.consumer()
        self.append()
        self.disk_free = 499 * MB
        self.retention(Keeping(min_free=500 * MB), {"route": consumer})
        refused = Deferred.fromCoroutine(self.file.journal.append("gate", [Event(b"{}")]))
        self.assertIn("499 MB left; 500 MB are to stay free", str(self.failureResultOf(refused, JournalFull).value))
        [said] = self.told("journal.full")
        self.assertIn("free space on the journal's disk", said["remedy"])
        self.settle(consumer, 1)
        self.assertEqual(1, self.rows("delivered"))
        self.disk_free = 501 * MB
        self.pass_time(LOOK_EVERY)
        self.assertIsNotNone(self.file.journal.refusal)
        self.disk_free = 601 * MB
        self.pass_time(LOOK_EVERY)
        self.append()
        self.assertEqual(1, len(self.told("journal.full")))

    def test_a_disk_that_fails_is_looked_at_again(self) -> None:
        """An error is told once and ends nothing."""
        self.retention(Keeping())
        with patch.object(capacity, "measure", side_effect=OSError("no disk")):
            self.pass_time(LOOK_EVERY)
        self.assertEqual(1, len(self.told("retention.failed")))
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))
        self.disk_free = 0
        self.pass_time(LOOK_EVERY)
        self.assertEqual(1, len(self.told("journal.full")))

    def test_a_small_disk_keeps_a_twentieth(self) -> None:
        """Without a number given, half a gigabyte is left of a large disk and a twentieth of a small one."""
        marks = HighWater(Keeping())
        self.assertEqual(500 * MB, marks.least_free(Usage(0, 0, 0, 10**12)))
        self.assertEqual(50 * MB, marks.least_free(Usage(0, 0, 0, 10**9)))
        self.assertEqual(0, HighWater(Keeping(min_free=0)).least_free(Usage(0, 0, 0, 10**9)))


class Looking(RetentionCase):
    """What is told of what the journal holds."""

    def test_who_keeps_what(self) -> None:
        """The one that keeps most comes first; who owes nothing is not among them."""
        done, behind, further = (self.consumer(name) for name in ("done", "behind", "further"))
        for _ in range(3):
            self.append()
        self.settle(done, 3)
        self.settle(further, 2)
        self.settle(behind, 1)
        sources = {name: frozenset({"gate"}) for name in ("done", "behind", "further")}
        prospect = self.done(self.file.database.read(lambda connection: survey(connection, sources)))
        self.assertEqual([("behind", 1), ("further", 2)], [(pin.consumer, pin.floor) for pin in prospect.pins])
        self.assertEqual((1, 3, 1), (prospect.oldest, prospect.head, prospect.free_to))
