"""A loop that sleeps misses nothing."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from lineside.wakeup import Wakeup


class WakeupTests(SynchronousTestCase):
    """Set and wait, in any order."""

    def setUp(self) -> None:
        self.wakeup = Wakeup()

    def wait(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.wakeup.wait())

    def test_who_waits_is_woken(self) -> None:
        """A wait ends with the next set, and not before."""
        waiting = self.wait()
        self.assertNoResult(waiting)
        self.wakeup.set()
        self.successResultOf(waiting)

    def test_what_happens_between_two_waits_is_not_missed(self) -> None:
        """However often it was set meanwhile, one wait returns at once, and the one after it waits."""
        self.wakeup.set()
        self.wakeup.set()
        self.successResultOf(self.wait())
        last = self.wait()
        self.assertNoResult(last)
        self.wakeup.set()
        self.successResultOf(last)

    def test_who_gives_up_takes_no_wake_up_along(self) -> None:
        """A set after a cancelled wait is there for the next one."""
        given_up = self.wait()
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        self.wakeup.set()
        self.successResultOf(self.wait())

    def test_a_second_one_who_waits_is_a_bug(self) -> None:
        """It would leave the first asleep for ever: it is refused instead."""
        first = self.wait()
        self.failureResultOf(self.wait(), AssertionError)
        self.wakeup.set()
        self.successResultOf(first)
