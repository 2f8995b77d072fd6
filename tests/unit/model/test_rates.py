"""Rates and delays as a person sees them, from counts of a fixed size."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.rates import SIZES, Delays, Fading, Rate


class Rates(SynchronousTestCase):
    """`Rate`."""

    def test_the_second_that_is_over_counts(self) -> None:
        """The one that runs is not whole yet: it would make each rate too low."""
        rate = Rate(100.0)
        rate.add(100.2, 30)
        rate.add(100.9, 12)
        rate.add(101.1, 5)
        self.assertEqual(rate.last_second(101.5), 42)
        self.assertEqual(rate.last_second(102.0), 5)
        self.assertEqual(rate.last_second(103.0), 0)

    def test_a_minute_is_sixty_seconds_or_as_long_as_there_were_any(self) -> None:
        """A gateway that has just started does not seem sixty times slower than it is."""
        rate = Rate(0.0)
        for second in range(10):
            rate.add(second, 100)
        self.assertEqual(rate.last_minute(10.0), 100)
        self.assertAlmostEqual(rate.last_minute(60.0), 1000 / 60)
        self.assertAlmostEqual(rate.last_minute(65.0), 500 / 60)
        self.assertEqual(rate.last_minute(1e6), 0)

    @given(st.lists(st.tuples(st.floats(0, 90), st.integers(1, 9)), max_size=40))
    def test_whatever_the_pauses(self, steps: list[tuple[float, int]]) -> None:
        """The last minute holds exactly what was counted in the sixty seconds before the one that runs."""
        rate, now, seen = Rate(0.0), 0.0, list[tuple[int, int]]()
        for pause, count in steps:
            now += pause
            rate.add(now, count)
            seen.append((int(now), count))
        second = int(now)
        expected = sum(count for at, count in seen if second - 60 <= at < second)
        self.assertAlmostEqual(rate.last_minute(now) * max(1, min(60, second)), expected)


class FadingRates(SynchronousTestCase):
    """`Fading`."""

    def test_it_comes_close_to_a_steady_rate_and_forgets_it(self) -> None:
        """Ten a second for five minutes is ten a second; after five minutes of nothing it is next to nothing."""
        fading = Fading(0.0)
        for tenth in range(3000):
            fading.add(tenth / 10, 1)
        self.assertGreater(fading.rate(300.0), 9.8)
        self.assertLess(fading.rate(300.0), 10.2)
        self.assertLess(fading.rate(600.0), 0.1)


class DelaysOfAMinute(SynchronousTestCase):
    """`Delays`."""

    def test_shares_of_many(self) -> None:
        """The half and the slowest hundredth are told within 9 %, and never too fast."""
        delays = Delays()
        for number in range(1, 1001):
            delays.add(5.0, number / 1000)
        for share, exact in ((0.5, 0.5), (0.99, 0.99)):
            told = delays.quantile(6.0, share)
            assert told is not None
            self.assertGreaterEqual(told, exact)
            self.assertLess(told, 1.1 * exact)

    def test_many_at_once_weigh_as_many(self) -> None:
        """A batch of 999 that took a millisecond, and one event that took a second."""
        delays = Delays()
        delays.add(0.0, 0.001, 999)
        delays.add(0.0, 1.0)
        self.assertLess(delays.quantile(1.0, 0.99) or 9, 0.0012)
        self.assertGreater(delays.quantile(1.0, 1.0) or 0, 0.9)

    def test_what_is_older_than_a_minute_is_forgotten(self) -> None:
        """A slow moment does not stay in the picture."""
        delays = Delays()
        delays.add(0.0, 5.0)
        self.assertIsNotNone(delays.quantile(49.0, 0.5))
        self.assertIsNone(delays.quantile(61.0, 0.5))

    def test_the_strangest_times_are_taken(self) -> None:
        """Nothing at all, a clock that stood still, and a day."""
        delays = Delays()
        for took in (0.0, -1.0, 86_400.0):
            delays.add(0.0, took)
        self.assertEqual(delays.quantile(0.0, 0.5), 1e-6)

    def test_it_stays_as_small_as_it_is(self) -> None:
        """A million measurements over ten minutes take no more room than those of one minute."""
        delays = Delays()
        for number in range(100_000):
            delays.add(number * 0.006, number * 1e-5)
        self.assertLessEqual(len(delays._slices), 7)
        self.assertEqual({len(sizes) for sizes in delays._slices.values()}, {SIZES})
        self.assertLess(sum(map(sys.getsizeof, delays._slices.values())), 20_000)
