"""Live channels behind a real HTTP site, in memory, for clients that make every frame themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.rig.frame_peer import FramePeer
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from wsproto.extensions import PerMessageDeflate

from lineside.edges.http.identification import Identification
from lineside.edges.http.site import Desk, GatewaySite
from lineside.edges.websocket.access import Access, Rule
from lineside.edges.websocket.channels import Hub
from lineside.edges.websocket.part import PATH, LivePart, LiveSettings
from lineside.edges.websocket.protocol import LINGER
from lineside.edges.websocket.recognition import Recognition
from lineside.edges.websocket.rpc import Rpc
from lineside.edges.websocket.streams import JournalStreams
from lineside.operations.registry import Operations
from lineside.security.identity import Identity
from lineside.testing.journals import JournalOnFile

MOST = 2048
"""Bytes of a message."""


class NoTokens:
    """There are none, so that who asks from this machine may look."""

    any = False

    def identify(self, text: str) -> Identity | None:
        return None


class FramesCase(SynchronousTestCase):
    """A gateway's live channels, with a call that says what it was told."""

    settings = LiveSettings(max_message=MOST)

    def setUp(self) -> None:
        self.clock = Clock()
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.hub = hub = Hub()

        self.part = LivePart(
            self.clock,
            self.settings,
            hub,
            Access({"pub": Rule(frozenset({"viewer"}), frozenset({"viewer"}))}),
            JournalStreams(self.file.journal, self.file.database, hub, self.clock),
            {},
            Rpc(Operations(), {"echo": self.echo}),
            Recognition(NoTokens()),
        )
        desk = Desk([self.part.endpoint], Identification(NoTokens()))
        self.site = GatewaySite(desk, self.clock)

    async def echo(self, data: Any, identity: Identity) -> Any:
        """Carry out the call."""
        return data

    def peer(self, *extensions: PerMessageDeflate) -> FramePeer:
        channel = self.site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 40_000))
        assert channel is not None
        peer = FramePeer(channel, extensions)
        self.addCleanup(peer.leave)
        return peer

    def open(self, *extensions: PerMessageDeflate) -> FramePeer:
        """Return a client whose WebSocket stands and who is known."""
        peer = self.peer(*extensions)
        offers = [f"Sec-WebSocket-Extensions: permessage-deflate; {each.offer()}" for each in extensions]
        status, headers = peer.ask(PATH, *offers)
        self.assertEqual(101, status)
        for extension in extensions:
            extension.finalize(headers["sec-websocket-extensions"])
        peer.send(peer.text({"id": 1, "connect": {}}))
        [reply] = self.replies(peer)
        self.assertEqual(1, reply["id"])
        self.assertIn("connect", reply)
        return peer

    def replies(self, peer: FramePeer) -> list[Any]:
        self.clock.advance(0)
        return peer.replies()

    def echoes(self, peer: FramePeer, data: object = "still here") -> None:
        """The connection stands: a call is answered."""
        peer.send(peer.text(call(data)))
        self.assertEqual([answer(data)], self.replies(peer))

    def is_ended(self, peer: FramePeer, code: int, *, mid_frame: bool = False) -> str:
        """The client was told a code, and once it has said so too, or let time pass, the connection is gone.

        Args:
            peer: the client.
            code: what it is to be told.
            mid_frame: it stopped within a frame, so that whatever it sends is payload.

        """
        self.clock.advance(0)
        told, reason = peer.closed_with()
        self.assertEqual(code, told, reason)
        if mid_frame:
            self.clock.advance(LINGER)
        else:
            peer.send(peer.frames.close(told))
        self.assertTrue(peer.lets_go)
        peer.leave()
        self.assertEqual({}, self.part.connections)
        self.assertEqual([], self.clock.getDelayedCalls())
        return reason


def call(data: object) -> dict[str, Any]:
    return {"id": 2, "rpc": {"method": "echo", "data": data}}


def answer(data: object) -> dict[str, Any]:
    return {"id": 2, "rpc": {"data": data}}


def encoded(data: object) -> bytes:
    return json.dumps(call(data), ensure_ascii=False).encode()
