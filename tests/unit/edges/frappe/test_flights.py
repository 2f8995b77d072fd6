"""Work that is wanted by many is done once."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe.flights import Flights


class SingleFlight(SynchronousTestCase):
    """Callers of one piece of work."""

    def setUp(self) -> None:
        self.flights: Flights[str] = Flights()
        self.begun: list[Deferred[str]] = []
        self.cancelled = 0

    def join(self, key: bytes = b"key") -> Deferred[str]:
        return Deferred.fromCoroutine(self.flights.join(key, self.work))

    async def work(self) -> str:
        done: Deferred[str] = Deferred()
        self.begun.append(done)
        try:
            return await done
        except CancelledError:
            self.cancelled += 1
            raise

    def test_a_hundred_who_want_the_same_are_one_piece_of_work(self) -> None:
        """All get what comes of it, and the next one begins anew."""
        callers = [self.join() for _ in range(100)]
        other = self.join(b"other")
        self.assertEqual((len(self.begun), len(self.flights)), (2, 2))
        self.begun[0].callback("done")
        self.assertEqual([self.successResultOf(each) for each in callers], ["done"] * 100)
        self.assertNoResult(other)
        again = self.join()
        self.assertEqual(len(self.begun), 3)
        self.begun[1].callback("o")
        self.begun[2].callback("a")
        self.assertEqual((self.successResultOf(other), self.successResultOf(again)), ("o", "a"))
        self.assertEqual(len(self.flights), 0)

    def test_work_that_is_done_at_once_is_done(self) -> None:
        """Without ever being under way."""

        async def at_once() -> str:
            return "now"

        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(self.flights.join(b"k", at_once))), "now")
        self.assertEqual(len(self.flights), 0)

    def test_who_gives_up_takes_nothing_from_the_others(self) -> None:
        """Not even the one for whom it was begun."""
        first, second = self.join(), self.join()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(self.cancelled, 0)
        self.begun[0].callback("done")
        self.assertEqual(self.successResultOf(second), "done")

    def test_when_all_have_given_up_the_work_is_cancelled(self) -> None:
        """And who comes then does not wait for what is being cancelled."""
        for each in [self.join(), self.join()]:
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertEqual((self.cancelled, len(self.flights)), (1, 0))
        late = self.join()
        self.begun[1].callback("new")
        self.assertEqual(self.successResultOf(late), "new")

    def test_nobody_waits_for_what_is_being_cancelled(self) -> None:
        """Work may take its time to end; who comes meanwhile begins anew."""
        tidied: Deferred[None] = Deferred()

        async def slow_to_end() -> str:
            try:
                return await Deferred()
            except CancelledError:
                await tidied
                raise

        first = Deferred.fromCoroutine(self.flights.join(b"key", slow_to_end))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        late = self.join()
        self.begun[0].callback("new")
        self.assertEqual(self.successResultOf(late), "new")
        newest = self.join()
        tidied.callback(None)
        self.begun[1].callback("newest")
        self.assertEqual(self.successResultOf(newest), "newest")

    def test_a_failure_is_everybodys(self) -> None:
        """Each gets one of their own."""
        callers = [self.join(), self.join()]
        self.begun[0].errback(OSError("no"))
        failures = [self.failureResultOf(each, OSError) for each in callers]
        self.assertIsNot(*failures)
        self.assertEqual(len(self.flights), 0)

    def test_one_who_makes_another_give_up_on_arrival(self) -> None:
        """The result is there already for both; the other one has given up all the same."""
        callers: list[Deferred[Any]] = [self.join()]
        callers[0].addCallback(lambda _: callers[1].cancel())
        callers.append(self.join())
        self.begun[0].callback("done")
        self.failureResultOf(callers[1], CancelledError)
        self.assertEqual(self.cancelled, 0)
