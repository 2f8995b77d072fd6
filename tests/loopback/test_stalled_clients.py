"""Live clients that stop reading cost the others nothing, and come back by themselves."""

from __future__ import annotations

from tests.rig.stalled_case import StalledCase


class FewAmongMany(StalledCase):
    """Two of them, at a gateway that serves others as well."""

    others = 20
    size = 30_000
    rate = 100.0

    async def test_they_are_let_go_and_miss_nothing(self) -> None:
        """They are told 3008; meanwhile each of the others has each event, in order."""
        clients = [await self.application() for _ in range(2)]
        await self.gather()
        await self.send()
        await self.stall(clients)
        await self.came_back(clients, 3008)
        await self.send()
        for client in clients:
            await self.has_all(client)


class OverTls(FewAmongMany):
    """The same, where every client comes over TLS, and each byte goes through the transport."""

    secure = True
