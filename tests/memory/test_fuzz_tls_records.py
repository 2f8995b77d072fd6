"""What a protocol sees of TLS is what Twisted would show it, however the bytes of the records come."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct
from OpenSSL import SSL
from tests.rig.certificates import Authority
from tests.rig.hostile import fuzzed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from lineside.security.keypairs import read_key_pair
from lineside.security.tls import ServerSide, Setting
from lineside.security.tlsrecords import SealedFactory

VERSIONS = (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION)
LINES = b"0123456789abcdef" * 4_096


class Say(Struct, frozen=True):
    """The client sends so many bytes."""

    size: int


class End(Struct, frozen=True):
    """The client says that it sends no more."""


class Renegotiate(Struct, frozen=True):
    """The client wants a new handshake, where its TLS has such."""


class Raw(Struct, frozen=True):
    """Somebody in between sends bytes."""

    data: bytes


class Spoil(Struct, frozen=True):
    """Somebody in between changes a bit of what is said next."""

    place: int


Step = Say | End | Renegotiate | Raw | Spoil
STEPS = st.lists(
    st.builds(Say, st.integers(1, 200) | st.integers(16_300, 16_400) | st.integers(1, 50_000))
    | st.builds(End)
    | st.builds(Renegotiate)
    | st.builds(Raw, st.binary(min_size=1, max_size=40) | st.just(b"\x15\x03\x03\x00\x02\x01\x00"))
    | st.builds(Spoil, st.integers(0, 60)),
    max_size=8,
)
CUTS = st.lists(st.integers(1, 40) | st.integers(1, 20_000) | st.just(65_536), min_size=1, max_size=5)


class Manners(Struct, frozen=True):
    """What the server's protocol does, by the bytes that it has had."""

    echoes: bool = False
    loses_at: int | None = None
    aborts_at: int | None = None
    greets: bool = False
    """It writes before the handshake is done."""


PLACES = st.none() | st.integers(0, 30_000)
MANNERS = st.builds(Manners, st.booleans(), PLACES, PLACES, st.booleans())


@implementer(IHandshakeListener)
class Application(Protocol):
    """Behaves as it is told to, and writes down what it sees."""

    transport: Any

    def __init__(self, manners: Manners) -> None:
        self.seen: list[tuple[object, ...]] = []
        self._manners = manners
        self._had = 0

    def connectionMade(self) -> None:
        self.seen.append(("made", self.transport.getPeer()))
        if self._manners.greets:
            self.transport.write(b"who is there?")
        self._leave()

    def handshakeCompleted(self) -> None:
        self.seen.append(("handshake",))

    def dataReceived(self, data: bytes) -> None:
        self.seen.append(("data", data))
        if self._manners.echoes:
            self.transport.write(data)
        self._had += len(data)
        self._leave()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.seen.append(("lost", type(reason.value), str(reason.value)))

    def _leave(self) -> None:
        if self._had and self._manners.loses_at is not None and self._had >= self._manners.loses_at:
            self.transport.loseConnection()
        if self._manners.aborts_at is not None and self._had >= self._manners.aborts_at:
            self.transport.abortConnection()


class Client:
    """OpenSSL's client, and who stands between it and the server."""

    def __init__(self, version: int) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
        self.heard: list[object] = []
        self.on_its_way = bytearray()
        self._renegotiates = version == SSL.TLS1_2_VERSION
        self._connection = SSL.Connection(context)
        self._connection.set_connect_state()
        self._done = self._spoils = False
        self._place = 0
        self.go_on()

    def hear(self, data: bytes) -> None:
        """Take what the server sent."""
        try:
            self._connection.bio_write(data)
            while self._done:
                self.heard.append(self._connection.recv(65_536))
        except SSL.WantReadError:
            pass
        except SSL.Error as over:
            self.heard.append(type(over))
            self._done = False
        self.go_on()

    def go_on(self) -> None:
        """Do what is left of the handshake, and say what there is to say."""
        try:
            self._connection.do_handshake()
            self._done = True
        except SSL.Error:
            pass
        said = bytearray()
        try:
            while True:
                said += self._connection.bio_read(65_536)
        except SSL.WantReadError:
            pass
        if said and self._spoils:
            said[self._place % len(said)] ^= 1
            self._spoils = False
        self.on_its_way += said

    def do(self, step: Step) -> None:
        """Do one step."""
        try:
            match step:
                case Say(size) if self._done:
                    for begin in range(0, size, 16_384):
                        self._connection.send(LINES[begin : min(size, begin + 16_384)])
                case End():
                    self._connection.shutdown()
                case Renegotiate() if self._done and self._renegotiates:
                    self._connection.renegotiate()
                case Raw(data):
                    self.on_its_way += data
                case Spoil(place):
                    self._spoils, self._place = True, place
        except SSL.Error as failed:
            self.heard.append(type(failed))
        self.go_on()


class FuzzedRecords(SynchronousTestCase):
    """One client's conversation with two servers, Twisted's own and ours."""

    def setUp(self) -> None:
        shown = Authority(Path.cwd()).sign("gateway.plant")
        self.side = ServerSide(Setting((read_key_pair(shown.certificate, shown.key),)))

    def seen(
        self, factory: TLSMemoryBIOFactory, clock: Clock, version: int, steps: list[Step], cuts: list[int]
    ) -> list[object]:
        """Return what both ends saw, in order, and when the connection was closed."""
        server: TLSMemoryBIOProtocol = factory.buildProtocol(None)
        wire = StringTransport()
        client = Client(version)
        sizes = cycle(cuts)
        told: list[object] = []
        server.makeConnection(wire)
        application: Any = server.wrappedProtocol

        def carry() -> bool:
            """Carry what the client said; return whether the connection is still there."""
            while True:
                clock.advance(0)
                answer = wire.value()
                wire.clear()
                told.append((len(application.seen), len(answer) if server._handshakeDone else bool(answer)))
                if answer:
                    client.hear(answer)
                if wire.disconnecting or not client.on_its_way:
                    return not wire.disconnecting
                size = next(sizes)
                part = bytes(client.on_its_way[:size])
                del client.on_its_way[:size]
                server.dataReceived(part)

        there = carry()
        for step in steps:
            if not there:
                break
            client.do(step)
            there = carry()
        server.connectionLost(Failure(ConnectionDone()))
        return [*told, *application.seen, *client.heard, there]

    def compare(self, version: int, steps: list[Step], cuts: list[int], manners: Manners) -> list[object]:
        """Check that it is the same, and return it."""
        clock = Clock()
        made = Factory.forProtocol(lambda: Application(manners))
        twisted = self.seen(TLSMemoryBIOFactory(self.side, False, made, clock), clock, version, steps, cuts)
        ours = self.seen(SealedFactory(self.side, made, clock), clock, version, steps, cuts)
        self.assertEqual(twisted, ours)
        return ours

    @fuzzed
    @given(st.sampled_from(VERSIONS), STEPS, CUTS, MANNERS)
    @example(SSL.TLS1_3_VERSION, [Say(100), Say(100), End()], [65_536], Manners(echoes=True))
    @example(SSL.TLS1_3_VERSION, [Say(50_000), End()], [1_000, 1], Manners(loses_at=20_000))
    @example(SSL.TLS1_3_VERSION, [Say(10), Spoil(30), Say(10)], [7], Manners())
    @example(SSL.TLS1_3_VERSION, [Say(40_000)], [65_536], Manners(aborts_at=10_000))
    @example(SSL.TLS1_2_VERSION, [Say(10), Renegotiate(), Say(10)], [65_536], Manners(echoes=True))
    @example(SSL.TLS1_2_VERSION, [Raw(b"GET / HTTP/1.1\r\n\r\n")], [65_536], Manners(greets=True))
    def test_no_bytes_show_a_difference(
        self, version: int, steps: list[Step], cuts: list[int], manners: Manners
    ) -> None:
        """Chunk by chunk both protocols get the same, both clients the same answers, and both end the same way."""
        self.compare(version, steps, cuts, manners)

    def test_what_is_compared(self) -> None:
        """A conversation has a beginning, lines that come in records, answers, and an end that both sides tell."""
        seen = self.compare(SSL.TLS1_3_VERSION, [Say(16_400), End()], [65_536], Manners(echoes=True))
        self.assertIn(("handshake",), seen)
        parts = [each[1] for each in seen if isinstance(each, tuple) and each[0] == "data"]
        self.assertEqual([LINES[:16_384], LINES[16_384:16_400]], parts)
        self.assertEqual(LINES[:16_400], b"".join(each for each in seen if isinstance(each, bytes)))
        self.assertIn(SSL.ZeroReturnError, seen)
        self.assertIn(("lost", ConnectionDone, str(ConnectionDone())), seen)
