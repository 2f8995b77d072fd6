"""Live clients that stop reading while others are served, and what the others and the gateway notice of it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.rig.live_case import LiveCase, token
from tests.rig.told import Program, of
from twisted.internet.defer import Deferred


class StalledCase(LiveCase):
    """Has a crowd on plain sockets, and applications on an SDK that can be stopped."""

    program = "python"
    limit = 1_000
    room = 262_144
    others = 1_000
    """Clients in the crowd."""
    size = 8_000
    """Bytes of a line."""
    rate = 20.0
    """Lines a second."""
    messages = 20
    """Lines at a time; as many times as it takes."""

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self._known: dict[Program, int] = {}
        """The newest event that an application has for certain."""
        options = {
            "url": self.direct,
            "token": token("crowd"),
            "port": self.device_port,
            "authority": str(self.authority.path) if self.secure else None,
        }
        self.crowd = await self.started(
            [sys.executable, str(Path(__file__).parent / "live_crowd.py"), json.dumps(options)]
        )

    async def gather(self, clients: int | None = None) -> None:
        """Let the crowd come in, or only some of it."""
        await self.crowd.do("join", clients=clients or self.others)

    async def send(self, rate: float | None = None) -> None:
        """Send lines, at another rate where one is given, and let each of the crowd have each of them."""
        told = await self.crowd.do("send", messages=self.messages, rate=rate or self.rate, size=self.size)
        self.acknowledged.update(told["acknowledged"])

    async def application(self) -> Program:
        """Start an application on an SDK that follows the events."""
        client = await self.follower(url=self.direct)
        self._known[client] = self._newest
        return client

    async def stall(self, clients: list[Program], *, woken: bool = True) -> int:
        """Let clients take nothing until the gateway is through with them; returns how often lines were sent.

        Then they are ``woken`` at once: they have five seconds for what the gateway says at last.
        """
        for client in clients:
            await self.has_all(client)
            client.signal("STOP")

        def look() -> bool:
            return len(of(self.gateway.said, "live.slow")) >= len(clients)

        def wake(_: object) -> None:
            for client in clients if woken else ():
                client.signal("CONT")

        slow = Deferred.fromCoroutine(self.gateway.until("slow clients", look)).addCallback(wake)
        times = 0
        while not slow.called:
            await self.send()
            times += 1
        await slow
        self.assertEqual(len(clients), len(of(self.gateway.said, "live.slow")))
        self.gateway.said.clear()
        return times

    async def came_back(self, clients: list[Program], code: int | None = None) -> None:
        """Each was told the code, is back by itself, and has all, once and in order."""
        for client in clients:
            left = await client.heard("connecting")
            if code is not None:
                self.assertEqual(code, left["code"])
            await self.has_all(client)
            self.assertEqual(1, self.always_recovered(client))
            client.said.clear()

    async def has_all(self, client: Program) -> None:
        """A client is told each event since this was asked last, once, in order."""
        expected = sorted(seq for seq in self.acknowledged.values() if seq > self._known[client])
        await client.until("all events", lambda: len(of(client.said, "publication")) >= len(expected))
        self.assertEqual(expected, [each["offset"] for each in of(client.said, "publication")])
        self._known[client] = self._newest
        client.said = [each for each in client.said if each["event"] != "publication"]

    @property
    def _newest(self) -> int:
        return max(self.acknowledged.values(), default=0)

    async def late(self) -> dict[str, float]:
        """Return how late the crowd had what was sent since this was asked last, in milliseconds."""
        late: dict[str, float] = (await self.crowd.do("late"))["late_ms"]
        return late

    def resident(self) -> int:
        """Return the gateway's resident bytes."""
        pages = Path(f"/proc/{self.gateway.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
