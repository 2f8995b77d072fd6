"""The gate to a target, opened and closed by what its deliveries and probes find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.gate import DOWN, LOST, Gate
from lineside.model.outcome import Blocked, Delivered, Outcome, TargetDown
from lineside.model.ports import Delivery, Ready

LOST_ANSWER = TargetDown("the connection was lost", certain=False)
MAINTENANCE = TargetDown("HTTP 503")
FINE = Delivered("CHK")
READY = Ready("UTC")


class Site:
    """Answers at once, as it is told to."""

    def __init__(self) -> None:
        self.outcomes: Iterator[Outcome] = repeat(FINE)
        self.health: Iterator[Ready | TargetDown | Blocked] = repeat(READY)
        self.probes = 0

    async def probe(self) -> Ready | TargetDown | Blocked:
        self.probes += 1
        return next(self.health)

    async def deliver(self, batch: list[Delivery]) -> list[Outcome]:
        return [next(self.outcomes) for _ in batch]


class GateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.site = Clock(), Site()
        self.gate = Gate("erp", self.site, self.clock, Random(1), concurrency=4)

    def rest(self) -> float:
        """Wait until the gate is open; return how long that took."""
        passed = Deferred.fromCoroutine(self.gate.passed())
        begun = self.clock.seconds()
        while not passed.called:
            self.clock.advance(0.1)
        self.successResultOf(passed)
        return self.clock.seconds() - begun

    def deliver(self, outcomes: Iterable[Outcome], times: int = 1) -> None:
        """Deliver one after the other, each to be answered so."""
        self.site.outcomes = iter(outcomes)
        for _ in range(times):
            self.rest()
            delivery = Delivery("0" * 32, "insert", "ToDo", {})
            self.successResultOf(Deferred.fromCoroutine(self.gate.deliver([delivery])))

    def test_a_lost_answer_now_and_then_closes_nothing(self) -> None:
        """As long as what is decided comes in between, the target is never probed again."""
        self.deliver([*[LOST_ANSWER] * (LOST - 1), FINE] * 10, times=LOST * 10)
        self.assertIsNone(self.gate.problem)
        self.assertEqual(self.site.probes, 1)

    def test_answers_lost_in_a_row_close_it(self) -> None:
        """After `LOST` of them it is closed, and a probe that is answered opens it."""
        self.deliver(repeat(LOST_ANSWER), times=LOST)
        self.assertEqual(self.gate.problem, LOST_ANSWER)
        self.assertGreater(self.rest(), 0.3)
        self.assertIsNone(self.gate.problem)

    def test_a_target_that_says_so_is_believed_at_once(self) -> None:
        """A 503 or a connection that is refused closes it the first time."""
        self.deliver([MAINTENANCE])
        self.assertEqual(self.gate.problem, MAINTENANCE)

    def test_a_target_that_stumbles_is_not_left_alone_for_long(self) -> None:
        """While probes are answered, deliveries that fail again and again never make the rests grow past 2 s."""
        rests = []
        for _ in range(50):
            self.deliver([MAINTENANCE])
            rests.append(self.rest())
        self.assertLess(max(rests), 2.0 * (1 + DOWN.jitter))
        self.assertGreater(min(rests), 0.3)

    def test_the_rests_of_an_outage_grow(self) -> None:
        """A target whose probes fail is asked less and less, but at least each half minute or so."""
        self.deliver([MAINTENANCE])
        self.site.health = iter([MAINTENANCE] * 5 + [READY])
        self.assertGreater(self.rest(), 30.0)
        self.assertLess(self.site.probes, 10)

    def test_after_an_outage_the_rests_are_short_again(self) -> None:
        """One more stumble right after a long outage costs seconds, and none once a delivery was decided."""
        self.deliver([MAINTENANCE])
        self.site.health = iter([MAINTENANCE] * 20 + [READY] * 9)
        self.rest()
        self.deliver([MAINTENANCE])
        self.assertLess(self.rest(), DOWN.steps[-1] / 2)
        self.deliver([FINE, MAINTENANCE], times=2)
        self.assertLess(self.rest(), 1.0)
