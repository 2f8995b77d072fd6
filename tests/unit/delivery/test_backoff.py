"""How long a delivery waits for its next attempt."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.delivery.backoff import Backoff


class Delays(SynchronousTestCase):
    """The schedule."""

    def test_follows_the_steps_and_repeats_the_last(self) -> None:
        """Each failure waits for its own step, and every later one as long as the last."""
        backoff = Backoff((1.0, 2.0, 60.0))
        delays = [backoff.delay(attempt, Random(1)) for attempt in range(1, 6)]
        self.assertEqual([1.0, 2.0, 60.0, 60.0, 60.0], delays)

    @given(attempt=st.integers(1, 50), jitter=st.floats(0, 1), seed=st.integers())
    def test_jitter_stays_within_its_share(self, attempt: int, jitter: float, seed: int) -> None:
        """A delay is never negative, and never further from its step than the share says."""
        delay = Backoff((10.0,), jitter).delay(attempt, Random(seed))
        self.assertTrue(10 * (1 - jitter) - 1e-9 <= delay <= 10 * (1 + jitter) + 1e-9, delay)

    def test_jitter_spreads_what_failed_together(self) -> None:
        """A hundred records that failed at once do not come back at once."""
        random = Random(7)
        delays = {Backoff((10.0,), 0.2).delay(1, random) for _ in range(100)}
        self.assertEqual(100, len(delays))

    def test_senseless_schedules_are_refused(self) -> None:
        """No steps, a negative step, a jitter above one, and an attempt before the first are mistakes."""
        self.assertRaises(ValueError, Backoff, ())
        self.assertRaises(ValueError, Backoff, (1.0, -1.0))
        self.assertRaises(ValueError, Backoff, (1.0,), 1.5)
        self.assertRaises(ValueError, Backoff((1.0,)).delay, 0, Random(1))
