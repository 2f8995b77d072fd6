"""Ten thousand connections that are begun and never finished, and a good device whose lines are all answered."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from tests.rig.daemon import lacking
from tests.rig.forked import Nursery
from tests.rig.half_open import MIB, AttackedPlant, GoodDevice, is_served
from twisted.trial.unittest import SynchronousTestCase

COUNT = 10_000
ROUNDS = 20
EACH = 8 * 1024
"""Bytes of the gateway's memory for one connection: what it has read of it, and Twisted's and our objects."""


class LargePlant(AttackedPlant):
    """It has places for all of them."""

    places = 8_000


@pytest.mark.acceptance
class TenThousand(SynchronousTestCase):
    """Half of them at each door, from two addresses."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path, nursery: Nursery, capfd: pytest.CaptureFixture[str]) -> None:
        self.directory, self.nursery = tmp_path, nursery
        self.captured = capfd

    def setUp(self) -> None:
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2 * COUNT:
            lacking("the system allows a process too few open files")
        self.plant = LargePlant(self.directory, self.nursery)
        self.addCleanup(self.plant.stop)
        self.plant.start()
        self.addCleanup(self.plant.hang_up)

    def test_the_good_device_is_answered(self) -> None:
        """Each line and each request, while they stand and drip; memory is bounded, and comes no second time."""
        device = GoodDevice(self.plant)
        self.addCleanup(device.close)
        self.assertEqual(device.say(), b"OK")
        resting = self.plant.resident()
        grown = []
        for _ in range(2):
            begun = []
            for host in ("127.0.0.66", "127.0.0.67"):
                for door in ("web", "gate"):
                    begun += self.plant.half_open(door, COUNT // 4, host)
                    self.assertEqual(device.say(), b"OK")
            self.plant.until("all of them", lambda: self.plant.held() >= COUNT)
            for _ in range(ROUNDS):
                self.assertEqual(self.plant.drip(begun), COUNT)
                self.assertEqual(device.say(), b"OK")
                self.assertTrue(is_served(self.plant))
            grown.append(self.plant.resident() - resting)
            self.plant.hang_up()
            self.plant.until("all of them to be gone", lambda: self.plant.held() < 200)
        with self.captured.disabled():
            print(f"\n{COUNT} half-open: grown by {[round(each / MIB, 1) for each in grown]} MiB", end="")  # noqa: T201
        self.assertLess(grown[0], COUNT * EACH)
        self.assertLess(grown[1], grown[0] + 16 * MIB)
