"""How many lines may go by now."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.testing.pace import TICK, Pace


class Turns(SynchronousTestCase):
    """The rate holds, whatever the steps of the clock."""

    @given(st.floats(0.1, 5_000), st.lists(st.floats(0.0, 0.9), min_size=1, max_size=200))
    def test_the_rate_is_never_exceeded(self, rate: float, steps: list[float]) -> None:
        """By any time at most the first line and the rate's share since then have gone."""
        pace = Pace(rate)
        now, taken = 0.0, pace.take(10**9, 0.0)
        self.assertEqual(taken, 1)
        for step in steps:
            now += step
            taken += pace.take(10**9, now)
            self.assertLessEqual(taken, 1 + now * rate + 1e-6)

    @given(st.floats(0.1, 5_000))
    def test_the_rate_is_reached_by_waiting_as_told(self, rate: float) -> None:
        """A sender that asks again after each `wait` loses nothing to rounding or ticks."""
        pace = Pace(rate)
        now, taken = 0.0, 0
        while now < 10 / rate + 10 * TICK:
            taken += pace.take(10**9, now)
            now += pace.wait(now)
        self.assertGreaterEqual(taken, 10)

    def test_what_is_not_taken_stays(self) -> None:
        """A closed window costs no turns, up to a second's worth."""
        pace = Pace(10)
        self.assertEqual(pace.take(0, 0.0), 0)
        self.assertEqual(pace.take(2, 0.5), 2)
        self.assertEqual(pace.take(100, 0.5), 4)
        self.assertEqual(pace.take(100, 60.0), 10)

    def test_a_slow_rate_still_has_a_turn(self) -> None:
        """One line a minute is one line after a minute, not none for want of a whole turn a second."""
        pace = Pace(1 / 60)
        self.assertEqual(pace.take(5, 0.0), 1)
        self.assertEqual(pace.take(5, 59.0), 0)
        self.assertAlmostEqual(pace.wait(59.0), 1.0)
        self.assertEqual(pace.take(5, 60.0), 1)

    def test_no_wait_is_a_busy_loop(self) -> None:
        """Even at a million lines a second the sender sleeps between bundles."""
        pace = Pace(1_000_000)
        pace.take(1, 0.0)
        self.assertEqual(pace.wait(0.0), TICK)

    def test_a_rate_that_sends_nothing(self) -> None:
        """Zero, negative and no number are refused."""
        for rate in (0, -1, float("nan")):
            with pytest.raises(ValueError, match="rate"):
                Pace(rate)
