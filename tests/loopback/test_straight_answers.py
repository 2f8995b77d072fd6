"""Answers straight to the socket: in order, whole, and only where that is safe."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import TestCase

from lineside import straight


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

    def test_any_other_transport_is_written_to(self) -> None:
        """Serial ports, pipes, wrappers and tests have only `write`."""
        transport = StringTransport()
        straight.write(transport, b"OK 1\n")
        self.assertEqual(b"OK 1\n", transport.value())
