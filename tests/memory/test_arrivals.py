"""Connections before their TLS handshake is done, on transports in memory and a clock turned by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.rig.certificates import Authority
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.security.arrivals import PATIENCE, SAY_EVERY, Arrivals
from lineside.security.keypairs import read_key_pair
from lineside.security.tls import ServerSide, Setting
from lineside.security.tlsrecords import SealedFactory

MOST = 4


class Device(Protocol):
    """Takes note of what it gets."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class Wire(StringTransport):
    """Tells when it was cut."""

    cut = False

    def abortConnection(self) -> None:
        self.cut = True
        super().abortConnection()


class Handshakes(SynchronousTestCase):
    """One listener, without its socket."""

    def setUp(self) -> None:
        ca = Authority(Path.cwd())
        shown = ca.sign("gateway.plant")
        self.trust = Certificate.loadPEM(ca.pem)
        self.clock = Clock()
        self.devices: list[Device] = []
        self.full = False
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = self.take  # type: ignore[assignment,method-assign]
        self.arrivals = Arrivals(factory, "sources.gate", self.clock, most=MOST)
        side = ServerSide(Setting((read_key_pair(shown.certificate, shown.key),)))
        self.server = SealedFactory(side, self.arrivals, self.clock)

    def take(self, _: Any) -> Device | None:
        if self.full:
            return None
        self.devices.append(Device())
        return self.devices[-1]

    def arrive(self) -> tuple[Any, Wire]:
        """Return the server's side of a new connection, and its way back."""
        tls, wire = self.server.buildProtocol(None), Wire()
        assert tls is not None
        tls.makeConnection(wire)
        return tls, wire

    def client(self) -> tuple[Any, StringTransport]:
        creator = optionsForClientTLS("gateway.plant", trustRoot=self.trust)
        factory = TLSMemoryBIOFactory(creator, True, Factory.forProtocol(Device), self.clock)
        tls, wire = factory.buildProtocol(None), StringTransport()
        assert tls is not None
        tls.makeConnection(wire)
        return tls, wire

    def pass_on(self, one: tuple[Any, StringTransport], other: tuple[Any, StringTransport]) -> None:
        """Carry what both say to each other, until they have said everything."""
        while one[1].value() or other[1].value():
            for (_, wire), (to, _) in ((one, other), (other, one)):
                said = wire.value()
                wire.clear()
                if said:
                    to.dataReceived(said)
            self.clock.advance(0)

    def test_a_protocol_comes_after_the_handshake(self) -> None:
        """And then it has the connection for itself."""
        server, client = self.arrive(), self.client()
        self.assertEqual(([], 1), (self.devices, len(self.arrivals)))
        self.pass_on(client, server)
        [device] = self.devices
        self.assertEqual(0, len(self.arrivals))
        client[0].write(b"hello")
        self.clock.advance(0)
        self.pass_on(client, server)
        self.assertEqual(b"hello", device.data)
        self.assertIs(device, server[0].wrappedProtocol)
        self.clock.advance(10 * PATIENCE)
        self.assertFalse(server[1].cut)
        server[0].connectionLost(Failure(connectionDone.value))
        self.assertIsNotNone(device.lost)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_one_that_is_slow(self) -> None:
        """A byte now and then is no handshake: it is cut after its time, and the log says so."""
        server, client = self.arrive(), self.client()
        hello = client[1].value()
        with capturedLogs() as logged:
            for place in range(20):
                self.assertFalse(server[1].cut)
                server[0].dataReceived(hello[place : place + 1])
                self.clock.advance(PATIENCE / 20)
        self.assertTrue(server[1].cut)
        self.assertEqual(0, len(self.arrivals))
        [told] = [each for each in logged if each["log_format"] == "tls.failed"]
        self.assertEqual("the handshake was not done after 10 s", told["reason"])

    def test_each_has_its_own_time(self) -> None:
        """One timer watches over all: who came later is cut later, and who is done is not cut at all."""
        first = self.arrive()
        self.clock.advance(PATIENCE / 4)
        done, client = self.arrive(), self.client()
        self.pass_on(client, done)
        self.clock.advance(PATIENCE / 4)
        last = self.arrive()
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        self.clock.advance(PATIENCE / 2)
        self.assertEqual([True, False, False], [wire.cut for _, wire in (first, done, last)])
        self.clock.advance(PATIENCE / 2)
        self.assertEqual([True, False, True], [wire.cut for _, wire in (first, done, last)])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_who_comes_when_the_others_are_done(self) -> None:
        """A timer that was begun for somebody else gives nobody less time, nor more."""
        done, client = self.arrive(), self.client()
        self.pass_on(client, done)
        self.clock.advance(PATIENCE - 1)
        late = self.arrive()
        self.clock.pump([0.5] * int(2 * PATIENCE - 1))
        self.assertFalse(late[1].cut)
        self.clock.advance(0.5)
        self.assertTrue(late[1].cut)

    def test_many_that_are_silent(self) -> None:
        """The one that began first makes room, so that who is honest comes through a flood; the log stays small."""
        with capturedLogs() as logged:
            flood = [self.arrive() for _ in range(50)]
            server, client = self.arrive(), self.client()
            self.pass_on(client, server)
            flood += [self.arrive() for _ in range(50)]
        self.assertEqual(1, len(self.devices))
        self.assertEqual(MOST, len(self.arrivals))
        self.assertEqual([True] * 96 + [False] * MOST, [wire.cut for _, wire in flood])
        self.assertFalse(server[1].cut)
        self.assertEqual(1, len([each for each in logged if each["log_format"] == "tls.failed"]))
        self.clock.advance(SAY_EVERY)
        self.assertEqual(0, len(self.arrivals))

    def test_no_room_behind_it(self) -> None:
        """Where there is no protocol for one whose handshake is done, it is closed, and TLS told so before."""
        self.full = True
        server, client = self.arrive(), self.client()
        self.pass_on(client, server)
        self.assertEqual((0, []), (len(self.arrivals), self.devices))
        self.assertTrue(server[1].cut)
        self.assertTrue(client[1].disconnecting)

    def test_the_end(self) -> None:
        """When the listener stops, handshakes that are under way are cut."""
        self.server.doStart()
        arrived = [self.arrive() for _ in range(3)]
        self.server.doStop()
        self.assertEqual([True] * 3, [wire.cut for _, wire in arrived])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_one_that_leaves(self) -> None:
        """Who connects and goes, as a health check does, is worth no line of the log."""
        server = self.arrive()
        with capturedLogs() as logged:
            server[0].connectionLost(Failure(connectionDone.value))
        self.assertEqual(([], 0), (logged, len(self.arrivals)))
