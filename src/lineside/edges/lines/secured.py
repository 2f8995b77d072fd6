"""Dialling with TLS: a device is connected once the handshake is done, and not before."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside.security.handshakes import Remedies

DEVICE = Remedies(
    server="the device",
    address="the source's connect",
    ca="the source's ca",
    old="renew the device's firmware, or put a TLS proxy before it",
)


@implementer(IStreamClientEndpoint)
class SecuredEndpoint:
    """Connects to a device, and gives it its protocol when its certificate was found right.

    Twisted's own such endpoint takes a connection for made when it has only begun; what is wrong with the
    certificate would be told as the end of a connection, and the device as connected before.

    Args:
        endpoint: leads to the device, without TLS.
        creator: makes the connections, see `lineside.security.handshakes.Trust`.

    """

    def __init__(self, endpoint: IStreamClientEndpoint, creator: IOpenSSLClientConnectionCreator) -> None:
        self._endpoint = wrapClientTLS(creator, endpoint)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fire with the factory's protocol once the handshake is done, or fail with what hindered it."""
        dialling: Deferred[Any]

        def cancel(_: Deferred[IProtocol]) -> None:
            dialling.cancel()
            handshake.give_up()

        made: Deferred[IProtocol] = Deferred(cancel)
        handshake = _Handshake(protocolFactory, made)
        dialling = self._endpoint.connect(Factory.forProtocol(lambda: handshake))
        dialling.addErrback(handshake.failed)
        return made


@implementer(IHandshakeListener)
class _Handshake(Protocol):
    """Waits for the handshake; then all that comes goes to the device's own protocol."""

    def __init__(self, factory: IProtocolFactory, made: Deferred[IProtocol]) -> None:
        self._factory = factory
        self._made = made
        self._device: IProtocol | None = None

    def handshakeCompleted(self) -> None:
        """Connect the device's protocol."""
        assert self.transport is not None
        device = self._factory.buildProtocol(self.transport.getPeer())
        assert device is not None
        self._device = device
        device.makeConnection(self.transport)
        if not self._made.called:
            self._made.callback(device)

    def dataReceived(self, data: bytes) -> None:
        assert self._device is not None
        self._device.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the device's protocol, or that it will have no connection."""
        if self._device is None:
            self.failed(reason)
        else:
            self._device.connectionLost(reason)

    def failed(self, reason: Failure) -> None:
        """Tell why there is no connection."""
        if not self._made.called:
            self._made.errback(reason)

    def give_up(self) -> None:
        """Close a connection whose handshake is not done."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()
