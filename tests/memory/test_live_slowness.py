"""Clients that take little, answers that take long, and clients that go meanwhile."""

from __future__ import annotations

from typing import Any

from tests.rig.frame_case import FramesCase, answer, call
from twisted.internet.defer import Deferred

from lineside.edges.websocket.channels import publication
from lineside.edges.websocket.part import LiveSettings
from lineside.edges.websocket.sessions import Limits
from lineside.model.event import Event
from lineside.security.identity import Identity

ROOM = 10_000
REPLY = 5_000


class Slowness(FramesCase):
    """What waits, and what does not."""

    settings = LiveSettings(limits=Limits(ping=5, pong=2.0, reply=REPLY), room=ROOM)

    def setUp(self) -> None:
        super().setUp()
        self.waiting: list[Deferred[Any]] = []

    async def echo(self, data: Any, identity: Identity) -> Any:
        if data != "later":
            return data
        later: Deferred[Any] = Deferred()
        self.waiting.append(later)
        return await later

    def subscribed(self, channel: str = "pub:a") -> Any:
        peer = self.open()
        peer.send(peer.text({"id": 3, "subscribe": {"channel": channel}}))
        self.replies(peer)
        return peer

    def append(self, *sizes: int) -> None:
        for size in sizes:
            event = Event(b'"%s"' % (b"x" * size))
            self.successResultOf(Deferred.fromCoroutine(self.file.journal.append("gate", [event])))

    def test_much_at_once_is_no_slow_client(self) -> None:
        """A burst of ten times the room reaches a client that takes it, in order and whole."""
        peer = self.subscribed()
        for number in range(ROOM // 100):
            self.hub.publish("pub:a", publication(b'[%d, "%s"]' % (number, b"x" * 1000)))
        got = [each["push"]["pub"]["data"][0] for each in self.replies(peer)]
        self.assertEqual(list(range(ROOM // 100)), got)

    def test_commands_wait_for_a_client_that_takes_no_answers(self) -> None:
        """They are carried out when it takes them, in their order; so no answer is dropped for want of room."""
        peer = self.open()
        peer.fill()
        for number in range(20):
            peer.send(peer.text(call([number, "x" * 1000])))
        self.assertEqual([], self.replies(peer))
        self.assertEqual([], self.waiting)
        peer.drain()
        self.assertEqual([answer([number, "x" * 1000]) for number in range(20)], self.replies(peer))
        self.echoes(peer)

    def test_a_sign_of_life_waits_for_no_command(self) -> None:
        """A call that takes long does not make a client seem dead; one that says nothing is: 3012."""
        alive, dead = self.open(), self.open()
        for peer in (alive, dead):
            peer.send(peer.text(call("later")))
        self.successResultOf(Deferred.fromCoroutine(self.part.start()))
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(self.part.stop())))
        for _ in range(20):
            self.clock.advance(1)
            for reply in [] if alive.lets_go else alive.replies():
                self.assertEqual({}, reply)
                alive.send(alive.text({}))
        self.assertEqual([3012], [frame.payload[0] for frame in dead.received()[1:]])
        self.waiting[0].callback("done")
        self.assertEqual([answer("done")], self.replies(alive))

    def test_a_client_that_goes_while_it_is_answered_leaves_nothing(self) -> None:
        """The call comes to its end, and nobody is told."""
        peer = self.open()
        peer.send(peer.text(call("later"), {"id": 9, "subscribe": {"channel": "pub:a"}}))
        peer.leave()
        self.waiting[0].callback("done")
        self.clock.advance(0)
        self.assertNotIn("pub:a", self.hub)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_return_brings_no_more_than_a_reply_may_hold(self) -> None:
        """By bytes, too: who missed more is told so, and reads on in the history, a piece at a time."""
        self.append(*[1000] * 8)
        peer = self.open()

        def back(offset: int) -> Any:
            peer.send(peer.text({"id": 4, "unsubscribe": {"channel": "events:gate"}}))
            ask = {"channel": "events:gate", "recover": True, "offset": offset}
            peer.send(peer.text({"id": 5, "subscribe": ask}))
            return self.replies(peer)[-1]["subscribe"]

        self.assertNotIn("recovered", back(1))
        self.assertEqual([5, 6, 7, 8], [each["offset"] for each in back(4)["publications"]])
        peer.send(peer.text({"id": 6, "history": {"channel": "events:gate", "limit": -1}}))
        [reply] = self.replies(peer)
        self.assertEqual([1, 2, 3, 4], [each["offset"] for each in reply["history"]["publications"]])

    def test_an_event_larger_than_a_reply_is_still_brought(self) -> None:
        """Alone."""
        self.append(2 * REPLY, 10)
        peer = self.open()
        peer.send(peer.text({"id": 6, "history": {"channel": "events:gate", "limit": -1}}))
        [reply] = self.replies(peer)
        self.assertEqual([1], [each["offset"] for each in reply["history"]["publications"]])


class LongAbsence(FramesCase):
    """Who comes back to much."""

    def test_more_than_one_look_into_the_journal_holds_is_brought_all_the_same(self) -> None:
        """The journal is read on, a MiB at a time, and nothing is missing."""
        event = Event(b'"%s"' % (b"x" * 100_000))
        for _ in range(30):
            self.successResultOf(Deferred.fromCoroutine(self.file.journal.append("gate", [event])))
        peer = self.open()
        peer.send(peer.text({"id": 5, "subscribe": {"channel": "events:gate", "recover": True, "offset": 2}}))
        [reply] = self.replies(peer)
        self.assertTrue(reply["subscribe"]["recovered"])
        self.assertEqual(list(range(3, 31)), [each["offset"] for each in reply["subscribe"]["publications"]])
