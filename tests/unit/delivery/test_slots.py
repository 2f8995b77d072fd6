"""Places that may become more or fewer."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.slots import Slots


class SlotsTests(SynchronousTestCase):
    """First come, first served, up to a limit that moves."""

    def test_no_more_than_the_limit(self) -> None:
        """A third taker of two places waits for the first release."""
        slots = Slots(2)
        first, second, third = (Deferred.fromCoroutine(slots.acquire()) for _ in range(3))
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertNoResult(third)
        slots.release()
        self.successResultOf(third)

    def test_a_higher_limit_lets_in_who_waits(self) -> None:
        """More places are given at once, in the order of asking."""
        slots = Slots(1)
        _, second, third = (Deferred.fromCoroutine(slots.acquire()) for _ in range(3))
        slots.limit = 2
        self.successResultOf(second)
        self.assertNoResult(third)
        slots.release()
        self.successResultOf(third)

    def test_a_lower_limit_waits_for_releases(self) -> None:
        """Fewer places take nothing away; the next is let in only when there is room again."""
        slots = Slots(2)
        _, _, third = (Deferred.fromCoroutine(slots.acquire()) for _ in range(3))
        slots.limit = 1
        slots.release()
        self.assertNoResult(third)
        slots.release()
        self.successResultOf(third)

    def test_who_gives_up_leaves_no_gap(self) -> None:
        """Cancelling one who waits lets the next one in."""
        slots = Slots(1)
        _, second, third = (Deferred.fromCoroutine(slots.acquire()) for _ in range(3))
        second.cancel()
        self.failureResultOf(second, CancelledError)
        slots.release()
        self.successResultOf(third)
        self.assertEqual(1, slots.taken)
