"""The dice."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from lineside.standin.faults import FaultKnobs, Faults, Plan


class Knobs(SynchronousTestCase):
    def test_nothing_goes_wrong_by_default(self) -> None:
        """A stand-in is a good ERP until it is told otherwise."""
        knobs = FaultKnobs(Random(1))
        self.assertEqual({knobs.draw() for _ in range(100)}, {Plan()})

    def test_what_is_certain_happens_and_the_rest_stays(self) -> None:
        """A later turn leaves the knobs it does not name."""
        knobs = FaultKnobs(Random(1), Faults(latency=0.5))
        knobs.turn({"hang": 1})
        plan = knobs.draw()
        self.assertEqual((plan.delay, plan.hang, plan.error_after_commit), (0.5, True, False))

    def test_one_seed_gives_one_sequence_whatever_else_is_turned(self) -> None:
        """A fault that is added does not shift when the others strike."""

        def strikes(**others: Any) -> list[bool]:
            knobs = FaultKnobs(Random(7), Faults(hang=0.3, **others))
            return [knobs.draw().hang for _ in range(200)]

        self.assertEqual(strikes(), strikes(error_after_commit=0.5, jitter=1.0))
        self.assertIn(True, strikes())
        self.assertIn(False, strikes())

    def test_a_delay_lies_between_latency_and_latency_with_jitter(self) -> None:
        """And differs from request to request."""
        knobs = FaultKnobs(Random(1), Faults(latency=1.0, jitter=0.5))
        delays = {knobs.draw().delay for _ in range(50)}
        self.assertTrue(all(1.0 <= delay <= 1.5 for delay in delays))
        self.assertEqual(len(delays), 50)

    def test_a_wrong_turn_changes_nothing(self) -> None:
        """An unknown fault, a probability above one, a negative time."""
        knobs = FaultKnobs(Random(1), Faults(latency=1.0))
        for changes in ({"latncy": 1}, {"hang": 1.1}, {"latency": -1}, {"latency": 2, "hang": "often"}):
            self.assertRaises(msgspec.ValidationError, knobs.turn, changes)
        self.assertEqual(knobs.faults, Faults(latency=1.0))
