"""Live channels over a network that loses packets, real ones, and says nothing."""

from __future__ import annotations

from tests.rig.cable import as_between_machines, lose, own_network, sent_again
from tests.rig.live_case import LiveCase
from tests.rig.told import Program, of


class LossyCase(LiveCase):
    """Both SDKs at once, straight at the gateway; the device's own connection loses nothing."""

    forks = False
    limit = 2_000

    async def setUp(self) -> None:  # type: ignore[override]
        # First, so that it is undone last.
        self.addCleanup(own_network())
        as_between_machines()
        self.sent = 0
        await super().setUp()

    async def both(self) -> list[Program]:
        """Start a client on each SDK."""
        clients = []
        for self.program in ("javascript", "python"):
            clients.append(await self.follower(url=self.direct))
        return clients

    async def send(self, lines: int) -> None:
        """Send lines, until they are acknowledged."""
        self.device.send(range(self.sent, self.sent + lines), "x" * 1_000)
        self.sent += lines
        await self.device.answered()

    def lose(self, share: float) -> None:
        """Lose so much of what is sent between clients and the gateway, both ways."""
        lose(share, self.port)

    async def nobody_was_cut(self, clients: list[Program]) -> None:
        """Each has all, and kept its connection, although something was lost."""
        for client in clients:
            await self.got_all(client)
            self.assertEqual([], of(client.said, "connecting"))
        self.assertGreater(sent_again(), 0)
