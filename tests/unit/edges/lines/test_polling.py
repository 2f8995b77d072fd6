"""Questions to a device, in any order of answers, silences and pauses."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.lines.polling import Poll, Polling


class Questions(SynchronousTestCase):
    """What holds whatever happens."""

    @given(
        steps=st.lists(
            st.tuples(st.integers(0, 30), st.sampled_from(["answer", "hold", "read", "nothing"])), max_size=60
        ),
        every=st.integers(1, 20),
        timeout=st.integers(1, 50),
    )
    def test_no_question_overtakes_another(self, steps: list[tuple[int, str]], every: int, timeout: int) -> None:
        """Between two lies an answer or the time-out, none is early, and none goes to a device that is not read."""
        clock = Clock()
        asked: list[float] = []
        told: list[float] = []
        reading = True

        def ask(question: bytes) -> None:
            self.assertTrue(reading)
            self.assertEqual(b"S\r\n", question)
            asked.append(clock.seconds())

        polling = Polling(Poll(b"S\r\n", float(every), float(timeout)), clock, "scale", ask, lambda: reading)
        polling.start()
        for ticks, what in steps:
            for _ in range(ticks):
                clock.advance(0.5)
            match what:
                case "answer":
                    told.append(clock.seconds())
                    polling.answered()
                case "hold":
                    reading = False
                case "read":
                    reading = True
        for first, second in pairwise(asked):
            self.assertGreaterEqual(second - first, every)
            answered = any(first <= moment <= second for moment in told)
            self.assertTrue(answered or second - first >= timeout, (first, second, told))
        for moment in asked:
            self.assertEqual(0, moment % every)
        polling.stop()
        self.assertEqual([], clock.getDelayedCalls())

    @given(every=st.integers(1, 10), answers=st.integers(1, 20))
    def test_a_device_that_answers_is_asked_on_every_beat(self, every: int, answers: int) -> None:
        """No beat is lost while it keeps up."""
        clock = Clock()
        asked: list[bytes] = []
        polling = Polling(Poll(b"S", float(every), 100.0), clock, "scale", asked.append, lambda: True)
        polling.start()
        for count in range(1, answers + 1):
            self.assertEqual(count, len(asked))
            clock.advance(every / 2)
            polling.answered()
            clock.advance(every / 2)
        polling.stop()
