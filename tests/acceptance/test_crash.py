"""The long proof: the gateway is killed 500 times under load while the ERP has bad days, and nothing is lost."""

from __future__ import annotations

import os
from random import Random

import pytest
from tests.rig.case import ProofCase

from lineside.background import Background
from lineside.demo.chaos import Chaos

KILLS = 500


@pytest.mark.acceptance
class FiveHundredDeaths(ProofCase):
    """Six devices with windows of 1 to 8 lines; ``CRASH_SEED`` in the environment repeats what is random."""

    timeout = 3600

    @pytest.fixture(autouse=True)
    def own_screen(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.captured = capfd

    def show(self, text: str) -> None:
        """Show how far it came."""
        with self.captured.disabled():
            print(f"\n{text}", end="", flush=True)  # noqa: T201 (it takes minutes)

    async def test_five_hundred_deaths(self) -> None:
        """Every line acknowledged in between is one document, in its order, and there are no others."""
        seed = int(os.environ.get("CRASH_SEED") or int.from_bytes(os.urandom(4)))
        self.show(f"CRASH_SEED={seed}")
        random = Random(seed)
        proof = self.proof
        await proof.plant.start()
        for window in (1, 4, 8):
            proof.send(random.randrange(1 << 32), devices=2, lines=None, window=window, rate=5)
        chaos = Chaos(proof.reactor, proof.plant, Random(seed), kills_every=(0, 0))
        beside = Background("chaos")
        beside.run("trouble", chaos.trouble())
        try:
            await proof.kill_at_random(random, KILLS, within=(0.02, 1.2), show=self.show)
        finally:
            chaos.end()
            await beside.finish()
        self.show("the last lines and documents")
        await proof.stop_sending()
        result = await proof.finish()
        self.show(f"{KILLS} kills, {result.lines} lines acknowledged, {result.documents} documents\n")
        self.assertEqual(result.problems, [])
        self.assertEqual((result.documents, len(result.records)), (result.lines, result.lines))
        self.assertGreater(result.lines, KILLS)
