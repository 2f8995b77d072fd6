"""Answers straight to the socket: in order, whole, and only where that is safe."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from tests.rig.certificates import Authority
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, optionsForClientTLS
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import BufferingTLSTransport
from twisted.trial.unittest import TestCase

from lineside import straight
from lineside.security.keypairs import read_key_pair
from lineside.security.tlsrecords import SealedEndpoint


class Listener(Protocol):
    """Gathers what it gets, and tells when it is all there."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.wanted = 0
        self.complete: Deferred[None] = Deferred()
        self.made: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.made.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        if self.wanted and len(self.got) >= self.wanted:
            self.wanted = 0
            self.complete.callback(None)


class StraightTests(TestCase):
    """On a real socket."""

    async def connect(self) -> tuple[Any, Listener]:
        from twisted.internet import reactor  # noqa: PLC0415, TID251

        real: Any = reactor
        sending, listening = Listener(), Listener()
        port: Any = await TCP4ServerEndpoint(real, 0, interface="127.0.0.1").listen(
            Factory.forProtocol(lambda: sending)
        )
        self.addCleanup(port.stopListening)
        await connectProtocol(TCP4ClientEndpoint(real, "127.0.0.1", port.getHost().port), listening)
        await sending.made
        transport: Any = sending.transport
        self.addCleanup(listening.transport.abortConnection)  # type: ignore[union-attr]
        return transport, listening

    def test_what_is_known_of_the_transport_is_so(self) -> None:
        """Everything this looks into exists in the installed Twisted, with the meaning relied on when idle."""
        left, right = socket.socketpair()
        self.addCleanup(right.close)
        self.addCleanup(left.close)
        idle = tcp.Connection(left, Protocol(), object())  # type: ignore[arg-type]
        known = {name: getattr(idle, name) for name in straight.WHAT_WE_KNOW}
        self.assertIs(left, known.pop("socket"))
        self.assertEqual({b"", 0}, set(known.values()))

    async def test_an_idle_connection_is_written_at_once(self) -> None:
        """Nothing is left to the transport, and nothing is lost."""
        transport, listening = await self.connect()
        listening.wanted = 5
        straight.write(transport, b"OK 1\n")
        self.assertEqual((b"", 0), (transport.dataBuffer, transport._tempDataLen))
        await listening.complete
        self.assertEqual(b"OK 1\n", listening.got)

    async def test_what_the_socket_does_not_take_comes_later_and_in_order(self) -> None:
        """A device that reads slowly gets every byte, the later answers behind the earlier ones."""
        transport, listening = await self.connect()
        listening.transport.pauseProducing()  # type: ignore[union-attr]
        parts = [b"%07d\n" % number * 8_192 for number in range(400)]
        sent = b"".join(parts)
        for part in parts:
            straight.write(transport, part)
        self.assertTrue(transport._tempDataLen)
        listening.wanted = len(sent)
        listening.transport.resumeProducing()  # type: ignore[union-attr]
        await listening.complete
        self.assertEqual(sent, listening.got)

    async def test_what_was_written_before_goes_first(self) -> None:
        """What the transport still holds is not overtaken."""
        transport, listening = await self.connect()
        listening.wanted = 10
        transport.write(b"first")
        straight.write(transport, b"later")
        await listening.complete
        self.assertEqual(b"firstlater", listening.got)

    async def test_a_connection_on_its_way_down_is_the_transports_affair(self) -> None:
        """After loseConnection nothing is said straight to the socket."""
        transport, _ = await self.connect()
        written: list[bytes] = []
        transport.write = written.append
        transport.loseConnection()
        straight.write(transport, b"late")
        self.assertEqual([b"late"], written)

    async def test_tls_is_the_transports_affair(self) -> None:
        """Where the transport encrypts, nothing goes past it."""
        transport, _ = await self.connect()
        written: list[bytes] = []
        transport.write = written.append
        transport.TLS = True
        straight.write(transport, b"secret")
        transport.TLS = False
        self.assertEqual([b"secret"], written)

    def secured(self, reactor: Any, shown: CertificateOptions) -> IStreamServerEndpoint:
        """Return what listens with TLS."""
        return SSL4ServerEndpoint(reactor, 0, shown, interface="127.0.0.1")

    async def connect_secured(self) -> tuple[Any, Listener]:
        """Return what sends, with the handshake done, and who listens."""
        from twisted.internet import reactor  # noqa: PLC0415, TID251

        real: Any = reactor
        sending, listening = Listener(), Listener()
        authority = Authority(Path(self.mktemp()).parent)
        signed = authority.sign("localhost")
        shown = CertificateOptions(**read_key_pair(signed.certificate, signed.key).options)
        port: Any = await self.secured(real, shown).listen(Factory.forProtocol(lambda: sending))
        self.addCleanup(port.stopListening)
        trust = optionsForClientTLS("localhost", trustRoot=Certificate.loadPEM(authority.pem))
        endpoint = wrapClientTLS(trust, TCP4ClientEndpoint(real, "127.0.0.1", port.getHost().port))
        await connectProtocol(endpoint, listening)
        self.addCleanup(listening.transport.abortConnection)  # type: ignore[union-attr]
        sending.wanted = 5
        listening.transport.write(b"hello")  # type: ignore[union-attr]
        await sending.complete
        return sending.transport, listening

    async def test_what_is_known_of_tls_is_so(self) -> None:
        """Everything this looks into exists in the installed Twisted, with the meaning relied on when idle."""
        transport, _ = await self.connect_secured()
        self.assertIsInstance(transport, BufferingTLSTransport)
        known = {name: getattr(transport, name) for name in straight.WHAT_WE_KNOW_OF_TLS}
        self.assertIsInstance(known.pop("_tlsConnection"), SSL.Connection)
        self.assertIsInstance(known.pop("transport"), tcp.Connection)
        self.assertEqual([], known.pop("_aggregator")._buffer)
        self.assertEqual(
            {
                "_appSendBuffer": [],
                "_handshakeDone": True,
                "_lostTLSConnection": False,
                "connected": True,
                "disconnecting": False,
            },
            {name: bool(value) if name == "connected" else value for name, value in known.items()},
        )

    async def test_an_idle_connection_with_tls_is_written_at_once(self) -> None:
        """Encrypted, with no timer and nothing left to the transports."""
        transport, listening = await self.connect_secured()
        listening.wanted = 5
        said: list[bytes] = []
        transport.write = said.append
        straight.write(transport, b"OK 1\n")
        self.assertEqual((b"", 0), (transport.transport.dataBuffer, transport.transport._tempDataLen))
        await listening.complete
        self.assertEqual((b"OK 1\n", []), (listening.got, said))

    async def test_with_tls_what_the_socket_does_not_take_comes_later_and_in_order(self) -> None:
        """Also answers of several records, and small ones that the transport gathers in between."""
        transport, listening = await self.connect_secured()
        listening.transport.pauseProducing()  # type: ignore[union-attr]
        parts = [b"%07d\n" % number * (8_192 if number % 3 else 1) for number in range(600)]
        for number, part in enumerate(parts):
            (transport.write if number % 50 == 49 else lambda part: straight.write(transport, part))(part)
        self.assertTrue(transport.transport._tempDataLen)
        sent = b"".join(parts)
        listening.wanted = len(sent)
        listening.transport.resumeProducing()  # type: ignore[union-attr]
        await listening.complete
        self.assertEqual(sent, listening.got)

    async def test_with_tls_too_a_connection_on_its_way_down_is_the_transports_affair(self) -> None:
        """After loseConnection nothing is encrypted any more."""
        transport, _ = await self.connect_secured()
        transport.loseConnection()
        written: list[bytes] = []
        transport.write = written.append
        straight.write(transport, b"late")
        self.assertEqual([b"late"], written)

    async def test_what_openssl_does_not_take_is_the_transports_affair(self) -> None:
        """It meets the same error, and ends the connection."""
        transport, _ = await self.connect_secured()
        written: list[bytes] = []
        transport.write = written.append
        transport._tlsConnection.shutdown()
        straight.write(transport, b"lost")
        self.assertEqual([b"lost"], written)

    def test_any_other_transport_is_written_to(self) -> None:
        """Serial ports, pipes, wrappers and tests have only `write`."""
        transport = StringTransport()
        straight.write(transport, b"OK 1\n")
        self.assertEqual(b"OK 1\n", transport.value())


class SealedTests(StraightTests):
    """The same, where we read the records ourselves."""

    def secured(self, reactor: Any, shown: CertificateOptions) -> IStreamServerEndpoint:
        plain = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        return SealedEndpoint(shown, plain, reactor)

    async def test_the_handshake_goes_straight_to_the_socket(self) -> None:
        """None of its flights waits for a turn of the reactor."""
        written: list[bytes] = []
        self.patch(tcp.Server, "write", lambda _, data: written.append(data))
        await self.connect_secured()
        self.assertEqual([], written)
