"""Two thousand events through packet losses and silences: each SDK has every one, in order, once; over TLS, too."""

from __future__ import annotations

import pytest
from tests.rig.lossy_case import LossyCase
from tests.rig.told import Program, of

pytestmark = pytest.mark.acceptance
ROUNDS = 4


class LongSilences(LossyCase):
    """Nothing arrives any more, either way, without FIN or RST, until both sides have given up."""

    timeout = 600

    async def test_every_event_comes_once_and_in_order(self) -> None:
        """A tenth is lost, then all, for as long as it takes, and every second time the gateway dies as well."""
        clients = await self.both()
        for number in range(ROUNDS):
            self.lose(0.1)
            await self.send(200)
            self.lose(1.0)
            await self.send(100)
            if number % 2:
                # Who was connected is not told of that, either.
                await self.kill_gateway()
            await self.send(100)
            for client in clients:
                # By the ping that does not come; connecting again does not go, either.
                await self.away(client, number + 1)
            await self.send(50)
            self.lose(0.1)
            await self.send(50)
            for client in clients:
                await self.returned(client, number + 1)
            self.lose(0.0)
        for client in clients:
            await self.got_all(client)
            self.assertEqual(ROUNDS, self.always_recovered(client))

    async def away(self, client: Program, times: int) -> None:
        """Wait until a client has noticed so many times that it is cut off."""
        await client.until(f"silence {times}", lambda: len(of(client.said, "connecting")) >= times)

    async def returned(self, client: Program, times: int) -> None:
        """Wait until a client has come back so many times."""
        await client.until(f"return {times}", lambda: len(of(client.said, "subscribed")) >= times)


class OverTls(LongSilences):
    """The same over TLS."""

    secure = True
