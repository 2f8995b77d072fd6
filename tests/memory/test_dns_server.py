"""DNS over UDP and TCP, without a network: rates, networks, pipelining, time-outs, and what is down."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, cast

import dns.flags
import dns.message
import dns.rcode
from tests.rig.dns_zone import NETWORKS, plant, responder
from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lineside.edges.dns.checks import EVERY, PATIENCE, VAIN, AddressCheck
from lineside.edges.dns.datagrams import TURN, DatagramDoor
from lineside.edges.dns.health import Health
from lineside.edges.dns.streams import CONNECTIONS, IDLE, OF_ONE, StreamConnection, StreamDoor
from lineside.edges.dns.visitors import NETWORKS as MOST_NETWORKS
from lineside.edges.dns.visitors import Visitors, packed

GATE = dns.message.make_query("gate.plant.example.", "A")
PACKET = GATE.to_wire()
FRAME = len(PACKET).to_bytes(2, "big") + PACKET


def told(case: SynchronousTestCase | TestCase) -> list[dict[str, Any]]:
    """Return a list that is filled with what is logged."""
    events: list[dict[str, Any]] = []
    observer = cast(ILogObserver, events.append)
    globalLogPublisher.addObserver(observer)
    case.addCleanup(globalLogPublisher.removeObserver, observer)
    return events


class Wire:
    """In place of a socket: datagrams to be received, and those that were sent."""

    def __init__(self) -> None:
        self.came: list[tuple[bytes, Any]] = []
        self.sent: list[tuple[bytes, Any]] = []
        self.full = False
        self.broken = 0

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        if self.broken:
            self.broken -= 1
            raise ConnectionRefusedError
        if not self.came:
            raise BlockingIOError
        packet, address = self.came.pop(0)
        return packet[:size], address

    def sendto(self, packet: bytes, address: Any) -> None:
        if self.full:
            raise BlockingIOError
        self.sent.append((packet, address))

    def close(self) -> None:
        self.came.clear()


class Datagrams(SynchronousTestCase):
    """UDP."""

    def setUp(self) -> None:
        self.wire = Wire()
        self.responder, failures = responder(plant())
        self.addCleanup(lambda: self.assertEqual([], failures))

    def door(self, rate: int = 1_000) -> tuple[DatagramDoor, Visitors]:
        visitors = Visitors((*NETWORKS, ip_network("10.0.0.0/8")), rate)
        return DatagramDoor(self.wire, self.responder, visitors), visitors  # type: ignore[arg-type]

    def codes(self) -> list[int]:
        return [packet[3] & 15 for packet, _ in self.wire.sent]

    def test_answers_and_remembers(self) -> None:
        """The second time the same is asked, the answer is remembered, and bears the new id."""
        door, _ = self.door()
        again = b"\x12\x34" + PACKET[2:]
        self.wire.came = [(PACKET, ("127.0.0.1", 1000)), (again, ("127.0.0.1", 1001))]
        door.doRead()
        (first, to), (second, other) = self.wire.sent
        self.assertEqual((to, other), (("127.0.0.1", 1000), ("127.0.0.1", 1001)))
        self.assertTrue(GATE.is_response(dns.message.from_wire(first)))
        self.assertEqual((second[:2], second[2:]), (b"\x12\x34", first[2:]))
        self.assertEqual((self.responder.hits, self.responder.answered[0]), (1, 2))

    def test_a_turn_is_bounded(self) -> None:
        """However many wait, others in the gateway have their turn."""
        door, _ = self.door()
        self.wire.came = [(PACKET, ("127.0.0.1", 1000))] * (TURN + 5)
        door.doRead()
        self.assertEqual(len(self.wire.sent), TURN)
        door.doRead()
        self.assertEqual(len(self.wire.sent), TURN + 5)

    def test_strangers_are_refused(self) -> None:
        """Who is of none of the networks is told so, also where the answer is remembered; IPv6 too."""
        door, _ = self.door()
        self.wire.came = [
            (PACKET, ("10.1.2.3", 1)),
            (PACKET, ("192.0.2.1", 1)),
            (PACKET, ("::ffff:10.1.2.3", 1, 0, 0)),
            (PACKET, ("fe80::1%eth0", 1, 0, 2)),
            (PACKET, ("::1", 1, 0, 0)),
        ]
        door.doRead()
        self.assertEqual(self.codes(), [0, 5, 0, 5, 0])

    def test_over_the_rate(self) -> None:
        """A network gets what the rate allows; then every second question is sent to TCP, and the rest dropped."""
        door, visitors = self.door(rate=3)
        self.wire.came = [(PACKET, (f"10.0.0.{number}", 1)) for number in range(9)]
        self.wire.came.append((PACKET, ("10.0.1.1", 1)))
        door.doRead()
        flags = [dns.message.from_wire(packet).flags & dns.flags.TC for packet, _ in self.wire.sent]
        self.assertEqual([bool(flag) for flag in flags], [False] * 3 + [True] * 3 + [False])
        self.assertTrue(all(len(packet) <= len(PACKET) for packet, _ in self.wire.sent[3:6]))
        self.assertEqual(door.limited, 6)
        visitors.begin()
        self.wire.came = [(PACKET, ("10.0.0.1", 1))]
        door.doRead()
        self.assertFalse(dns.message.from_wire(self.wire.sent[-1][0]).flags & dns.flags.TC)

    def test_strangers_over_the_rate_hear_nothing(self) -> None:
        """Refusals are bounded as well, and are sent to nobody's TCP."""
        door, _ = self.door(rate=2)
        self.wire.came = [(PACKET, ("192.0.2.1", 1))] * 10
        door.doRead()
        self.assertEqual(self.codes(), [5, 5])

    def test_forged_addresses_fill_no_memory(self) -> None:
        """A million forged networks share what one may have, once so many are known."""
        visitors = Visitors((ip_network("0.0.0.0/0"),), 5)
        for number in range(3 * MOST_NETWORKS):
            visitors.find(packed(f"{1 + number // 65536}.{number // 256 % 256}.{number % 256}.9"))
        shared = {id(visitors.find(packed(f"200.{number}.1.1"))) for number in range(100)}
        self.assertEqual(len(shared), 1)
        self.assertLessEqual(len(visitors.known), 4 * MOST_NETWORKS)
        visitors.begin()
        self.assertEqual(visitors.known, {})

    def test_the_network_may_fail(self) -> None:
        """A full socket loses an answer, and a closed port's error is no end."""
        door, _ = self.door()
        self.wire.broken, self.wire.full = 2, True
        self.wire.came = [(PACKET, ("127.0.0.1", 1000))]
        door.doRead()
        self.assertEqual((door.unsent, self.wire.came), (1, []))

    def test_silence_is_sent_nowhere(self) -> None:
        """Answers and scraps get nothing."""
        door, _ = self.door()
        self.wire.came = [(b"", ("127.0.0.1", 1)), (b"\0\0\x80" + PACKET[3:], ("127.0.0.1", 1))]
        door.doRead()
        self.assertEqual(self.wire.sent, [])


class Streams(SynchronousTestCase):
    """TCP."""

    def setUp(self) -> None:
        self.clock = Clock()
        made, failures = responder(plant())
        self.addCleanup(lambda: self.assertEqual([], failures))
        self.door = StreamDoor(made, Visitors(NETWORKS, 1), self.clock)

    def call(self, host: str = "127.0.0.1") -> tuple[StreamConnection, StringTransport]:
        connection = self.door.buildProtocol(IPv4Address("TCP", host, 4000))
        transport = StringTransport()
        connection.makeConnection(transport)
        return connection, transport

    def answers(self, transport: StringTransport) -> list[dns.message.Message]:
        found, data = [], transport.value()
        while data:
            length = int.from_bytes(data[:2], "big")
            found.append(dns.message.from_wire(data[2 : 2 + length]))
            data = data[2 + length :]
        return found

    def test_many_questions_in_any_pieces(self) -> None:
        """Each gets its answer, in order, whole, and without a rate."""
        connection, transport = self.call()
        queries = [dns.message.make_query(f"{name}.plant.example.", "TXT") for name in ("many", "gate", "no") * 3]
        data = b"".join(len(wire).to_bytes(2, "big") + wire for wire in (each.to_wire() for each in queries))
        for at in range(0, len(data), 7):
            connection.dataReceived(data[at : at + 7])
        answers = self.answers(transport)
        self.assertTrue(all(q.is_response(a) for q, a in zip(queries, answers, strict=True)))
        self.assertFalse(any(answer.flags & dns.flags.TC for answer in answers))

    def test_silence_ends_it(self) -> None:
        """A connection without a whole question for ten seconds is cut, however it drips."""
        connection, transport = self.call()
        self.clock.advance(IDLE - 1)
        connection.dataReceived(FRAME)
        for byte in FRAME[:9]:
            self.clock.advance(1)
            connection.dataReceived(bytes((byte,)))
        self.assertFalse(transport.disconnected)
        self.clock.advance(1)
        self.assertTrue(transport.disconnected)

    def test_who_does_not_read_is_not_read(self) -> None:
        """While the transport has enough, questions wait; then they are answered, all."""
        connection, transport = self.call()
        connection.pauseProducing()
        connection.dataReceived(FRAME * 3)
        self.assertEqual((transport.value(), transport.producerState), (b"", "paused"))
        connection.resumeProducing()
        self.assertEqual(len(self.answers(transport)), 3)

    def test_a_flood_of_connections(self) -> None:
        """One address has its share, all have theirs, and a place that is left is another one's."""
        first = [self.call() for _ in range(OF_ONE)]
        _, turned = self.call()
        self.assertTrue(turned.disconnected)
        others = [self.call(f"127.0.1.{number % 250}") for number in range(CONNECTIONS - OF_ONE)]
        self.assertTrue(self.call("127.9.9.9")[1].disconnected)
        self.assertFalse(any(transport.disconnected for _, transport in (*first, *others)))
        self.assertEqual((self.door.open, self.door.turned_away), (CONNECTIONS, 2))
        connection, _ = first[0]
        connection.connectionLost()
        connection, transport = self.call()
        connection.dataReceived(FRAME)
        self.assertEqual(len(self.answers(transport)), 1)

    def test_what_is_no_dns_is_cut(self) -> None:
        """No question is as short as this one says that it is."""
        connection, transport = self.call()
        connection.dataReceived(b"\0\5hello")
        self.assertTrue(transport.disconnected)

    def test_strangers_are_refused(self) -> None:
        """They are told."""
        connection, transport = self.call("192.0.2.1")
        connection.dataReceived(FRAME)
        [answer] = self.answers(transport)
        self.assertEqual(answer.rcode(), dns.rcode.REFUSED)


class Healthy(TestCase):
    """What is down leaves, and comes back."""

    def setUp(self) -> None:
        self.clock = Clock()
        records = [
            {"name": "erp", "type": "A", "value": f"10.0.0.{number}", "when": {"source": f"s{number}"}}
            for number in (1, 2)
        ]
        self.plant = plant(records)
        self.responder, _ = responder(self.plant)
        self.states: dict[str, str | None] = {"source s1": None, "source s2": None}
        ask = {name: (lambda name=name: self.states[name]) for name in self.states}
        self.health = Health(self.plant, self.responder, ask, [], self.clock, lambda: 1_000.0)
        self.events = told(self)

    def names(self) -> list[str]:
        return [each["log_format"] for each in self.events if str(each.get("log_format")).startswith("dns.")]

    def addresses(self) -> set[str]:
        wire = self.responder.over_udp(dns.message.make_query("erp.plant.example.", "A").to_wire())
        assert wire is not None
        return {each.address for each in dns.message.from_wire(wire).answer[0]}

    async def test_within_a_second(self) -> None:
        """The remembered answer falls, the serial rises, and it is said once when it goes and when it comes."""
        await self.health.start()
        self.assertEqual(self.addresses(), {"10.0.0.1", "10.0.0.2"})
        self.states["source s1"] = "paused"
        self.clock.advance(1)
        self.assertEqual((self.addresses(), self.plant.serial), ({"10.0.0.2"}, 1_000))
        self.clock.advance(5)
        self.assertEqual(self.names(), ["dns.down"])
        self.states["source s1"] = None
        self.clock.advance(1)
        self.assertEqual((self.addresses(), self.plant.serial), ({"10.0.0.1", "10.0.0.2"}, 1_001))
        self.assertEqual(self.names(), ["dns.down", "dns.up"])
        await self.health.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_nothing_left_is_an_alarm(self) -> None:
        """All are answered, and that is said; also when one of them is back."""
        await self.health.start()
        self.states.update({"source s1": "gone", "source s2": "gone"})
        self.clock.advance(1)
        self.assertEqual(self.addresses(), {"10.0.0.1", "10.0.0.2"})
        self.assertEqual(self.names(), ["dns.down", "dns.down", "dns.all_down"])
        self.states["source s2"] = None
        self.clock.advance(1)
        self.assertEqual(self.addresses(), {"10.0.0.2"})
        self.assertEqual(self.names()[3:], ["dns.up", "dns.some_up"])
        await self.health.stop()


class Checks(TestCase):
    """An address that is looked at."""

    async def test_down_after_two_and_up_after_one(self) -> None:
        """Each look is one connection, cut at once; one that hangs is given up; looks never overlap."""
        reactor = MemoryReactorClock()
        check = AddressCheck(TCP4ClientEndpoint(reactor, "10.0.0.5", 7001), "tcp:10.0.0.5:7001", reactor)
        check.start()
        self.assertEqual(reactor.tcpClients[0][:2], ("10.0.0.5", 7001))
        for look in range(1, VAIN + 1):
            self.assertIsNone(check.problem)
            reactor.advance(PATIENCE)
            self.assertEqual(len(reactor.tcpClients), look)
            if look < VAIN:
                reactor.advance(EVERY - PATIENCE)
        self.assertIsNotNone(check.problem)
        reactor.advance(EVERY - PATIENCE)
        protocol: Any = reactor.tcpClients[-1][2].buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        self.assertIsNone(check.problem)
        self.assertTrue(transport.disconnected)
        await check.stop()
        self.assertEqual(reactor.getDelayedCalls(), [])
