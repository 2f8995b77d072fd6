"""What Frappe publishes, on its way from the thread that hears it to the channels; Redis is played."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.frappe import realtime
from lineside.edges.frappe.realtime import RealtimeBridge

ITEM = json.dumps({"event": "doc_update", "room": "doc:Item/A"}).encode()


class PlayedReactor:
    """Keeps what the thread wants of it until the test lets it run."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def callFromThread(self, call: Callable[..., None], *arguments: Any, **named: Any) -> None:
        self.calls.append(lambda: call(*arguments, **named))

    def run(self) -> None:
        """Carry out what waits, and nothing that comes meanwhile."""
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class PlayedSubscription:
    """Says what the test gave it, one after the other; what is an exception is raised."""

    def __init__(self, *said: Any, then: Callable[[], None] = lambda: None) -> None:
        self.said = list(said)
        self.then = then
        self.closed = False

    def get_message(self, *, ignore_subscribe_messages: bool, timeout: float) -> Any:
        if not self.said:
            self.then()
            return None
        said = self.said.pop(0)
        if isinstance(said, Exception):
            raise said
        return {"data": said}

    def close(self) -> None:
        self.closed = True


class Following(SynchronousTestCase):
    """The bridge's thread is the test's own."""

    def setUp(self) -> None:
        self.patch(realtime, "AGAIN", (0.0,))
        self.reactor = PlayedReactor()
        self.heard: list[str] = []

    def follow(self, *subscriptions: PlayedSubscription) -> RealtimeBridge:
        """Follow one subscription after the other, until the last one has no more to say."""
        left = list(subscriptions)
        bridge = RealtimeBridge(self.reactor, "redis://played", None, self.hear, subscribe=lambda _: left.pop(0))
        subscriptions[-1].then = bridge._ends.set
        bridge._follow()
        return bridge

    def hear(self, channel: str, data: bytes) -> None:
        self.heard.append(channel)

    def test_nonsense_does_not_end_it(self) -> None:
        """Whatever answers in Redis's place: it is told, and followed anew."""
        first = PlayedSubscription(ITEM, ValueError("no number"))
        self.follow(first, PlayedSubscription(ITEM))
        self.reactor.run()
        self.assertEqual(["frappe:doc:Item/A"] * 2, self.heard)
        self.assertTrue(first.closed)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))

    def test_a_flood_leaves_the_reactor_to_others(self) -> None:
        """What comes while it publishes waits for its next turn."""
        bridge = self.follow(PlayedSubscription(ITEM))

        def more(channel: str, data: bytes) -> None:
            self.heard.append(channel)
            if len(self.heard) < 100:
                bridge._take({"data": ITEM})

        self.patch(bridge, "_publish", more)
        self.reactor.run()
        self.assertEqual(1, len(self.heard))
        self.reactor.run()
        self.assertEqual(2, len(self.heard))
