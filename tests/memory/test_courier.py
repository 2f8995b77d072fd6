"""A route at work: real journal, real consumer, a target that does what the test says."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.alterations import AGAIN_SECONDS
from lineside.delivery.backoff import Backoff
from lineside.delivery.courier import DRAIN, Courier
from lineside.delivery.gate import BLOCKED_FOR, DOWN, LOST, Gate
from lineside.delivery.route import Route
from lineside.delivery.templates import compile_condition, compile_template
from lineside.journal import deadletters
from lineside.journal.consumer import DurableConsumer
from lineside.model.event import Event, Seq
from lineside.model.outcome import Altered, Blocked, Delivered, Outcome, Refused, Retry, TargetDown
from lineside.model.ports import ConsumerSpec, Delivery, Pending, Ready
from lineside.testing.journals import JournalOnFile

READY = Ready("Europe/Berlin")


class ScriptedTarget:
    """Remembers what it is asked, and answers when the test says so."""

    def __init__(self) -> None:
        self.health: list[Ready | TargetDown | Blocked] = []
        self.probes = 0
        self.open: list[tuple[Delivery, Deferred[Outcome]]] = []
        self.seen: list[Delivery] = []
        self.batches: list[int] = []

    async def probe(self) -> Ready | TargetDown | Blocked:
        self.probes += 1
        return self.health.pop(0) if self.health else READY

    async def deliver(self, batch: list[Delivery]) -> list[Outcome]:
        self.batches.append(len(batch))
        self.seen += batch
        answers: list[Deferred[Outcome]] = [Deferred() for _ in batch]
        self.open += zip(batch, answers, strict=True)
        try:
            return [await answer for answer in answers]
        finally:
            self.open = [pair for pair in self.open if pair[1] not in answers]

    def answer(self, outcome: Outcome, index: int = 0) -> Delivery:
        delivery, answer = self.open[index]
        answer.callback(outcome)
        return delivery


class CourierCase(SynchronousTestCase):
    """One route from one source."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1_000_000_000)
        self.addCleanup(self.file.close)
        self.target = ScriptedTarget()
        self.begin()

    def begin(self, *, concurrency: int = 2, max_deliver: int = 3, batch: int = 1) -> None:
        """Start the route, as a new process would."""
        self.route = Route(
            id="checkin",
            sources=frozenset({"gate"}),
            target="erp",
            action="insert",
            doctype="Employee Checkin",
            document=compile_template({"employee": "{{ who }}", "time": "{{ at | site_time }}"}, "document"),
            when=compile_condition("{{ kind != 'noise' }}", "when"),
            order_by="who",
            concurrency=concurrency,
            batch=batch,
        )
        spec = ConsumerSpec(
            id=self.route.id,
            sources=self.route.sources,
            accepts=self.route.accepts,
            order_key=self.route.order_key,
            max_deliver=max_deliver,
        )
        self.gate = Gate("erp", self.target, self.clock, Random(1), concurrency=concurrency)
        self.courier = Courier(
            self.route,
            DurableConsumer(spec, self.file.journal, self.file.database, self.clock),
            self.gate,
            self.clock,
            Random(1),
            backoff=Backoff((1.0, 2.0)),
        )
        self.done(self.courier.start())

    def restart(self) -> None:
        """End in good order and start anew."""
        stopping = Deferred.fromCoroutine(self.courier.stop())
        self.clock.advance(DRAIN)
        self.successResultOf(stopping)
        self.target.open.clear()
        self.file.restart()
        self.begin()

    def done(self, work: Any) -> Any:
        return self.successResultOf(work if isinstance(work, Deferred) else Deferred.fromCoroutine(work))

    def send(self, *bodies: bytes) -> None:
        self.done(self.file.journal.append("gate", [Event(body) for body in bodies]))

    def punch(self, who: str, kind: str = "in") -> bytes:
        return b'{"who":"%s","kind":"%s","at":"2026-07-01T06:00:00+00:00"}' % (who.encode(), kind.encode())

    def letters(self) -> list[tuple[str, str]]:
        found = self.done(self.file.database.read(lambda c: deadletters.page(c, after=0, consumer=None, limit=10)))
        return [(letter.code, letter.reason) for letter in found]

    def owed(self) -> bool:
        return self.courier.consumer.floor < self.file.journal.head


class DeliveryTests(CourierCase):
    """The straight way, and what is refused."""

    def test_a_line_becomes_a_document(self) -> None:
        """A committed event is rendered in the target's time zone, delivered, and settled for good."""
        self.send(self.punch("ann"))
        delivery = self.target.answer(Delivered("CHK-1"))
        self.assertEqual({"employee": "ann", "time": "2026-07-01 08:00:00.000000"}, delivery.document)
        self.assertRegex(delivery.id, r"^[0-9a-f]{32}$")
        self.assertFalse(self.owed())
        self.restart()
        self.assertEqual(1, len(self.target.seen))

    def test_every_attempt_carries_the_same_id(self) -> None:
        """The delivery id survives retries and restarts: the target can tell a repeat."""
        self.send(self.punch("ann"))
        self.target.answer(Retry("coughs", ambiguous=True))
        self.clock.advance(1)
        self.restart()
        self.target.answer(Delivered("CHK-1", found=True))
        first, second, third = self.target.seen
        self.assertEqual({first.id}, {second.id, third.id})
        self.assertTrue(second.redelivered)

    def test_one_key_in_order_others_beside(self) -> None:
        """While ann's first punch is under way her second waits, and bob's is delivered."""
        self.send(self.punch("ann"), self.punch("ann", "out"), self.punch("bob"))
        self.assertEqual(["ann", "bob"], [delivery.document["employee"] for delivery, _ in self.target.open])
        self.target.answer(Delivered("CHK-1"))
        self.assertEqual(["bob", "ann"], [delivery.document["employee"] for delivery, _ in self.target.open])

    def test_what_the_condition_leaves_out_is_never_sent(self) -> None:
        """An event for which `when` is false is settled without a document."""
        self.send(self.punch("ann", "noise"))
        self.done(self.courier.consumer.pull(1))
        self.assertEqual([], self.target.seen)
        self.assertFalse(self.owed())

    def test_a_missing_field_is_a_dead_letter_with_its_name(self) -> None:
        """What the template needs and the event lacks is refused before sending; the next event goes on."""
        self.send(b'{"who":"ann","kind":"in"}', self.punch("ann"))
        [(code, reason)] = self.letters()
        self.assertEqual("template", code)
        self.assertIn('"at"', reason)
        self.assertEqual(1, len(self.target.open))

    def test_a_document_that_is_not_as_it_was_sent_raises_an_alarm(self) -> None:
        """Each field once an hour, with what to do; the event is settled, for a repeat would mend nothing."""
        altered = Delivered(
            "CHK-1", altered=(Altered("time", "give the role"), Altered("items.rate", "leave it out"))
        )
        with capturedLogs() as events:
            for _ in range(3):
                self.send(self.punch("ann"))
                self.target.answer(altered)
            self.clock.advance(AGAIN_SECONDS)
            self.send(self.punch("ann"))
            self.target.answer(Delivered("CHK-4", altered=altered.altered[:1]))
        told = [event for event in events if event["log_format"] == "delivery.altered"]
        self.assertEqual([event["field"] for event in told], ["time", "items.rate", "time"])
        first = told[0]
        self.assertEqual(
            (first["log_level"], first["route"], first["remedy"]), (LogLevel.error, "checkin", "give the role")
        )
        self.assertFalse(self.owed())
        self.assertEqual(self.courier.delivered, 4)
        self.assertEqual(self.courier.alterations.line(), "4 documents did not keep time, items.rate as sent")

    def test_a_refused_record_never_blocks_the_next(self) -> None:
        """What the ERP refuses is a dead letter with the ERP's reason, and its key goes on."""
        self.send(self.punch("ann"), self.punch("ann", "out"))
        self.target.answer(Refused("LinkValidationError", "Could not find Employee: ann"))
        self.assertEqual([("LinkValidationError", "Could not find Employee: ann")], self.letters())
        self.assertEqual(1, len(self.target.open))

    def test_a_record_s_own_failures_end_as_a_dead_letter(self) -> None:
        """After max_deliver failures with growing rests between them, a record waits for a person."""
        self.send(self.punch("ann"))
        for rest in (1.0, 2.0, None):
            self.target.answer(Retry("coughs"))
            self.assertEqual([], self.target.open)
            if rest is not None:
                self.clock.advance(rest - 0.01)
                self.assertEqual([], self.target.open)
                self.clock.advance(0.01)
        [(code, reason)] = self.letters()
        self.assertEqual("max-deliver", code)
        self.assertIn("coughs", reason)


class PauseTests(CourierCase):
    """A person stops the route, or its target."""

    def test_a_paused_route_delivers_nothing_and_loses_nothing(self) -> None:
        """What is under way is finished; the rest waits in the journal, and is delivered once it goes on."""
        self.send(self.punch("ann"))
        self.courier.pause(True)
        self.target.answer(Delivered("CHK-1"))
        self.send(self.punch("bob"))
        self.assertTrue(self.courier.paused)
        self.assertEqual(1, len(self.target.seen))
        self.courier.pause(False)
        self.target.answer(Delivered("CHK-2"))
        self.assertFalse(self.owed())

    def test_a_paused_target_stops_each_route_to_it(self) -> None:
        """The route says that it is paused, though nobody paused it by its own name."""
        self.courier.gate.paused = True
        self.send(self.punch("ann"))
        self.assertTrue(self.courier.paused)
        self.assertEqual([], self.target.seen)
        self.courier.gate.paused = False
        self.courier.go_on()
        self.target.answer(Delivered("CHK-1"))
        self.assertFalse(self.owed())

    def test_a_paused_route_stops_with_the_gateway(self) -> None:
        """Nobody has to resume it first; the next start delivers, if it is not paused again."""
        self.courier.pause(True)
        self.send(self.punch("ann"))
        self.restart()
        self.target.answer(Delivered("CHK-1"))
        self.assertFalse(self.owed())


class TroubleTests(CourierCase):
    """A target that is down, slow, or turns the gateway away."""

    def test_an_outage_dead_letters_nothing(self) -> None:
        """However long the target is down, nothing is counted; when it is back everything is delivered."""
        self.send(self.punch("ann"), self.punch("bob"))
        self.target.health = [TargetDown("connection refused")] * 50
        self.target.answer(TargetDown("connection refused"))
        self.target.answer(TargetDown("connection refused"))
        self.assertIsInstance(self.courier.problem, TargetDown)
        for _ in range(200):
            self.clock.advance(30)
        self.assertEqual(1 + 50 + 1, self.target.probes)
        self.assertIsNone(self.courier.problem)
        for _ in range(2):
            self.target.answer(Delivered("CHK"))
        self.assertEqual([], self.letters())
        self.assertFalse(self.owed())

    def test_the_time_the_target_asks_for_is_kept(self) -> None:
        """After a 429 with Retry-After nothing is tried before it is over."""
        self.send(self.punch("ann"))
        probes = self.target.probes
        self.target.answer(TargetDown("too many requests", after=17.0))
        self.clock.advance(16.9)
        self.assertEqual((probes, []), (self.target.probes, self.target.open))
        self.clock.advance(0.1)
        self.assertEqual(1, len(self.target.open))

    def test_one_lost_answer_is_no_outage(self) -> None:
        """A delivery of which nothing was heard is made again at once; any that is decided clears it."""
        self.send(*[self.punch(f"w{n}") for n in range(8)])
        for _ in range(4):
            for _ in range(LOST - 1):
                self.target.answer(TargetDown("the connection was lost", certain=False))
                self.assertIsNone(self.courier.problem)
            self.target.answer(Delivered("CHK"))
        while self.target.open:
            self.target.answer(Delivered("CHK"))
        self.assertEqual((1, []), (self.target.probes, self.letters()))
        self.settle_all()

    def test_answers_lost_in_a_row_are_an_outage(self) -> None:
        """After `LOST` of them nothing is sent until a probe is answered, and nothing is counted."""
        self.send(self.punch("ann"), self.punch("bob"))
        self.target.health = [TargetDown("no answer within 30 s", certain=False)] * 20
        for _ in range(LOST):
            self.assertIsNone(self.courier.problem)
            self.target.answer(TargetDown("no answer within 30 s", certain=False))
        self.assertIsInstance(self.courier.problem, TargetDown)
        self.target.answer(TargetDown("no answer within 30 s", certain=False))
        self.assertEqual([], self.target.open)
        for _ in range(40):
            self.clock.advance(40)
        self.settle_all()
        self.assertEqual([], self.letters())

    def settle_all(self) -> None:
        """Let the target take whatever is still owed."""
        for _ in range(20):
            while self.target.open:
                self.target.answer(Delivered("CHK"))
            self.clock.advance(10)
        self.assertFalse(self.owed())

    def test_what_waited_for_its_place_is_not_sent_to_a_target_that_is_down(self) -> None:
        """A target that asked for a rest gets none of the deliveries that were queued before it did."""
        self.done(self.courier.stop())
        self.begin(concurrency=4)
        self.send(*[self.punch(who) for who in ("ann", "bob", "cid", "dan")])
        self.assertEqual(["ann", "bob"], [delivery.document["employee"] for delivery in self.target.seen])
        self.target.answer(TargetDown("too many requests", after=17.0))
        self.target.answer(TargetDown("too many requests", after=17.0))
        self.clock.advance(16.9)
        self.assertEqual(2, len(self.target.seen))
        self.clock.advance(0.1)
        while self.target.open:
            self.target.answer(Delivered("CHK"))
        self.assertEqual((6, []), (len(self.target.seen), self.letters()))
        self.assertFalse(self.owed())

    def test_a_route_that_was_parked_waits_for_the_target_too(self) -> None:
        """What another route learned of the target meanwhile counts: nothing is sent while it is down."""
        self.send(self.punch("ann"), self.punch("bob"))
        self.target.answer(Blocked("403 PermissionError", "give the API user the role HR User"))
        self.target.health = [TargetDown("connection refused")] * 100
        self.clock.advance(BLOCKED_FOR - 1)
        self.target.answer(TargetDown("connection refused"))
        self.clock.advance(1)
        self.assertEqual([], self.target.open)

    def test_a_target_that_asks_for_no_rest_gets_one(self) -> None:
        """``Retry-After: 0`` at every attempt is no loop: between two attempts time passes."""
        self.send(self.punch("ann"))
        for attempt in range(1, 3):
            self.target.answer(TargetDown("too many requests", after=0.0))
            self.assertEqual(attempt, len(self.target.seen))
            self.clock.advance(DOWN.steps[0])
            self.assertEqual(attempt + 1, len(self.target.seen))

    def test_a_target_that_turns_us_away_parks_the_route(self) -> None:
        """On 401 or 403 the route rests with an alarm, loses nothing, and tries again by itself."""
        self.send(self.punch("ann"))
        self.target.answer(Blocked("403 PermissionError", "give the API user the role HR User"))
        self.assertIsInstance(self.courier.problem, Blocked)
        self.clock.advance(BLOCKED_FOR - 1)
        self.assertEqual([], self.target.open)
        self.clock.advance(1)
        self.target.answer(Delivered("CHK-1"))
        self.assertIsNone(self.courier.problem)
        self.assertEqual([], self.letters())

    def test_one_that_is_always_turned_away_holds_up_nobody(self) -> None:
        """A record on which the ERP goes down or takes offence each time steps aside, and ends as a dead letter."""
        for outcome in (TargetDown("502 from the proxy"), Blocked("403 from a firewall", "look")):
            self.send(self.punch("evil"), *[self.punch(f"w{n}") for n in range(50)])
            well = 0
            for _ in range(3_000):
                while self.target.open:
                    if self.target.open[0][0].document["employee"] == "evil":
                        self.target.answer(outcome)
                    else:
                        well += 1
                        self.target.answer(Delivered("CHK"))
                self.clock.advance(1)
            self.assertEqual(50, well)
            self.assertFalse(self.owed())
        self.assertEqual(["max-deliver", "max-deliver"], [code for code, _ in self.letters()])

    def test_a_target_that_takes_nothing_dead_letters_nothing(self) -> None:
        """While probes succeed and every delivery fails, as in a read-only maintenance, nothing is counted."""
        self.send(*[self.punch(f"w{n}") for n in range(5)])
        for _ in range(1_000):
            while self.target.open:
                self.target.answer(TargetDown("503 InReadOnlyMode"))
            self.clock.advance(10)
        self.assertEqual([], self.letters())
        for _ in range(100):
            while self.target.open:
                self.target.answer(Delivered("CHK"))
            self.clock.advance(10)
        self.assertFalse(self.owed())
        self.assertEqual([], self.letters())

    def test_concurrency_is_bounded(self) -> None:
        """Never more than `concurrency` deliveries are under way."""
        self.send(*[self.punch(f"w{n}") for n in range(10)])
        most = 0
        while self.target.open:
            most = max(most, len(self.target.open))
            self.target.answer(Delivered("CHK"))
        self.assertEqual((2, 10), (most, len(self.target.seen)))

    def test_what_waits_goes_in_batches(self) -> None:
        """Records that wait go to the target together, of each key one at a time, each with its own outcome."""
        self.done(Deferred.fromCoroutine(self.courier.stop()))
        self.begin(concurrency=1, batch=3)
        self.send(*[self.punch(who) for who in ("ann", "bob", "ann", "cid", "dan")])
        self.target.answer(Delivered("CHK-1"))
        self.target.answer(Refused("ValidationError", "no"), 1)
        self.target.answer(Delivered("CHK-3"), 2)
        self.assertEqual([3, 2], self.target.batches)
        self.assertEqual(["ann", "bob", "cid", "ann", "dan"], [d.document["employee"] for d in self.target.seen])
        self.assertEqual([("ValidationError", "no")], self.letters())

    def lose_an_answer(self, *, concurrency: int) -> None:
        """Let ann and bob be sent and get no answer, when cid and dan have come."""
        self.done(Deferred.fromCoroutine(self.courier.stop()))
        self.begin(concurrency=concurrency, batch=4)
        self.send(self.punch("ann"), self.punch("bob"))
        for n in range(1, concurrency):
            self.send(self.punch(f"other-{n}"))
        self.send(self.punch("cid"), self.punch("dan"))
        for index in (0, 1):
            self.target.answer(TargetDown("no answer within 30 s", certain=False), index)

    def under_way(self) -> list[tuple[Any, bool]]:
        return [(delivery.document["employee"], delivery.redelivered) for delivery, _ in self.target.open]

    def test_a_look_up_that_hangs_holds_nothing_new(self) -> None:
        """What was sent before is looked for first, so it goes apart: what is new is delivered meanwhile."""
        self.lose_an_answer(concurrency=2)
        self.assertEqual([("other-1", False), ("cid", False), ("dan", False)], self.under_way())
        self.target.answer(Delivered("CHK-1"))
        self.assertEqual([("cid", False), ("dan", False), ("ann", True), ("bob", True)], self.under_way())
        for index in (0, 1):
            self.target.answer(Delivered("CHK-2"), index)
        self.send(self.punch("eve"), self.punch("cid"))
        self.assertEqual([("ann", True), ("bob", True), ("eve", False), ("cid", False)], self.under_way()[:4])

    def test_a_route_with_one_place_has_one_request_under_way(self) -> None:
        """What was sent before waits for its place, and has it before anything that comes later."""
        self.lose_an_answer(concurrency=1)
        self.assertEqual([("cid", False), ("dan", False)], self.under_way())
        self.send(self.punch("eve"))
        for index in (0, 1):
            self.target.answer(Delivered("CHK-1"), index)
        self.assertEqual([("ann", True), ("bob", True)], self.under_way())
        for index in (0, 1):
            self.target.answer(Delivered("CHK-2", found=True), index)
        self.assertEqual([("eve", False)], self.under_way())
        self.target.answer(Delivered("CHK-3"))
        self.assertFalse(self.owed())

    def test_one_answer_is_stored_at_once(self) -> None:
        """The outcomes of a batch go to the disk together, not the first of them alone."""
        self.done(self.courier.stop())
        self.begin(concurrency=1, batch=3)
        stored: list[int] = []
        settle = self.courier.consumer.settle

        async def recorded(done: list[tuple[Pending, Outcome]]) -> None:
            stored.append(len(done))
            await settle(done)

        self.patch(self.courier.consumer, "settle", recorded)
        self.send(*[self.punch(who) for who in ("ann", "bob", "cid")])
        for index in range(3):
            self.target.answer(Delivered("CHK"), index)
        self.assertEqual([3], stored)

    def test_a_target_that_answers_for_too_few_leaves_none_out(self) -> None:
        """A bug in a target that forgets a record is a failed attempt of the batch, not a record that hangs."""
        self.done(self.courier.stop())
        self.begin(concurrency=1, batch=2)
        whole = self.target.deliver

        async def forgetful(batch: list[Delivery]) -> list[Outcome]:
            return (await whole(batch))[:1]

        self.patch(self.target, "deliver", forgetful)
        self.send(self.punch("ann"), self.punch("bob"))
        self.target.answer(Delivered("CHK-1"))
        self.target.answer(Delivered("CHK-2"), 1)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
        self.patch(self.target, "deliver", whole)
        self.clock.advance(1)
        self.target.answer(Delivered("CHK-1", found=True))
        self.target.answer(Delivered("CHK-2", found=True), 1)
        self.assertFalse(self.owed())

    def test_a_full_disk_repeats_no_delivery(self) -> None:
        """Outcomes that could not be stored are kept and stored once the disk has room."""
        self.send(self.punch("ann"))
        self.done(
            self.file.database.write(
                lambda c: c.execute(
                    "CREATE TEMP TRIGGER full BEFORE UPDATE ON consumer BEGIN "
                    "SELECT RAISE(ROLLBACK, 'database or disk is full'); END"
                )
            )
        )
        self.target.answer(Delivered("CHK-1"))
        self.assertEqual(1, len(self.flushLoggedErrors()))
        self.done(self.file.database.write(lambda c: c.execute("DROP TRIGGER full")))
        self.clock.advance(1)
        self.restart()
        self.assertEqual(1, len(self.target.seen))

    def test_an_unexpected_error_is_a_failed_attempt(self) -> None:
        """A bug in a target is logged and counted as one failure of the record, which is tried again."""
        self.send(self.punch("ann"))
        self.target.open[0][1].errback(RuntimeError("a bug"))
        self.assertEqual(1, len(self.flushLoggedErrors(RuntimeError)))
        self.clock.advance(1)
        self.target.answer(Delivered("CHK-1"))
        self.assertFalse(self.owed())


class StopTests(CourierCase):
    """The gateway stops while deliveries are under way."""

    def test_what_is_under_way_may_end(self) -> None:
        """Stopping pulls nothing more, waits for the answer, and stores it."""
        self.send(self.punch("ann"), self.punch("ann", "out"))
        stopping = Deferred.fromCoroutine(self.courier.stop())
        self.assertNoResult(stopping)
        self.target.answer(Delivered("CHK-1"))
        self.successResultOf(stopping)
        self.file.restart()
        self.begin()
        self.assertEqual(Seq(1), self.courier.consumer.floor)

    def test_a_target_that_hangs_does_not_hold_the_stop(self) -> None:
        """After `DRAIN` seconds deliveries are broken off and stay owed, uncounted."""
        self.send(self.punch("ann"))
        stopping = Deferred.fromCoroutine(self.courier.stop())
        self.clock.advance(DRAIN)
        self.successResultOf(stopping)
        self.file.restart()
        self.begin(max_deliver=1)
        self.target.answer(Delivered("CHK-1"))
        self.assertEqual([], self.letters())
