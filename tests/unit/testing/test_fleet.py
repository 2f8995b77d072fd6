"""Many devices as one: what can be told without a connection."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lineside.model.event import Seq
from lineside.testing.fleet import Latencies, TimedLedger


class Percentiles(SynchronousTestCase):
    """Times from line to acknowledgement."""

    def test_none_before_the_first(self) -> None:
        """No acknowledgement, no time: not zero."""
        self.assertIsNone(Latencies().percentile(50))

    def test_nearest_rank(self) -> None:
        """Of a hundred values the 99th percentile is the 99th."""
        latencies = Latencies()
        for n in range(100, 0, -1):
            latencies.add(float(n))
        self.assertEqual([latencies.percentile(p) for p in (0, 1, 50, 99, 100)], [1.0, 1.0, 50.0, 99.0, 100.0])

    @given(st.integers(0, 2**32))
    def test_a_long_run_is_sampled_fairly(self, seed: int) -> None:
        """The memory is bounded, and the sample speaks for the whole run, not for its beginning."""
        latencies = Latencies(size=500, random=Random(seed))
        for n in range(5_000):
            latencies.add(float(n))
        median = latencies.percentile(50)
        assert median is not None
        self.assertTrue(1_750 < median < 3_250, median)

    def test_a_clock_that_steps_back(self) -> None:
        """Wall clocks are corrected; no time is negative."""
        ledger = TimedLedger(wall=lambda: 99.0)
        ledger.on_ack("a", 100.0, Seq(1))
        self.assertEqual(ledger.latencies.percentile(50), 0.0)
