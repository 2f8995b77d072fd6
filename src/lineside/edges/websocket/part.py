"""The live channels as a `Part`, and the endpoint through which they are reached."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from lineside.background import Background
from lineside.edges.websocket import codes
from lineside.edges.websocket.access import Access
from lineside.edges.websocket.channels import Hub
from lineside.edges.websocket.outbox import Rounds
from lineside.edges.websocket.protocol import LiveConnection, LiveFactory
from lineside.edges.websocket.recognition import Recognition
from lineside.edges.websocket.rpc import Rpc
from lineside.edges.websocket.sessions import Limits, Services, Session
from lineside.edges.websocket.streams import JournalStreams, MemoryStream, Stream
from lineside.operations.web import Call, Endpoint, Parameter, Problem
from lineside.security.turnstile import ConnectionShare

log = Logger()

PATH = "/connection/websocket"
ASKED = ("cf_protocol", "cf_protocol_version", "cf_ws_frame_ping_pong", "format")
"""What the SDKs put into the address."""
FORMATS = {"cf_protocol": "protobuf", "format": "protobuf"}
"""What asks for the protocol's other encoding, which is not spoken here."""


class LiveSettings(Struct, frozen=True):
    """What the live channels are bound by."""

    limits: Limits = Limits()
    origins: frozenset[str] = frozenset()
    """Sites whose pages may connect, beside the gateway's own: ``https://erp.example.com``."""
    max_connections: int = 10_000
    max_message: int = 65_536
    """Bytes from a client."""
    room: int = 1_048_576
    """Bytes that may wait for one client."""
    compress: bool = False


class LivePart:
    """Serves live channels.

    Args:
        reactor: its timers must follow a monotonic clock.
        settings: bounds.
        hub: all channels.
        access: who may do what.
        journal: its streams.
        memory: further streams by channel.
        rpc: what clients may call.
        recognition: tells who they are.
        share: what one address may have of the connections; None for all.

    """

    name = "live"

    def __init__(
        self,
        reactor: Any,
        settings: LiveSettings,
        hub: Hub,
        access: Access,
        journal: JournalStreams,
        memory: dict[str, MemoryStream],
        rpc: Rpc,
        recognition: Recognition,
        share: ConnectionShare | None = None,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._journal = journal
        self._memory = memory
        rounds = Rounds(reactor)
        hub.gather(rounds.first)
        self._working = Background("live")
        self._services = Services(
            hub, access, self._stream_of, rpc, recognition, reactor, settings.limits, self._working
        )
        self._factory = LiveFactory(
            reactor,
            rounds,
            room=settings.room,
            max_message=settings.max_message,
            compress=settings.compress,
        )
        self.max_connections = settings.max_connections
        """Clients at a time; it may be lowered."""
        self.share = share
        self._peers: dict[LiveConnection, str] = {}
        """Of the connections that are counted."""
        self.connections: dict[LiveConnection, None] = {}
        self._strangers: dict[LiveConnection, None] = {}
        """The connections of clients that may not have said who they are, the oldest first."""
        self._turns: list[dict[LiveConnection, None]] = [{} for _ in range(settings.limits.ping)]
        """The connections by the second in which they are pinged."""
        self._turn = 0
        self._ticking: IDelayedCall | None = None
        self.endpoint = Endpoint(
            "GET",
            PATH,
            "live",
            "Live channels: Centrifugo's JSON client protocol over WebSocket",
            None,
            self._not_upgraded,
            parameters=tuple(Parameter(name, "query", {"type": "string"}) for name in ASKED),
            upgrade=self._upgrade,
            described=False,
            tag="live",
        )

    async def start(self) -> None:
        """Begin to look for dead peers."""
        self._ticking = self._reactor.callLater(1, self._tick)

    async def stop(self) -> None:
        """Tell every client that it is to come back, and let go of the journal."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        sessions = [each.session for each in self.connections if each.session is not None]
        # Who asks anew with each answer would keep it from stopping.
        for session in sessions:
            session.cease()
        self._working.cancel()
        await self._working.finish()
        for session in sessions:
            session.end(codes.SHUTDOWN)
        self._journal.stop()

    def _stream_of(self, channel: str) -> Stream | None:
        if channel.startswith(("events:", "device:")):
            return self._journal.of(channel)
        return self._memory.get(channel)

    def _not_upgraded(self, _: Call) -> Any:
        raise Problem(426, "this speaks WebSocket", headers={"Upgrade": "websocket", "Connection": "Upgrade"})

    def _upgrade(self, call: Call) -> LiveConnection:
        if any(call.query.get(name) == value for name, value in FORMATS.items()):
            raise Problem(400, "only the JSON protocol is spoken here")
        offered = [each.strip() for each in call.headers.get("sec-websocket-protocol", "").split(",")]
        if "centrifuge-protobuf" in offered:
            raise Problem(400, "only the JSON protocol is spoken here")
        if not self._may_come_from(call):
            raise Problem(403, "pages of this origin may not connect; see [live] allowed_origins")
        if self.share is not None and not self.share.admits(call.peer):
            raise Problem(429, "this address has too many connections", headers={"Retry-After": "5"})
        if len(self.connections) >= self.max_connections and not self._cut_a_stranger():
            raise Problem(503, "too many connections", headers={"Retry-After": "5"})
        connection = self._factory.take(LiveConnection(call, self._begin, self._ended))
        self.connections[connection] = None
        if self.share is not None:
            self.share.enter(call.peer)
            self._peers[connection] = call.peer
        self._strangers[connection] = None
        return connection

    def review(self) -> None:
        """End, at once, what clients have open whose token was revoked."""
        for connection in list(self.connections):
            if connection.session is not None:
                connection.session.review()

    def _cut_a_stranger(self) -> bool:
        """Make room by ending the first connection whose client did not say who it is, if there is one."""
        while self._strangers:
            connection = next(iter(self._strangers))
            del self._strangers[connection]
            if connection in self.connections and not connection.is_known:
                del self.connections[connection]
                connection.cut()
                return True
        return False

    def _may_come_from(self, call: Call) -> bool:
        """A page's script connects as the page's reader would: only pages that are known may."""
        origin = call.headers.get("origin")
        if origin is None:
            return True
        if origin.lower().rstrip("/") in self._settings.origins:
            return True
        try:
            host = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        return host == call.headers.get("host", "").lower() != ""

    def _begin(self, connection: LiveConnection, call: Call) -> Session:
        self._turns[secrets.randbelow(len(self._turns))][connection] = None
        return Session(secrets.token_hex(16), connection, call, self._services)

    def _ended(self, connection: LiveConnection) -> None:
        self.connections.pop(connection, None)
        peer = self._peers.pop(connection, None)
        if self.share is not None and peer is not None:
            self.share.leave(peer)
        self._strangers.pop(connection, None)
        for turn in self._turns:
            turn.pop(connection, None)

    def _tick(self) -> None:
        self._ticking = self._reactor.callLater(1, self._tick)
        self._turn = (self._turn + 1) % len(self._turns)
        now = self._reactor.seconds()
        late = self._turns[(self._turn - round(self._settings.limits.pong)) % len(self._turns)]
        for connection in list(late):
            session = connection.session
            if session is not None and session.pinged is not None and now - session.pinged >= 1:
                session.end(codes.NO_PONG)
        for connection in list(self._turns[self._turn]):
            if connection.session is not None:
                connection.session.ping()
