"""What the guide says of a source that is taken out of a route: `docs/guides/operations.md`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal import consumers
from lineside.journal.consumer import DurableConsumer
from lineside.model.event import NO_SEQ, Event
from lineside.model.outcome import Delivered, Retry
from lineside.model.ports import ConsumerSpec
from lineside.testing.journals import JournalOnFile

BOTH, SHELF = frozenset({"gate", "shelf"}), frozenset({"shelf"})


class SourceTakenOut(SynchronousTestCase):
    """A route of two sources, of which one is taken from it between two starts."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def append(self, source: str, *names: str) -> None:
        self.done(self.file.journal.append(source, [Event(b'"%s"' % name.encode()) for name in names]))

    def route(self, sources: frozenset[str]) -> DurableConsumer:
        spec = ConsumerSpec("route", sources, accepts=lambda record: True, order_key=lambda record: None)
        consumer = DurableConsumer(spec, self.file.journal, self.file.database, self.clock)
        self.done(consumer.open())
        return consumer

    def deliver(self, consumer: DurableConsumer) -> list[str]:
        """Deliver all that is handed out; returns what it holds."""
        delivered = []
        while pulled := self.done(consumer.pull(10)):
            delivered += [pending.record.event.body.decode().strip('"') for pending in pulled]
            self.done(consumer.settle([(pending, Delivered("D")) for pending in pulled]))
        return delivered

    def test_what_it_has_in_hand_goes_out_and_what_is_unread_does_not(self) -> None:
        """Also not when the source is put back: the route has gone on; a rewind delivers it."""
        self.append("gate", "tried")
        before = self.route(BOTH)
        self.done(before.settle([(each, Retry("down", after=1.0)) for each in self.done(before.pull(1))]))
        self.done(before.close())
        self.append("gate", "unread")
        self.append("shelf", "other")
        without = self.route(SHELF)
        self.assertEqual(["tried", "other"], self.deliver(without))
        self.assertEqual(0, self.done(without.backlog()).waiting)
        self.done(without.close())
        again = self.route(BOTH)
        self.assertEqual([], self.deliver(again))
        self.done(again.close())
        self.successResultOf(
            self.file.database.write(lambda connection: consumers.rewind(connection, "route", NO_SEQ))
        )
        self.assertEqual(["tried", "unread", "other"], self.deliver(self.route(BOTH)))
