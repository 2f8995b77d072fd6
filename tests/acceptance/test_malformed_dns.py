"""A hundred thousand packets that nobody should send, another seed each time."""

from __future__ import annotations

import secrets

import pytest
from tests.rig.malformed_dns import Judge, mutated
from twisted.trial.unittest import SynchronousTestCase

COUNT = 100_000

pytestmark = pytest.mark.acceptance


class Malformed(SynchronousTestCase):
    """See `tests.memory.test_malformed_dns`."""

    def test_no_crash_and_no_answer_outside_the_zone(self) -> None:
        """The seed stands in the report of a failure."""
        seed = secrets.randbelow(1 << 32)
        judge = Judge()
        for packet in mutated(seed, COUNT):
            try:
                judge.ask(packet)
            except Exception as wrong:
                raise AssertionError(f"seed {seed}: {packet.hex()}") from wrong
        self.assertEqual([], judge.failures)
