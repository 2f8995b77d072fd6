"""The overview of a gateway: what came, what waits, how the target answers, and what was raised as an alarm."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.backoff import Backoff
from lineside.delivery.courier import Courier
from lineside.delivery.gate import Gate
from lineside.delivery.route import Route
from lineside.delivery.templates import compile_template
from lineside.journal import backlog
from lineside.journal.consumer import DurableConsumer
from lineside.journal.watched import WatchedJournal
from lineside.model.batch import Batch
from lineside.model.outcome import Blocked, Delivered, Outcome, Refused, TargetDown
from lineside.model.ports import ConsumerSpec, Delivery, Ready
from lineside.model.traffic import Traffic
from lineside.operations.alarms import MOST, RECENT, RecentAlarms
from lineside.operations.overview import OverviewOperations, RouteAtWork
from lineside.operations.registry import Operations
from lineside.operations.requests import ShowOverview
from lineside.operations.results import Overview, SourceStatus
from lineside.security.identity import LOCAL_USER
from lineside.testing.journals import JournalOnFile

NOON = 1_750_000_000.0
READ_AT_NOON = "2025-06-15T15:06:40.000Z"


class SlowTarget:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.health: Ready | TargetDown | Blocked = Ready("UTC")
        self.waiting: list[Deferred[list[Outcome]]] = []

    async def probe(self) -> Ready | TargetDown | Blocked:
        return self.health

    async def deliver(self, batch: list[Delivery]) -> list[Outcome]:
        answer: Deferred[list[Outcome]] = Deferred()
        self.waiting.append(answer)
        return await answer


class OverviewCase(SynchronousTestCase):
    """Two sources, of which one route takes the first, one delivery at a time."""

    health: Ready | TargetDown | Blocked = Ready("UTC")

    def setUp(self) -> None:
        self.clock = Clock()
        self.file = JournalOnFile(Path(self.mktemp()), self.now_ns)
        self.addCleanup(self.file.close)
        self.target = SlowTarget()
        self.target.health = self.health
        gate = Gate("erp", self.target, self.clock, Random(1), concurrency=1)
        document = compile_template({"n": "{{ n }}"}, "document")
        route = Route("checkin", frozenset({"gate"}), "erp", "insert", "ToDo", document, None, None, 1)
        spec = ConsumerSpec(route.id, route.sources, route.accepts, route.order_key)
        consumer = DurableConsumer(spec, self.file.journal, self.file.database, self.clock)
        courier = Courier(route, consumer, gate, self.clock, Random(1), backoff=Backoff((1.0,)))
        self.traffics = {name: Traffic(0.0) for name in ("gate", "shelf")}
        self.journals = {
            name: WatchedJournal(self.file.journal, traffic, self.clock, self.now_ns)
            for name, traffic in self.traffics.items()
        }
        self.publisher = LogPublisher()
        self.alarms = RecentAlarms(self.publisher, self.clock, self.now_ns)
        self.silent: dict[str, list[str]] = {}
        self.operations = Operations()
        OverviewOperations(
            self.file.journal,
            self.file.database,
            traffics=self.traffics,
            sources=lambda: [SourceStatus(name, "here", 1, 0, 0) for name in self.traffics],
            silent=lambda source: self.silent.get(source, []),
            routes=[RouteAtWork(courier, consumer)],
            gates={"erp": gate},
            alarms=self.alarms,
            clock=self.clock,
            now_ns=self.now_ns,
            live=True,
        ).register(self.operations)
        self.done(self.alarms.start())
        self.done(courier.start())
        self.addCleanup(self.end, courier)

    def end(self, courier: Courier) -> None:
        """Stop the route, whatever the target still owes it."""
        Deferred.fromCoroutine(courier.stop())
        self.clock.advance(100)

    def now_ns(self) -> int:
        return int((NOON + self.clock.seconds()) * 1e9)

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def show(self, **options: Any) -> Overview:
        overview: Overview = self.done(self.operations.call(ShowOverview(**options), LOCAL_USER))
        return overview

    def send(self, count: int, source: str = "gate", device: str = "scanner") -> None:
        batch = Batch([b'{"n":1}'] * count, device)
        self.journals[source].came(batch, [("10.0.0.7", count)])
        Deferred.fromCoroutine(self.journals[source].append_batches(source, [batch]))

    def answer(self, outcome: Outcome) -> None:
        self.target.waiting.pop(0).callback([outcome])


class WhatIsShown(OverviewCase):
    def test_lines_and_how_long_they_wait_for_the_disk(self) -> None:
        """A slow disk shows in the delay of lines, which are counted when they are stored."""
        self.file.writer.held = True
        self.send(30)
        self.clock.advance(0.4)
        self.assertEqual(self.show().journal.head, 0)
        self.file.writer.release()
        self.clock.advance(1.0)
        overview = self.show()
        gate, shelf = overview.sources
        self.assertEqual((gate.rate, shelf.rate, overview.journal.rate, overview.journal.head), (30, 0, 30, 30))
        self.assertEqual((gate.last_seen, shelf.last_seen), (READ_AT_NOON, None))
        assert gate.commit_p50 is not None
        self.assertGreaterEqual(gate.commit_p50, 0.4)
        self.assertLess(gate.commit_p50, 0.44)
        self.assertIsNone(shelf.commit_p99)
        self.assertGreater(overview.journal.size, 0)
        self.assertTrue(overview.live)

    def test_the_busiest_devices_or_the_most_silent(self) -> None:
        """As many as are asked for; a device that is silent for too long is marked."""
        for count, device in ((5, "a"), (50, "b"), (20, "c")):
            self.send(count, device=device)
            self.clock.advance(10)
        self.silent["gate"] = ["a"]
        devices = self.show(devices=2).devices
        self.assertEqual(
            [(one.device, one.lines, one.peer) for one in devices], [("b", 50, "10.0.0.7"), ("c", 20, "10.0.0.7")]
        )
        [silent] = self.show(devices=1, order="silent").devices
        self.assertEqual((silent.device, silent.silent_for, silent.silent), ("a", 30.0, True))

    def test_what_waits_for_a_route(self) -> None:
        """All that is not decided yet, whatever other sources send, and since when the oldest waits."""
        self.send(4)
        self.send(9, source="shelf")
        self.clock.advance(60)
        self.send(2)
        [route] = self.show().routes
        self.assertEqual((route.waiting, route.more, route.oldest), (6, False, 60.0))
        for _ in range(4):
            self.answer(Delivered("D"))
        [route] = self.show().routes
        self.assertEqual((route.waiting, route.oldest), (2, 0.0))
        self.answer(Refused("no", "no"))
        self.answer(Delivered("D"))
        self.clock.advance(1)
        [route] = self.show().routes
        self.assertEqual((route.waiting, route.oldest, route.dead_letters), (0, None, 1))
        self.assertGreater(route.rate_minute, 0)

    def test_how_a_target_answers(self) -> None:
        """What is under way, as many as it bears, and how long it takes."""
        [target] = self.show().targets
        self.assertEqual((target.state, target.in_use, target.limit, target.p50), ("open", 0, 1, None))
        self.send(1)
        self.clock.advance(0.25)
        self.assertEqual(self.show().targets[0].in_use, 1)
        self.answer(Delivered("D"))
        [target] = self.show().targets
        assert target.p50 is not None
        self.assertEqual(target.in_use, 0)
        self.assertGreaterEqual(target.p50, 0.25)
        self.assertLess(target.p50, 0.28)

    def test_alarms_of_the_last_quarter_of_an_hour(self) -> None:
        """Warnings and worse of Lineside itself, the newest first, and a fixed number of them."""
        for level, name in ((LogLevel.info, "fine"), (LogLevel.warn, "odd"), (LogLevel.error, "bad")):
            self.publisher(
                {"log_level": level, "log_namespace": "lineside.x", "log_format": name, "source": "gate"}
            )
        self.publisher({"log_level": LogLevel.error, "log_namespace": "twisted.web", "log_format": "other"})
        bad, odd = self.show().alarms
        self.assertEqual((bad.event, bad.level, bad.facts, bad.at), ("bad", "error", "source=gate", READ_AT_NOON))
        self.assertEqual(odd.event, "odd")
        self.clock.advance(RECENT + 1)
        self.assertEqual(self.show().alarms, [])
        for _ in range(2 * MOST):
            self.publisher({"log_level": LogLevel.warn, "log_namespace": "lineside.x", "log_format": "again"})
        self.assertEqual(len(self.show().alarms), MOST)
        self.done(self.alarms.stop())
        self.publisher({"log_level": LogLevel.warn, "log_namespace": "lineside.x", "log_format": "after"})
        self.assertEqual(self.show().alarms[0].event, "again")


class WhileTheTargetIsDown(OverviewCase):
    health = TargetDown("HTTP 503")

    def test_it_says_so_and_counts_what_piles_up(self) -> None:
        """The whole backlog is unread then; of very many segments it counts some, and says that there are more."""
        self.send(4)
        self.clock.advance(30)
        overview = self.show()
        self.assertEqual((overview.targets[0].state, overview.targets[0].problem), ("down", "HTTP 503"))
        [route] = overview.routes
        self.assertEqual((route.waiting, route.oldest, route.problem), (4, 30.0, "HTTP 503"))
        self.patch(backlog, "MOST_SEGMENTS", 3)
        for _ in range(5):
            self.send(1)
        [route] = self.show().routes
        self.assertEqual((route.waiting, route.more), (6, True))


class WhileTheTargetTurnsUsAway(OverviewCase):
    health = Blocked("HTTP 403", "mend the key")

    def test_it_is_blocked(self) -> None:
        """That is another thing than being down: somebody has to do something."""
        self.assertEqual(self.show().targets[0].state, "blocked")
