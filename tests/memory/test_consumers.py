"""The places of routes in the journal: what is remembered, forgotten, begun again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.journal import deadletters
from lineside.journal.consumer import DurableConsumer
from lineside.journal.deadletters import DeadLetter
from lineside.model.errors import LinesideError, NotFound
from lineside.model.event import Event
from lineside.model.outcome import Delivered, Refused, Retry
from lineside.model.ports import ConsumerSpec, Pending
from lineside.operations.consumers import ConsumerOperations
from lineside.operations.requests import ForgetConsumer, ListConsumers, RewindConsumer
from lineside.testing.journals import JournalOnFile


class ConsumerOperationsTests(SynchronousTestCase):
    """What a person may ask of them."""

    def setUp(self) -> None:
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def operations(self, *routes: str, running: bool = False) -> ConsumerOperations:
        return ConsumerOperations(self.file.journal, self.file.database, set(routes), running=running)

    def consumer(self, name: str, key: str | None = None, clock: Clock | None = None) -> DurableConsumer:
        spec = ConsumerSpec(
            id=name, sources=frozenset({"gate"}), accepts=lambda record: True, order_key=lambda record: key
        )
        consumer = DurableConsumer(spec, self.file.journal, self.file.database, clock or Clock())
        self.done(consumer.open())
        return consumer

    def deliver(self, name: str, *outcomes: Any) -> list[Pending]:
        """Let a route settle as many records as there are outcomes, then end."""
        consumer = self.consumer(name)
        pulled: list[Pending] = self.done(consumer.pull(len(outcomes)))
        self.done(consumer.settle(list(zip(pulled, outcomes, strict=True))))
        self.done(consumer.close())
        return pulled

    def letters(self) -> list[DeadLetter]:
        read = self.file.database.read(lambda c: deadletters.page(c, after=0, consumer=None, limit=10))
        return self.successResultOf(read)

    def append(self, number: int) -> None:
        self.done(self.file.journal.append("gate", [Event(b"{}")] * number))

    def test_a_route_that_is_gone_is_still_listed(self) -> None:
        """A removed route keeps its place, and the list says so: it never pins events in silence."""
        self.append(3)
        self.deliver("old", Delivered("A"))
        self.deliver("new", Delivered("A"), Delivered("B"), Refused("no", "no"))
        old_and_new = self.done(self.operations("new").list_consumers(ListConsumers())).consumers
        self.assertEqual(
            [("new", True, 3, 1), ("old", False, 1, 0)],
            [(one.id, one.route, one.floor, one.dead_letters) for one in old_and_new],
        )

    def test_a_route_that_is_gone_can_be_forgotten(self) -> None:
        """Its place is removed; one that is still configured is refused, and an unknown name is said to be."""
        self.append(1)
        self.deliver("old", Delivered("A"))
        operations = self.operations()
        self.done(operations.forget(ForgetConsumer(id="old")))
        self.assertEqual([], self.done(operations.list_consumers(ListConsumers())).consumers)
        self.failureResultOf(Deferred.fromCoroutine(operations.forget(ForgetConsumer(id="old"))), NotFound)
        self.deliver("new", Delivered("A"))
        kept = Deferred.fromCoroutine(self.operations("new").forget(ForgetConsumer(id="new")))
        self.assertIn("still in the configuration", str(self.failureResultOf(kept, LinesideError).value))

    def test_a_route_delivers_again_from_where_it_is_told(self) -> None:
        """After a rewind the same records are handed out again, under the same identities, across a restart."""
        self.append(4)
        first = self.deliver("route", *[Delivered(f"D{n}") for n in range(4)])
        self.done(self.operations("route").rewind(RewindConsumer(id="route", to=2)))
        self.file.restart()
        again = self.done(self.consumer("route").pull(10))
        self.assertEqual([p.record.identity for p in first[2:]], [p.record.identity for p in again])

    def test_a_rewind_forgets_nothing_that_is_owed(self) -> None:
        """A record that failed and waits for its next attempt stays owed where the rewind goes less far back."""
        self.append(4)
        first = self.deliver("route", Delivered("A"), Retry("busy", after=1.0), Delivered("C"), Delivered("D"))
        self.done(self.operations("route").rewind(RewindConsumer(id="route", to=3)))
        self.file.restart()
        again = self.done(self.consumer("route").pull(10))
        self.assertEqual([first[1].record, first[3].record], [pending.record for pending in again])

    def test_a_rewind_keeps_what_waits_behind_a_key(self) -> None:
        """Records left in the journal behind one of their key that rests are still owed after a rewind past it."""
        self.append(40)
        consumer = self.consumer("route", key="same")
        [first] = self.done(consumer.pull(10))
        self.done(consumer.settle([(first, Retry("busy", after=1.0))]))
        self.done(consumer.close())
        self.done(self.operations("route").rewind(RewindConsumer(id="route", to=1)))
        self.file.restart()
        clock = Clock()
        consumer = self.consumer("route", key="same", clock=clock)
        delivered = []
        while pulled := self.done(consumer.pull(10)):
            delivered += [pending.record.seq for pending in pulled]
            self.done(consumer.settle([(pending, Delivered("X")) for pending in pulled]))
            clock.advance(0)
        self.assertEqual(list(range(1, 41)), delivered)

    def test_what_a_forgotten_route_was_to_try_again_waits_for_a_person(self) -> None:
        """Its dead letters stay, and none of them says for ever that it is being delivered again."""
        self.append(1)
        self.deliver("old", Refused("no", "no"))
        [letter] = self.letters()
        self.done(self.consumer("old").readmit(letter))
        self.done(self.operations().forget(ForgetConsumer(id="old")))
        self.assertEqual([False], [letter.retrying for letter in self.letters()])

    def test_a_route_is_not_sent_ahead(self) -> None:
        """Rewinding forward would lose events: it is refused."""
        self.append(4)
        self.deliver("route", Delivered("A"))
        ahead = Deferred.fromCoroutine(self.operations("route").rewind(RewindConsumer(id="route", to=3)))
        self.assertIn("between 0 and 1", str(self.failureResultOf(ahead, LinesideError).value))

    def test_a_route_at_work_is_not_rewound(self) -> None:
        """While a gateway runs its routes are told to stop first."""
        self.append(1)
        self.deliver("route", Delivered("A"))
        busy = Deferred.fromCoroutine(
            self.operations("route", running=True).rewind(RewindConsumer(id="route", to=0))
        )
        self.assertIn("stop the gateway", str(self.failureResultOf(busy, LinesideError).value))
