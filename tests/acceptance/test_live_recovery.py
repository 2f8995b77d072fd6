"""Ten thousand messages through twenty cuts: each of Centrifugo's SDKs has every one, in order, once."""

from __future__ import annotations

import pytest
from tests.rig.live_case import LiveCase
from tests.rig.told import Program, of

pytestmark = pytest.mark.acceptance
MESSAGES = 10_000
CUTS = 20


class TwentyCuts(LiveCase):
    """Both SDKs at once, over one network."""

    timeout = 600
    limit = 2_000

    async def test_every_message_comes_once_and_in_order(self) -> None:
        """Every fourth cut is the gateway's death; before every other one the network swallows what is sent."""
        clients: list[Program] = []
        for self.program in ("javascript", "python"):
            clients.append(await self.follower())
        each = MESSAGES // CUTS
        for cut in range(CUTS):
            numbers = range(cut * each, (cut + 1) * each)
            first, second = numbers[: each // 2], numbers[each // 2 :]
            self.device.send(first)
            if cut % 4 == 3:
                await self.device.answered(len(first) // 2)
                await self.kill_gateway()
            else:
                await self.device.answered(len(first) // 2)
                self.network.swallows = cut % 2 == 1
                await self.device.answered()
                self.network.cut()
                self.network.swallows = False
            self.device.send(second)
            await self.device.answered()
            for client in clients:
                await self.returned(client, cut + 1)
        self.assertEqual(MESSAGES, len(self.acknowledged))
        for client in clients:
            await self.got_all(client)
            self.assertEqual(CUTS, self.always_recovered(client))

    async def returned(self, client: Program, times: int) -> None:
        """Wait until a client has come back so many times."""
        await client.until(f"return {times}", lambda: len(of(client.said, "subscribed")) >= times)


class OverTls(TwentyCuts):
    """The same over TLS."""

    secure = True
