"""A way out for devices that throw datagrams."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError, ConnectionDone, ConnectionRefusedError  # noqa: A004
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IStreamClientEndpoint)
class DatagramEndpoint:
    """Sends each write of its protocol as one datagram. Nothing comes back but that nobody is there, at times.

    Args:
        reactor: gives the port.
        host: an IP address.
        port: where datagrams go.

    """

    def __init__(self, reactor: Any, host: str, port: int) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Open a port of our own, and connect the protocol to it."""
        six = ":" in self._host
        address = (IPv6Address if six else IPv4Address)("UDP", self._host, self._port)
        protocol = protocolFactory.buildProtocol(address)
        assert protocol is not None
        outlet = _Outlet(protocol, self._host, self._port)
        try:
            self._reactor.listenUDP(0, outlet, interface="::" if six else "")
        except CannotListenError as busy:
            return fail(busy)
        protocol.makeConnection(outlet)  # type: ignore[arg-type]  # as much of a transport as devices use
        return succeed(protocol)


class _Outlet(DatagramProtocol):
    noisy = False
    transport: Any = None

    def __init__(self, protocol: IProtocol, host: str, port: int) -> None:
        self._protocol = protocol
        self._place = (host, port)
        self._open = True

    def startProtocol(self) -> None:
        self.transport.connect(*self._place)

    def write(self, data: bytes) -> None:
        if self._open:
            self.transport.write(data)

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Datagrams are never held back."""

    def unregisterProducer(self) -> None:
        """None was held."""

    def stopProtocol(self) -> None:
        # With epoll the port of our own is closed for the refusal, and nobody says why.
        self._lose(Failure(ConnectionRefusedError()))

    def connectionRefused(self) -> None:
        self._lose(Failure(ConnectionRefusedError()))

    def loseConnection(self) -> None:
        self._lose(Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        self._lose(Failure(ConnectionDone()))

    def _lose(self, reason: Failure) -> None:
        if self._open:
            self._open = False
            if self.transport is not None:
                self.transport.stopListening()
            self._protocol.connectionLost(reason)
