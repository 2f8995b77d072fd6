"""A device that waits to be dialled, played by the test: it answers the call, speaks, falls silent and hangs up."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer


class PlayedTransport(StringTransport):
    """The gateway's side of a connection to a played device. What ends it is told to the protocol, as in life."""

    protocol: Any = None
    ended = False

    def said(self) -> bytes:
        """Return what the gateway has sent since the last look."""
        sent: bytes = self.value()
        self.clear()
        return sent

    def loseConnection(self) -> None:
        super().loseConnection()
        self.end(ConnectionDone())

    def loseWriteConnection(self) -> None:
        self.loseConnection()

    def abortConnection(self) -> None:
        self.end(ConnectionAborted())

    def end(self, how: Exception) -> None:
        """End the connection."""
        if not self.ended:
            self.ended = True
            self.protocol.connectionLost(Failure(how))


@implementer(IStreamClientEndpoint)
class PlayedDevice:
    """Where a device is. Each call waits until the test answers or refuses it."""

    def __init__(self) -> None:
        self.calls = 0
        self.hung_up = 0
        """Calls that were given up before they were answered."""
        self._ringing: Deferred[IProtocol] | None = None
        self._factory: IProtocolFactory | None = None

    @property
    def ringing(self) -> bool:
        """Whether a call waits for the test."""
        return self._ringing is not None

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Ring."""
        assert self._ringing is None, "it is dialled twice at a time"
        self.calls += 1
        self._factory = protocolFactory
        self._ringing = Deferred(self._hang_up)
        return self._ringing

    def answer(self) -> PlayedTransport:
        """Take the call; return what connects it."""
        ringing, self._ringing = self._ringing, None
        assert ringing is not None
        assert self._factory is not None
        transport = PlayedTransport()
        protocol = self._factory.buildProtocol(transport.getPeer())
        assert protocol is not None
        transport.protocol = protocol
        protocol.makeConnection(transport)
        ringing.callback(protocol)
        return transport

    def refuse(self, why: Exception) -> None:
        """Fail the call."""
        ringing, self._ringing = self._ringing, None
        assert ringing is not None
        ringing.errback(why)

    def _hang_up(self, _: Deferred[IProtocol]) -> None:
        self.hung_up += 1
        self._ringing = None
