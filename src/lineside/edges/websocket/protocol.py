"""The WebSocket itself: autobahn's server protocol, with each callback held to telling what it raises.

Autobahn swallows exceptions of its callbacks, and uses the names ``log`` and ``factory.server`` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from lineside.edges.websocket.codes import INAPPROPRIATE_PROTOCOL, SERVER_ERROR, SLOW, TOO_FAST, Disconnect
from lineside.edges.websocket.messages import pong_frame
from lineside.edges.websocket.outbox import Outbox, Rounds
from lineside.edges.websocket.sessions import Session
from lineside.operations.web import Call

_log = Logger()

SUBPROTOCOL = "centrifuge-json"
FRAMES = 2000
"""A second, of any kind: those that say nothing cost nearly as much as commands."""
PARTS = 1024
"""Frames of one message: those that hold nothing are not bound by its size."""
FIRST_CONTROL = 8
"""Opcodes from this on are no messages' (RFC 6455, section 5.2)."""
LINGER = 5.0
"""Seconds that a client has to take the close frame, and to answer it."""

Begin = Callable[["LiveConnection", Call], Session]
"""Makes the session of a connection that has just opened."""


class LiveConnection(WebSocketServerProtocol):
    """One client's WebSocket; a `Wire` for its session.

    Args:
        call: the request by which it was opened.
        begin: makes the session.
        ended: is told when the connection is gone.

    """

    factory: LiveFactory
    transport: Any

    def __init__(self, call: Call, begin: Begin, ended: Callable[[LiveConnection], None]) -> None:
        super().__init__()
        self._call = call
        self._begin = begin
        self._ended = ended
        self._outbox: Outbox | None = None
        self.put: Callable[[bytes], None] = lambda _: None
        """Sends a whole frame after all others, once the connection is open."""
        self._cutting: IDelayedCall | None = None
        self._second = float("-inf")
        self._frames = 0
        """Since that second began."""
        self._parts = 0
        """Frames of the message that is coming."""
        self.session: Session | None = None

    @property
    def is_known(self) -> bool:
        """The client has said who it is."""
        return self.session is not None and self.session.is_known

    def cut(self) -> None:
        """Be gone at once."""
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Take what came."""
        # Autobahn's own makes a coloured line of it for its log first, whether that is kept or not.
        self._dataReceived(data)

    def read(self, on: bool) -> None:
        """Read on, or read no more for now."""
        (self.transport.resumeProducing if on else self.transport.pauseProducing)()

    def end(self, disconnect: Disconnect) -> None:
        """Close with a code, after all that waits."""
        self.sendClose(disconnect.code, disconnect.reason)

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        """Close, whoever began: nothing goes out after it, and who does not even take the end is cut off."""
        if self.state == self.STATE_OPEN:
            if self.session is not None:
                # What was gathered for it goes out with this, before the close frame.
                self.session.closed()
            if self._outbox is not None:
                self._outbox.empty()
                self._outbox.close()
            self._cutting = self.factory.clock.callLater(LINGER, self.cut)
            super().sendCloseFrame(code, reasonUtf8, isReply)

    def onConnect(self, request: ConnectionRequest) -> str | None:
        """Choose the subprotocol."""
        return SUBPROTOCOL if SUBPROTOCOL in request.protocols else None

    def onOpen(self) -> None:
        """Begin the session."""
        try:
            self._outbox = Outbox(
                self.transport,
                self.factory.rounds,
                room=self.factory.room,
                overflow=self._overflow,
                paused=self._paused,
            )
            self.put = self._outbox.put
            self.session = self._begin(self, self._call)
        except Exception:  # noqa: BLE001 (autobahn would swallow it)
            self._failed()

    def onFrameBegin(self) -> None:
        """Take a frame; who sends too many is too fast, and what else it sent is not looked at."""
        now = self.factory.clock.seconds()
        if now - self._second >= 1:
            self._second, self._frames = now, 0
        self._frames += 1
        if self.current_frame.opcode < FIRST_CONTROL:
            self._parts = self._parts + 1 if self.inside_message else 1
        if self._frames > FRAMES or self._parts > PARTS:
            self.end(TOO_FAST)
            self.dropConnection()
            return
        super().onFrameBegin()

    def onPing(self, payload: bytes) -> None:
        """Answer; that waits like all else, and is bounded with it."""
        self.put(pong_frame(bytes(payload)))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand a frame on."""
        if self.session is None or self._cutting is not None:
            return
        try:
            if isBinary:
                self.session.end(INAPPROPRIATE_PROTOCOL)
            else:
                self.session.frame_came(bytes(payload))
        except Exception:  # noqa: BLE001 (autobahn would swallow it)
            self._failed()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """End the session."""
        try:
            if self._cutting is not None and self._cutting.active():
                self._cutting.cancel()
            if self._outbox is not None:
                self._outbox.close()
            if self.session is not None:
                self.session.closed()
            self._ended(self)
        except Exception:  # noqa: BLE001 (autobahn would swallow it)
            _log.failure("live.failed", method="close")

    def _overflow(self) -> None:
        _log.info("live.slow", peer=self._call.peer)
        self.end(SLOW)

    def _paused(self, paused: bool) -> None:
        if self.session is not None:
            (self.session.hold if paused else self.session.resume)()

    def _failed(self) -> None:
        _log.failure("live.failed", method="frame")
        self.end(SERVER_ERROR)

    def _closeConnection(self, abort: bool = False) -> None:
        # Cutting off a client whose close frame crossed ours could take ours from it.
        super()._closeConnection(abort and not self.wasClean)


class LiveFactory(WebSocketServerFactory):
    """Makes connections for requests that an HTTP server has read.

    Args:
        reactor: its timers must follow a monotonic clock.
        rounds: empties the connections' outboxes.
        room: bytes that may wait for one client.
        max_message: bytes of one message from a client.
        compress: take compressed messages from clients that offer it; what is sent is never compressed.

    """

    noisy = False

    def __init__(
        self, reactor: Any, rounds: Rounds, *, room: int, max_message: int, compress: bool = False
    ) -> None:
        super().__init__(reactor=reactor)
        self.clock = reactor
        self.rounds = rounds
        self.room = room

        def accept(offers: list[Any]) -> Any:
            for offer in offers:
                if compress and isinstance(offer, PerMessageDeflateOffer):
                    # Nothing of one message is remembered for the next: that would be 32 KiB a client.
                    return PerMessageDeflateOfferAccept(
                        offer,
                        request_no_context_takeover=True,
                        no_context_takeover=offer.request_no_context_takeover or None,
                        max_message_size=max_message,
                    )
            return None

        self.setProtocolOptions(
            webStatus=False,
            allowedOrigins=["*"],  # checked before the connection is handed over
            allowNullOrigin=True,
            failByDrop=False,
            maxFramePayloadSize=max_message,
            maxMessagePayloadSize=max_message,
            openHandshakeTimeout=0,  # the request is there whole
            closeHandshakeTimeout=0,  # the connection sees to that by the clock that was handed in
            echoCloseCodeReason=True,
            autoPingInterval=0,
            perMessageCompressionAccept=accept,
        )

    def take(self, connection: LiveConnection) -> LiveConnection:
        """Return a connection that is one of this factory's."""
        connection.factory = self
        return connection
