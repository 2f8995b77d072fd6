"""Connections of live clients: who may open one, what it costs to send to many, and how one ends."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from tests.rig.http_asking import Holders
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.http.identification import Identification
from lineside.edges.http.site import Desk, GatewaySite
from lineside.edges.websocket.access import Access, Rule
from lineside.edges.websocket.channels import Hub, publication
from lineside.edges.websocket.outbox import AT_ONCE, LATEST, Outbox, Rounds
from lineside.edges.websocket.part import LivePart, LiveSettings
from lineside.edges.websocket.protocol import LINGER
from lineside.edges.websocket.recognition import Recognition
from lineside.edges.websocket.rpc import Rpc
from lineside.edges.websocket.sessions import Limits
from lineside.edges.websocket.streams import JournalStreams
from lineside.operations.registry import Operations
from lineside.security.identity import Identity
from lineside.security.turnstile import Bounds, Turnstile
from lineside.testing.journals import JournalOnFile

HEAD = (
    "GET /connection/websocket{query} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)
ROOM = 4_000


class SlowTransport(StringTransport):
    """A transport whose client may take nothing for a while."""

    protocol: Any = None
    aborted = False
    disconnecting: bool

    def abortConnection(self) -> None:
        self.aborted = self.disconnecting = True

    def fill(self) -> None:
        assert self.producer is not None
        self.producer.pauseProducing()

    def drain(self) -> None:
        assert IPushProducer.providedBy(self.producer)
        self.producer.resumeProducing()


class Going(SynchronousTestCase):
    """How frames go out."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.rounds = Rounds(self.clock)
        self.overflown = 0

    def outbox(self) -> tuple[Outbox, SlowTransport]:
        transport = SlowTransport()

        def overflow() -> None:
            self.overflown += 1

        return Outbox(transport, self.rounds, room=ROOM, overflow=overflow), transport

    def test_one_write_a_turn(self) -> None:
        """Whatever comes within a turn of the reactor goes out together, in order."""
        outbox, transport = self.outbox()
        writes: list[bytes] = []
        self.patch(transport, "write", writes.append)
        for frame in (b"a", b"b", b"c"):
            outbox.put(frame)
        self.assertEqual([], writes)
        self.clock.advance(0)
        self.assertEqual([b"abc"], writes)

    def costly(self, cost: float) -> Outbox:
        """Return an outbox whose rounds take so long, after its first."""
        outbox, transport = self.outbox()
        self.patch(transport, "write", lambda _: self.clock.advance(cost))
        outbox.put(b"first")
        self.clock.advance(0)
        return outbox

    def waited(self) -> float:
        """Return how long the round that was asked for waits, when it has gone."""
        self.clock.advance(0)
        due = self.clock.getDelayedCalls()
        if not due:
            return 0.0
        waits = due[0].getTime() - self.clock.seconds()
        self.clock.advance(waits)
        return waits

    def test_a_round_that_takes_long_is_followed_later(self) -> None:
        """So that the next one has more to carry; it waits ten milliseconds at most."""
        for cost, delay in ((AT_ONCE / 2, 0.0), (0.004, 0.004), (1.0, LATEST)):
            self.rounds = Rounds(self.clock)
            self.costly(cost).put(b"second")
            self.assertAlmostEqual(delay, self.waited())

    def test_waits_in_vain_become_rare(self) -> None:
        """A publisher that waits for its last message to arrive would otherwise go at half its pace."""
        outbox = self.costly(0.004)
        went = []
        for _ in range(300):
            self.rounds.first(lambda: outbox.put(b"alone"))
            went.append(self.waited() > 0)
        waits = [number for number, waited in enumerate(went) if waited]
        self.assertEqual([0, 2, 6, 14, 30, 62, 126, 190, 254], waits)

    def test_a_wait_that_brings_company_is_followed_by_others(self) -> None:
        """Company is what comes in a later turn for the same channel, and saves writes."""
        outbox = self.costly(0.004)

        def fill() -> None:
            outbox.put(b"x")

        went = []
        for company in (False, False, True, True, False, False):
            # Twice in one turn is no company: it would have gone out together without a wait.
            self.rounds.first(fill)
            self.rounds.first(fill)
            self.clock.advance(0)
            if company:
                self.rounds.first(fill)
            went.append(self.waited() > 0)
        self.assertEqual([True, False, True, True, True, False], went)

    def test_what_is_filled_goes_out_in_the_same_round(self) -> None:
        """A channel's publications do not wait for a turn of their own; filling twice is filling once."""
        outbox, transport = self.outbox()

        def fill() -> None:
            outbox.put(b"a")

        self.rounds.first(fill)
        self.rounds.first(fill)
        self.clock.advance(0)
        self.assertEqual((b"a", []), (transport.value(), self.clock.getDelayedCalls()))

    def test_what_one_channel_fills_is_written_as_it_comes(self) -> None:
        """One write a client; behind what waits already, and kept where the client takes nothing."""
        idle, begun, full = (self.outbox() for _ in range(3))
        writes: list[bytes] = []
        self.patch(begun[1], "write", writes.append)
        begun[0].put(b"a")
        full[1].fill()

        def fill() -> None:
            for outbox, _ in (idle, begun, full):
                outbox.put(b"b")
            self.assertEqual((b"b", []), (idle[1].value(), writes))

        self.rounds.first(fill)
        self.clock.advance(0)
        self.assertEqual(([b"ab"], b"", 1), (writes, full[1].value(), full[0].size))
        full[1].drain()
        self.clock.advance(0)
        self.assertEqual(b"b", full[1].value())

    def test_what_several_channels_fill_is_one_write(self) -> None:
        """Who follows all of them has one write a turn."""
        outbox, transport = self.outbox()
        writes: list[bytes] = []
        self.patch(transport, "write", writes.append)
        for frame in (b"a", b"b"):
            self.rounds.first(partial(outbox.put, frame))
        self.clock.advance(0)
        self.assertEqual([b"ab"], writes)

    def test_much_within_a_turn(self) -> None:
        """More than there is room for is nobody's fault who takes it."""
        outbox, transport = self.outbox()
        for _ in range(3):
            outbox.put(b"x" * (ROOM - 1))
        self.clock.advance(0)
        self.assertEqual((0, 3 * (ROOM - 1)), (self.overflown, len(transport.value())))

    def test_who_takes_nothing_is_waited_for(self) -> None:
        """As far as there is room; then all goes out."""
        outbox, transport = self.outbox()
        transport.fill()
        outbox.put(b"a" * 100)
        self.clock.advance(1)
        self.assertEqual((b"", 100), (transport.value(), outbox.size))
        transport.drain()
        self.clock.advance(0)
        self.assertEqual((b"a" * 100, 0), (transport.value(), outbox.size))

    def test_who_takes_nothing_for_too_long(self) -> None:
        """Is told of once, and nothing is kept for it any more."""
        outbox, transport = self.outbox()
        transport.fill()
        for _ in range(3):
            outbox.put(b"x" * ROOM)
        self.assertEqual((1, 0), (self.overflown, outbox.size))
        outbox.empty()
        self.assertEqual(b"", transport.value())


class Connections(SynchronousTestCase):
    """Over the HTTP services."""

    def setUp(self) -> None:
        self.clock = Clock()
        on_file = JournalOnFile(Path(self.mktemp()), lambda: 0)
        self.addCleanup(on_file.close)
        self.hub = Hub()
        self.part = LivePart(
            self.clock,
            LiveSettings(Limits(ping=4, pong=2.0), frozenset({"https://erp.example.com"}), 2, 1_000, ROOM),
            self.hub,
            Access({"pub": Rule(frozenset({"viewer"}))}),
            JournalStreams(on_file.journal, on_file.database, self.hub, self.clock),
            {},
            Rpc(Operations()),
            Recognition(self),
        )
        self.site = GatewaySite(Desk([self.part.endpoint], Identification(self)), self.clock)
        self.successResultOf(Deferred.fromCoroutine(self.part.start()))

    @property
    def any(self) -> bool:
        """There are no API tokens."""
        return False

    def identify(self, text: str) -> Identity | None:
        """There are no API tokens."""
        return None

    def open(self, more: str = "", host: str = "localhost:8080", query: str = "") -> SlowTransport:
        """Send the head of a request; return what it is sent over."""
        transport = SlowTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 40000))
        channel = self.site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 40000))
        transport.protocol = channel
        channel.makeConnection(transport)
        channel.dataReceived(HEAD.format(more=more, host=host, query=query).encode())
        return transport

    def status(self, *args: str, **kwargs: str) -> int:
        return int(self.open(*args, **kwargs).value().split()[1])

    def joined(self) -> SlowTransport:
        """Open a connection, and subscribe it to a channel."""
        transport = self.open()
        commands = [{"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "pub:a"}}]
        self.send(transport, "\n".join(json.dumps(command) for command in commands))
        self.clock.advance(0)
        transport.clear()
        return transport

    def send(self, transport: SlowTransport, text: str) -> None:
        size = len(text)
        head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0xFE]) + size.to_bytes(2, "big")
        # A mask of zeros changes nothing.
        transport.protocol.dataReceived(head + b"\0\0\0\0" + text.encode())

    def close_code(self, transport: SlowTransport) -> int:
        """Return the code of the close frame that the client got last."""
        data = transport.value()
        return int.from_bytes(data[data.rindex(b"\x88") + 2 :][:2], "big")

    def lose(self, transport: SlowTransport) -> None:
        transport.protocol.connectionLost(Failure(ConnectionDone()))

    def test_takes_the_connection_over(self) -> None:
        """From the HTTP services, which have no part in it any more."""
        transport = self.open()
        self.assertIn(b"101 Switching Protocols", transport.value())
        self.assertIn(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", transport.value())
        self.assertEqual((0, 1), (len(self.site.connections), len(self.part.connections)))
        transport.clear()
        self.send(transport, '{"id":1,"connect":{}}')
        self.clock.advance(0)
        self.assertIn(b'{"id":1,"connect":{', transport.value())
        self.lose(transport)
        self.assertEqual(0, len(self.part.connections))

    def test_one_address_leaves_places_to_others(self) -> None:
        """A further connection is answered 429; who leaves, or is cut, makes room."""
        self.part.share = Turnstile(Bounds(connections=1), self.clock).share("live", 2)
        for _ in range(2):
            transport = self.open()
            self.assertIn(b"101 Switching Protocols", transport.value())
            refused = self.open()
            self.assertIn(b"429 Too Many Requests", refused.value())
            self.assertIn(b"Retry-After: 5", refused.value())
            self.lose(transport)

    def test_a_token_that_is_revoked_ends_what_was_opened_with_it(self) -> None:
        """At once, whether it came in a header or in the connect command; another client stays."""
        holders = Holders(gone=Identity("board", "viewer"), stays=Identity("wall", "viewer"))
        self.patch(Connections, "identify", lambda _, text: holders.identify(text))
        opened = []
        for header, body in (("gone", {}), ("stays", {}), ("", {"token": "gone"})):
            self.part.max_connections = 3
            transport = self.open(f"Authorization: Bearer {header}\r\n" if header else "")
            self.send(transport, json.dumps({"id": 1, "connect": body}))
            self.clock.advance(0)
            self.assertIn(b'"client"', transport.value())
            transport.clear()
            opened.append(transport)
        by_header, other, by_command = opened
        holders = Holders(stays=Identity("wall", "viewer"))
        self.part.review()
        self.assertEqual([3500, 3500], [self.close_code(each) for each in (by_header, by_command)])
        self.assertEqual(b"", other.value())

    def test_speaks_nothing_else(self) -> None:
        """A plain request is told so, and so is who wants the protocol's other encoding."""
        for more in ("Sec-WebSocket-Protocol: centrifuge-protobuf\r\n",):
            self.assertEqual(400, self.status(more))
        for query in ("?cf_protocol=protobuf", "?format=protobuf"):
            self.assertEqual(400, self.status(query=query))
        self.assertIn(
            b"Sec-WebSocket-Protocol: centrifuge-json",
            self.open("Sec-WebSocket-Protocol: centrifuge-json\r\n").value(),
        )
        channel = self.site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 40000))
        transport = SlowTransport()
        channel.makeConnection(transport)
        channel.dataReceived(b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b"426", transport.value().splitlines()[0])
        self.assertIn(b"Upgrade: websocket", transport.value())
        channel.connectionLost(Failure(ConnectionDone()))

    def test_which_pages_may_connect(self) -> None:
        """The gateway's own and those that are named; a page of anybody else could act for its reader."""
        for origin, status in (
            ("http://localhost:8080", 101),
            ("https://erp.example.com", 101),
            ("https://evil.example.com", 403),
            ("http://localhost:9999", 403),
            ("null", 403),
        ):
            transport = self.open(f"Origin: {origin}\r\n")
            self.assertEqual(status, int(transport.value().split()[1]), origin)
            self.lose(transport)

    def test_no_more_than_there_is_room_for(self) -> None:
        """Further clients are to come again later, where all are known."""
        for _ in range(2):
            self.joined()
        self.assertEqual(503, self.status())

    def test_a_client_that_reads_too_slowly(self) -> None:
        """Costs the others nothing, is told why, and is cut off if it does not even take that."""
        slow, quick = self.joined(), self.joined()
        slow.fill()
        for _ in range(6):
            self.hub.publish("pub:a", publication(json.dumps("x" * 1_000).encode()))
            self.clock.advance(0)
        self.assertEqual(6, quick.value().count(b'"pub"'))
        self.assertEqual((3008, 0), (self.close_code(slow), slow.value().count(b'"pub"')))
        self.assertEqual(1, len(self.hub.presence("pub:a")))
        self.clock.advance(LINGER)
        self.assertTrue(slow.aborted)

    def test_a_dead_peer(self) -> None:
        """Who does not answer a ping is told so and let go; who does stays."""
        dead, living = self.joined(), self.joined()
        for _ in range(12):
            self.clock.advance(1)
            if living.value():
                self.send(living, "{}")
            living.clear()
        self.assertEqual(3012, self.close_code(dead))
        self.assertEqual(1, len(self.hub.presence("pub:a")))

    def test_the_gateways_end(self) -> None:
        """Each client is told to come back."""
        transport = self.joined()
        self.successResultOf(Deferred.fromCoroutine(self.part.stop()))
        self.assertEqual(3001, self.close_code(transport))
        self.lose(transport)

    def test_what_is_no_text(self) -> None:
        """A binary frame is of another protocol."""
        transport = self.joined()
        transport.protocol.dataReceived(b"\x82\x81\0\0\0\0x")
        self.assertEqual(3506, self.close_code(transport))

    def test_a_message_that_is_too_large(self) -> None:
        """The connection ends before it is taken."""
        transport = self.joined()
        transport.protocol.dataReceived(b"\x81\xfe" + (2_000).to_bytes(2, "big") + b"\0\0\0\0" + b"x" * 10)
        self.assertEqual(1009, self.close_code(transport))
