"""Packets are lost between the gateway and clients of its live channels."""

from __future__ import annotations

from tests.rig.lossy_case import LossyCase


class Losses(LossyCase):
    """By TCP alone they would be made good; what is over it must not get in the way."""

    async def test_a_tenth_of_all_packets_is_lost(self) -> None:
        """Both SDKs keep their connections, and have each event once, in order.

        Of a fifth TCP itself may lose one so often, and wait so long, that a ping is not answered in time.
        """
        clients = await self.both()
        self.lose(0.1)
        for _ in range(20):
            await self.send(20)
        await self.nobody_was_cut(clients)

    async def test_nothing_arrives_for_a_moment(self) -> None:
        """Nobody is told, and everything comes afterwards."""
        clients = await self.both()
        await self.send(20)
        self.lose(1.0)
        await self.send(50)
        self.lose(0.0)
        await self.send(20)
        await self.nobody_was_cut(clients)


class OverTls(Losses):
    """The same over TLS."""

    secure = True
