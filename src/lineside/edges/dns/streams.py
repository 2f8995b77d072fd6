"""DNS over TCP (RFC 7766): many questions a connection, in any number before the first answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.edges.dns.responder import Responder
from lineside.edges.dns.visitors import Visitors
from lineside.wire.dnsqueries import HEADER

IDLE = 10.0
"""Seconds without a whole question after which a connection is closed."""
CONNECTIONS = 128
"""At a time; with more, a new one is closed at once."""
OF_ONE = 32
"""Connections of one address."""
STEP = 64 * 1024
"""Bytes of answers that are written before the transport may say that it has enough."""


@implementer(IPushProducer)
class StreamConnection(Protocol, TimeoutMixin):
    """Answers one connection's questions in their order.

    While its peer does not read, nothing is read from it.
    """

    transport: Any

    def __init__(self, door: StreamDoor, host: str) -> None:
        self.host = host
        self._door = door
        self._buffer = b""
        self._paused = False

    def callLater(self, period: float, func: Callable[[], None]) -> IDelayedCall:
        """Time out by the clock that was given."""
        return self._door.clock.callLater(period, func)

    def connectionMade(self) -> None:
        """Take the connection, if there is room."""
        if not self._door.enter(self):
            self.transport.abortConnection()
            return
        self.transport.registerProducer(self, True)
        self.setTimeout(IDLE)

    def dataReceived(self, data: bytes) -> None:
        """Answer the questions that are whole."""
        self._buffer += data
        self._go_on()

    def _go_on(self) -> None:
        buffer, at, answers, size = self._buffer, 0, [], 0
        while not self._paused and len(buffer) >= at + 2:
            length = int.from_bytes(buffer[at : at + 2], "big")
            if length < HEADER.size:
                # No question is so short: whatever speaks here does not speak DNS.
                self.transport.abortConnection()
                return
            if len(buffer) < at + 2 + length:
                break
            self.resetTimeout()
            answer = self._door.answer(buffer[at + 2 : at + 2 + length], self.host)
            at += 2 + length
            if answer is not None:
                answers.append(len(answer).to_bytes(2, "big") + answer)
                size += 2 + len(answer)
            if size >= STEP:
                self.transport.write(b"".join(answers))
                answers, size = [], 0
        self._buffer = buffer[at:]
        if answers:
            self.transport.write(b"".join(answers))

    def pauseProducing(self) -> None:
        """Read and answer nothing more until the peer has read."""
        self._paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on."""
        self._paused = False
        self.transport.resumeProducing()
        self._go_on()

    def stopProducing(self) -> None:
        """Nothing is made by itself."""

    def timeoutConnection(self) -> None:
        """Cut a connection that asks nothing, or does not read."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Leave."""
        self.setTimeout(None)
        self._paused = True
        self._door.leave(self)


class StreamDoor(Factory):
    """Makes the connections.

    Args:
        responder: makes the answers.
        visitors: say who may have one. A connection's address is nobody's forgery, so that no rate bounds it.
        clock: times out.

    """

    noisy = False

    def __init__(self, responder: Responder, visitors: Visitors, clock: IReactorTime) -> None:
        self.clock = clock
        self._responder = responder
        self._visitors = visitors
        self._connections: set[StreamConnection] = set()
        self.turned_away = 0
        """Connections for which there was no room."""

    def buildProtocol(self, addr: IAddress | None) -> StreamConnection:
        """Return the protocol of a new connection."""
        return StreamConnection(self, getattr(addr, "host", "127.0.0.1"))

    def enter(self, connection: StreamConnection) -> bool:
        """Take a connection in; false where there is no room."""
        of_one = sum(other.host == connection.host for other in self._connections)
        if len(self._connections) >= CONNECTIONS or of_one >= OF_ONE:
            self.turned_away += 1
            return False
        self._connections.add(connection)
        return True

    def leave(self, connection: StreamConnection) -> None:
        """Let a connection go that is lost."""
        self._connections.discard(connection)

    def close(self) -> None:
        """Cut all connections."""
        for connection in list(self._connections):
            connection.transport.abortConnection()

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    def answer(self, packet: bytes, host: str) -> bytes | None:
        """Return the answer to a question of an address."""
        if not self._visitors.allows(host):
            return self._responder.refuse(packet)
        return self._responder.over_tcp(packet)
