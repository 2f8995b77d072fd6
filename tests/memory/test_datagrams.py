"""Lines in datagrams, in memory: a played port, a real journal, a disk as slow as the test wants."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from lineside.edges.lines.datagrams import LOOK, DatagramSource
from lineside.edges.lines.intake import DRAIN, Intake, Limits
from lineside.model.errors import LinesideError
from lineside.model.event import Record, Seq
from lineside.testing.journals import JournalOnFile
from lineside.wire.jsonl import JsonLines


class PlayedPort:
    """A UDP port whose operating system drops what the test says."""

    def __init__(self, protocol: Any, address: tuple[str, int]) -> None:
        self.protocol = protocol
        self.address = address
        self.reading = True
        self.drops: int | None = 0
        protocol.makeConnection(self)

    def getHandle(self) -> PlayedPort:
        return self

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", *self.address)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Any buffer is fine."""

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        if self.drops is None:
            raise OSError(92, "Protocol not available")
        return struct.pack("=9I", *[0] * 8, self.drops)

    def stopReading(self) -> None:
        self.reading = False

    def startReading(self) -> None:
        self.reading = True

    def stopListening(self) -> Deferred[None]:
        self.reading = False
        self.protocol.doStop()
        return succeed(None)


class PlayedReactor(Clock):
    """Gives out a played port."""

    port: PlayedPort
    taken = False

    def listenUDP(self, port: int, protocol: Any, interface: str, largest: int) -> PlayedPort:
        if self.taken:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        self.port = PlayedPort(protocol, (interface, port))
        return self.port


class DatagramCase(SynchronousTestCase):
    """A source of datagrams that has started."""

    def setUp(self) -> None:
        self.file = JournalOnFile(Path(self.mktemp()), lambda: 1)
        self.addCleanup(self.file.close)
        self.reactor = PlayedReactor()
        self.logged = self.enterContext(capturedLogs())
        limits = Limits(max_line=100, max_kept=300, max_in_flight=4, idle_timeout=0.0, ack=False)
        self.intake = Intake("sensors", JsonLines(), self.file.journal, self.reactor, limits)
        self.source = DatagramSource(self.reactor, 5140, "127.0.0.1", "udp:5140", self.intake)
        self.successResultOf(Deferred.fromCoroutine(self.source.start()))
        self.port = self.reactor.port

    def send(self, datagram: bytes, sender: str = "10.0.0.7") -> None:
        """Let a datagram arrive, and the reactor's turn end."""
        self.port.protocol.datagramReceived(datagram, (sender, 40_000))
        self.reactor.advance(0)

    def records(self) -> list[Record]:
        page = self.successResultOf(Deferred.fromCoroutine(self.file.journal.read(Seq(0), limit=10_000)))
        return page.records

    def said(self) -> list[bytes]:
        return [record.event.body or record.event.raw or b"" for record in self.records()]

    def events(self, name: str) -> list[dict[str, object]]:
        return [event for event in self.logged if event.get("log_format") == name]

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.source.stop())


class Lines(DatagramCase):
    """What a datagram holds."""

    def test_a_datagram_is_a_line_with_its_sender(self) -> None:
        """With a line end or without: nothing more of it can come."""
        self.send(b'{"n":1}', "10.0.0.7")
        self.send(b'{"n":2}\r\n', "10.0.0.8")
        self.assertEqual([b'{"n":1}', b'{"n":2}'], self.said())
        self.assertEqual(["10.0.0.7", "10.0.0.8"], [record.event.device for record in self.records()])

    def test_a_datagram_may_hold_several_lines(self) -> None:
        """Each is an event; empty ones, and a datagram of nothing, are signs of life."""
        self.send(b'{"n":1}\n\n{"n":2}\n{"n":3}')
        self.send(b"")
        self.send(b" \n")
        self.assertEqual([b'{"n":1}', b'{"n":2}', b'{"n":3}'], self.said())

    def test_what_is_no_event_is_kept(self) -> None:
        """As a dead letter, like any other line; one that is too long too, and its neighbours are taken."""
        self.send(b"no json")
        self.send(b'{"n":1}\n' + b"x" * 400 + b'\n{"n":2}')
        self.assertEqual([b"no json", b'{"n":1}', b"x" * 300, b'{"n":2}'], self.said())
        errors = [str(record.event.error).partition(":")[0] for record in self.records()]
        self.assertEqual(["json", "None", "too-long", "None"], errors)

    @given(datagrams=st.lists(st.binary(max_size=250), max_size=8))
    def test_any_bytes_are_taken(self, datagrams: list[bytes]) -> None:
        """Nothing that comes from the network stops the source, and each line that says something is kept."""
        before = len(self.records())
        for datagram in datagrams:
            self.send(datagram)
        lines = [line for datagram in datagrams for line in datagram.split(b"\n") if line.strip()]
        self.assertEqual(len(lines), len(self.records()) - before)


class Pressure(DatagramCase):
    """More than the disk takes."""

    def test_datagrams_are_left_to_the_system_while_the_disk_is_behind(self) -> None:
        """What waits in memory is bounded by `max_in_flight`; it is read on once half of it is stored."""
        self.file.writer.held = True
        for number in range(4):
            self.send(b'{"n":%d}' % number)
        self.assertFalse(self.port.reading)
        self.file.writer.release()
        self.assertTrue(self.port.reading)
        self.assertEqual(4, len(self.records()))

    def test_what_the_system_drops_is_counted_and_alarmed(self) -> None:
        """Once while it goes on, with the number in the status; and that it is over is told, too."""
        self.assertIsNone(self.source.problem)
        for drops in (7, 12):
            self.port.drops = drops
            self.reactor.advance(LOOK)
        self.assertEqual("12 datagrams dropped since the start, and more are", self.source.problem)
        self.reactor.advance(LOOK)
        self.assertEqual("12 datagrams dropped since the start", self.source.problem)
        [alarm] = self.events("lines.datagrams_dropped")
        self.assertEqual((7, "sensors"), (alarm["dropped"], alarm["source"]))
        self.assertEqual(1, len(self.events("lines.datagrams_kept")))

    def test_the_systems_count_may_begin_anew(self) -> None:
        """It has 32 bits."""
        self.port.drops = 2**32 - 1
        self.reactor.advance(LOOK)
        before = self.source.dropped
        self.port.drops = 4
        self.reactor.advance(LOOK)
        self.assertEqual(5, self.source.dropped - before)

    def test_a_system_that_does_not_count_is_no_error(self) -> None:
        """The source works on; only the number is missing."""
        self.port.drops = None
        self.reactor.advance(LOOK)
        self.send(b'{"n":1}')
        self.assertEqual((1, None), (len(self.records()), self.source.problem))

    def test_an_error_of_our_own_does_not_stop_the_source(self) -> None:
        """What it concerned is gone, but the next datagrams are taken."""
        works = self.file.journal.append_batches

        async def stumble_once(source: str, batches: object) -> Any:
            self.file.journal.append_batches = works  # type: ignore[method-assign]
            raise ValueError("not of the disk")

        self.file.journal.append_batches = stumble_once  # type: ignore[method-assign,assignment]
        self.send(b'{"n":1}\n{"n":2}\n{"n":3}\n{"n":4}')
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
        self.assertTrue(self.port.reading)
        self.send(b'{"n":5}')
        self.assertEqual([b'{"n":5}'], self.said())


class StartAndStop(DatagramCase):
    """The ends."""

    def test_says_where_it_listens(self) -> None:
        """As configured until it does."""
        self.assertEqual("udp 127.0.0.1:5140", self.source.address)
        self.successResultOf(self.stop())
        self.assertEqual("udp:5140", self.source.address)

    def test_a_port_that_is_taken_is_one_clear_error(self) -> None:
        """It names the source and what to look for."""
        self.reactor.taken = True
        source = DatagramSource(self.reactor, 5140, "", "udp:5140", self.intake)
        failure = self.failureResultOf(Deferred.fromCoroutine(source.start()), LinesideError)
        self.assertEqual(
            "sources.sensors: cannot listen on udp:5140: Address already in use; "
            "is another gateway or service using this address?",
            str(failure.value),
        )

    def test_what_was_read_is_stored_before_the_end(self) -> None:
        """Stopping waits for the disk."""
        self.file.writer.held = True
        self.send(b'{"n":1}')
        stopping = self.stop()
        self.assertNoResult(stopping)
        self.file.writer.release()
        self.successResultOf(stopping)
        self.assertEqual([b'{"n":1}'], self.said())
        self.assertEqual([], self.reactor.getDelayedCalls())

    def test_a_disk_that_hangs_does_not_hold_the_end_up(self) -> None:
        """After the time that all sources get, stopping goes on."""
        self.file.writer.held = True
        self.send(b'{"n":1}')
        stopping = self.stop()
        self.reactor.advance(DRAIN)
        self.successResultOf(stopping)
