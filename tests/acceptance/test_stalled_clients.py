"""One live client that stops reading, and then ten, among a thousand others, who shall not notice."""

from __future__ import annotations

import statistics

import pytest
from tests.rig.cable import as_between_machines, own_network
from tests.rig.stalled_case import StalledCase
from tests.rig.told import Program

MIB = 1024 * 1024
ROUNDS = 3
FILLING = 1_500
"""Lines after which the gateway's memory grows no more."""


@pytest.mark.acceptance
class OneAmongAThousand(StalledCase):
    """On a network as it is between machines."""

    timeout = 1_200
    forks = False
    room = MIB // 4
    """So that it is exceeded sooner than a pong is missed."""
    size = 20_000
    rate = 10.0
    messages = 10

    @pytest.fixture(autouse=True)
    def own_screen(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.captured = capfd

    async def setUp(self) -> None:  # type: ignore[override]
        self.addCleanup(own_network())
        as_between_machines(131_072)
        await super().setUp()

    async def test_the_others_notice_nothing(self) -> None:
        """They are served as soon as without it, which is told 3008, misses nothing, and keeps no memory."""
        one, *ten = await self.rest(11)
        resting = self.resident()
        for clients in ([one], ten):
            quiet, stalled, resident = [], [], []
            for _ in range(ROUNDS):
                await self.late()
                times = await self.stall(clients)
                stalled.append(await self.late())
                await self.came_back(clients, 3008)
                await self.late()
                for _ in range(times):
                    await self.send()
                quiet.append(await self.late())
                resident.append(round(self.resident() / MIB, 1))
            self.tell(f"{len(clients)} stalled of {self.others + len(clients)}, ms: {stalled}")
            self.tell(f"without: {quiet}")
            self.tell(f"resident before {resting / MIB:.1f}, after each {resident} MiB")
            for share in ("p50", "p99"):
                without, with_it = (statistics.median(each[share] for each in late) for late in (quiet, stalled))
                # A write that waits for one client would be many seconds; what those who are woken do themselves
                # is work for the same processors.
                self.assertLess(with_it, 3 * without + 50, share)
        grown = resident[-1] - resident[0]
        # Ten times so much waited for them, each time anew.
        self.assertLess(grown, (ROUNDS - 1) * 10 * self.room / MIB / 2 + 1)

    async def rest(self, applications: int) -> list[Program]:
        """Fill what journal and channels keep in memory, let the crowd in, and so many applications."""
        await self.gather(1)
        for _ in range(FILLING // self.messages):
            await self.send(rate=500.0)
        await self.gather()
        clients = [await self.application() for _ in range(applications)]
        for _ in range(5):
            await self.send()
        return clients

    def tell(self, text: str) -> None:
        with self.captured.disabled():
            print(f"\n{text}", end="", flush=True)  # noqa: T201 (the figures are what is wanted)


class CutOff(OneAmongAThousand):
    """Ten who do not even take the end."""

    others = 200
    rate = 20.0
    messages = 20
    room = MIB

    async def test_the_others_notice_nothing(self) -> None:
        """They are cut off, and their memory is given back; later they miss nothing."""
        ten = await self.rest(10)
        resting = self.resident()
        await self.stall(ten, woken=False)
        # Longer than LINGER.
        for _ in range(2):
            await self.send(rate=5.0)
        grown = self.resident() - resting
        self.tell(f"with ten cut off: grown by {grown / MIB:.1f} MiB")
        self.assertLess(grown, 10 * self.room / 2)
        for client in ten:
            client.signal("CONT")
        await self.came_back(ten)


class OverTls(OneAmongAThousand):
    """The same over TLS, which takes the crowd longer: less is sent, and less may wait."""

    secure = True
    size = 40_000
    rate = 3.0
    messages = 3
    room = MIB // 8
