"""The long proof: an ERP that does everything wrong, by turns and at once, and a gateway that is killed."""

from __future__ import annotations

import os
from random import Random

import pytest
from tests.rig.fault_case import ALONE, FINE, LIMITS, PATIENT_PLANT, TOGETHER, UNLIMITED, FaultCase

DEVICES = 4
LINES = 60
"""Of each device, for each fault."""
KILLS_EACH = 3
"""While one fault goes on."""
KILLS_TOGETHER = 60
AWAY = 8.0
"""Seconds for which the ERP is away, or refuses everybody."""


@pytest.mark.acceptance
class LongFaults(FaultCase):
    """Batches, submitted documents and twin routes; ``CRASH_SEED`` in the environment repeats what is random."""

    timeout = 1200
    scenario = PATIENT_PLANT

    @pytest.fixture(autouse=True)
    def own_screen(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.captured = capfd

    def setUp(self) -> None:
        super().setUp()
        # A gateway that was turned away looks again after a minute.
        self.proof.patience = 300.0
        seed = int(os.environ.get("CRASH_SEED") or int.from_bytes(os.urandom(4)))
        self.random = Random(seed)
        self.begun = self.proof.reactor.seconds()
        self.show(f"CRASH_SEED={seed}")

    def show(self, text: str) -> None:
        """Show how far it came."""
        with self.captured.disabled():
            print(f"\n{self.proof.reactor.seconds() - self.begun:5.0f} s  {text}", end="", flush=True)  # noqa: T201

    async def survived(self, what: str, kills: int = 0) -> None:
        """Send lines, kill the gateway so often while it delivers them, and wait for every document."""
        self.proof.send(self.random.randrange(1 << 32), devices=DEVICES, lines=LINES, window=8)
        await self.proof.kill_at_random(self.random, kills, within=(0.2, 1.5), show=lambda _: None)
        await self.proof.answered()
        await self.proof.delivered()
        acknowledged = sum(fleet.counts.acked for fleet in self.proof.fleets)
        answers = await self.answers()
        told = f"{answers['requests']} requests, {answers['unanswered']} without an answer, {answers['cut']} cut"
        self.show(f"{what}: {acknowledged} lines so far are documents; {told}")

    async def test_one_fault_after_the_other(self) -> None:
        """Under each of them the gateway is killed and comes back; what it can only wait for it waits out."""
        await self.begin()
        plant = self.proof.plant
        for what, faults in ALONE.items():
            await plant.set_faults(**{**FINE, **faults})
            await self.survived(what, KILLS_EACH)
        await plant.set_faults(**FINE)
        await self.set_site(LIMITS)
        await self.survived("rate_limit", KILLS_EACH)
        await self.set_site(UNLIMITED)
        await plant.set_faults(down=AWAY)
        await self.survived("down", KILLS_EACH)
        for what in ("unauthorized", "forbidden"):
            await plant.set_faults(**{what: AWAY})
            await self.survived(what)
        await self.is_exact()
        self.show(f"{self.proof.plant.kills} kills, and the ledger is exact")

    async def test_all_at_once_and_a_gateway_that_dies(self) -> None:
        """Every fault and a rate limit together, while devices go on sending and the gateway is killed."""
        await self.begin()
        await self.set_site({**LIMITS, "rate_limit": 0.6})
        await self.proof.plant.set_faults(**TOGETHER)
        for window in (1, 4, 8):
            self.proof.send(self.random.randrange(1 << 32), devices=2, lines=None, window=window, rate=2)
        await self.proof.kill_at_random(self.random, KILLS_TOGETHER, within=(0.1, 2.0), show=self.show)
        await self.proof.stop_sending()
        acknowledged = sum(fleet.counts.acked for fleet in self.proof.fleets)
        self.show(f"the last documents of {acknowledged} lines")
        await self.is_exact()
        self.show(f"{self.proof.plant.kills} kills, and the ledger is exact")
