"""The gateway is killed at random moments, also while it starts: nothing acknowledged is lost, nothing doubled."""

from __future__ import annotations

import os
from random import Random

from tests.rig.case import ProofCase

KILLS = 12


class ManyDeaths(ProofCase):
    """Six devices with windows of 1 to 8 lines; what is random comes from a seed that a failure shows.

    ``CRASH_SEED`` in the environment repeats one, as far as the moments of processes can be repeated.
    """

    def setUp(self) -> None:
        super().setUp()
        seed = int(os.environ.get("CRASH_SEED") or int.from_bytes(os.urandom(4)))
        print(f"CRASH_SEED={seed}")  # noqa: T201 (pytest shows it when the test fails)
        self.random = Random(seed)

    async def dies_often(self, **faults: float) -> None:
        """Kill it again and again while lines flow and the ERP has these faults, then judge."""
        await self.proof.plant.start_erp()
        await self.proof.plant.set_faults(**faults)
        self.proof.start_gateway()
        for window in (1, 4, 8):
            self.proof.send(self.random.randrange(1 << 32), devices=2, lines=None, window=window, rate=15)
        await self.proof.kill_at_random(self.random, KILLS, within=(0.02, 0.6))
        await self.proof.stop_sending()
        await self.proof.plant.set_faults(**dict.fromkeys(faults, 0.0))
        await self.is_exact()

    async def test_while_the_erp_is_well(self) -> None:
        """Whatever the gateway was doing."""
        await self.dies_often()

    async def test_while_the_erp_fails_too(self) -> None:
        """Also when the ERP stores what it then answers with an error, undoes what it was given, and is slow."""
        await self.dies_often(error_after_commit=0.1, error_before_commit=0.05, latency=0.005, jitter=0.02)
