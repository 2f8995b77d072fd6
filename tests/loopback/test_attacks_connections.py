"""Connections that drip, are never finished, or unpack: a good client beside each is served throughout."""

from __future__ import annotations

import contextlib
import ssl
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from tests.loopback.test_secured_listeners import Secured
from tests.rig.forked import Nursery
from tests.rig.half_open import MIB, AttackedPlant, GoodDevice, is_served
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.http import channel, site
from lineside.security import arrivals

BAD = "127.0.0.66"
EVERY = 0.02
"""Seconds between two bytes of who drips."""
SHORT = 0.5
"""Seconds of the deadlines here, which are of a minute otherwise."""

UPGRADE = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\nAuthorization: Bearer "
)


def client_hello() -> bytes:
    """Return what a client of TLS says first."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    speaker = context.wrap_bio(incoming, outgoing, server_hostname="gateway.plant")
    try:
        speaker.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake needs two")


class Dripping(Protocol):
    """Sends a byte now and then, for ever; knows when it was cut."""

    def __init__(self, says: bytes, at_once: int = 0) -> None:
        self._says = says
        self._sent = at_once
        self.heard = b""
        self.cut: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._says[: self._sent])

    def drip(self) -> None:
        if not self.cut.called and self._sent < len(self._says):
            assert self.transport is not None
            self._sent += 1
            self.transport.write(self._says[self._sent - 1 : self._sent])

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.cut.callback(None)


class Drips(Secured):
    """A gateway with TLS on both listeners, and short deadlines."""

    async def begin(self) -> None:
        self.patch(arrivals, "PATIENCE", SHORT)
        self.patch(channel, "SILENCE", SHORT)
        self.patch(site, "SILENCE", SHORT)
        self.patch(site, "LOOK", SHORT / 4)
        self.patch(channel, "LINGER", SHORT)
        await super().begin()

    async def attack(self, attackers: list[Dripping]) -> None:
        """Let them drip until each is cut; a good device is answered before, meanwhile and afterwards."""

        def drip() -> None:
            for each in attackers:
                each.drip()

        clock = LoopingCall(drip)
        clock.clock = self.reactor
        dripping = clock.start(EVERY, now=False)
        try:
            self.assertIn("OK ", await self.line())
            await gatherResults([each.cut for each in attackers])
        finally:
            clock.stop()
            await dripping
        self.assertIn("OK ", await self.line())
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        self.assertIn("HTTP/1.1 200", await self.ask(self.web, says=request, until=b"HTTP/1.1 200"))

    async def reach(self, port: int, attacker: Dripping) -> Dripping:
        await TCP4ClientEndpoint(self.reactor, "127.0.0.1", port).connect(Factory.forProtocol(lambda: attacker))
        return attacker

    async def test_a_handshake_that_drips(self) -> None:
        """A ClientHello byte by byte: each byte is no reason to wait longer. None is told anything."""
        hello = client_hello()
        slow = [await self.reach(port, Dripping(hello)) for port in (self.lines, self.web) for _ in range(20)]
        await self.attack(slow)
        self.assertEqual({each.heard for each in slow}, {b""})

    async def test_a_handshake_that_is_begun_and_left(self) -> None:
        """The gateway has answered, and waits for the rest no longer than for the beginning."""
        hello = client_hello()
        left = [
            await self.reach(port, Dripping(hello, len(hello)))
            for port in (self.lines, self.web)
            for _ in range(20)
        ]
        await self.attack(left)
        self.assertTrue(all(each.heard.startswith(b"\x16\x03") for each in left))

    async def test_a_head_that_drips_inside_tls(self) -> None:
        """Slowloris: the deadline is the whole head's. Each is told 408, or is cut."""
        trust = Certificate.loadPEM(self.ca.pem)
        says = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 1_000
        slow = []
        for _ in range(20):
            plain = HostnameEndpoint(self.reactor, "127.0.0.1", self.web)
            secured: Any = wrapClientTLS(optionsForClientTLS("gateway.plant", trustRoot=trust), plain)
            slow.append(await secured.connect(Factory.forProtocol(lambda: Dripping(says, 50))))
        await self.attack(slow)
        told = {each.heard.partition(b"\r\n")[0] for each in slow}
        self.assertLessEqual(told, {b"", b"HTTP/1.1 408 Request Timeout"})


@pytest.fixture(scope="class")
def plant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, nursery: Nursery
) -> Iterator[None]:
    """Run one plant for all tests of a class."""
    request.cls.plant = AttackedPlant(tmp_path_factory.mktemp("plant"), nursery)
    try:
        request.cls.plant.start()
        yield
    finally:
        request.cls.plant.stop()


@pytest.mark.usefixtures("plant")
class Floods(SynchronousTestCase):
    """A gateway as a process, so that its memory is its own."""

    plant: AttackedPlant
    """One for all: each attack finds what the one before has left."""

    def setUp(self) -> None:
        self.addCleanup(self.plant.hang_up)

    def test_five_hundred_that_are_never_finished(self) -> None:
        """Requests and lines that drip on: one address has its share, and a good one all it asks for."""
        device = GoodDevice(self.plant)
        self.addCleanup(device.close)
        self.assertEqual(device.say(), b"OK")
        resting = self.plant.resident()
        begun = [one for door in ("web", "gate") for one in self.plant.half_open(door, 250, BAD)]
        for _ in range(10):
            self.plant.drip(begun)
            self.assertEqual(device.say(), b"OK")
            self.assertTrue(is_served(self.plant))
        late = GoodDevice(self.plant)
        self.addCleanup(late.close)
        self.assertEqual(late.say(), b"OK")
        self.assertLess(self.plant.held(), 2 * self.plant.places + 50)
        self.assertLess(self.plant.resident() - resting, 30 * MIB)

    def test_lines_without_end(self) -> None:
        """Megabytes of one line from each of ten: what is kept of each is bounded."""
        device = GoodDevice(self.plant)
        self.addCleanup(device.close)
        self.assertEqual(device.say(), b"OK")
        begun = self.plant.half_open("gate", 10, BAD)
        self.flood(begun, device, 1)
        resting = self.plant.resident()
        self.flood(begun, device, 5)
        self.assertLess(self.plant.resident() - resting, 10 * MIB)
        for one in begun:
            one.sendall(b"\n")
            # All of it was read.
            self.assertTrue(one.recv(100).startswith(b"ERR too-long"))

    def flood(self, begun: list[Any], device: GoodDevice, times: int) -> None:
        for _ in range(times):
            for one in begun:
                one.sendall(b"x" * MIB)
            self.assertEqual(device.say(), b"OK")

    def test_a_message_that_unpacks_to_a_hundred_megabytes(self) -> None:
        """permessage-deflate over the wire: 1009, and the gateway's memory is what it was."""
        token = self.plant.token("board", "viewer")
        device = GoodDevice(self.plant)
        self.addCleanup(device.close)
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = b"".join([*(packer.compress(bytes(MIB)) for _ in range(100)), packer.flush(zlib.Z_SYNC_FLUSH)])[:-4]
        # FIN, RSV1 and text (RFC 7692, section 6), masked with zeros.
        frame = b"\xc1\xff" + len(bomb).to_bytes(8) + bytes(4) + bomb
        self.assertEqual(device.say(), b"OK")
        resting = self.plant.resident()
        for _ in range(5):
            connection = self.plant.connect("web", BAD)
            self.addCleanup(connection.close)
            connection.sendall(UPGRADE + token.encode() + b"\r\n\r\n")
            answers = connection.makefile("rb")
            self.addCleanup(answers.close)
            head = b"".join(iter(answers.readline, b"\r\n"))
            self.assertIn(b"101 Switching Protocols", head)
            self.assertIn(b"permessage-deflate", head)
            # It may be refused while it is sent.
            with contextlib.suppress(OSError):
                connection.sendall(frame)
            self.assertEqual(answers.read(4)[2:], (1009).to_bytes(2))
            self.assertEqual(device.say(), b"OK")
        self.assertLess(self.plant.resident() - resting, 20 * MIB)
