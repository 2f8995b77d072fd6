"""TLS for who connects to us, with no more calls to OpenSSL than there must be.

Twisted reads until OpenSSL raises, and looks for something to send until it raises: after the line that a device
sent it asks twice more, and each time an exception is made and caught, which costs more than decrypting the line.
And each call into OpenSSL lets go of the interpreter, for which another thread may be waiting.

This asks only where there is something to be had, and what OpenSSL has to say goes straight to the socket. What the
protocol is told, and when, is what Twisted tells it, and all but the reading of records is still Twisted's:
handshakes, the end of a connection, whatever is written. It looks into Twisted and pyOpenSSL, at what
`WHAT_WE_KNOW` and the two after it name. Where pyOpenSSL lacks one of them, Twisted does it all; tests hold it to
the versions of Twisted that are allowed.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL, _util
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
    ITransport,
)
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from lineside import straight

WHAT_WE_KNOW = (
    "_aborted",
    "_appSendBuffer",
    "_checkHandshakeStatus",
    "_flushSendBIO",
    "_handshakeDone",
    "_lostTLSConnection",
    "_shutdownTLS",
    "_tlsConnection",
    "_tlsShutdownFinished",
    "_unbufferPendingWrites",
)
"""What of `twisted.protocols.tls.BufferingTLSTransport` is relied on, and its factory's ``_creatorCallable``."""
WHAT_WE_KNOW_OF_OPENSSL = ("_from_ssl", "_into_ssl", "_raise_ssl_error", "_ssl")
"""What of `OpenSSL.SSL.Connection` is: the connection, and the memory behind it and before it."""
ROOM = 2**15
"""Bytes taken from OpenSSL at a time, as Twisted does: more than a record can hold (RFC 8446, section 5.1)."""

_ffi: Any = _util.ffi
_NULL = _ffi.NULL
WHAT_WE_CALL: list[Any] = [
    getattr(_util.lib, name, None)
    for name in ("SSL_read", "SSL_write", "BIO_read", "BIO_write", "BIO_get_mem_data")
]
"""OpenSSL's functions, as cryptography has them; None where it has one no longer. To look for them is dear."""
_read, _write, _take, _put, _held = WHAT_WE_CALL


@implementer(IStreamServerEndpoint)
class SealedEndpoint:
    """Listens with TLS, as Twisted's ``SSL4ServerEndpoint`` does.

    Args:
        side: makes the connections.
        endpoint: listens, without TLS.
        clock: the reactor.

    """

    def __init__(
        self, side: IOpenSSLServerConnectionCreator, endpoint: IStreamServerEndpoint, clock: IReactorTime
    ) -> None:
        self._side = side
        self._endpoint = endpoint
        self._clock = clock

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen; the protocols that ``protocolFactory`` makes are connected when TLS has only begun."""
        listening: Deferred[IListeningPort]
        listening = self._endpoint.listen(SealedFactory(self._side, protocolFactory, self._clock))
        return listening


class _OpenSSL:
    """What is handed to OpenSSL for one connection.

    Twisted's transport finds no attribute fast, for it looks for what it lacks in the one beneath.
    """

    __slots__ = ("before", "behind", "connection", "room", "view")

    def __init__(self, connection: Any, factory: SealedFactory) -> None:
        self.connection = connection._ssl
        self.before = connection._into_ssl
        self.behind = connection._from_ssl
        self.room = factory.room
        self.view = factory.view


class SealedTransport(BufferingTLSTransport):
    """One connection, whose records are read as this module says."""

    _openssl: _OpenSSL | None = None
    """None where only pyOpenSSL is to be asked."""

    def makeConnection(self, transport: ITransport) -> None:
        """Begin the handshake."""
        factory: Any = self.factory
        connection = self._tlsConnection = factory._creatorCallable(self)
        self._appSendBuffer: list[bytes] = []
        if _is_known(connection):
            self._openssl = _OpenSSL(connection, factory)
        # Before this Twisted would say of itself what the transport provides, one interface after the other, and
        # each time forget the one before. This says it all, at once.
        ProtocolWrapper.makeConnection(self, transport)
        self._checkHandshakeStatus()

    def dataReceived(self, data: bytes) -> None:
        """Give the protocol what came in these records, and send what OpenSSL has to say to them."""
        openssl = self._openssl
        if openssl is None:
            super().dataReceived(data)
            return
        if _put(openssl.before, data, len(data)) != len(data):
            raise MemoryError("OpenSSL has no room for what was received")
        more = True
        if not self._handshakeDone:
            self._checkHandshakeStatus()
            if not self._handshakeDone:
                return
            more = _held(openssl.before, _NULL)
        if self._appSendBuffer:
            self._unbufferPendingWrites()
        room = openssl.room
        while more and not self._lostTLSConnection:
            size = _read(openssl.connection, room, ROOM)
            if size <= 0:
                self._see_why(size)
                break
            if not self._aborted:
                self.wrappedProtocol.dataReceived(openssl.view[:size])
            # A record that is smaller than the room is read to its end.
            more = size == ROOM or _held(openssl.before, _NULL)
        size = _take(openssl.behind, room, ROOM)
        if size > 0:
            straight.write(self.transport, openssl.view[:size])

    def _see_why(self, size: int) -> None:
        """Do what Twisted does where OpenSSL gives nothing."""
        try:
            self._tlsConnection._raise_ssl_error(self._tlsConnection._ssl, size)
        except SSL.WantReadError:
            # The rest of a record is still to come; or it was one that only OpenSSL reads.
            pass
        except SSL.ZeroReturnError:
            self._shutdownTLS()
            self._tlsShutdownFinished(None)
        except SSL.Error:
            self._tlsShutdownFinished(Failure())

    def _flushSendBIO(self) -> None:
        """Send what OpenSSL has to send."""
        openssl = self._openssl
        if openssl is None:
            super()._flushSendBIO()
            return
        size = _take(openssl.behind, openssl.room, ROOM)
        if size > 0:
            straight.write(self.transport, openssl.view[:size])

    def seal(self, data: bytes) -> bytes:
        """Return what is to be sent for some bytes, which one record can hold.

        Raises:
            SSL.Error: nothing was taken.

        """
        openssl = self._openssl
        if openssl is None:
            return straight.seal(self._tlsConnection, data)
        size = _write(openssl.connection, data, len(data))
        if size <= 0:
            self._tlsConnection._raise_ssl_error(openssl.connection, size)
        sealed: bytes = openssl.view[: max(0, _take(openssl.behind, openssl.room, ROOM))]
        return sealed


class SealedFactory(TLSMemoryBIOFactory):
    """Makes the connections of one listener.

    Args:
        side: makes OpenSSL's.
        factory: makes the protocols.
        clock: the reactor.

    """

    protocol = SealedTransport

    def __init__(
        self, side: IOpenSSLServerConnectionCreator, factory: IProtocolFactory, clock: IReactorTime
    ) -> None:
        super().__init__(side, False, factory, clock)
        # Each call fills it, and what it holds is copied before the next one; all are made on the reactor's thread.
        self.room = _ffi.new("char[]", ROOM)
        self.view = _ffi.buffer(self.room)


def _is_known(connection: object) -> bool:
    return (
        isinstance(connection, SSL.Connection)
        and all(hasattr(connection, name) for name in WHAT_WE_KNOW_OF_OPENSSL)
        and None not in WHAT_WE_CALL
    )
