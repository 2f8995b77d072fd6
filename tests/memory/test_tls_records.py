"""TLS with few calls: what is relied on is there, no call is made in vain, and without it Twisted does it all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from tests.rig.certificates import Authority
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import providedBy

from lineside.security import tlsrecords
from lineside.security.keypairs import read_key_pair
from lineside.security.tls import ServerSide, Setting
from lineside.security.tlsrecords import SealedFactory


class Listener(Protocol):
    """Gathers what it gets, chunk by chunk."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        self.got.append(data)


class Records(SynchronousTestCase):
    """One connection in memory."""

    def setUp(self) -> None:
        ca = Authority(Path.cwd())
        shown = ca.sign("gateway.plant")
        self.trust = Certificate.loadPEM(ca.pem)
        self.side = ServerSide(Setting((read_key_pair(shown.certificate, shown.key),)))
        self.clock = Clock()

    def connect(self, factory: TLSMemoryBIOFactory | None = None) -> tuple[Any, Any]:
        """Return both ends, with the handshake done."""
        made = Factory.forProtocol(Listener)
        server: Any = (factory or SealedFactory(self.side, made, self.clock)).buildProtocol(None)
        creator = optionsForClientTLS("gateway.plant", trustRoot=self.trust)
        client: Any = TLSMemoryBIOFactory(creator, True, made, self.clock).buildProtocol(None)
        for end in (server, client):
            end.makeConnection(StringTransport())
        self.carry(server, client)
        return server, client

    def carry(self, server: Any, client: Any) -> None:
        """Carry what both say to each other, until they have said everything."""
        self.clock.advance(0)
        while client.transport.value() or server.transport.value():
            for one, other in ((client, server), (server, client)):
                said = one.transport.value()
                one.transport.clear()
                if said:
                    other.dataReceived(said)
            self.clock.advance(0)

    def note_calls(self) -> list[str]:
        """Return a list of OpenSSL's functions that grows as they are called."""
        called: list[str] = []

        def noted(name: str) -> Callable[..., Any]:
            function = getattr(tlsrecords, name)

            def call(*arguments: Any) -> Any:
                called.append(name)
                return function(*arguments)

            return call

        for name in ("_read", "_write", "_take", "_put", "_held"):
            self.patch(tlsrecords, name, noted(name))
        return called

    def test_what_is_known_is_so(self) -> None:
        """Everything this looks into exists in the installed Twisted, pyOpenSSL and cryptography."""
        server, _ = self.connect()
        twisted = TLSMemoryBIOFactory(self.side, False, Factory.forProtocol(Listener), self.clock)
        theirs, _ = self.connect(twisted)
        self.assertIs(BufferingTLSTransport, type(theirs))
        for name in tlsrecords.WHAT_WE_KNOW:
            self.assertTrue(hasattr(theirs, name), name)
        self.assertTrue(callable(getattr(twisted, "_creatorCallable", None)))
        for name in tlsrecords.WHAT_WE_KNOW_OF_OPENSSL:
            self.assertTrue(hasattr(theirs._tlsConnection, name), name)
        self.assertNotIn(None, tlsrecords.WHAT_WE_CALL)
        self.assertIsNotNone(server._openssl)

    def test_it_is_to_protocols_what_twisteds_is(self) -> None:
        """It provides the same interfaces."""
        server, _ = self.connect()
        theirs, _ = self.connect(TLSMemoryBIOFactory(self.side, False, Factory.forProtocol(Listener), self.clock))
        self.assertEqual(list(providedBy(theirs)), list(providedBy(server)))

    def test_a_line_is_read_with_four_calls(self) -> None:
        """One takes the record in, one gives the line; one finds nothing after it, and one nothing to be sent."""
        server, client = self.connect()
        client.write(b"12.5 kg\n")
        self.clock.advance(0)
        called = self.note_calls()
        self.carry(server, client)
        self.assertEqual([b"12.5 kg\n"], server.wrappedProtocol.got)
        self.assertEqual(["_put", "_read", "_held", "_take"], called)

    def test_an_answer_is_sealed_with_two_calls(self) -> None:
        """What it comes to is what the other end reads."""
        server, client = self.connect()
        called = self.note_calls()
        sealed = server.seal(b"OK 1\n")
        self.assertEqual(["_write", "_take"], called)
        client.dataReceived(sealed)
        self.assertEqual([b"OK 1\n"], client.wrappedProtocol.got)

    def test_what_openssl_does_not_take_is_not_sealed(self) -> None:
        """After the end of TLS nothing is said any more, and who wanted to learns it."""
        server, _ = self.connect()
        server._tlsConnection.shutdown()
        with self.assertRaises(SSL.Error):
            server.seal(b"late\n")

    def test_an_unknown_openssl_is_left_to_twisted(self) -> None:
        """Lines and answers come as well where its functions are no longer where they were."""
        self.patch(tlsrecords, "WHAT_WE_CALL", [*tlsrecords.WHAT_WE_CALL[1:], None])
        server, client = self.connect()
        self.assertIsNone(server._openssl)
        client.write(b"12.5 kg\n")
        self.carry(server, client)
        client.dataReceived(server.seal(b"OK 1\n"))
        server.loseConnection()
        self.carry(server, client)
        self.assertEqual(([b"12.5 kg\n"], [b"OK 1\n"]), (server.wrappedProtocol.got, client.wrappedProtocol.got))
        self.assertTrue(client.transport.disconnecting)
