"""Devices that are dialled, for real: TCP connections, and a serial port whose other end is a pseudo-terminal."""

from __future__ import annotations

import os
import socket
import termios
import tty
from pathlib import Path
from random import Random
from typing import Any, cast

from twisted.internet import abstract, fdesc
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.trial.unittest import TestCase

from lineside.delivery.backoff import Backoff
from lineside.edges.lines import dialled, serialport
from lineside.edges.lines.dialled import DialledSource
from lineside.edges.lines.intake import Intake, Limits
from lineside.edges.lines.keepalive import IDLE, UNACKNOWLEDGED, keep_alive
from lineside.edges.lines.polling import Poll
from lineside.edges.lines.serialport import SerialEndpoint, SerialLine
from lineside.edges.lines.unreachable import PortUnusable, why_unreachable
from lineside.model.event import Record
from lineside.testing.journals import JournalOnFile
from lineside.wire.jsonl import JsonLines

PYSERIAL: Any = cast(Any, serialport).serial


class DialledCase(TestCase):
    """A journal and a reactor, both real."""

    timeout = 60

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415, TID251 (sockets and ports are real)

        self.reactor = cast(Any, reactor)
        self.patch(dialled, "REDIAL", Backoff((0.01,)))
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.records: list[Record] = []
        self.wanted: tuple[int, Deferred[None]] | None = None
        self.file.journal.on_commit(self.committed)

    def committed(self, records: list[Record]) -> None:
        self.records += records
        if self.wanted is not None and len(self.records) >= self.wanted[0]:
            (_, arrived), self.wanted = self.wanted, None
            arrived.callback(None)

    async def stored(self, count: int) -> list[bytes]:
        """Wait for so many events; return what they hold."""
        if len(self.records) < count:
            self.wanted = (count, Deferred())
            await self.wanted[1]
        return [record.event.body for record in self.records]

    async def dial(self, endpoint: Any, poll: Poll | None = None) -> DialledSource:
        limits = Limits(idle_timeout=0.0, ack=False)
        intake = Intake("scale", JsonLines(), self.file.journal, self.reactor, limits)
        source = DialledSource(endpoint, "scale", intake, Random(5), poll=poll)
        await source.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(source.stop()))
        return source


class Scale(Protocol):
    """A device that waits for calls, and says one line to each caller."""

    def connectionMade(self) -> None:
        self.factory.calls.append(self)
        self.transport.write(b'{"call":%d}\r\n' % len(self.factory.calls))  # type: ignore[union-attr]


class OverTcp(DialledCase):
    """A device with an address."""

    async def test_it_is_dialled_again_when_it_hangs_up(self) -> None:
        """Each call brings its line, whether the last one ended well or broke."""
        device = Factory.forProtocol(Scale)
        calls: list[Scale] = []
        device.calls = calls  # type: ignore[attr-defined]
        port: Any = await TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1").listen(device)
        self.addCleanup(port.stopListening)
        source = await self.dial(HostnameEndpoint(self.reactor, "127.0.0.1", port.getHost().port))
        await self.stored(1)
        calls[0].transport.loseConnection()  # type: ignore[union-attr]
        await self.stored(2)
        calls[1].transport.abortConnection()  # type: ignore[union-attr]
        self.assertEqual([b'{"call":1}', b'{"call":2}', b'{"call":3}'], await self.stored(3))
        self.assertEqual(["127.0.0.1"] * 3, [record.event.device for record in self.records])
        self.assertIsNone(source.problem)
        await source.stop()

    async def test_a_device_that_is_switched_on_later_is_found(self) -> None:
        """Until then its port refuses, and the gateway goes on dialling."""
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            number = reserved.getsockname()[1]
            source = await self.dial(HostnameEndpoint(self.reactor, "127.0.0.1", number))
            refused: Deferred[None] = Deferred()
            self.patch(dialled, "why_unreachable", noticing(why_unreachable, refused))
            await refused
            self.assertIn("it refuses the connection", str(source.problem))
            reserved.listen()
            reserved.setblocking(False)
            accepted: Deferred[None] = Deferred()
            Readable(self.reactor, reserved, accepted)
            await accepted
            device, _ = reserved.accept()
            with device:
                device.sendall(b'{"n":1}\n')
                self.assertEqual([b'{"n":1}'], await self.stored(1))
                await source.stop()

    async def test_the_system_watches_over_the_connection(self) -> None:
        """A device that lost its power is found although nothing is sent to it, with TLS and without."""
        port = await TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1").listen(
            Factory.forProtocol(Protocol)
        )
        self.addCleanup(port.stopListening)
        plain = HostnameEndpoint(self.reactor, "127.0.0.1", port.getHost().port)
        for endpoint in (plain, wrapClientTLS(optionsForClientTLS("scale.local"), plain)):
            ended: Deferred[None] = Deferred()
            protocol = await connectProtocol(endpoint, Ending(ended))
            keep_alive(protocol.transport)
            transport: Any = protocol.transport
            handle = getattr(transport, "transport", transport).getHandle()
            for level, option, expected in (
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
                (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE),
                (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * UNACKNOWLEDGED),
            ):
                self.assertEqual(expected, handle.getsockopt(level, option))
            transport.abortConnection()
            await ended


class Ending(Protocol):
    """Says when its connection is over."""

    def __init__(self, ended: Deferred[None]) -> None:
        self.ended = ended

    def connectionLost(self, reason: object = None) -> None:
        self.ended.callback(None)


def noticing(f: Any, noticed: Deferred[None]) -> Any:
    """Return ``f``, with ``noticed`` fired at its first call, once what called it is done."""

    def call(*arguments: object) -> Any:
        if not noticed.called:
            from twisted.internet import reactor  # noqa: PLC0415, TID251 (the one of the test)

            cast(Any, reactor).callLater(0, noticed.callback, None)
        return f(*arguments)

    return call


class Readable(abstract.FileDescriptor):
    """Fires once when there is something to read."""

    def __init__(self, reactor: Any, readable: socket.socket, fired: Deferred[None]) -> None:
        super().__init__(reactor)
        self._readable, self._fired = readable, fired
        self.startReading()

    def fileno(self) -> int:
        return self._readable.fileno()

    def doRead(self) -> None:
        self.stopReading()
        self._fired.callback(None)


class Plugged(abstract.FileDescriptor):
    """A device on a serial port: a pseudo-terminal's other end, under a path that goes with the plug."""

    def __init__(self, reactor: Any, path: Path) -> None:
        super().__init__(reactor)
        self.connected = 1
        self._path = path
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        fdesc.setNonBlocking(self._master)
        path.symlink_to(os.ttyname(self._slave))
        self._heard = b""
        self._awaited: tuple[bytes, Deferred[None]] | None = None
        self.startReading()

    def fileno(self) -> int:
        return self._master

    def doRead(self) -> Any:
        return fdesc.readFromFD(self._master, self._hear)

    def writeSomeData(self, data: bytes) -> Any:
        return fdesc.writeToFD(self._master, data)

    def speed(self) -> int:
        """Return the baud rate that the port was set to, as termios names it."""
        return int(termios.tcgetattr(self._slave)[4])

    async def hears(self, words: bytes) -> None:
        """Wait until the gateway has said ``words``."""
        if words not in self._heard:
            self._awaited = (words, Deferred())
            await self._awaited[1]
        self._heard = self._heard.partition(words)[2]

    def unplug(self) -> None:
        """Pull the plug."""
        if self.connected:
            self.connected = 0
            self.stopReading()
            self.stopWriting()
            self._path.unlink()
            os.close(self._slave)
            os.close(self._master)

    def _hear(self, data: bytes) -> None:
        self._heard += data
        if self._awaited is not None and self._awaited[0] in self._heard:
            (_, heard), self._awaited = self._awaited, None
            heard.callback(None)


class OverSerial(DialledCase):
    """A device on a serial port."""

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp())
        self.line = SerialLine(str(self.path), 1200)
        self.endpoint = SerialEndpoint(self.reactor, self.line)

    def plug_in(self) -> Plugged:
        device = Plugged(self.reactor, self.path)
        self.addCleanup(device.unplug)
        return device

    async def refusal(self, endpoint: SerialEndpoint) -> str:
        """Return why a port cannot be opened."""
        try:
            await connectProtocol(endpoint, Protocol())
        except PortUnusable as unusable:
            return str(unusable)
        raise AssertionError("it was opened")

    async def test_it_is_asked_and_its_answers_are_kept(self) -> None:
        """At the speed that was configured; the port's path is the device."""
        device = self.plug_in()
        source = await self.dial(self.endpoint, Poll(b"S\r\n", 0.01))
        for number in range(3):
            await device.hears(b"S\r\n")
            device.write(b'{"kg":')
            device.write(b"%d}\r\n" % number)
            await self.stored(number + 1)
        self.assertEqual([b'{"kg":0}', b'{"kg":1}', b'{"kg":2}'], await self.stored(3))
        self.assertEqual({str(self.path)}, {record.event.device for record in self.records})
        self.assertEqual(termios.B1200, device.speed())
        await source.stop()

    async def test_a_device_that_is_unplugged_is_found_when_it_is_back(self) -> None:
        """Meanwhile the source says what is wrong, and dials."""
        device = self.plug_in()
        source = await self.dial(self.endpoint, Poll(b"S\r\n", 0.01))
        await device.hears(b"S\r\n")
        device.write(b'{"n":1}\r\n')
        await self.stored(1)
        missed: Deferred[None] = Deferred()
        self.patch(dialled, "why_unreachable", noticing(why_unreachable, missed))
        device.unplug()
        await missed
        self.assertIn("there is no such port", str(source.problem))
        device = self.plug_in()
        await device.hears(b"S\r\n")
        device.write(b'{"n":2}\r\n')
        self.assertEqual([b'{"n":1}', b'{"n":2}'], await self.stored(2))
        self.assertIsNone(source.problem)
        await source.stop()

    async def test_a_cut_connection_leaves_nothing_open(self) -> None:
        """The port can be opened again at once, also where the device did not take what was sent."""
        self.plug_in()
        for _ in range(3):
            ended: Deferred[None] = Deferred()
            protocol = await connectProtocol(self.endpoint, Ending(ended))
            transport: Any = protocol.transport
            transport.write(b"x" * 100_000)
            transport.abortConnection()
            transport.abortConnection()
            await ended

    async def test_two_programs_cannot_have_one_port(self) -> None:
        """Each would get some of the bytes."""
        self.plug_in()
        ended: Deferred[None] = Deferred()
        first = await connectProtocol(self.endpoint, Ending(ended))
        self.assertIn("another program uses the port; end it", await self.refusal(self.endpoint))
        first.transport.loseConnection()
        await ended

    async def test_says_why_a_port_cannot_be_opened(self) -> None:
        """With what to do about it."""
        self.assertRegex(await self.refusal(self.endpoint), "^there is no such port; is it plugged in")
        self.path.write_text("no port")
        self.assertEqual("it is no serial port; check the path", await self.refusal(self.endpoint))

    async def test_a_user_without_permission_is_told_of_the_group(self) -> None:
        """The one thing that everybody meets with the first serial device."""

        def denied(*_: object, **__: object) -> None:
            raise PYSERIAL.SerialException(13, "could not open port: Permission denied")

        self.patch(PYSERIAL, "Serial", denied)
        told = await self.refusal(self.endpoint)
        self.assertRegex(told, "^permission denied; .*dialout.*restart the gateway$")

    async def test_every_option_reaches_the_port(self) -> None:
        """A pseudo-terminal has no parity, so what is asked of pyserial is looked at."""
        asked: dict[str, object] = {}

        def note(device: str, **options: object) -> None:
            asked.update(options, device=device)
            raise OSError(2, "")

        self.patch(PYSERIAL, "Serial", note)
        line = SerialLine("/dev/x", 300, bytesize=7, parity="E", stopbits=2, rtscts=True, xonxoff=True)
        await self.refusal(SerialEndpoint(self.reactor, line))
        del asked["timeout"]
        self.assertEqual(
            {
                "device": "/dev/x",
                "baudrate": 300,
                "bytesize": 7,
                "parity": "E",
                "stopbits": 2,
                "rtscts": True,
                "xonxoff": True,
                "exclusive": True,
            },
            asked,
        )
