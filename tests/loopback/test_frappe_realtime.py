"""What Frappe publishes in a real Redis, into live channels."""

from __future__ import annotations

import json

from tests.rig.redisserver import RedisServer
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from lineside.edges.frappe.realtime import RealtimeBridge
from lineside.edges.frappe.rooms import CHANNEL


def published(name: str, site: str = "erp.test") -> bytes:
    return json.dumps(
        {"event": "doc_update", "message": {"name": name}, "room": f"doc:Item/{name}", "namespace": site}
    ).encode()


class Following(TestCase):
    """One site's realtime."""

    timeout = 60

    def setUp(self) -> None:
        self.redis = RedisServer()
        self.addCleanup(self.redis.remove)
        self.redis.start()
        self.heard: list[tuple[str, bytes]] = []
        self.hears: Deferred[None] = Deferred()
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (the threads are real)

        self.bridge = RealtimeBridge(reactor, self.redis.url, "erp.test", self.hear)

    def hear(self, channel: str, data: bytes) -> None:
        self.heard.append((channel, data))
        hears, self.hears = self.hears, Deferred()
        hears.callback(None)

    async def publish(self, data: bytes) -> None:
        """Publish until somebody follows: the subscription may not stand yet."""
        while not await deferToThread(self.redis.publish, CHANNEL, data):
            pass

    async def test_each_publication_has_its_channel(self) -> None:
        """In order; other sites' have none."""
        await self.bridge.start()
        await self.publish(published("X", "other.test"))
        for name in ("A", "B", "C"):
            await self.publish(published(name))
        while len(self.heard) < 3:
            await self.hears
        await self.bridge.stop()
        told = [(f"frappe:doc:Item/{name}", {"event": "doc_update", "message": {"name": name}}) for name in "ABC"]
        self.assertEqual(told, [(channel, json.loads(data)) for channel, data in self.heard])

    async def test_redis_goes_and_comes_back(self) -> None:
        """It is followed again by itself; what was published in between is lost, as for Frappe's own pages."""
        await self.bridge.start()
        await self.publish(published("A"))
        while not self.heard:
            await self.hears
        await deferToThread(self.redis.kill)
        await deferToThread(self.redis.start)
        await self.publish(published("B"))
        while len(self.heard) < 2:
            await self.hears
        await self.bridge.stop()
        self.assertEqual(["frappe:doc:Item/A", "frappe:doc:Item/B"], [channel for channel, _ in self.heard])

    async def test_ends_where_nobody_ever_answered(self) -> None:
        """A Redis that is away holds up nothing."""
        await deferToThread(self.redis.kill)
        await self.bridge.start()
        await self.bridge.stop()
        self.assertEqual([], self.heard)
